// Cancelled, detached and exiting threads. The calls depend on how the threads are scheduled.
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
static volatile int is_waiting;
static void clean(void *text) { printf("cleaned %s\n", (char *)text); }
static void *forever(void *unused) {
    pthread_cleanup_push(clean, "up");
    is_waiting = 1;
    for (;;)
        pause();
    pthread_cleanup_pop(0);
    return unused;
}
static void *leave(void *unused) {
    (void)unused;
    pthread_exit((void *)9);
}
static void *last(void *unused) {
    usleep(30000);
    printf("main is gone\n");
    return unused;
}
int main() {
    pthread_t thread;
    void *result;
    pthread_create(&thread, NULL, forever, NULL);
    while (!is_waiting)
        usleep(1000);
    int failed = pthread_cancel(thread);
    pthread_join(thread, &result);
    printf("cancel %d\n", failed);
    printf("cancelled %d\n", result == PTHREAD_CANCELED);
    pthread_create(&thread, NULL, leave, NULL);
    pthread_join(thread, &result);
    printf("result %ld\n", (long)result);
    pthread_create(&thread, NULL, last, NULL);
    pthread_detach(thread);
    pthread_exit(NULL);
}
