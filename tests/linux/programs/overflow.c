// A stack overflow, caught on another stack.
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
static sigjmp_buf place;
static volatile long depth;
static void handler(int number, siginfo_t *info, void *context) {
    (void)info, (void)context;
    siglongjmp(place, number);
}
static int recurse(int value) {
    volatile char room[4096];
    room[0] = value;
    depth++;
    return recurse(value + 1) + room[0];
}
int main() {
    stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};
    sigaltstack(&stack, NULL);
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_ONSTACK | SA_SIGINFO};
    sigaction(SIGSEGV, &action, NULL);
    // A small stack, so that the test is short.
    struct rlimit limit;
    getrlimit(RLIMIT_STACK, &limit);
    limit.rlim_cur = 256 << 10;
    setrlimit(RLIMIT_STACK, &limit);
    int number = sigsetjmp(place, 1);
    if (number == 0)
        recurse(0);
    printf("caught %d, deep enough %d\n", number, depth > 30 && depth < 70);
    return 0;
}
