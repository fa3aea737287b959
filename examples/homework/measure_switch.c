// Chapter 6: measures a context switch: two processes on one CPU, each waiting for the other by a pipe. The figures vary, and the size of the text depends on them.
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TURNS = 500 };

static long now(void) {
    struct timeval time;
    gettimeofday(&time, NULL);
    return time.tv_sec * 1000000L + time.tv_usec;
}

int main(void) {
    int there[2], back[2];
    char byte = 'x';
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(0, &one);
    sched_setaffinity(0, sizeof one, &one);
    pipe(there);
    pipe(back);
    if (fork() == 0) {
        for (int i = 0; i < TURNS; i++) {
            read(there[0], &byte, 1);
            write(back[1], &byte, 1);
        }
        return 0;
    }
    long start = now();
    for (int i = 0; i < TURNS; i++) {
        write(there[1], &byte, 1);
        read(back[0], &byte, 1);
    }
    long took = now() - start;
    wait(NULL);
    printf("%d switches took %ld us: %.3f us a switch, with a read and a write\n", 2 * TURNS, took,
           (double)took / (2 * TURNS));
    return 0;
}
