// Programs of a first course: primes, queens, Collatz, a factorial of many digits.
#include <stdio.h>
#include <string.h>
static int queens(int size, int row, unsigned columns, unsigned left, unsigned right) {
    int count = 0;
    if (row == size)
        return 1;
    for (unsigned free = ~(columns | left | right) & ((1u << size) - 1); free; free &= free - 1) {
        unsigned bit = free & -free;
        count += queens(size, row + 1, columns | bit, (left | bit) << 1, (right | bit) >> 1);
    }
    return count;
}
int main() {
    static char composite[100000];
    int primes = 0, longest = 0, start = 0;
    for (int i = 2; i < 100000; i++) {
        if (composite[i])
            continue;
        primes++;
        for (long j = (long)i * i; j < 100000; j += i)
            composite[j] = 1;
    }
    printf("%d primes, %d ways\n", primes, queens(8, 0, 0, 0, 0));
    for (int i = 1; i < 30000; i++) {
        int steps = 0;
        for (long value = i; value != 1; steps++)
            value = value % 2 ? 3 * value + 1 : value / 2;
        if (steps > longest)
            longest = steps, start = i;
    }
    printf("%d takes %d steps\n", start, longest);
    char digits[200] = {1};
    int size = 1;
    for (int factor = 2; factor <= 100; factor++) {
        int carry = 0;
        for (int i = 0; i < size || carry; i++) {
            carry += digits[i] * factor;
            digits[i] = carry % 10;
            carry /= 10;
            if (i >= size)
                size = i + 1;
        }
    }
    while (size > 0)
        putchar('0' + digits[--size]);
    putchar('\n');
    return 0;
}
