// Chapter 5, question 1: a variable of the parent, changed by both after fork. Each has a copy of its own.
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
    int x = 100;
    pid_t child = fork();
    if (child < 0) {
        perror("fork");
        return 1;
    }
    if (child == 0) {
        printf("child: x is %d\n", x);
        x = 200;
        printf("child: x is now %d\n", x);
        return 0;
    }
    wait(NULL);
    printf("parent: x is %d\n", x);
    x = 300;
    printf("parent: x is now %d\n", x);
    return 0;
}
