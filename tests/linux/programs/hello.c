// The first program of every book, with its arguments.
#include <stdio.h>
int main(int count, char **words) {
    printf("hello, world\n");
    for (int i = 1; i < count; i++)
        printf("%d: %s\n", i, words[i]);
    return count - 1;
}
