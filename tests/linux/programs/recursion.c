// Deep recursion: the stack grows by megabytes. Ackermann's function, and a plain sum.
#include <stdio.h>
static int ackermann(int m, int n) {
    if (m == 0)
        return n + 1;
    return n == 0 ? ackermann(m - 1, 1) : ackermann(m - 1, ackermann(m, n - 1));
}
static long sum(volatile int value) {
    volatile char room[200];
    room[0] = 0;
    return value == 0 ? room[0] : value + sum(value - 1);
}
int main() {
    printf("%d %ld\n", ackermann(2, 50), sum(10000));
    return 0;
}
