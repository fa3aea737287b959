// writev and readv over pipes, and dprintf.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>
int main() {
    struct iovec out[] = {{"one ", 4}, {"", 0}, {"two ", 4}, {"three\n", 6}};
    printf("%ld\n", (long)writev(1, out, 4));
    fflush(stdout);
    int fds[2];
    pipe(fds);
    writev(fds[1], out, 4);
    char a[6], b[20];
    struct iovec in[] = {{a, 5}, {b, 19}};
    long size = readv(fds[0], in, 2);
    a[5] = b[size - 5] = 0;
    dprintf(1, "%ld [%s] [%s]\n", size, a, b);
    return 0;
}
