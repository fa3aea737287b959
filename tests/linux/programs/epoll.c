// epoll on pipes and an eventfd: level, edge and one-shot, errors, and a descriptor that is closed.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
static int set;
static void control(const char *what, int command, int fd, unsigned events, unsigned long data) {
    struct epoll_event event = {.events = events, .data.u64 = data};
    int result = epoll_ctl(set, command, fd, &event);
    printf("%s %d %d\n", what, result, result < 0 ? errno : 0);
}
static void wait_for(const char *what, int most, int time_out) {
    struct epoll_event found[4] = {0};
    int count = epoll_wait(set, found, most, time_out);
    printf("%s %d %d", what, count, count < 0 ? errno : 0);
    for (int i = 0; i < count; i++)
        printf(" %x:%lx", found[i].events, (unsigned long)found[i].data.u64);
    printf("\n");
}
int main() {
    int level[2], edge[2], other;
    char bytes[8];
    set = epoll_create1(EPOLL_CLOEXEC);
    pipe2(level, O_NONBLOCK);
    pipe2(edge, O_NONBLOCK);
    control("add", EPOLL_CTL_ADD, level[0], EPOLLIN, 1);
    control("add edge", EPOLL_CTL_ADD, edge[0], EPOLLIN | EPOLLET, 0x123456789A);
    control("add again", EPOLL_CTL_ADD, level[0], EPOLLIN, 1);
    wait_for("nothing", 4, 0);
    write(level[1], "ab", 2);
    write(edge[1], "ab", 2);
    wait_for("both", 4, -1);
    wait_for("level only", 4, 10);
    write(edge[1], "c", 1);
    wait_for("a new edge", 4, -1);
    read(level[0], bytes, 8);
    read(edge[0], bytes, 8);
    write(edge[1], "d", 1);
    wait_for("after the read", 4, -1);
    other = eventfd(0, EFD_NONBLOCK);
    control("add once", EPOLL_CTL_ADD, other, EPOLLIN | EPOLLOUT | EPOLLONESHOT, 3);
    wait_for("once", 4, -1);
    wait_for("no more", 4, 5);
    control("change", EPOLL_CTL_MOD, other, EPOLLOUT, 4);
    wait_for("again", 4, -1);
    control("remove", EPOLL_CTL_DEL, other, 0, 0);
    control("not there", EPOLL_CTL_DEL, other, 0, 0);
    control("not there", EPOLL_CTL_MOD, other, EPOLLIN, 0);
    control("itself", EPOLL_CTL_ADD, set, EPOLLIN, 0);
    control("closed", EPOLL_CTL_ADD, 99, EPOLLIN, 0);
    control("no set", 9, other, EPOLLIN, 0);
    int file = open("given/words", O_RDONLY);
    control("a file", EPOLL_CTL_ADD, file, EPOLLIN, 0);
    wait_for("no room", 0, 0);
    wait_for("too much room", 1 << 30, 0);
    printf("no memory %d", epoll_wait(set, (void *)-8192, 4, -1));
    printf(" %d\n", errno);
    close(level[1]);
    close(edge[1]);
    wait_for("closed by the writer", 1, -1);
    close(level[0]);
    close(edge[0]);
    wait_for("all closed", 4, 5);
    return 0;
}
