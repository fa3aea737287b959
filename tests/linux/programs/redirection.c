// dup2: output to a pipe and back.
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main() {
    int fds[2], saved = dup(1);
    char text[64];
    pipe(fds);
    dup2(fds[1], 1);
    close(fds[1]);
    printf("into the pipe\n");
    fflush(stdout);
    dup2(saved, 1);
    close(saved);
    long size = read(fds[0], text, sizeof text);
    printf("%ld: %.*s", size, (int)size, text);
    fprintf(stderr, "to standard error\n");
    dup2(1, 2);
    fprintf(stderr, "to standard output\n");
    return 0;
}
