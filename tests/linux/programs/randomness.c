// Random bytes of the kernel, which differ, and of the C library, which do not.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
int main() {
    unsigned char a[32] = {0}, b[32] = {0};
    printf("%ld %ld", (long)getrandom(a, 32, 0), (long)getrandom(b, 32, GRND_NONBLOCK));
    printf(" differ %d\n", memcmp(a, b, 32) != 0);
    int fd = open("/dev/urandom", O_RDONLY);
    printf("%ld", (long)read(fd, a, 16));
    printf(" differ %d\n", memcmp(a, b, 16) != 0);
    close(fd);
    srand(42);
    for (int i = 0; i < 5; i++)
        printf("%d ", rand() % 1000);
    srandom(7);
    for (int i = 0; i < 5; i++)
        printf("%ld ", random() % 1000);
    srand48(1);
    printf("%.6f\n", drand48());
    return 0;
}
