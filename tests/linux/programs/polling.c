// poll and select on pipes: ready, not ready, closed, wrong.
#include <poll.h>
#include <stdio.h>
#include <sys/select.h>
#include <unistd.h>
int main() {
    int fds[2];
    pipe(fds);
    struct pollfd set[] = {{fds[0], POLLIN, 0}, {fds[1], POLLOUT, 0}, {99, POLLIN, 0}, {-1, POLLIN, 0}};
    printf("%d", poll(set, 4, 0));
    printf(" %d %d %d %d\n", set[0].revents, set[1].revents, set[2].revents, set[3].revents);
    printf("nothing %d\n", poll(set, 1, 10));
    write(fds[1], "xy", 2);
    printf("%d", poll(set, 1, -1));
    printf(" %d\n", set[0].revents);
    fd_set in, out;
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_SET(fds[0], &in);
    FD_SET(fds[1], &out);
    struct timeval limit = {1, 0};
    printf("%d", select(fds[1] + 1, &in, &out, NULL, &limit));
    printf(" %d %d\n", FD_ISSET(fds[0], &in) != 0, FD_ISSET(fds[1], &out) != 0);
    char bytes[2];
    read(fds[0], bytes, 2);
    FD_SET(fds[0], &in);
    limit = (struct timeval){0, 10000};
    printf("%d", select(fds[0] + 1, &in, NULL, NULL, &limit));
    printf(" %d\n", FD_ISSET(fds[0], &in) != 0);
    close(fds[1]);
    printf("%d", poll(set, 1, -1));
    printf(" %d, read %ld\n", set[0].revents, (long)read(fds[0], bytes, 1));
    printf("%d\n", poll(NULL, 0, 5));
    return 0;
}
