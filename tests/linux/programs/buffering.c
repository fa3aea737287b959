// When the C library calls write: at a full buffer, at the end of a line, or at once.
#include <stdio.h>
#include <unistd.h>
int main() {
    printf("held until the buffer is full or flushed; ");
    fprintf(stderr, "at once\n");
    fflush(stdout);
    for (int i = 0; i < 3000; i++)
        printf("%d ", i);
    puts("");
    fflush(stdout);
    write(1, "between\n", 8);
    setvbuf(stdout, NULL, _IOLBF, 100);
    printf("a line\nand a half");
    printf("\n");
    setvbuf(stdout, NULL, _IONBF, 0);
    printf("no %s %d\n", "buffer", 1);
    putchar('x');
    putchar('\n');
    setvbuf(stderr, NULL, _IOFBF, 4096);
    fprintf(stderr, "held ");
    fprintf(stderr, "until the end\n");
    return 0;
}
