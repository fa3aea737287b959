// What a program can do against the kernel: each attempt in a child, and the parent says how it ended.
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>
#define W 0x0a
static void show(const char *n, int pid) {
    int st;
    waitpid(pid, &st, 0);
    if (WIFSIGNALED(st))
        printf("%s: signal %d\n", n, WTERMSIG(st));
    else
        printf("%s: exit %d\n", n, WEXITSTATUS(st));
    fflush(stdout);
}
#define TEST(n, ...)                                                                                               \
    do {                                                                                                           \
        fflush(stdout);                                                                                            \
        int pid = fork();                                                                                          \
        if (!pid) {                                                                                                \
            __VA_ARGS__;                                                                                           \
            _exit(0);                                                                                              \
        }                                                                                                          \
        show(n, pid);                                                                                              \
    } while (0)
static void h_cs(int s, siginfo_t *i, void *u) {
    ucontext_t *c = u;
    c->uc_mcontext.gregs[REG_CSGSFS] = (c->uc_mcontext.gregs[REG_CSGSFS] & ~0xffffL) | 8;
}
static void h_ss(int s, siginfo_t *i, void *u) {
    ucontext_t *c = u;
    c->uc_mcontext.gregs[REG_CSGSFS] = (c->uc_mcontext.gregs[REG_CSGSFS] & ~(0xffffL << 48)) | (0x10L << 48);
}
static void h_rip(int s, siginfo_t *i, void *u) {
    ucontext_t *c = u;
    c->uc_mcontext.gregs[REG_RIP] = 0x8000000000000000;
}
static void h_ripk(int s, siginfo_t *i, void *u) {
    ucontext_t *c = u;
    c->uc_mcontext.gregs[REG_RIP] = 0xffffffff80200000;
}
static void h_fl(int s, siginfo_t *i, void *u) {
    ucontext_t *c = u;
    c->uc_mcontext.gregs[REG_EFL] = ~0L & ~0x100L;
}
static void h_fp(int s, siginfo_t *i, void *u) {
    ucontext_t *c = u;
    c->uc_mcontext.fpregs = (void *)0xffffffff80600000;
}
static void h_fp2(int s, siginfo_t *i, void *u) {
    ucontext_t *c = u;
    memset(c->uc_mcontext.fpregs, 0xff, 512);
}
static void h_rsp(int s, siginfo_t *i, void *u) {
    ucontext_t *c = u;
    c->uc_mcontext.gregs[REG_RSP] = 0xffffffff80600000;
}
int main() {
    TEST(
        "null calls", for (int i = 0; i < 460; i++) {
            if (i == SYS_pause || i == SYS_exit || i == SYS_exit_group || i == SYS_fork || i == SYS_vfork ||
                i == SYS_rt_sigreturn || i == SYS_rt_sigsuspend || i == SYS_select || i == SYS_pselect6 ||
                i == SYS_ppoll || i == SYS_poll || i == SYS_kill || i == SYS_reboot || i == SYS_vhangup ||
                i == SYS_sync || i == SYS_setuid || i == SYS_setgid || i == SYS_setsid || i == SYS_umask ||
                i == SYS_mlockall || i == SYS_munlockall || i == SYS_clone || i == SYS_close || i == SYS_alarm ||
                i == SYS_setresuid || i == SYS_setresgid || i == SYS_setreuid || i == SYS_setregid ||
                i == SYS_setfsuid || i == SYS_setfsgid || i == SYS_swapoff || i == SYS_unshare ||
                i == SYS_close_range || i == SYS_dup || i == SYS_read || i == SYS_write)
                continue;
            syscall(i, 0, 0, 0, 0, 0, 0);
        });
    TEST(
        "huge", for (int i = 0; i < 460; i++) {
            if (i == SYS_exit || i == SYS_exit_group || i == SYS_rt_sigreturn || i == SYS_kill || i == SYS_tkill ||
                i == SYS_tgkill || i == SYS_reboot || i == SYS_pause || i == SYS_clone || i == SYS_fork ||
                i == SYS_vfork || i == SYS_close_range)
                continue;
            syscall(i, -1L, -1L, -1L, -1L, -1L, -1L);
        });
    TEST("neg len", printf("%ld %d\n", syscall(SYS_write, 1, "x", -1L), errno);
         printf("%ld %d\n", syscall(SYS_read, 0, main, 100), errno); fflush(stdout));
    TEST("mmap wrap", printf("%d %d\n",
                             mmap((void *)0x7fffffffe000, 0x10000, 3, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1,
                                  0) == MAP_FAILED,
                             errno);
         printf("%d\n",
                mmap((void *)-4096, 0x10000, 3, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
         printf("%d\n", mmap(0, -4096UL, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED); fflush(stdout));
    TEST("munmap all", munmap(0, 0x7fffffffe000););
    TEST("rsp kernel", __asm__ volatile("mov $0xffffffff80600000,%%rsp; mov $39,%%eax; syscall; mov $0,%%edi; mov "
                                        "$60,%%eax; syscall" :: : "memory"));
    TEST("rsp noncanon", __asm__ volatile("mov $0x8000000000000000,%%rsp; mov $39,%%eax; syscall; mov $0,%%edi; "
                                          "mov $60,%%eax; syscall" :: : "memory"));
    TEST("rsp kernel push", __asm__ volatile("mov $0xffffffff80600000,%%rsp; push %%rax" :: : "memory"));
    TEST("TF", __asm__ volatile("pushf; orl $0x100,(%%rsp); popf; nop; nop; mov $39,%%eax; syscall; nop" :: : "rax",
                                "rcx", "r11", "memory"));
    TEST("AC", __asm__ volatile("pushf; orl $0x40000,(%%rsp); popf; mov $39,%%eax; syscall; pushf; andl "
                                "$~0x40000,(%%rsp); popf" :: : "rax",
                                "rcx", "r11", "memory"));
    TEST("DF", __asm__ volatile("std; mov $39,%%eax; syscall; cld" :: : "rax", "rcx", "r11", "memory"));
    TEST("NT", __asm__ volatile("pushf; orl $0x4000,(%%rsp); popf; mov $39,%%eax; syscall; nop" :: : "rax", "rcx",
                                "r11", "memory"));
    TEST("IOPL", __asm__ volatile("pushf; orl $0x3000,(%rsp); popf; cli"));
    for (int s = 0; s < 0x60; s++) {
        int pid = fork();
        if (!pid) {
            signal(SIGSEGV, SIG_DFL);
            __asm__ volatile("mov %0,%%ds" ::"r"(s));
            getpid();
            __asm__ volatile("mov %0,%%es" ::"r"(s));
            _exit(0);
        }
        int st;
        waitpid(pid, &st, 0);
    }
    printf("selectors done\n");
    struct {
        const char *n;
        void (*f)(int, siginfo_t *, void *);
    } T[] = {{"cs0", h_cs},   {"ss0", h_ss}, {"rip", h_rip}, {"ripk", h_ripk},
             {"flags", h_fl}, {"fp", h_fp},  {"fp2", h_fp2}, {"rsp", h_rsp}};
    for (int i = 0; i < 8; i++)
        TEST(T[i].n, struct sigaction a; memset(&a, 0, sizeof a); a.sa_sigaction = T[i].f; a.sa_flags = SA_SIGINFO;
             sigaction(SIGUSR1, &a, 0); raise(SIGUSR1););
    TEST("raw sigreturn", __asm__ volatile("mov $15,%%eax; syscall" :: : "rax", "memory"));
    TEST("sigreturn null", __asm__ volatile("xor %%esp,%%esp; mov $15,%%eax; syscall" :: : "rax", "memory"));
    TEST("hlt", __asm__ volatile("hlt"));
    TEST("in", __asm__ volatile("inb $0x80,%%al" :: : "al"));
    TEST("int80", __asm__ volatile("mov $20,%%eax; int $0x80" :: : "rax"));
    TEST("int3", __asm__ volatile("int3"));
    TEST("int n", __asm__ volatile("int $0x21"));
    TEST(
        "stack overflow", volatile char b[1 << 20]; for (;;) {
            volatile char *p = alloca(1 << 16);
            p[0] = 1;
        });
    TEST("jump kernel", ((void (*)(void))0xffffffff80200000)());
    TEST("jump noncanon", ((void (*)(void))0x8000000000000000)());
    TEST("nx", static char code[] = {0xc3}; char *p = mmap(0, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
         p[0] = 0xc3; ((void (*)(void))p)(););
    TEST("exec rubbish", char *a[] = {"x", 0}; execve("/dev/null", a, 0); printf("%d\n", errno);
         execve("/tmp", a, 0); printf("%d\n", errno); execve(0, a, 0); printf("%d\n", errno);
         execve("/proc/self/exe", (char **)1, 0); printf("%d\n", errno); fflush(stdout));
    TEST("misaligned stack handler", struct sigaction a; memset(&a, 0, sizeof a);
         a.sa_handler = (void (*)(int))abort; signal(SIGUSR1, SIG_IGN);
         __asm__ volatile("sub $3,%%rsp; mov $39,%%eax; syscall; add $3,%%rsp" :: : "rax", "rcx", "r11", "memory"));
    printf("alive\n");
    return 0;
}
