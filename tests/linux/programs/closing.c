// A thread waits in a call, and another thread closes the descriptor: the call continues with the same pipe, eventfd or set
// of epoll, even if the number is in use again. The calls depend on how the threads are scheduled.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
static int ends[2], full[2], counter, set;
static volatile int is_calling;
static void *read_pipe(void *unused) {
    char bytes[8];
    is_calling = 1;
    long size = read(ends[0], bytes, 8);
    printf("pipe: %ld %.*s\n", size, (int)size, bytes);
    return unused;
}
static void *write_pipe(void *unused) {
    static char bytes[70000];
    is_calling = 1;
    printf("write: %ld\n", (long)write(full[1], bytes, sizeof bytes));
    return unused;
}
static void *read_counter(void *unused) {
    uint64_t value = 0;
    is_calling = 1;
    long size = read(counter, &value, 8);
    printf("eventfd: %ld %lu\n", size, (unsigned long)value);
    return unused;
}
static void *wait_in_set(void *unused) {
    struct epoll_event found = {0};
    is_calling = 1;
    int count = epoll_wait(set, &found, 1, -1);
    printf("epoll: %d %lu\n", count, (unsigned long)found.data.u64);
    return unused;
}
static pthread_t start(void *(*run)(void *)) {
    pthread_t thread;
    is_calling = 0;
    pthread_create(&thread, NULL, run, NULL);
    while (!is_calling)
        usleep(1000);
    // It waits soon. If the machine stalls during one of these times, the thread runs in the next one.
    for (int i = 0; i < 20; i++)
        usleep(1000);
    return thread;
}
int main() {
    int other[2];
    pipe(ends);
    pthread_t thread = start(read_pipe);
    close(ends[0]);
    pipe(other);
    write(other[1], "wrong", 5);
    write(ends[1], "right", 5);
    pthread_join(thread, NULL);

    pipe(full);
    thread = start(write_pipe);
    close(full[1]);
    static char bytes[70000];
    long size, all = 0;
    while ((size = read(full[0], bytes, sizeof bytes)) > 0)
        all += size;
    pthread_join(thread, NULL);
    printf("all: %ld\n", all);

    counter = eventfd(0, 0);
    int same = dup(counter);
    thread = start(read_counter);
    close(counter);
    int another = eventfd(7, 0);
    eventfd_write(same, 5);
    close(same);
    pthread_join(thread, NULL);

    set = epoll_create1(0);
    pipe(ends);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 1};
    epoll_ctl(set, EPOLL_CTL_ADD, ends[0], &event);
    thread = start(wait_in_set);
    close(set);
    set = epoll_create1(0);
    event.data.u64 = 2;
    epoll_ctl(set, EPOLL_CTL_ADD, another, &event);
    write(ends[1], "x", 1);
    pthread_join(thread, NULL);
    return 0;
}
