// A pipe: how much it holds, without waiting, its end, and writing when there is no reader.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
int main() {
    static char bytes[4096];
    int fds[2], status;
    long total = 0, got;
    pipe2(fds, O_NONBLOCK | O_CLOEXEC);
    printf("%ld %d\n", (long)read(fds[0], bytes, 1), errno == EAGAIN);
    while ((got = write(fds[1], bytes, sizeof bytes)) > 0)
        total += got;
    printf("%ld %d %d\n", total, errno == EAGAIN, fcntl(fds[1], F_GETFD));
    printf("%d\n", (fcntl(fds[0], F_GETFL) & O_NONBLOCK) != 0);
    fcntl(fds[0], F_SETFL, 0);
    while (total > 0)
        total -= read(fds[0], bytes, sizeof bytes);
    close(fds[1]);
    printf("end %ld\n", (long)read(fds[0], bytes, 1));
    pipe(fds);
    int child = fork();
    if (child == 0) {
        close(fds[0]);
        for (int i = 0; i < 40; i++)
            write(fds[1], bytes, sizeof bytes);
        _exit(0);
    }
    close(fds[1]);
    for (total = 0; (got = read(fds[0], bytes, sizeof bytes)) > 0;)
        total += got;
    waitpid(child, &status, 0);
    printf("%ld %d\n", total, status);
    pipe(fds);
    close(fds[0]);
    signal(SIGPIPE, SIG_IGN);
    printf("%ld %s\n", (long)write(fds[1], "x", 1), strerror(errno));
    signal(SIGPIPE, SIG_DFL);
    fflush(stdout);
    write(fds[1], "x", 1);
    return 0;
}
