// Barriers, read-write locks, once, spin locks. The calls depend on how the threads are scheduled.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
static pthread_barrier_t barrier;
static pthread_rwlock_t shared = PTHREAD_RWLOCK_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_spinlock_t spin;
static int arrived, serial, made, seen;
static void make(void) { made++; }
static void *work(void *unused) {
    for (int round = 1; round <= 5; round++) {
        __atomic_fetch_add(&arrived, 1, __ATOMIC_SEQ_CST);
        if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
            __atomic_fetch_add(&serial, 1, __ATOMIC_SEQ_CST);
        pthread_rwlock_rdlock(&shared);
        int all = arrived >= round * 4;
        pthread_rwlock_unlock(&shared);
        pthread_spin_lock(&spin);
        seen += all;
        pthread_spin_unlock(&spin);
        pthread_once(&once, make);
        pthread_barrier_wait(&barrier);
    }
    return unused;
}
int main() {
    pthread_t threads[4];
    pthread_barrier_init(&barrier, NULL, 4);
    pthread_spin_init(&spin, 0);
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, work, NULL);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    pthread_rwlock_wrlock(&shared);
    printf("serial %d made %d seen %d\n", serial, made, seen);
    return 0;
}
