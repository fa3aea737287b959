// Blocks that grow, in place or to another address, and new ones that must not lie over them.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#define PAGE 4096
static char *block(int pages) {
    return mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}
static char *grow(char *block, int from, int to) {
    return mremap(block, from * PAGE, to * PAGE, MREMAP_MAYMOVE);
}
static int is_filled(const char *block, int pages, char letter) {
    for (int at = 0; at < pages * PAGE; at++)
        if (block[at] != letter)
            return 0;
    return 1;
}
int main() {
    char *high = grow(memset(block(1), 'h', PAGE), 1, 64);
    memset(high, 'h', 64 * PAGE);
    char *low = memset(block(2), 'l', 2 * PAGE);
    printf("apart: %d\n", low + 2 * PAGE <= high || high + 64 * PAGE <= low);
    low = grow(low, 2, 128);
    printf("moved: %d\n", is_filled(low, 2, 'l'));
    memset(low, 'l', 128 * PAGE);
    printf("both: %d %d\n", is_filled(high, 64, 'h'), is_filled(low, 128, 'l'));
    char *split = memset(block(3), 's', 3 * PAGE);
    mprotect(split, 3 * PAGE, PROT_READ);
    mprotect(split + PAGE, PAGE, PROT_READ | PROT_WRITE);
    mprotect(split, 3 * PAGE, PROT_READ | PROT_WRITE);
    split = grow(split, 3, 5);
    printf("whole again: %d\n", split != MAP_FAILED && is_filled(split, 3, 's'));
    char *one = NULL, *other = NULL;
    for (int size = 1 << 16; size <= 1 << 22; size *= 2) {
        one = realloc(one, size);
        other = realloc(other, size);
        memset(one + size / 2, 'a', size / 2);
        memset(other + size / 2, 'b', size / 2);
        printf("%d: %c %c\n", size, one[size / 2], other[size - 1]);
    }
    free(one);
    free(other);
    return 0;
}
