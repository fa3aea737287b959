// Semaphores between threads. The calls depend on how the threads are scheduled.
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <time.h>
static sem_t ping, pong;
static void *player(void *unused) {
    for (int i = 0; i < 5; i++) {
        sem_wait(&ping);
        printf("pong %d\n", i);
        sem_post(&pong);
    }
    return unused;
}
int main() {
    pthread_t thread;
    sem_init(&ping, 0, 0);
    sem_init(&pong, 0, 0);
    pthread_create(&thread, NULL, player, NULL);
    for (int i = 0; i < 5; i++) {
        printf("ping %d\n", i);
        sem_post(&ping);
        sem_wait(&pong);
    }
    pthread_join(thread, NULL);
    struct timespec soon;
    clock_gettime(CLOCK_REALTIME, &soon);
    soon.tv_nsec = (soon.tv_nsec + 10000000) % 1000000000;
    int result = sem_timedwait(&ping, &soon);
    printf("%d %d\n", result, errno == ETIMEDOUT);
    printf("%d %d\n", sem_trywait(&ping), errno == EAGAIN);
    return 0;
}
