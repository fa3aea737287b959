// Data of a thread of its own: __thread, keys with destructors, and errno. The calls depend on how the threads are scheduled.
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static __thread int own = 5;
static __thread char large[10000];
static pthread_key_t key;
static void destroy(void *value) { printf("destroyed %ld\n", (long)value); }
static void *work(void *value) {
    own += (long)value;
    large[9999] = own;
    pthread_setspecific(key, value);
    errno = 0;
    close(-1);
    printf("own %d large %d key %ld errno %d\n", own, large[9999], (long)pthread_getspecific(key), errno);
    return NULL;
}
int main() {
    pthread_key_create(&key, destroy);
    errno = 1;
    for (long i = 1; i <= 3; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, work, (void *)i);
        pthread_join(thread, NULL);
    }
    printf("own %d errno %d key %d\n", own, errno, pthread_getspecific(key) == NULL);
    return 0;
}
