// A division by zero, with no handler.
#include <stdio.h>
int main(int count, char **words) {
    (void)words;
    printf("before\n");
    fflush(stdout);
    return 10 / (count - 1);
}
