// Programs that a C library starts by the shell.
#include <stdio.h>
#include <stdlib.h>

int main(void) {
    printf("status %d\n", WEXITSTATUS(system("echo from the shell; exit 3")));
    fflush(stdout);
    char line[64];
    FILE *numbers = popen("seq 3 | tac", "r");
    while (fgets(line, sizeof line, numbers))
        printf("read %s", line);
    printf("status %d\n", pclose(numbers));
    fflush(stdout);
    FILE *sorted = popen("sort", "w");
    fputs("b\na\n", sorted);
    return pclose(sorted);
}
