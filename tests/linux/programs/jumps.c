// setjmp and longjmp, and with the signal mask.
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
static jmp_buf place;
static sigjmp_buf masked;
static void deeper(int depth) {
    if (depth == 0)
        longjmp(place, 7);
    deeper(depth - 1);
}
static void handler(int number) { siglongjmp(masked, number); }
int main() {
    volatile int tries = 0;
    int value = setjmp(place);
    if (value == 0)
        deeper(10);
    printf("came back with %d\n", value);
    signal(SIGUSR1, handler);
    if (sigsetjmp(masked, 1) == 0 || ++tries < 3)
        raise(SIGUSR1);
    sigset_t mask;
    sigprocmask(SIG_BLOCK, NULL, &mask);
    printf("%d jumps, blocked %d\n", tries, sigismember(&mask, SIGUSR1));
    return 0;
}
