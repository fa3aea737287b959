// Patterns of malloc: small, large, growing, cleared, aligned, freed in other orders.
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main() {
    char *block[200];
    unsigned sum = 0;
    for (int i = 0; i < 200; i++) {
        block[i] = malloc(i * 37 + 1);
        memset(block[i], i, i * 37 + 1);
    }
    for (int i = 0; i < 200; i += 2)
        free(block[i]);
    for (int i = 0; i < 200; i += 2) {
        block[i] = malloc(64);
        memset(block[i], 7, 64);
    }
    for (int i = 0; i < 200; i++) {
        sum += (unsigned char)block[i][0];
        free(block[i]);
    }
    printf("sum %u\n", sum);
    char *grown = NULL;
    for (size_t size = 1; size <= 1 << 20; size *= 4) {
        grown = realloc(grown, size);
        grown[size - 1] = 'x';
    }
    printf("grown %c%c\n", grown[0] ? 'o' : '-', grown[(1 << 20) - 1]);
    free(grown);
    int *cleared = calloc(100000, sizeof *cleared), used = 0;
    for (int i = 0; i < 100000; i++)
        used |= cleared[i];
    printf("cleared %d\n", used);
    free(cleared);
    void *aligned;
    int result = posix_memalign(&aligned, 4096, 100);
    printf("aligned %d %d\n", result, (int)((uintptr_t)aligned % 4096));
    free(aligned);
    char *large = malloc(8 << 20);
    large[0] = large[(8 << 20) - 1] = 1;
    free(large);
    errno = 0;
    volatile size_t huge = SIZE_MAX / 2;
    void *none = malloc(huge);
    printf("huge %d\n", none == NULL && errno == ENOMEM);
    return 0;
}
