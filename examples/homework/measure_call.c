// Chapter 6: measures a system call, a read of 0 bytes, and how fine gettimeofday is. The figures vary, and the size of the text depends on them.
#include <stdio.h>
#include <sys/time.h>
#include <unistd.h>

enum { CALLS = 2000 };

static long now(void) {
    struct timeval time;
    gettimeofday(&time, NULL);
    return time.tv_sec * 1000000L + time.tv_usec;
}

int main(void) {
    long finest = 1000000, before = now();
    for (int i = 0; i < 100; i++) {
        long after = now();
        if (after > before && after - before < finest)
            finest = after - before;
        before = after;
    }
    printf("gettimeofday tells times apart that are %ld us from each other\n", finest);
    char byte;
    long start = now();
    for (int i = 0; i < CALLS; i++)
        read(0, &byte, 0);
    long took = now() - start;
    printf("%d calls took %ld us: %.3f us a call\n", CALLS, took, (double)took / CALLS);
    return 0;
}
