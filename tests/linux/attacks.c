// Attempts to harm the kernel or another process, which `hostile.c` does not make. Each attempt is made by a child, which
// may end in any way. Meanwhile a canary checks that nothing of its own changes.
//
// The arguments are files that are no proper programs.
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define KERNEL 0xffffffff80200000UL // the kernel's code
#define GAP 0x8000000000000000UL    // no address: bits 47 to 63 differ
#define TOP 0x7ffffffff000UL        // the end of user memory
#define PAGE 4096UL
#define COUNT(array) (sizeof(array) / sizeof *(array))

// Addresses that are not the program's, or are the last of a page or of user memory.
static unsigned long bad[12];

static void choose_addresses(void) {
    char *page = mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(page + PAGE, PAGE);
    unsigned long end = (unsigned long)page + PAGE;
    unsigned long chosen[] = {0,       1,        end - 1,    end - 8, end,
                              TOP - 8, TOP,      TOP + PAGE, GAP,     KERNEL,
                              -8UL,    (unsigned long)choose_addresses};
    memcpy(bad, chosen, sizeof bad);
}

static char **files;

// --- code that faults ------------------------------------------------------------------------------------------------

static char *code;
static unsigned long stack_pointer, segments;

// Continues at the `ret` behind the code, with the stack, flags and segments of the caller.
static void skip(int signal, siginfo_t *info, void *context) {
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    registers[REG_RIP] = (greg_t)(code + 64);
    registers[REG_RSP] = (greg_t)stack_pointer;
    registers[REG_EFL] = 0x202;
    segments = segments ? segments : registers[REG_CSGSFS];
    registers[REG_CSGSFS] = (greg_t)segments;
}

// Runs up to 64 bytes of code with RAX, which may fault. FS is the program's again afterwards.
static void run(const void *bytes, int size, unsigned long rax) {
    unsigned long base;
    syscall(SYS_arch_prctl, 0x1003, &base);
    memset(code, 0xc3, 64);
    memcpy(code, bytes, size);
    __asm__ volatile("push %%rbp; push %%rbx; lea -8(%%rsp), %%rcx; mov %%rcx, (%2); call *%1; pop %%rbx; pop %%rbp; cld\n"
                     "mov $158, %%eax; mov $0x1002, %%edi; mov %3, %%rsi; syscall"
                     : "+a"(rax)
                     : "r"(code), "r"(&stack_pointer), "r"(base)
                     : "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "cc");
}
#define RUN(bytes, rax) run(bytes, sizeof bytes - 1, rax)

static void prepare_code(void) {
    code = mmap(0, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    code[64] = 0xc3;
    stack_t stack = {.ss_sp = malloc(1 << 16), .ss_size = 1 << 16};
    sigaltstack(&stack, 0);
    struct sigaction action = {.sa_sigaction = skip, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
    int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
    for (int i = 0; i < COUNT(signals); i++)
        sigaction(signals[i], &action, 0);
    RUN("\x0f\x0b", 0); // ud2, which shows the selectors of user mode
}

static void interrupts(void) {
    prepare_code();
    for (int vector = 0; vector < 256; vector += vector < 0x24 ? 1 : 4) {
        unsigned char bytes[] = {0xcd, vector, 0};
        RUN(bytes, 39);
    }
}

static void privileged(void) {
    prepare_code();
    static const char *instructions[] = {
        "\xf4",                     // hlt
        "\xfa",                     // cli
        "\xfb",                     // sti
        "\x0f\x30",                 // wrmsr
        "\x0f\x32",                 // rdmsr
        "\x0f\x22\xd8",             // mov cr3, rax
        "\x0f\x22\xe0",             // mov cr4, rax
        "\x0f\x20\xd8",             // mov rax, cr3
        "\x0f\x23\xf8",             // mov dr7, rax
        "\x0f\x01\x10",             // lgdt [rax]
        "\x0f\x01\x18",             // lidt [rax]
        "\x0f\x01\x38",             // invlpg [rax]
        "\x0f\x01\xf8",             // swapgs
        "\x0f\x01\xd1",             // xsetbv
        "\x0f\x06",                 // clts
        "\x0f\x09",                 // wbinvd
        "\x0f\xb9",                 // ud1
        "\x48\x0f\x07",             // sysret
        "\x0f\x34",                 // sysenter
        "\x0f\x35",                 // sysexit
        "\xe4\x20",                 // in al, 0x20
        "\xee",                     // out dx, al
        "\xf1",                     // int1
        "\xce",                     // into
        "\xf3\x48\x0f\xae\xd0",     // wrfsbase rax
        "\xf3\x48\x0f\xae\xd8",     // wrgsbase rax
        "\x50\x48\xcf",             // iret
        "\x48\x89\xc4\x0f\x05",     // mov rsp, rax; syscall
        "\x48\x89\xc4\x0f\x0b",     // mov rsp, rax; ud2
        "\x48\x89\xc4\x50",         // mov rsp, rax; push rax
        "\x48\x89\xc4\xcd\x80",     // mov rsp, rax; int 0x80
        "\xff\xe0",                 // jmp rax
        "\xff\xd0",                 // call rax
        "\x89\x00",                 // mov [rax], eax
        "\x66\x0f\x6f\x00",         // movdqa xmm0, [rax]
        "\x0f\xae\x08",             // fxrstor [rax]
    };
    for (int i = 0; i < COUNT(instructions); i++)
        for (int j = 0; j < COUNT(bad); j += 5)
            run(instructions[i], strlen(instructions[i]), bad[j]);
}

// Flags that change how traps work, set before each kind of trap.
static void flags(void) {
    prepare_code();
    int flags[] = {0x100, 0x400, 0x4000, 0x40000, 0x10000, 0x200000, 0x44500, 0x3000};
    for (int i = 0; i < COUNT(flags); i++) {
        RUN("\x9c\x09\x04\x24\x9d\x6a\x27\x58\x0f\x05", flags[i]); // pushf; or [rsp], eax; popf; getpid
        RUN("\x9c\x09\x04\x24\x9d\xcd\x80", flags[i]);             // ...; int 0x80
        RUN("\x9c\x09\x04\x24\x9d\xcc", flags[i]);                 // ...; int3
        RUN("\x9c\x09\x04\x24\x9d\x0f\x0b", flags[i]);             // ...; ud2
        RUN("\x9c\x09\x04\x24\x9d\x48\x89\x04\x25\x08\x00\x00\x00", flags[i]); // ...; mov [8], rax
        RUN("\x48\x83\xec\x03\x9c\x09\x04\x24\x9d\x6a\x18\x58\x0f\x05", flags[i]); // sub rsp, 3; ...; sched_yield
    }
}

static void selectors(void) {
    prepare_code();
    static const char *loads[] = {"\x8e\xd8", "\x8e\xc0", "\x8e\xe0", "\x8e\xe8", "\x8e\xd0"}; // DS, ES, FS, GS, SS
    for (int i = 0; i < COUNT(loads); i++)
        for (int selector = 0; selector < 0x50; selector += selector % 4 ? 5 : 3) {
            char bytes[8];
            memcpy(bytes, loads[i], 2);
            memcpy(bytes + 2, "\x6a\x18\x58\x0f\x05", 5); // sched_yield
            run(bytes, 7, selector);
        }
    for (int selector = 0; selector < 0x50; selector += selector % 4 ? 5 : 3) {
        if ((selector & 3) == 3 && selector != (segments & 0xff))
            continue; // 32-bit code, which no signal frame leaves
        RUN("\x50\x48\x8d\x05\x02\x00\x00\x00\x50\x48\xcb", selector); // push rax; lea rax, ...; push rax; lret
    }
}

// --- signals ---------------------------------------------------------------------------------------------------------

static void return_from(unsigned long at) {
    __asm__ volatile("mov %0, %%rsp; mov $15, %%eax; syscall; ud2" : : "r"(at) : "memory");
}

static void forged_frame(int seed) {
    prepare_code();
    char *frame = mmap(0, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    srand(seed);
    for (int i = 0; i < 4 * PAGE; i++)
        frame[i] = rand();
    ucontext_t *context = (void *)frame;
    greg_t *registers = context->uc_mcontext.gregs;
    registers[REG_CSGSFS] = (greg_t)segments;
    registers[REG_RIP] = (greg_t)(code + 64);
    context->uc_mcontext.fpregs = seed & 1 ? (void *)bad[seed % COUNT(bad)] : (void *)(frame + 2 * PAGE);
    memcpy(frame + 2 * PAGE + 464, (int[]){0x46505853, 4096, -1, -1, seed & 2 ? 4096 : 832}, 20);
    if (seed & 4)
        registers[REG_CSGSFS] = (greg_t)(seed & 8 ? segments ^ 0x30 : 8 | 0x10L << 48);
    return_from((unsigned long)frame);
}
static void forged_1(void) { forged_frame(0); }
static void forged_2(void) { forged_frame(1); }
static void forged_3(void) { forged_frame(2); }
static void forged_4(void) { forged_frame(4); }
static void forged_5(void) { forged_frame(15); }
static void frame_at_end(void) { return_from(bad[2] - 300); }
static void frame_in_kernel(void) { return_from(KERNEL); }

static void set_handler(unsigned long handler, unsigned long flags, unsigned long restorer) {
    unsigned long action[4] = {handler, flags, restorer, -1UL};
    syscall(SYS_rt_sigaction, SIGUSR1, action, 0, 8);
    syscall(SYS_tkill, getpid(), SIGUSR1);
}
static void handler_in_kernel(void) { set_handler(KERNEL, 0x04000000, KERNEL); }
static void handler_nowhere(void) { set_handler(GAP, 0x04000004, GAP); }
static void returns_nowhere(void) { set_handler((unsigned long)code + 64, 0x04000000, GAP); }
static void no_restorer(void) { set_handler((unsigned long)choose_addresses, 0, 0); }

static void signal_stack(unsigned long start, unsigned long size) {
    unsigned long stack[3] = {start, 0, size};
    syscall(SYS_sigaltstack, stack, 0);
    set_handler((unsigned long)choose_addresses, 0x0c000000, 0);
}
static void stack_in_kernel(void) { signal_stack(KERNEL, 1 << 20); }
static void stack_that_wraps(void) { signal_stack(-4096UL, -1UL); }
static void stack_too_small(void) { signal_stack(bad[2] - 2048, 2048); }
static void stack_at_end(void) { signal_stack(TOP - (1 << 16), 1 << 17); }

// --- calls -----------------------------------------------------------------------------------------------------------

// Every call that neither waits nor ends the process, with bad addresses in each argument.
static void calls(void) {
    static const int excluded[] = {SYS_pause,   SYS_exit,   SYS_exit_group, SYS_fork,   SYS_vfork,  SYS_rt_sigreturn,
                                   SYS_clone,   SYS_clone3, SYS_kill,       SYS_alarm,  SYS_select, SYS_pselect6,
                                   SYS_tkill,   SYS_tgkill, SYS_poll,       SYS_ppoll,  SYS_wait4,  SYS_rt_sigsuspend,
                                   SYS_munmap,  SYS_mremap, SYS_mprotect,   SYS_waitid, SYS_futex,  SYS_rt_sigtimedwait,
                                   SYS_setpgid, SYS_setsid, SYS_setitimer,  SYS_brk,    SYS_mmap,
                                   SYS_execve,  SYS_execveat, SYS_epoll_wait, SYS_epoll_pwait, SYS_epoll_pwait2};
    for (int number = 0; number < 460; number++) {
        int skipped = number == SYS_close_range;
        for (int i = 0; i < COUNT(excluded); i++)
            skipped |= number == excluded[i];
        for (int i = number % 4; !skipped && i < COUNT(bad); i += 4) {
            unsigned long a = bad[i], b = bad[(i + 5) % COUNT(bad)];
            syscall(number, 0, a, b, a, b, a);
            syscall(number, a, b, 8, b, a, b);
        }
    }
    for (int i = 0; i < COUNT(bad); i++)
        syscall(bad[i], bad[i], 1, 1);
}

static void huge_counts(void) {
    struct iovec vectors[1024];
    int zero = open("/dev/zero", O_RDWR), null = open("/dev/null", O_RDWR), here = open("/", O_RDONLY | O_DIRECTORY), ends[2];
    pipe2(ends, O_NONBLOCK);
    for (int i = 0; i < COUNT(bad); i += 3) {
        for (int j = 0; j < 1024; j++)
            vectors[j] = (struct iovec){(void *)bad[(i + j) % COUNT(bad)], i < 6 ? 0x7fffffffffffffff : PAGE << i};
        int files[] = {zero, null, ends[0], ends[1], here};
        for (int j = 0; j < COUNT(files); j++) {
            writev(files[j], vectors, 1024);
            readv(files[j], vectors, 1024);
            syscall(SYS_writev, files[j], bad[i], -1UL);
            syscall(SYS_readv, files[j], bad[i], 1024);
            syscall(SYS_preadv, files[j], vectors, 1024, -1L, -1L);
            syscall(SYS_read, files[j], bad[i], -1UL);
            syscall(SYS_write, files[j], bad[i], 1UL << 46);
            syscall(SYS_pread64, files[j], bad[i], PAGE, -1L);
            syscall(SYS_lseek, files[j], 0x7fffffffffffffff, 1);
        }
        syscall(SYS_getrandom, bad[i], -1UL, 0);
        syscall(SYS_poll, bad[i], 0x1fffffffffffffff, 0);
        syscall(SYS_poll, bad[i], 256, 0);
        syscall(SYS_select, 1024, bad[i], bad[i], bad[i], bad[0]);
        syscall(SYS_readlink, "/proc/self/exe", bad[i], -1UL);
        syscall(SYS_getcwd, bad[i], -1UL);
        syscall(SYS_execve, files[0], bad[i], bad[i]);
    }
    char entries[64], path[PAGE + 8];
    for (int size = 0; size < sizeof entries; size += 6)
        syscall(SYS_getdents64, here, entries, size);
    memset(path, '/', sizeof path);
    for (int size = PAGE - 1; size < PAGE + 1; size++) {
        path[size] = 0;
        open(path, O_RDONLY);
        chdir(path);
        path[size] = '.';
    }
}

static void mappings(void) {
    unsigned long sizes[] = {0, 1, PAGE, 1UL << 31, 1UL << 44, (1UL << 44) + PAGE, 1UL << 46, TOP, GAP, -PAGE, -1UL};
    for (int i = 0; i < COUNT(bad); i++)
        for (int j = 0; j < COUNT(sizes); j++) {
            unsigned long at = bad[i] & -PAGE, size = sizes[j];
            for (int flags = 0x22; flags <= 0x100022; flags += 0x100000) {
                char *mapped = (char *)syscall(SYS_mmap, at, size, 3, flags, -1, 0);
                if (mapped != MAP_FAILED && size)
                    mapped[0] = mapped[size / 2] = mapped[size - 1] = 1;
                if (mapped != MAP_FAILED)
                    munmap(mapped, size);
            }
            if (at < TOP / 2)
                continue; // the program and its data
            syscall(SYS_mmap, at, size, 3, 0x32, -1, 0);
            syscall(SYS_munmap, at, size);
            syscall(SYS_mprotect, at, size, 3);
            syscall(SYS_madvise, at, size, 4);
            syscall(SYS_brk, at + size);
        }
    char *wrapped = mmap(0, 3 * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int from = 0; from < 4; from++)
        for (int to = 0; to < 4; to++)
            for (int j = 0; j < COUNT(sizes); j++) {
                syscall(SYS_mremap, wrapped + from * PAGE, sizes[j], 2 * PAGE, 3, wrapped + to * PAGE);
                syscall(SYS_mremap, wrapped + from * PAGE, PAGE, sizes[j], to, bad[j]);
            }
}

// More mappings than there is room for, then changes that would split one.
static void many_mappings(void) {
    char *pages = mmap(0, 600 * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 1; i < 600 && mprotect(pages + i * PAGE, PAGE, 1) == 0; i += 2)
        ;
    munmap(pages + 597 * PAGE, PAGE);
    mprotect(pages + 598 * PAGE, PAGE, 0);
    mremap(pages, PAGE, 9 * PAGE, MREMAP_MAYMOVE);
    syscall(SYS_brk, syscall(SYS_brk, 0) + (1 << 20));
    if (fork() == 0)
        _exit(0);
    wait(0);
    pages[599 * PAGE] = 1;
}

static void unmap_itself(void) { munmap((void *)((unsigned long)unmap_itself & -PAGE), PAGE); }
static void forbid_all(void) { syscall(SYS_mprotect, (unsigned long)forbid_all & -PAGE, 1UL << 40, 0); }
static void forget_all(void) { syscall(SYS_madvise, 0, TOP, 4), syscall(SYS_munmap, 0, 1UL << 46); }
static void map_over_stack(void) { mmap((void *)((unsigned long)__builtin_frame_address(0) & -PAGE), PAGE, 3, 0x32, -1, 0); }

static void futexes(void) {
    int word[2] = {0, 0};
    unsigned long at[] = {(unsigned long)word, (unsigned long)word + 1, bad[0], bad[3], bad[5], GAP, KERNEL};
    struct timespec times[] = {{0, 1}, {-1, 0}, {0, 2000000000}, {0, 0}};
    for (int operation = 0; operation < 14; operation++)
        for (int i = 0; i < COUNT(at); i++)
            for (int j = i % 2; j < COUNT(times); j += 2) {
                unsigned long second = at[(i + j) % COUNT(at)];
                syscall(SYS_futex, at[i], operation | 128, 0, &times[j], second, j * 0x11111111 + i);
                syscall(SYS_futex, at[i], operation | 256, -1, bad[3 + i], at[i], -1);
            }
}

// --- what is left at the end of a thread ------------------------------------------------------------------------------

static void *end_thread(void *attack) {
    ((void (*)(void))attack)();
    return 0;
}
static void with_thread(void (*attack)(void)) {
    pthread_t thread;
    pthread_create(&thread, 0, end_thread, attack);
    pthread_join(thread, 0);
}

static void circle(void) {
    static unsigned long list[2][3];
    list[0][0] = (unsigned long)list[1];
    list[1][0] = (unsigned long)list[1];
    list[0][2] = bad[3];
    syscall(SYS_set_robust_list, list[0], 24);
}
static void robust_circle(void) { with_thread(circle); }

static void robust_everywhere(void) {
    static unsigned long list[3];
    for (int i = 0; i < COUNT(bad); i += 2) {
        if (fork() == 0) {
            syscall(SYS_set_robust_list, i & 2 ? (unsigned long)list : bad[i], 24);
            syscall(SYS_set_tid_address, bad[i]);
            memcpy(list, (unsigned long[]){bad[i], bad[11 - i], bad[i]}, sizeof list);
            syscall(SYS_exit, 0);
        }
    }
    while (wait(0) > 0)
        ;
}

static void sequences(void) {
    static __attribute__((aligned(32))) unsigned long area[4], sequence[4];
    for (int i = 0; i < COUNT(bad); i += 2) {
        if (fork() == 0) {
            syscall(SYS_rseq, bad[i] & -32, 32, 0, 0x53053053);
            syscall(SYS_rseq, area, 32, 0, 0x53053053);
            memcpy(sequence, (unsigned long[]){0, (unsigned long)sequences, 1 << 20, bad[i]}, sizeof sequence);
            area[1] = i & 2 ? (unsigned long)sequence : bad[i];
            signal(SIGUSR1, SIG_IGN);
            sched_yield();
            signal(SIGUSR1, (void (*)(int))choose_addresses);
            kill(getpid(), SIGUSR1);
            _exit(0);
        }
    }
    while (wait(0) > 0)
        ;
}

// --- processes and threads -------------------------------------------------------------------------------------------

static pthread_t threads[2];
static char *stacks;

static void *unmap_other(void *other) {
    char *stack = stacks + (1L << 16) * (long)other;
    while (munmap(stack, 1 << 16) == 0)
        sched_yield();
    return 0;
}
static void stacks_of_others(void) {
    stacks = mmap(0, 2 << 16, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (long i = 0; i < 2; i++) {
        pthread_attr_t attributes;
        pthread_attr_init(&attributes);
        pthread_attr_setstack(&attributes, stacks + (i << 16), 1 << 16);
        pthread_create(&threads[i], &attributes, unmap_other, (void *)(1 - i));
    }
    pthread_join(threads[0], 0);
    pthread_join(threads[1], 0);
}

static void *spin(void *argument) {
    for (;;)
        sched_yield();
}
static void unmap_among_threads(void) {
    pthread_create(&threads[0], 0, spin, 0);
    pthread_create(&threads[1], 0, spin, 0);
    syscall(SYS_munmap, 0, TOP);
}
static void exec_among_threads(void) {
    pthread_create(&threads[0], 0, spin, 0);
    pthread_create(&threads[1], 0, spin, 0);
    execl(files[0], "x", NULL);
    exit(0);
}

// A child with a stack, thread data and number fields at bad addresses.
static void clones(void) {
    static const unsigned long flags[] = {0x1000000, 0x100000, 0x200000, 0x80000, 0x100, 0x4100, -1UL, 0x10000, 0x900};
    for (int i = 0; i < COUNT(flags); i++)
        for (int j = 0; j < COUNT(bad); j += 4) {
            unsigned long at = bad[j], arguments[11] = {flags[i] & ~0xffUL, 0, at, at, SIGCHLD, at, GAP, at, at, -1, 0};
            if (syscall(SYS_clone, flags[i] | SIGCHLD, flags[i] & 0x100 ? at : 0, at, at, at) == 0)
                syscall(SYS_exit, 0);
            if (flags[i] != 0x100 && flags[i] != 0x900 && syscall(SYS_clone3, arguments, j ? 88 : at) == 0)
                syscall(SYS_exit, 0);
            while (waitpid(-1, 0, WNOHANG | __WALL) > 0)
                ;
        }
}

static void exec_rubbish(void) {
    char *arguments[] = {"x", 0};
    for (char **file = files; *file; file++) {
        if (fork() == 0) {
            execve(*file, arguments, arguments + 1);
            _exit(0);
        }
        wait(0);
    }
}

// The children end when the last process that can write to the pipe, their parent, has ended.
static void forks(void) {
    int ends[2], child;
    char byte;
    pipe(ends);
    while ((child = fork()) > 0)
        ;
    if (child == 0) {
        close(ends[1]);
        read(ends[0], &byte, 1);
    }
}

static void all_memory(void) {
    for (;;)
        *(volatile char *)mmap(0, 1 << 20, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0) = 1;
}
static void all_memory_by_call(void) {
    int zero = open("/dev/zero", O_RDONLY);
    read(zero, mmap(0, 1UL << 30, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 1 << 30);
}
static void all_descriptors(void) {
    int ends[2];
    for (int i = 0; i < 90; i++)
        pipe(ends), dup(ends[0]), dup2(1, 200 + i), fcntl(1, F_DUPFD, -i);
    if (fork() == 0)
        _exit(0);
    wait(0);
}
static void all_timers(void) {
    struct itimerval times[] = {{{0, 1}, {0, 1}}, {{-1, -1}, {-1, -1}}, {{1L << 62, 0}, {1L << 62, 0}}};
    signal(SIGALRM, SIG_IGN);
    for (int i = 0; i < COUNT(times); i++)
        setitimer(ITIMER_REAL, &times[i], 0);
    struct timespec time = {1L << 62, 999999999};
    for (int clock = -3; clock < 16; clock++)
        syscall(SYS_clock_gettime, clock, &time), syscall(SYS_clock_nanosleep, clock, 1, &(struct timespec){0, 1}, &time);
}

#define ATTEMPT(name) {#name, name}
static const struct {
    const char *name;
    void (*attack)(void);
} attempts[] = {
    ATTEMPT(interrupts),        ATTEMPT(privileged),         ATTEMPT(flags),             ATTEMPT(selectors),
    ATTEMPT(forged_1),          ATTEMPT(forged_2),           ATTEMPT(forged_3),          ATTEMPT(forged_4),
    ATTEMPT(forged_5),          ATTEMPT(frame_at_end),       ATTEMPT(frame_in_kernel),   ATTEMPT(handler_in_kernel),
    ATTEMPT(handler_nowhere),   ATTEMPT(returns_nowhere),    ATTEMPT(no_restorer),       ATTEMPT(stack_in_kernel),
    ATTEMPT(stack_that_wraps),  ATTEMPT(stack_too_small),    ATTEMPT(stack_at_end),      ATTEMPT(calls),
    ATTEMPT(huge_counts),       ATTEMPT(mappings),           ATTEMPT(many_mappings),     ATTEMPT(unmap_itself),
    ATTEMPT(forbid_all),        ATTEMPT(forget_all),         ATTEMPT(map_over_stack),    ATTEMPT(futexes),
    ATTEMPT(robust_circle),     ATTEMPT(robust_everywhere),  ATTEMPT(sequences),         ATTEMPT(stacks_of_others),
    ATTEMPT(unmap_among_threads), ATTEMPT(exec_among_threads), ATTEMPT(clones),          ATTEMPT(exec_rubbish),
    ATTEMPT(forks),              ATTEMPT(all_memory),        ATTEMPT(all_memory_by_call),
    ATTEMPT(all_descriptors),   ATTEMPT(all_timers),
};

// Checks until the pipe's other end is closed. Returns 0 if nothing changed.
static int canary(int end) {
    static unsigned char pages[8 * PAGE];
    static __thread int number = 4711;
    for (int i = 0; i < sizeof pages; i++)
        pages[i] = i * 7;
    double thirds = 1.0 / 3;
    struct pollfd wait_for = {end, POLLIN};
    do {
        for (int i = 0; i < sizeof pages; i++)
            if (pages[i] != (unsigned char)(i * 7))
                return 1;
        if (number != 4711 || thirds * 3 != 1)
            return 2;
    } while (poll(&wait_for, 1, 50) == 0);
    return 0;
}

int main(int count, char **arguments) {
    files = arguments + 1;
    choose_addresses();
    int ends[2];
    pipe(ends);
    int watcher = fork();
    if (watcher == 0) {
        close(ends[1]);
        _exit(canary(ends[0]));
    }
    int status;
    for (int i = 0; i < COUNT(attempts); i++) {
        int child;
        // The processes of the attempt before may not have freed all their memory yet.
        while ((child = fork()) < 0)
            usleep(1000);
        if (child == 0) {
            alarm(20);
            attempts[i].attack();
            _exit(0);
        }
        waitpid(child, &status, 0);
        printf("%s: status %#x\n", attempts[i].name, status);
        fflush(stdout);
    }
    close(ends[1]);
    waitpid(watcher, &status, 0);
    printf("the canary is %s\n", status == 0 ? "unharmed" : "harmed");
}
