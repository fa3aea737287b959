// Signals between processes, and what each does by default. The calls depend on when a child starts.
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
int main() {
    int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGKILL, SIGUSR1, SIGUSR2, SIGTERM, SIGALRM, SIGPIPE};
    for (int i = 0; i < 9; i++) {
        int status, child = fork();
        if (child == 0) {
            for (;;)
                pause();
        }
        kill(child, signals[i]);
        waitpid(child, &status, 0);
        printf("%d: ended by %d\n", signals[i], WTERMSIG(status));
    }
    int ignored[] = {SIGCHLD, SIGURG, SIGWINCH, SIGCONT};
    for (int i = 0; i < 4; i++)
        printf("%d: %d\n", ignored[i], raise(ignored[i]));
    printf("%d\n", kill(getpid(), 0));
    return 0;
}
