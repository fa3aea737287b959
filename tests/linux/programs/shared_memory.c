// Memory that a child shares, and memory that it does not.
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
static int private_value = 1;
int main() {
    int *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    *shared = 1;
    for (int i = 0; i < 3; i++) {
        int child = fork();
        if (child == 0) {
            *shared *= 10;
            private_value *= 10;
            _exit(private_value / 10);
        }
        int status;
        waitpid(child, &status, 0);
        printf("child %d: shared %d private %d\n", WEXITSTATUS(status), *shared, private_value);
    }
    return 0;
}
