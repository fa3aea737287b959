// Chapter 5, questions 5 and 6: what wait and waitpid return, in the parent and in the child. The calls depend on which child ends first.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
    setbuf(stdout, NULL);
    int status;
    pid_t child = fork();
    if (child == 0) {
        int result = wait(NULL);
        printf("child: wait returned %d: %s\n", result, strerror(errno));
        return 3;
    }
    pid_t ended = wait(&status);
    printf("parent: wait returned the child: %d, which exited with %d\n", ended == child, WEXITSTATUS(status));
    pid_t first = fork();
    if (first == 0)
        return 1;
    pid_t second = fork();
    if (second == 0)
        return 2;
    waitpid(second, &status, 0);
    printf("parent: waitpid for the second child: %d\n", WEXITSTATUS(status));
    waitpid(first, &status, 0);
    printf("parent: waitpid for the first child: %d\n", WEXITSTATUS(status));
    return 0;
}
