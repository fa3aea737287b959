// A read that a signal interrupts: without SA_RESTART it fails with EINTR, with it the read goes on. The calls depend on time.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>
static int pipes[2];
static volatile int count, last;
static void handler(int number) {
    (void)number;
    if (++count == last) {
        setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
        write(pipes[1], "x", 1);
    }
}
int main() {
    pipe(pipes);
    struct sigaction action = {.sa_handler = handler};
    sigaction(SIGALRM, &action, NULL);
    /* Again and again: on a busy machine the first signals may come before the read. */
    struct itimerval soon = {.it_value = {0, 30000}, .it_interval = {0, 30000}};
    char byte = '-';
    setitimer(ITIMER_REAL, &soon, NULL);
    long got = read(pipes[0], &byte, 1);
    printf("%ld %s\n", got, strerror(errno));
    setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
    action.sa_flags = SA_RESTART;
    sigaction(SIGALRM, &action, NULL);
    last = count + 3;
    setitimer(ITIMER_REAL, &soon, NULL);
    got = read(pipes[0], &byte, 1);
    printf("%ld %c after %d\n", got, byte, count >= last);
    return 0;
}
