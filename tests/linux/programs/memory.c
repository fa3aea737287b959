// Memory: mmap, mremap, mprotect, a shared page, a deep stack, malloc.
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
int rec(int n) {
    volatile char b[4096];
    b[0] = n;
    if (n == 0)
        return 0;
    return rec(n - 1) + b[0] * 0;
}
int main() {
    char *p = mmap(0, 1 << 20, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(p, 7, 1 << 20);
    printf("%d\n", p[1000]);
    p = mremap(p, 1 << 20, 2 << 20, MREMAP_MAYMOVE);
    printf("%d %d\n", p[1000], p[(1 << 20) + 5]);
    mprotect(p, 4096, PROT_READ);
    printf("%d\n", p[10]);
    printf("munmap %d\n", munmap(p, 2 << 20));
    int *s = mmap(0, 4096, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    *s = 1;
    int *q = malloc(4);
    *q = 1;
    if (!fork()) {
        *s = 2;
        *q = 2;
        _exit(0);
    }
    wait(0);
    printf("shared %d private %d\n", *s, *q);
    printf("rec %d\n", rec(500));
    void *big = malloc(100 << 20);
    printf("big %d\n", big != 0);
    free(big);
    printf("bad %d %d\n", (int)(long)mmap(0, 0, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), errno);
    printf("huge %d %d\n", mmap(0, 1UL << 47, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED, errno);
    char *a[100];
    for (int i = 0; i < 100; i++) {
        a[i] = malloc(i * 1000 + 1);
        memset(a[i], i, i * 1000 + 1);
    }
    long t = 0;
    for (int i = 0; i < 100; i++) {
        t += a[i][i * 1000];
        free(a[i]);
    }
    printf("t %ld\n", t);
    madvise(s, 4096, MADV_DONTNEED);
    return 0;
}
