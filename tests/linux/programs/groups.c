// Process groups and sessions, and signals to a group. The calls depend on when a child ends.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
int main() {
    int fds[2], status, children[3];
    pipe(fds);
    for (int i = 0; i < 3; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            setpgid(0, i == 0 ? 0 : children[0]);
            write(fds[1], "x", 1);
            for (;;)
                pause();
        }
        char byte;
        read(fds[0], &byte, 1);
    }
    printf("%d %d\n", getpgid(children[1]) == children[0], getpgid(0) == getpgrp());
    printf("%d\n", kill(-children[0], SIGTERM));
    for (int i = 0; i < 3; i++) {
        waitpid(children[i], &status, 0);
        printf("%d: %d\n", i, WTERMSIG(status));
    }
    printf("%d %d\n", kill(-children[0], SIGTERM), errno == ESRCH);
    int child = fork();
    if (child == 0) {
        int session = setsid();
        _exit(session == getpid() && getsid(0) == session && getpgrp() == session);
    }
    waitpid(child, &status, 0);
    printf("session %d\n", WEXITSTATUS(status));
    return 0;
}
