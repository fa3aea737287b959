// A tree of processes, each the parent of two; each returns the size of its part.
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
static int grow(int depth) {
    int size = 1, status;
    for (int i = 0; depth > 0 && i < 2; i++) {
        int child = fork();
        if (child == 0)
            _exit(grow(depth - 1));
        waitpid(child, &status, 0);
        size += WEXITSTATUS(status);
    }
    return size;
}
int main() {
    printf("%d processes\n", grow(3));
    return 0;
}
