// Calls itself until its stack has so many KiB, then prints the limit on the stack.
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

static int recurse(int kib) {
    volatile char frame[1024];
    frame[0] = (char)kib;
    return kib == 0 ? 0 : recurse(kib - 1) + (frame[0] == (char)kib ? 0 : 1);
}

int main(int argc, char **argv) {
    struct rlimit limit;
    getrlimit(RLIMIT_STACK, &limit);
    if (recurse(atoi(argv[1])) != 0) return 1;
    printf("%ld MiB\n", (long)(limit.rlim_cur >> 20));
    return 0;
}
