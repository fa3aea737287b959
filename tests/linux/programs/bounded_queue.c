// A producer and consumers with condition variables. The calls depend on how the threads are scheduled.
#include <pthread.h>
#include <stdio.h>
enum { SIZE = 4, ITEMS = 200, CONSUMERS = 3 };
static int buffer[SIZE], filled, in, out, taken, total;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t not_full = PTHREAD_COND_INITIALIZER, not_empty = PTHREAD_COND_INITIALIZER;
static void *consume(void *unused) {
    for (;;) {
        pthread_mutex_lock(&lock);
        while (filled == 0 && taken < ITEMS)
            pthread_cond_wait(&not_empty, &lock);
        if (taken == ITEMS) {
            pthread_mutex_unlock(&lock);
            return unused;
        }
        total += buffer[out++ % SIZE];
        filled--;
        if (++taken == ITEMS)
            pthread_cond_broadcast(&not_empty);
        pthread_cond_signal(&not_full);
        pthread_mutex_unlock(&lock);
    }
}
int main() {
    pthread_t threads[CONSUMERS];
    for (int i = 0; i < CONSUMERS; i++)
        pthread_create(&threads[i], NULL, consume, NULL);
    for (int i = 1; i <= ITEMS; i++) {
        pthread_mutex_lock(&lock);
        while (filled == SIZE)
            pthread_cond_wait(&not_full, &lock);
        buffer[in++ % SIZE] = i;
        filled++;
        pthread_cond_signal(&not_empty);
        pthread_mutex_unlock(&lock);
    }
    for (int i = 0; i < CONSUMERS; i++)
        pthread_join(threads[i], NULL);
    printf("%d items, total %d\n", taken, total);
    return 0;
}
