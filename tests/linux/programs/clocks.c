// Clocks, sleep, poll and select.
#include <poll.h>
#include <stdio.h>
#include <sys/select.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
int main() {
    struct timespec a, b, r = {0, 20000000};
    clock_gettime(CLOCK_MONOTONIC, &a);
    nanosleep(&r, 0);
    clock_gettime(CLOCK_MONOTONIC, &b);
    long d = (b.tv_sec - a.tv_sec) * 1000000000L + b.tv_nsec - a.tv_nsec;
    printf("slept %d\n", d >= 20000000 && d < 2000000000);
    struct timeval tv;
    gettimeofday(&tv, 0);
    printf("year ok %d\n", tv.tv_sec > 1700000000);
    printf("time %d\n", time(0) > 1700000000);
    int p[2];
    pipe(p);
    struct pollfd f = {p[0], POLLIN, 0};
    printf("poll %d\n", poll(&f, 1, 10));
    write(p[1], "x", 1);
    printf("poll %d %d\n", poll(&f, 1, 10), f.revents);
    fd_set s;
    FD_ZERO(&s);
    FD_SET(p[0], &s);
    printf("select %d\n", select(p[0] + 1, &s, 0, 0, 0));
    volatile long x = 0;
    for (long i = 0; i < 30000000; i++)
        x += i;
    printf("clock %d\n", clock() > 0);
    return 0;
}
