// Chapter 5, question 4: the variants of exec. With v the arguments are an array and with l a list; with p the program is
// searched on PATH, and with e the environment is given.
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define SELF "/proc/self/exe"

int main(int count, char **words) {
    if (count > 1) {
        printf("%s: HOW is %s\n", words[1], getenv("HOW") ? getenv("HOW") : "not set");
        return 0;
    }
    char *array[] = {"exec", "array", NULL}, *environment[] = {"HOW=given", NULL};
    for (int variant = 0; variant < 6; variant++) {
        if (fork() == 0) {
            switch (variant) {
            case 0: execl(SELF, "exec", "execl", NULL); break;
            case 1: execlp(SELF, "exec", "execlp", NULL); break;
            case 2: execle(SELF, "exec", "execle", NULL, environment); break;
            case 3: execv(SELF, array); break;
            case 4: execvp(SELF, array); break;
            case 5: execve(SELF, array, environment); break;
            }
            perror("exec");
            return 1;
        }
        wait(NULL);
    }
    return 0;
}
