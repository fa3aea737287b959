// A file in memory: read, changed privately, and unmapped.
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
int main() {
    int fd = open("given/words", O_RDONLY);
    struct stat about;
    fstat(fd, &about);
    char *text = mmap(NULL, about.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    char *copy = mmap(NULL, about.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    close(fd);
    int lines = 0;
    for (long i = 0; i < about.st_size; i++)
        lines += text[i] == '\n';
    printf("%d lines, rest of the page %d\n", lines, text[about.st_size]);
    memcpy(copy, "CHANGED", 7);
    printf("%.7s %.5s\n", copy, text);
    munmap(copy, about.st_size);
    munmap(text, about.st_size);
    printf("%d\n", mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
    perror("length 0");
    printf("%d\n", mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 99, 0) == MAP_FAILED);
    perror("no file");
    return 0;
}
