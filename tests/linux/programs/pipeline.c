// A pipeline of three processes, as a shell makes it.
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
static int stage(int in, int out, int unused, int (*change)(int)) {
    int child = fork();
    if (child != 0)
        return child;
    if (unused >= 0)
        close(unused);
    char byte;
    while (read(in, &byte, 1) == 1) {
        byte = change(byte);
        write(out, &byte, 1);
    }
    _exit(0);
}

int main() {
    int first[2], second[2], status, children[2];
    pipe(first);
    pipe(second);
    children[0] = stage(first[0], second[1], first[1], toupper);
    close(second[1]);
    children[1] = stage(second[0], 1, first[1], tolower);
    close(first[0]);
    close(second[0]);
    write(first[1], "From A to Z\n", 12);
    close(first[1]);
    for (int i = 0; i < 2; i++)
        waitpid(children[i], &status, 0);
    printf("the last ended with %d\n", status);
    return 0;
}
