// A null pointer, with no handler.
#include <stdio.h>
int main() {
    printf("never written");
    *(volatile int *)0 = 1;
    return 0;
}
