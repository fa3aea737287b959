// Clocks of CPU time that a thread asks for by the number 0. The calls depend on which thread waits for the other.
#include <pthread.h>
#include <stdio.h>
#include <time.h>
enum { OWN_PROCESS = -6, OWN_THREAD = -2 };
static void *ask(void *name) {
    struct timespec time;
    printf("%s: process %d", (char *)name, clock_gettime(OWN_PROCESS, &time));
    printf(" thread %d\n", clock_gettime(OWN_THREAD, &time));
    return NULL;
}
int main() {
    pthread_t thread;
    ask("main");
    pthread_create(&thread, NULL, ask, "another");
    pthread_join(thread, NULL);
    return 0;
}
