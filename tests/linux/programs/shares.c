/* Processes that share files and signal handlers with their parent (clone without CLONE_THREAD). */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static char stack[65536] __attribute__((aligned(16)));
static int opened = -1, handled;

static void handler(int signal) { handled = signal; }

static int opens(void *none) {
    opened = open("/dev/null", O_RDONLY);
    return 0;
}

static int sets_handler(void *none) {
    signal(SIGUSR1, handler);
    return 3;
}

static int closes(void *none) { return close(0); }

static int start(int (*function)(void *), int flags) {
    int status = 0, pid = clone(function, stack + sizeof stack, flags | SIGCHLD, 0);
    if (pid < 0) return -errno;
    waitpid(pid, &status, 0);
    return WEXITSTATUS(status);
}

int main(void) {
    int status = start(opens, CLONE_VM | CLONE_FILES);
    printf("%d: descriptor %d, flags %d\n", status, opened, fcntl(opened, F_GETFD));
    status = start(sets_handler, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND);
    raise(SIGUSR1);
    printf("%d: handled %d\n", status, handled == SIGUSR1);
    status = start(closes, CLONE_FILES);
    printf("%d: closed %d\n", status, fcntl(0, F_GETFD) < 0);
    status = start(closes, 0);
    printf("%d: closed already\n", status);
    printf("%d %d\n", start(closes, CLONE_SIGHAND), start(closes, CLONE_THREAD));
    return 0;
}
