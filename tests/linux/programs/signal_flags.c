// SA_RESETHAND, SA_NODEFER, sa_mask, and the order of pending signals.
#include <signal.h>
#include <stdio.h>
#include <string.h>
static volatile int depth, deepest, count;
static void nested(int number) {
    if (++depth > deepest)
        deepest = depth;
    if (++count < 3)
        raise(number);
    depth--;
}
static char order[10];
static void noted(int number) { order[strlen(order)] = number == SIGUSR1 ? '1' : '2'; }
int main() {
    struct sigaction action = {.sa_handler = nested};
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    printf("deferred: %d deep\n", deepest);
    deepest = count = 0;
    action.sa_flags = SA_NODEFER;
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    printf("not deferred: %d deep\n", deepest);
    action.sa_flags = SA_RESETHAND;
    sigaction(SIGUSR2, &action, NULL);
    raise(SIGUSR2);
    sigaction(SIGUSR2, NULL, &action);
    printf("reset: %d\n", action.sa_handler == SIG_DFL);
    struct sigaction note = {.sa_handler = noted};
    sigaction(SIGUSR1, &note, NULL);
    sigaction(SIGUSR2, &note, NULL);
    sigset_t both, before;
    sigemptyset(&both);
    sigaddset(&both, SIGUSR1);
    sigaddset(&both, SIGUSR2);
    sigprocmask(SIG_BLOCK, &both, &before);
    raise(SIGUSR2);
    raise(SIGUSR1);
    raise(SIGUSR1);
    sigprocmask(SIG_SETMASK, &before, NULL);
    printf("order %s\n", order);
    return 0;
}
