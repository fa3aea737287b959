// Chapter 5, question 7: a child that closes standard output and prints. The write fails; the parent's still works.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
    if (fork() == 0) {
        close(STDOUT_FILENO);
        printf("nobody reads this\n");
        if (fflush(stdout) == EOF)
            fprintf(stderr, "child: %s\n", strerror(errno));
        return 0;
    }
    wait(NULL);
    printf("parent: prints as before\n");
    return 0;
}
