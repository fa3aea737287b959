// Chapter 5, question 3: the child prints first, and the parent does not call wait. A pipe makes it wait.
#include <stdio.h>
#include <unistd.h>

int main(void) {
    int fds[2];
    char byte;
    pipe(fds);
    if (fork() == 0) {
        printf("hello\n");
        fflush(stdout);
        write(fds[1], "x", 1);
        return 0;
    }
    read(fds[0], &byte, 1);
    printf("goodbye\n");
    return 0;
}
