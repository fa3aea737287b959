// qsort and bsearch over numbers, words and structures.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
struct pair {
    int key;
    char name[8];
};
static int numbers(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }
static int words(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }
static int pairs(const void *a, const void *b) { return ((const struct pair *)a)->key - ((const struct pair *)b)->key; }
int main() {
    int values[5000];
    unsigned seed = 1;
    for (int i = 0; i < 5000; i++)
        values[i] = (seed = seed * 1103515245 + 12345) >> 16;
    qsort(values, 5000, sizeof *values, numbers);
    int sorted = 1;
    for (int i = 1; i < 5000; i++)
        sorted &= values[i - 1] <= values[i];
    printf("sorted %d first %d last %d\n", sorted, values[0], values[4999]);
    printf("found %d\n", bsearch(&values[1234], values, 5000, sizeof *values, numbers) != NULL);
    char *names[] = {"pear", "apple", "fig", "date", "cherry"};
    qsort(names, 5, sizeof *names, words);
    for (int i = 0; i < 5; i++)
        printf("%s ", names[i]);
    struct pair list[] = {{3, "three"}, {1, "one"}, {2, "two"}}, wanted = {2};
    qsort(list, 3, sizeof *list, pairs);
    struct pair *found = bsearch(&wanted, list, 3, sizeof *list, pairs);
    printf("%s\n", found->name);
    return 0;
}
