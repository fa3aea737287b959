// A robust mutex whose owner, a thread and then a process, ends. The calls depend on which thread runs first.
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
static pthread_mutex_t *mutex;
static void *take(void *argument) {
    pthread_mutex_lock(mutex);
    return NULL;
}
int main() {
    mutex = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    printf("robust: %d\n", pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST));
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(mutex, &attributes);
    pthread_t thread;
    pthread_create(&thread, NULL, take, NULL);
    pthread_join(thread, NULL);
    printf("thread ended: %d\n", pthread_mutex_lock(mutex) == EOWNERDEAD);
    pthread_mutex_consistent(mutex);
    pthread_mutex_unlock(mutex);
    fflush(stdout);
    if (fork() == 0) {
        pthread_mutex_lock(mutex);
        _exit(0);
    }
    wait(NULL);
    printf("process ended: %d\n", pthread_mutex_lock(mutex) == EOWNERDEAD);
    pthread_mutex_unlock(mutex);
    printf("never consistent: %d\n", pthread_mutex_lock(mutex) == ENOTRECOVERABLE);
    return 0;
}
