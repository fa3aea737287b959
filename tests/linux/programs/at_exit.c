// Functions that run at the end, last first, and a buffer that is written then.
#include <stdio.h>
#include <stdlib.h>
static void first(void) { printf("registered first\n"); }
static void second(void) { printf("registered second\n"); atexit(first); }
__attribute__((constructor)) static void before(void) { printf("before main\n"); }
__attribute__((destructor)) static void after(void) { printf("after all\n"); }
int main() {
    atexit(first);
    atexit(second);
    printf("in main");
    exit(9);
}
