// Sleep, to its end and interrupted, with what is left.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static void handler(int number) { (void)number; }
static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}
int main() {
    double start = now();
    struct timespec wanted = {0, 20000000}, left;
    printf("%d", nanosleep(&wanted, NULL));
    printf(" long enough %d\n", now() - start >= 0.02);
    struct sigaction action = {.sa_handler = handler};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval soon = {.it_value = {0, 30000}};
    setitimer(ITIMER_REAL, &soon, NULL);
    wanted = (struct timespec){5, 0};
    int result = nanosleep(&wanted, &left);
    printf("%d %d left %d\n", result, errno == EINTR, left.tv_sec == 4);
    wanted = (struct timespec){0, 2000000000};
    printf("%d %d\n", nanosleep(&wanted, NULL), errno == EINVAL);
    wanted = (struct timespec){0, 1};
    printf("%d\n", clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &wanted, NULL));
    usleep(1000);
    return 0;
}
