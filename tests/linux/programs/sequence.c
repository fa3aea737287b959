// A restartable sequence (rseq) without an end, which a signal aborts. The calls depend on time.
#define _GNU_SOURCE
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

struct sequence {
    uint32_t version, flags;
    uint64_t start, size, abort;
} __attribute__((aligned(32)));

/* glibc's own registration, where there is one. */
extern const ptrdiff_t __rseq_offset __attribute__((weak));
static uint64_t own[4] __attribute__((aligned(32)));

static void handler(int signal) {}

int main(int argc, char **argv) {
    static struct sequence sequence;
    uint64_t *area = own;
    if (&__rseq_offset) area = (uint64_t *)((char *)__builtin_thread_pointer() + __rseq_offset);
    else syscall(SYS_rseq, own, 32, 0, 0x53053053);
    struct itimerval time = {{0, 0}, {0, 30000}};
    signal(SIGALRM, handler);
    if (argc == 1) setitimer(ITIMER_REAL, &time, 0);
    else if (!fork()) {
        for (volatile int count = 0; count < 20000000; count++) {}
        _exit(0);
    }
    int aborted = 0;
    asm volatile("lea 1f(%%rip), %%rax\n mov %%rax, 8(%2)\n"
                 "lea 2f(%%rip), %%rcx\n sub %%rax, %%rcx\n mov %%rcx, 16(%2)\n"
                 "lea 3f(%%rip), %%rcx\n mov %%rcx, 24(%2)\n mov %2, 8(%1)\n"
                 "1: pause\n jmp 1b\n"
                 "2: ud2\n .byte 0x0f, 0xb9, 0x3d\n .long 0x53053053\n"
                 "3: movl $1, %0\n"
                 : "=&r"(aborted)
                 : "r"(area), "r"(&sequence)
                 : "rax", "rcx", "memory");
    printf("aborted %d, no sequence: %d\n", aborted, area[1] == 0);
    return 0;
}
