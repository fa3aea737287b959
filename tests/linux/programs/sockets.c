// Two connected sockets: both directions, poll, a closed end, and calls that must not wait.
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
static void show(const char *what, long result) {
    printf("%s %ld%s%s\n", what, result, result < 0 ? " " : "", result < 0 ? strerror(errno) : "");
}
int main() {
    int ends[2];
    char bytes[16] = "";
    setvbuf(stdout, NULL, _IONBF, 0);
    show("socketpair", socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
    struct stat info;
    fstat(ends[0], &info);
    printf("a socket: %d\n", S_ISSOCK(info.st_mode));
    show("nothing yet", recv(ends[0], bytes, 8, MSG_DONTWAIT));
    show("write", write(ends[0], "to the other", 12));
    show("send", send(ends[1], "and back", 8, MSG_NOSIGNAL));
    struct pollfd set = {ends[0], POLLIN | POLLOUT, 0};
    printf("%d", poll(&set, 1, 0));
    printf(" %d\n", set.revents);
    show("recv", recv(ends[0], bytes, 16, 0));
    printf("%s\n", bytes);
    show("read", read(ends[1], bytes, 6));
    show("lseek", lseek(ends[0], 0, SEEK_SET));
    if (fork() == 0) {
        close(ends[0]);
        printf("child: %ld\n", (long)read(ends[1], bytes, 6));
        _exit(send(ends[1], "child", 5, 0));
    }
    close(ends[1]);
    int status;
    wait(&status);
    printf("sent %d\n", WEXITSTATUS(status));
    show("recv", recv(ends[0], bytes, 16, 0));
    show("the end", recv(ends[0], bytes, 16, 0));
    printf("%d", poll(&set, 1, 0));
    printf(" %d\n", set.revents);
    show("send", send(ends[0], "x", 1, MSG_NOSIGNAL));
    show("no socket", send(1, "x", 1, 0));
    write(ends[0], "x", 1);
    return 0;
}
