// waitpid: WNOHANG, a given child, any child, ignored children.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
int main() {
    int fds[2], status = 0;
    pipe(fds);
    int child = fork();
    if (child == 0) {
        char byte;
        read(fds[0], &byte, 1);
        _exit(5);
    }
    printf("running %d\n", waitpid(child, &status, WNOHANG));
    write(fds[1], "x", 1);
    printf("ended %d", waitpid(child, &status, 0) == child);
    printf(" %d %d\n", WIFEXITED(status), WEXITSTATUS(status));
    printf("%d %d\n", waitpid(child, &status, 0), errno == ECHILD);
    siginfo_t info = {0};
    child = fork();
    if (child == 0)
        _exit(6);
    printf("%d", waitid(P_PID, child, &info, WEXITED | WNOWAIT));
    printf(" %d %d %d\n", info.si_pid == child, info.si_status, info.si_code == CLD_EXITED);
    printf("still %d\n", waitpid(child, &status, 0) == child);
    signal(SIGCHLD, SIG_IGN);
    if (fork() == 0)
        _exit(0);
    printf("%d %d\n", waitpid(-1, &status, 0), errno == ECHILD);
    return 0;
}
