// Signals: handlers, masks, faults, default actions, interrupted calls. The calls depend on when a child starts.
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
static volatile int got;
static sigjmp_buf env;
static void h(int s) {
    got = s;
}
static void segv(int s, siginfo_t *i, void *u) {
    printf("segv code=%d addr=%p\n", i->si_code, i->si_addr);
    siglongjmp(env, 1);
}
static void fpe(int s, siginfo_t *i, void *u) {
    printf("fpe code=%d\n", i->si_code);
    siglongjmp(env, 1);
}
static void ill(int s, siginfo_t *i, void *u) {
    printf("ill code=%d\n", i->si_code);
    siglongjmp(env, 1);
}
static void trap(int s, siginfo_t *i, void *u) {
    printf("trap code=%d\n", i->si_code);
}
int main() {
    struct sigaction a;
    memset(&a, 0, sizeof a);
    a.sa_handler = h;
    sigaction(SIGUSR1, &a, 0);
    raise(SIGUSR1);
    printf("got %d\n", got);
    a.sa_sigaction = segv;
    a.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigaction(SIGSEGV, &a, 0);
    stack_t ss;
    ss.ss_sp = malloc(65536);
    ss.ss_size = 65536;
    ss.ss_flags = 0;
    sigaltstack(&ss, 0);
    if (!sigsetjmp(env, 1))
        *(volatile int *)0x123 = 1;
    if (!sigsetjmp(env, 1))
        *(volatile int *)main = 1;
    a.sa_sigaction = fpe;
    sigaction(SIGFPE, &a, 0);
    volatile int z = 0;
    if (!sigsetjmp(env, 1))
        z = 1 / z;
    a.sa_sigaction = ill;
    sigaction(SIGILL, &a, 0);
    if (!sigsetjmp(env, 1))
        __asm__ volatile("ud2");
    a.sa_sigaction = trap;
    sigaction(SIGTRAP, &a, 0);
    __asm__ volatile("int3");
    sigset_t s, o;
    sigemptyset(&s);
    sigaddset(&s, SIGUSR1);
    sigprocmask(SIG_BLOCK, &s, &o);
    got = 0;
    raise(SIGUSR1);
    printf("blocked got %d\n", got);
    sigset_t p;
    sigpending(&p);
    printf("pending %d\n", sigismember(&p, SIGUSR1));
    sigprocmask(SIG_SETMASK, &o, 0);
    printf("unblocked got %d\n", got);
    int pid = fork();
    if (!pid) {
        for (;;)
            pause();
    }
    kill(pid, SIGTERM);
    int st;
    waitpid(pid, &st, 0);
    printf("child signaled %d %d\n", WIFSIGNALED(st), WTERMSIG(st));
    pid = fork();
    if (!pid) {
        signal(SIGABRT, SIG_DFL);
        abort();
    }
    waitpid(pid, &st, 0);
    printf("abort %d\n", WTERMSIG(st));
    pid = fork();
    if (!pid) {
        signal(SIGSEGV, SIG_DFL);
        *(volatile int *)0 = 1;
    }
    waitpid(pid, &st, 0);
    printf("segv %d\n", WTERMSIG(st));
    a.sa_handler = h;
    a.sa_flags = 0;
    sigaction(SIGALRM, &a, 0);
    alarm(1);
    int r = pause();
    printf("pause %d errno %d got %d\n", r, errno, got);
    int fd[2];
    pipe(fd);
    a.sa_flags = SA_RESTART;
    sigaction(SIGALRM, &a, 0);
    pid = fork();
    if (!pid) {
        sleep(2);
        write(fd[1], "x", 1);
        _exit(0);
    }
    alarm(1);
    char c;
    r = read(fd[0], &c, 1);
    printf("read %d\n", r);
    wait(0);
    signal(SIGPIPE, SIG_IGN);
    close(fd[0]);
    r = write(fd[1], "x", 1);
    printf("epipe %d %d\n", r, errno == EPIPE);
    pid = fork();
    if (!pid) {
        signal(SIGPIPE, SIG_DFL);
        write(fd[1], "x", 1);
        _exit(0);
    }
    waitpid(pid, &st, 0);
    printf("sigpipe %d\n", WTERMSIG(st));
    return 3;
}
