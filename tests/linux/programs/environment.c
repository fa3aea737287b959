// The environment: read, changed, and passed on by execve.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
extern char **environ;
int main(int count, char **words) {
    (void)words;
    if (count > 1) {
        for (char **name = environ; *name; name++)
            puts(*name);
        return 3;
    }
    printf("HOME %s\n", getenv("HOME") ? "set" : "not set");
    setenv("COLOR", "red", 1);
    setenv("COLOR", "blue", 0);
    putenv("SHAPE=round");
    printf("%s %s\n", getenv("COLOR"), getenv("SHAPE"));
    unsetenv("COLOR");
    printf("%d\n", getenv("COLOR") == NULL);
    clearenv();
    setenv("ONLY", "one", 1);
    fflush(stdout);
    execl("/proc/self/exe", "environment", "again", NULL);
    return 1;
}
