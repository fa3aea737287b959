// Vector registers, as wide as the CPU has them, kept over forks, signals and other processes.
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
typedef float eight __attribute__((vector_size(32)));
static void handler(int number) {
    (void)number;
    __asm__ volatile("pxor %%xmm0, %%xmm0; pxor %%xmm5, %%xmm5; pxor %%xmm15, %%xmm15" ::: "xmm0", "xmm5", "xmm15");
}
__attribute__((target("avx"))) static float wide(int seed) {
    eight a, b = {0};
    for (int i = 0; i < 8; i++)
        a[i] = seed + i;
    for (int round = 0; round < 200; round++) {
        b += a * 0.5f;
        if (round % 50 == 0)
            raise(SIGUSR1);
    }
    float sum = 0;
    for (int i = 0; i < 8; i++)
        sum += b[i];
    return sum;
}
static float narrow(int seed) {
    float sum = 0;
    for (int i = 0; i < 8; i++)
        for (int round = 0; round < 200; round++)
            sum += (seed + i) * 0.5f;
    return sum;
}
int main() {
    signal(SIGUSR1, handler);
    float (*compute)(int) = __builtin_cpu_supports("avx") ? wide : narrow;
    for (int i = 0; i < 3; i++) {
        int child = fork();
        if (child == 0) {
            printf("%d: %g\n", i, compute(i));
            return 0;
        }
        waitpid(child, NULL, 0);
    }
    printf("parent: %g\n", compute(10));
    return 0;
}
