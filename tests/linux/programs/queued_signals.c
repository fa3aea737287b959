// Real-time signals wait in a queue, each with its value; another signal waits once. The lowest number comes first.
// Whether strace shows the values of a signal's information may depend on its version.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int shown;

static void show(int number, siginfo_t *info, void *context) {
    const char *name = number == SIGUSR1 ? "SIGUSR1" : "SIGRTMIN+";
    printf("%d: %s%d value %d code %d from %s\n", ++shown, name, number == SIGUSR1 ? 0 : number - SIGRTMIN,
           info->si_value.sival_int, info->si_code, info->si_pid == getpid() ? "itself" : "another process");
}

int main(void) {
    struct sigaction action = {.sa_sigaction = show, .sa_flags = SA_SIGINFO};
    int numbers[] = {SIGUSR1, SIGRTMIN, SIGRTMIN + 1, SIGRTMAX};
    sigset_t set, before;
    sigemptyset(&set);
    sigfillset(&action.sa_mask);
    for (int i = 0; i < 4; i++)
        sigaction(numbers[i], &action, 0), sigaddset(&set, numbers[i]);
    sigprocmask(SIG_BLOCK, &set, &before);
    for (int i = 1; i <= 3; i++) {
        sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = i});
        sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = 10 * i});
        sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 100 * i});
    }
    kill(getpid(), SIGRTMIN);
    raise(SIGRTMAX);
    if (fork() == 0) {
        sigset_t pending;
        sigpending(&pending);
        printf("a child has %d of them\n", sigismember(&pending, SIGRTMIN) + sigismember(&pending, SIGUSR1));
        fflush(stdout);
        _exit(sigqueue(getppid(), SIGRTMAX, (union sigval){.sival_int = 7}) != 0);
    }
    wait(0);
    siginfo_t info;
    sigset_t first;
    sigemptyset(&first), sigaddset(&first, SIGRTMIN);
    for (int i = 0; i < 2; i++)
        printf("sigwaitinfo %d", sigwaitinfo(&first, &info) - SIGRTMIN), printf(" value %d\n", info.si_value.sival_int);
    sigprocmask(SIG_SETMASK, &before, 0);
    printf("%d handled\n", shown);
    printf("to no process: %d\n", sigqueue(999999, SIGUSR1, (union sigval){0}) < 0 ? errno : 0);
    printf("no such signal: %d\n", sigqueue(getpid(), 65, (union sigval){0}) < 0 ? errno : 0);
}
