// Functions on memory and strings, over all alignments: the C library picks the widest vectors that the CPU has.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main() {
    static char a[9000], b[9000];
    unsigned sum = 0;
    for (int size = 0; size < 300; size += 7)
        for (int at = 0; at < 33; at += 3) {
            memset(a, 'a', sizeof a);
            a[at + size] = 0;
            sum = sum * 31 + strlen(a + at);
            memcpy(b + at, a, size + at + 1);
            sum = sum * 31 + (memcmp(b + at, a, size + at + 1) == 0);
            memmove(b + 5, b + at, size);
            sum = sum * 31 + (strchr(a + at, 0) - a);
        }
    memset(b, 'b', sizeof b);
    memcpy(a, b, 8500);
    printf("%u %d %ld\n", sum, memcmp(a, b, 8500), (long)((char *)memchr(a, 'a', sizeof a) - a));
    char text[] = "one,two;;three";
    for (char *word = strtok(text, ",;"); word; word = strtok(NULL, ",;"))
        printf("<%s>", word);
    printf(" %s %ld %zu %zu\n", strstr("haystack with needle", "needle"), (long)(strrchr("a/b/c", '/') - "a/b/c"),
           strspn("aabbc", "ab"), strcspn("hello", "l"));
    char *copy = strdup("copied");
    printf("%s %d %d %s\n", copy, strcasecmp("ABC", "abc"), strncmp("abcd", "abce", 3), strpbrk("key=value", "="));
    free(copy);
    return 0;
}
