// CPU time grows with work: clock, times, getrusage, CLOCK_PROCESS_CPUTIME_ID.
#include <stdio.h>
#include <sys/resource.h>
#include <sys/times.h>
#include <time.h>
int main() {
    struct tms ticks;
    struct timespec start, end;
    clock_t before = clock();
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
    volatile unsigned long sum = 0;
    for (int i = 0; i < 30000000; i++)
        sum += i;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    printf("clock %d\n", clock() > before);
    printf("grew %d\n", end.tv_sec > start.tv_sec || end.tv_nsec > start.tv_nsec);
    struct rusage usage;
    printf("%d", getrusage(RUSAGE_SELF, &usage));
    printf(" %d\n", usage.ru_utime.tv_sec * 1000000 + usage.ru_utime.tv_usec > 0);
    printf("%d\n", times(&ticks) != (clock_t)-1);
    return 0;
}
