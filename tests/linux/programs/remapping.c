// mremap: a mapping that grows, moves and shrinks, and the break.
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
int main() {
    char *area = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    strcpy(area, "kept");
    area = mremap(area, 8192, 1 << 20, MREMAP_MAYMOVE);
    area[(1 << 20) - 1] = 'e';
    printf("%s %c\n", area, area[(1 << 20) - 1]);
    area = mremap(area, 1 << 20, 4096, 0);
    printf("%s\n", area);
    madvise(area, 4096, MADV_DONTNEED);
    printf("[%s]\n", area);
    munmap(area, 4096);
    char *start = sbrk(0);
    sbrk(100000);
    memset(start, 1, 100000);
    printf("%d\n", (int)((char *)sbrk(0) - start));
    sbrk(-100000);
    printf("%d\n", (int)((char *)sbrk(0) - start));
    return 0;
}
