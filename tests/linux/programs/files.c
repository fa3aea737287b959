// Files: the program's own file, devices, dup, errors.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
int main(int c, char **v) {
    int f = open(v[0], O_RDONLY);
    char b[5] = {0};
    read(f, b, 4);
    printf("%d %s\n", f, b + 1);
    struct stat s;
    fstat(f, &s);
    printf("reg %d\n", S_ISREG(s.st_mode));
    lseek(f, 1, SEEK_SET);
    read(f, b, 3);
    printf("%.3s\n", b);
    close(f);
    printf("%d %d\n", open("/nope", O_RDONLY), errno == ENOENT);
    f = open("/dev/null", O_RDWR);
    printf("null %d %d\n", (int)write(f, "x", 1), (int)read(f, b, 1));
    f = open("/dev/zero", O_RDONLY);
    b[0] = 1;
    read(f, b, 1);
    printf("zero %d\n", b[0]);
    f = open("/dev/urandom", O_RDONLY);
    printf("rand %d\n", (int)read(f, b, 4));
    int d = dup(1);
    dprintf(d, "dup ok\n");
    dup2(1, 20);
    dprintf(20, "dup2 ok\n");
    printf("access %d %d\n", access(v[0], X_OK), access("/x", F_OK));
    char cwd[1000];
    printf("cwd %d\n", getcwd(cwd, 1000) != 0);
    fprintf(stderr, "to stderr\n");
    printf("isatty %d\n", isatty(1));
    printf("bad fd %d %d\n", (int)read(99, b, 1), errno == EBADF);
    return 0;
}
