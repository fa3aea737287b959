// Handlers that mend what faulted: a page that becomes writable, an instruction that is skipped.
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <ucontext.h>
static char *page;
static volatile int faults;
static void write_fault(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    faults++;
    printf("offset %ld code %d\n", (long)((char *)info->si_addr - page), info->si_code);
    mprotect(page, 4096, PROT_READ | PROT_WRITE);
}
static void skip(int number, siginfo_t *info, void *context) {
    (void)number, (void)info;
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] += 2;
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_RBX] = 77;
}
int main() {
    struct sigaction action = {.sa_sigaction = write_fault, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, NULL);
    page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    page[100] = 'a';
    page[200] = 'b';
    printf("%c%c after %d\n", page[100], page[200], faults);
    action.sa_sigaction = skip;
    sigaction(SIGILL, &action, NULL);
    long value;
    __asm__ volatile("mov $1, %%rbx; ud2; mov %%rbx, %0" : "=r"(value) : : "rbx");
    printf("%ld\n", value);
    return 0;
}
