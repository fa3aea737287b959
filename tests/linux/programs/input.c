// Standard input at its end, by every way to read it.
#include <poll.h>
#include <stdio.h>
#include <unistd.h>
int main() {
    char text[10];
    printf("%ld\n", (long)read(0, text, 10));
    printf("%d %d %d\n", getchar(), feof(stdin) != 0, fgets(text, 10, stdin) == NULL);
    clearerr(stdin);
    printf("%d\n", scanf("%9s", text));
    printf("%d %d %d\n", isatty(0), isatty(1), isatty(2));
    return 0;
}
