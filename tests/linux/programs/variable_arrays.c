// alloca, arrays of variable length, and functions with any number of arguments.
#include <alloca.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
static double mean(int count, ...) {
    va_list values;
    double sum = 0;
    va_start(values, count);
    for (int i = 0; i < count; i++)
        sum += va_arg(values, double);
    va_end(values);
    return sum / count;
}
static int print(const char *format, ...) {
    va_list values, again;
    char text[100];
    va_start(values, format);
    va_copy(again, values);
    int size = vsnprintf(text, sizeof text, format, values);
    vprintf(format, again);
    va_end(again);
    va_end(values);
    return size;
}
int main(int count, char **words) {
    (void)words;
    for (int size = 1; size <= 100000; size *= 10) {
        char *room = alloca(size);
        memset(room, 'x', size);
        int list[size / 10 + count];
        list[0] = room[size - 1];
        printf("%d %c\n", size, list[0]);
    }
    printf("%g\n", mean(4, 1.0, 2.0, 3.0, 4.0));
    printf("%d\n", print("%s %d %g %Lg %c\n", "text", 1, 2.5, 3.5L, 'z'));
    return 0;
}
