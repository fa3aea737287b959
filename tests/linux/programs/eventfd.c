// eventfd: counter and semaphore, a reader and a writer that wait, and a set that wakes by it. The calls depend on how the
// threads are scheduled.
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
enum { ROUNDS = 20 };
static int there, back;
static void *answer(void *unused) {
    for (int i = 0; i < ROUNDS; i++) {
        eventfd_t value;
        eventfd_read(there, &value);
        eventfd_write(back, value * 2);
    }
    return unused;
}
static void *drain(void *unused) {
    eventfd_t value;
    usleep(5000);
    eventfd_read(there, &value);
    return unused;
}
int main() {
    uint64_t value, sum = 0;
    int semaphore = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);
    for (int i = 0; i < 3; i++) {
        int count = read(semaphore, &value, sizeof value);
        printf("%d %d\n", count, count < 0 ? errno == EAGAIN : (int)value);
    }
    printf("short %d", (int)read(semaphore, &value, 4));
    printf(" %d\n", errno == EINVAL);
    value = UINT64_MAX;
    printf("too large %d", (int)write(semaphore, &value, 8));
    printf(" %d\n", errno == EINVAL);
    struct pollfd one = {semaphore, POLLIN | POLLOUT, 0};
    printf("poll %d", poll(&one, 1, -1));
    printf(" %d\n", one.revents);
    there = eventfd(0, 0);
    back = eventfd(0, 0);
    int set = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.fd = back};
    epoll_ctl(set, EPOLL_CTL_ADD, back, &event);
    pthread_t thread;
    pthread_create(&thread, NULL, answer, NULL);
    for (int i = 1; i <= ROUNDS; i++) {
        eventfd_write(there, i);
        if (epoll_wait(set, &event, 1, -1) != 1 || event.data.fd != back)
            printf("no event\n");
        eventfd_read(back, &value);
        sum += value;
    }
    pthread_join(thread, NULL);
    printf("sum %lu\n", (unsigned long)sum);
    eventfd_write(there, UINT64_MAX - 1);
    pthread_create(&thread, NULL, drain, NULL);
    eventfd_write(there, 7);
    pthread_join(thread, NULL);
    eventfd_read(there, &value);
    printf("after the wait %lu\n", (unsigned long)value);
    return 0;
}
