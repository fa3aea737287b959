// A file: by fgets, fscanf, fseek, read, pread, readv, lseek.
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>
int main() {
    char line[100];
    FILE *file = fopen("given/words", "r");
    int lines = 0;
    while (fgets(line, sizeof line, file))
        lines++;
    printf("%d lines, last %s", lines, line);
    fseek(file, 6, SEEK_SET);
    printf("%ld %c\n", ftell(file), fgetc(file));
    ungetc('#', file);
    printf("%c\n", fgetc(file));
    rewind(file);
    fgets(line, 4, file);
    printf("%s, end %d\n", line, feof(file));
    fclose(file);
    file = fopen("given/numbers", "r");
    int value, sum = 0;
    while (fscanf(file, "%d", &value) == 1)
        sum += value;
    printf("sum %d, end %d\n", sum, feof(file) != 0);
    fclose(file);
    int fd = open("given/words", O_RDONLY);
    char first[5] = "", second[4] = "";
    struct iovec parts[] = {{first, 4}, {second, 3}};
    printf("%ld", (long)readv(fd, parts, 2));
    printf(" %s %s\n", first, second);
    printf("%ld", (long)pread(fd, first, 4, 2));
    printf(" %s, at %ld\n", first, (long)lseek(fd, 0, SEEK_CUR));
    long end = lseek(fd, 0, SEEK_END);
    printf("end %ld, read %ld\n", end, (long)read(fd, first, 4));
    printf("beyond %ld, read %ld\n", (long)lseek(fd, 10, SEEK_END) - end, (long)read(fd, first, 4));
    close(fd);
    return 0;
}
