// 64 threads wait on one futex: some are woken one by one, then some at once, then all others. Which of them run first, and
// so the calls, depend on the scheduler.
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#define THREADS 64
#define FUTEX_WAIT_PRIVATE 128
#define FUTEX_WAKE_PRIVATE 129

static int word, started, woken;

static void *waiter(void *argument) {
    __atomic_add_fetch(&started, 1, __ATOMIC_SEQ_CST);
    while (syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, 0) != 0)
        ;
    __atomic_add_fetch(&woken, 1, __ATOMIC_SEQ_CST);
    return 0;
}

// Wakes so many threads, each of which waits or is about to.
static void wake(int count) {
    for (int left = count; left > 0;) {
        left -= syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, left);
        usleep(1000);
    }
}

int main(void) {
    pthread_t threads[THREADS];
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 1 << 16);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], &small, waiter, 0);
    while (__atomic_load_n(&started, __ATOMIC_SEQ_CST) < THREADS)
        usleep(1000);
    int counts[] = {1, 1, 1, 10, 20, THREADS - 33};
    for (int i = 0; i < 6; i++)
        wake(counts[i]);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], 0);
    printf("%d threads started and %d were woken\n", started, woken);
    printf("threads that still wait: %ld\n", syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, INT_MAX));
}
