// A directory: opened, listed, and its entries examined.
#define _GNU_SOURCE
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
int main() {
    struct dirent **names;
    int count = scandir("given", &names, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char path[300];
        struct stat about;
        snprintf(path, sizeof path, "given/%s", names[i]->d_name);
        stat(path, &about);
        printf("%s %s %ld\n", names[i]->d_name, S_ISDIR(about.st_mode) ? "directory" : "file",
               S_ISDIR(about.st_mode) ? 0 : (long)about.st_size);
    }
    DIR *none = opendir("nowhere");
    printf("%d\n", none == NULL);
    perror("opendir");
    DIR *directory = opendir("given/inner");
    int entries = 0;
    while (readdir(directory))
        entries++;
    rewinddir(directory);
    printf("%d entries, again %d\n", entries, readdir(directory) != NULL);
    closedir(directory);
    printf("chdir %d, file %d\n", chdir("given"), access("numbers", R_OK));
    printf("up %d\n", access("../given/words", R_OK));
    return 0;
}
