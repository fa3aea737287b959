// Threads: mutex, condition variable, thread-local data, join. The calls depend on how the threads are scheduled.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static long sum;
static int ready;
static __thread int tls = 5;
static void *f(void *a) {
    pthread_mutex_lock(&m);
    while (!ready)
        pthread_cond_wait(&c, &m);
    pthread_mutex_unlock(&m);
    for (int i = 0; i < 1000; i++) {
        pthread_mutex_lock(&m);
        sum++;
        pthread_mutex_unlock(&m);
    }
    tls += (long)a;
    return (void *)(long)tls;
}
int main(int argc, char **argv) {
    int n = argc > 1 ? atoi(argv[1]) : 8;
    pthread_t t[128];
    for (long i = 0; i < n; i++)
        if (pthread_create(&t[i], 0, f, (void *)i)) {
            perror("create");
            return 1;
        }
    pthread_mutex_lock(&m);
    ready = 1;
    pthread_cond_broadcast(&c);
    pthread_mutex_unlock(&m);
    long tot = 0;
    for (int i = 0; i < n; i++) {
        void *r;
        pthread_join(t[i], &r);
        tot += (long)r;
    }
    printf("sum %ld tot %ld\n", sum, tot);
    return 0;
}
