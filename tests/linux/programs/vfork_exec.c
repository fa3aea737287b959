// vfork: the parent waits until the child has become another program or ended.
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int count, char **words) {
    if (count > 1) {
        printf("child %s\n", words[1]);
        return 4;
    }
    int status;
    volatile int value = 1;
    int child = vfork();
    if (child == 0) {
        value = 2;
        execl("/proc/self/exe", "vfork_exec", "executed", NULL);
        _exit(1);
    }
    waitpid(child, &status, 0);
    printf("%d, value %d\n", WEXITSTATUS(status), value);
    child = vfork();
    if (child == 0)
        _exit(6);
    waitpid(child, &status, 0);
    printf("%d\n", WEXITSTATUS(status));
    return 0;
}
