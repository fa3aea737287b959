// Clocks and timers of CPU time.
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static volatile sig_atomic_t rung;
static void ring(int signal) {
    rung = signal;
}
static void wait_for(int timer) {
    struct itimerval once = {{0, 0}, {0, 3000}};
    rung = 0;
    printf("set %d", setitimer(timer, &once, NULL));
    while (!rung)
        ;
    getitimer(timer, &once);
    printf(", rung %d, left %ld\n", rung, (long)once.it_value.tv_usec);
}
int main() {
    clockid_t of_process, of_thread;
    struct timespec time, since = {0, 0};
    printf("process %d", clock_getcpuclockid(getpid(), &of_process));
    printf(" %d\n", clock_gettime(of_process, &time));
    printf("thread %d", pthread_getcpuclockid(pthread_self(), &of_thread));
    printf(" %d\n", clock_gettime(of_thread, &since));
    while (clock_gettime(of_thread, &time), time.tv_nsec == since.tv_nsec)
        ;
    printf("of another process: %d\n", clock_getcpuclockid(999999, &of_process) != 0);
    signal(SIGVTALRM, ring);
    signal(SIGPROF, ring);
    wait_for(ITIMER_VIRTUAL);
    wait_for(ITIMER_PROF);
    printf("no such timer: %d\n", setitimer(9, &(struct itimerval){{0, 0}, {0, 0}}, NULL));
    return 0;
}
