// Chapter 5, question 8: two children, the output of one connected to the input of the other. The calls depend on which child ends first.
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
    int fds[2];
    pipe(fds);
    if (fork() == 0) {
        dup2(fds[1], STDOUT_FILENO);
        close(fds[0]);
        close(fds[1]);
        for (int i = 1; i <= 5; i++)
            printf("%d\n", i * i);
        return 0;
    }
    if (fork() == 0) {
        int value, sum = 0;
        dup2(fds[0], STDIN_FILENO);
        close(fds[0]);
        close(fds[1]);
        while (scanf("%d", &value) == 1)
            sum += value;
        printf("the sum is %d\n", sum);
        return 0;
    }
    close(fds[0]);
    close(fds[1]);
    while (wait(NULL) > 0)
        ;
    return 0;
}
