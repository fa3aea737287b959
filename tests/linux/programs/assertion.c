// An assertion that fails.
#include <assert.h>
#include <stdio.h>
int main() {
    printf("before\n");
    fflush(stdout);
    int value = 1;
    assert(value == 1);
    assert(value == 2 && "one is not two");
    return 0;
}
