// setitimer: a timer that fires again and again. How often a wait is interrupted depends on time.
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>
#include <unistd.h>
static volatile int count;
static void handler(int number) {
    (void)number;
    if (++count == 4)
        setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
}
int main() {
    signal(SIGALRM, handler);
    sigset_t alarm_set, before;
    sigemptyset(&alarm_set);
    sigaddset(&alarm_set, SIGALRM);
    sigprocmask(SIG_BLOCK, &alarm_set, &before);
    struct itimerval timer = {{0, 30000}, {0, 30000}};
    setitimer(ITIMER_REAL, &timer, NULL);
    while (count < 4)
        sigsuspend(&before);
    printf("%d\n", count);
    getitimer(ITIMER_REAL, &timer);
    printf("%ld %ld\n", (long)timer.it_value.tv_sec, (long)timer.it_value.tv_usec);
    printf("%u ", alarm(10));
    printf("%d\n", alarm(0) >= 9);
    return 0;
}
