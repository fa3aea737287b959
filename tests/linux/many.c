// Many processes: argv[1] alive at once, then argv[2] one after the other, most by vfork.
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int c, char **v) {
    int n = atoi(v[1]), k = atoi(v[2]);
    int p[2];
    pipe(p);
    int made = 0;
    for (int i = 0; i < n; i++) {
        int q = fork();
        if (q < 0) {
            perror("fork");
            break;
        }
        if (!q) {
            close(p[1]);
            char b;
            read(p[0], &b, 1);
            _exit(0);
        }
        made++;
    }
    printf("made %d\n", made);
    close(p[1]);
    int w = 0;
    while (wait(0) > 0)
        w++;
    printf("waited %d\n", w);
    for (int i = 0; i < k; i++) {
        int q = i % 50 ? vfork() : fork();
        if (q < 0) {
            perror("fork");
            break;
        }
        if (!q)
            _exit(i & 1);
        int st;
        waitpid(q, &st, 0);
    }
    printf("done\n");
    return 0;
}
