// Calls by number, which no kernel has or which only the kernel's own programs need.
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
int main() {
    printf("%ld %s\n", syscall(9999), strerror(errno));
    printf("%ld %s\n", syscall(-1), strerror(errno));
    printf("%d\n", syscall(SYS_gettid) == getpid());
    printf("%ld\n", syscall(SYS_write, 1, "by number\n", 10));
    return 0;
}
