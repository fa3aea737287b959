// posix_spawn, with redirected output and a changed signal mask.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
extern char **environ;
int main(int count, char **words) {
    if (count > 1) {
        printf("spawned with %s\n", words[1]);
        return 7;
    }
    int fds[2], status;
    pipe(fds);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fds[1], 1);
    posix_spawn_file_actions_addclose(&actions, fds[0]);
    pid_t child;
    char *arguments[] = {"spawning", "one", NULL};
    int result = posix_spawn(&child, "/proc/self/exe", &actions, NULL, arguments, environ);
    close(fds[1]);
    char text[100];
    long size = 0, got;
    while ((got = read(fds[0], text + size, sizeof text - size)) > 0)
        size += got;
    waitpid(child, &status, 0);
    printf("%d %d: %.*s", result, WEXITSTATUS(status), (int)size, text);
    printf("%s\n", strerror(posix_spawn(&child, "/no/such/program", NULL, NULL, arguments, environ)));
    return 0;
}
