// quick_exit runs its own functions only, and writes no buffer.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static void quick(void) { write(1, "quick\n", 6); }
static void never(void) { write(1, "never\n", 6); }
int main() {
    at_quick_exit(quick);
    atexit(never);
    printf("lost");
    quick_exit(300);
}
