// A handler of SIGCHLD that waits for children. How many calls find no child depends on time.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
static volatile int reaped, sum;
static void handler(int number) {
    (void)number;
    int saved = errno, status;
    while (waitpid(-1, &status, WNOHANG) > 0) {
        reaped++;
        sum += WEXITSTATUS(status);
    }
    errno = saved;
}
int main() {
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART | SA_NOCLDSTOP};
    sigaction(SIGCHLD, &action, NULL);
    sigset_t child_set, before;
    sigemptyset(&child_set);
    sigaddset(&child_set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child_set, &before);
    for (int i = 1; i <= 6; i++)
        if (fork() == 0)
            _exit(i);
    while (reaped < 6)
        sigsuspend(&before);
    printf("%d reaped, sum %d, more %d\n", reaped, sum, waitpid(-1, NULL, 0));
    return 0;
}
