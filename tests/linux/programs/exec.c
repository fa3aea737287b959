// fork, vfork and execve of the program itself, with arguments and environment.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
extern char **environ;
int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "child")) {
        printf("in child argc %d %s env %s\n", argc, argv[2], getenv("FOO") ? getenv("FOO") : "none");
        return 42;
    }
    int p = fork();
    if (!p) {
        char *a[] = {argv[0], "child", "arg two", 0};
        char *e[] = {"FOO=bar", 0};
        execve("/proc/self/exe", a, e);
        perror("exec");
        _exit(1);
    }
    int st;
    waitpid(p, &st, 0);
    printf("status %d\n", WEXITSTATUS(st));
    p = vfork();
    if (!p) {
        execl(argv[0], argv[0], "child", "v", (char *)0);
        _exit(9);
    }
    waitpid(p, &st, 0);
    printf("status %d\n", WEXITSTATUS(st));
    execl("/nonexistent", "x", (char *)0);
    perror("nonexistent");
    return 0;
}
