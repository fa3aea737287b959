// fork, wait, a pipe: the exercises of chapter 5.
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
int main() {
    int x = 100;
    printf("before %d\n", (int)getpid() > 0);
    fflush(stdout);
    int p = fork();
    if (p < 0) {
        perror("fork");
        return 1;
    }
    if (p == 0) {
        x = 1;
        printf("child x=%d\n", x);
        exit(7);
    }
    int st;
    int w = wait(&st);
    printf("parent x=%d w==p %d st=%d\n", x, w == p, WEXITSTATUS(st));
    int fd[2];
    pipe(fd);
    p = fork();
    if (!p) {
        close(fd[0]);
        write(fd[1], "hello pipe", 10);
        _exit(0);
    }
    close(fd[1]);
    char b[64];
    int n;
    while ((n = read(fd[0], b, sizeof b)) > 0)
        fwrite(b, 1, n, stdout);
    puts("");
    wait(0);
    return 0;
}
