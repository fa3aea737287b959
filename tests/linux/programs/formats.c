// printf's conversions.
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
int main() {
    int count;
    printf("[%d] [%5d] [%-5d] [%05d] [%+d] [% d]\n", 42, 42, 42, 42, 42, 42);
    printf("[%x] [%X] [%#x] [%o] [%#o] [%u]\n", 255, 255, 255, 8, 8, -1);
    printf("[%ld] [%lld] [%hhd] [%hd] [%zu] [%td]\n", -1L, 1LL << 40, 300, 70000, (size_t)9, (ptrdiff_t)-9);
    printf("[%f] [%.2f] [%10.3f] [%-10.1f] [%e] [%G] [%g]\n", 3.14159, 2.5, 2.0 / 3, 1.25, 12345.678, 1e-10, 100000.0);
    printf("[%a] [%.0f] [%.1f] [%f] [%f]\n", 1.5, 0.5, 0.25, 1.0 / 0.0, -(0.0 / 0.0));
    printf("[%s] [%10s] [%-10s] [%.2s] [%c] [%%]\n", "text", "text", "text", "text", 'c');
    printf("[%*d] [%-*d] [%.*f]%n", 6, 1, 6, 2, 3, 1.0, &count);
    printf(" %d characters\n", count);
    printf("[%Lf] [%.20Lg]\n", 1.0L / 3, 2.0L / 3);
    printf("[%" PRId64 "] [%" PRIx64 "]\n", INT64_MIN, UINT64_MAX);
    char text[8];
    int wanted = snprintf(text, sizeof text, "%s", "longer than eight");
    printf("%s, of %d\n", text, wanted);
    return 0;
}
