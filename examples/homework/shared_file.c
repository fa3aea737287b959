// Chapter 5, question 2: a file that is open before fork. Both use the same descriptor, and the same position in the file.
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static void read_some(const char *who, int fd) {
    char bytes[9] = "";
    long count = read(fd, bytes, 8);
    printf("%s read %ld bytes: %s\n", who, count, bytes + 1);
    fflush(stdout);
}

int main(void) {
    setbuf(stdout, NULL);
    int fd = open("/proc/self/exe", O_RDONLY);
    read_some("parent", fd);
    if (fork() == 0) {
        lseek(fd, 1, SEEK_SET);
        return 0;
    }
    wait(NULL);
    printf("parent: the position is %ld, where the child left it\n", (long)lseek(fd, 0, SEEK_CUR));
    // Two writers of one open file: neither overwrites what the other wrote.
    if (fork() == 0) {
        write(1, "child wrote this line\n", 22);
        return 0;
    }
    wait(NULL);
    write(1, "parent wrote this line\n", 23);
    return 0;
}
