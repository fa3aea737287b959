// What a handler with SA_SIGINFO gets: who sent the signal.
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
static void handler(int number, siginfo_t *info, void *context) {
    (void)context;
    printf("signal %d: number %d code %d from me %d\n", number, info->si_signo, info->si_code,
           info->si_pid == getpid());
}
int main() {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    sigaction(SIGUSR1, &action, NULL);
    kill(getpid(), SIGUSR1);
    raise(SIGUSR1);
    return 0;
}
