// Threads that add to one number under a mutex. The calls depend on how the threads are scheduled.
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long sum;
static void *add(void *count) {
    for (long i = 0; i < (long)count; i++) {
        pthread_mutex_lock(&lock);
        sum++;
        pthread_mutex_unlock(&lock);
    }
    return (void *)((long)count * 2);
}
int main() {
    pthread_t threads[8];
    long results = 0;
    for (long i = 0; i < 8; i++)
        pthread_create(&threads[i], NULL, add, (void *)(1000 * (i + 1)));
    for (int i = 0; i < 8; i++) {
        void *result;
        pthread_join(threads[i], &result);
        results += (long)result;
    }
    printf("%ld %ld\n", sum, results);
    pthread_mutexattr_t kind;
    pthread_mutex_t again;
    pthread_mutexattr_init(&kind);
    pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutex_init(&again, &kind);
    pthread_mutex_lock(&again);
    printf("%d %d\n", pthread_mutex_lock(&again) == EDEADLK, pthread_mutex_trylock(&lock));
    return 0;
}
