// The child waits for bytes that only its parent could write, and the parent for the child's end.
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
    int ends[2];
    pipe(ends);
    if (fork() == 0) {
        char byte;
        return read(ends[0], &byte, 1);
    }
    return wait(0) < 0;
}
