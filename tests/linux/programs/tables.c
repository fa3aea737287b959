// Search trees and hash tables of the C library.
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static int compare(const void *a, const void *b) { return strcmp(a, b); }
static int visited;
static void visit(const void *node, VISIT order, int depth) {
    (void)depth;
    if (order == postorder || order == leaf) {
        visited++;
        printf("%s ", *(char *const *)node);
    }
}
int main() {
    void *root = NULL;
    char *words[] = {"kiwi", "apple", "mango", "banana", "fig", "lime", "apple"};
    for (int i = 0; i < 7; i++)
        tsearch(words[i], &root, compare);
    twalk(root, visit);
    printf("%d %d\n", visited, tfind("fig", &root, compare) != NULL);
    tdelete("fig", &root, compare);
    printf("%d\n", tfind("fig", &root, compare) == NULL);
    hcreate(50);
    for (long i = 0; i < 6; i++)
        hsearch((ENTRY){words[i], (void *)i}, ENTER);
    ENTRY *found = hsearch((ENTRY){"mango", NULL}, FIND);
    printf("%ld %d\n", (long)found->data, hsearch((ENTRY){"none", NULL}, FIND) == NULL);
    hdestroy();
    return 0;
}
