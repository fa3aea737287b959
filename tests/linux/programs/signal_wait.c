// sigwait, sigtimedwait and sigsuspend.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
static void handler(int number) { printf("handler %d\n", number); }
int main() {
    sigset_t set, before;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, &before);
    raise(SIGUSR1);
    int number;
    printf("%d", sigwait(&set, &number));
    printf(" %d\n", number);
    struct timespec limit = {0, 10000000};
    siginfo_t info;
    printf("%d %d\n", sigtimedwait(&set, &info, &limit), errno == EAGAIN);
    kill(getpid(), SIGUSR2);
    printf("%d", sigtimedwait(&set, &info, &limit));
    printf(" %d\n", info.si_code == SI_USER);
    signal(SIGUSR1, handler);
    raise(SIGUSR1);
    printf("%d %d\n", sigsuspend(&before), errno == EINTR);
    return 0;
}
