// Chapter 5, section 4: as a shell does `program < file`: the child opens the file in the place of its standard input.
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int count, char **words) {
    (void)words;
    if (count > 1) {
        char bytes[4];
        read(STDIN_FILENO, bytes, sizeof bytes);
        printf("standard input starts with %.3s\n", bytes + 1);
        return 0;
    }
    if (fork() == 0) {
        close(STDIN_FILENO);
        open("/proc/self/exe", O_RDONLY);
        execl("/proc/self/exe", "redirection", "again", NULL);
        return 1;
    }
    wait(NULL);
    return 0;
}
