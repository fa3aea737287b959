// Calls that fail, each with its error.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#define SHOW(call) (errno = 0, printf("%s: %ld %s\n", #call, (long)(call), strerror(errno)))
int main() {
    char byte;
    int fds[2];
    SHOW(read(99, &byte, 1));
    SHOW(write(-1, &byte, 1));
    SHOW(close(1000));
    SHOW(open("/no/such/file", O_RDONLY));
    SHOW(open("given/words/below", O_RDONLY));
    SHOW(open("given", O_WRONLY));
    SHOW(read(open("given", O_RDONLY), &byte, 1));
    SHOW(dup2(99, 5));
    SHOW(kill(999999, 0));
    SHOW(kill(getpid(), 99));
    SHOW(waitpid(-1, NULL, 0));
    SHOW(chdir("given/words"));
    SHOW(execl("/no/such/program", "program", NULL));
    SHOW(execl("given/words", "words", NULL));
    SHOW(pipe((int *)8));
    SHOW(write(1, (void *)8, 1));
    SHOW(munmap((void *)1, 4096));
    SHOW(mprotect((void *)0x10000, 4096, PROT_READ));
    SHOW(sigaction(SIGKILL, &(struct sigaction){.sa_handler = SIG_IGN}, NULL));
    SHOW(readlink("given/words", &byte, 1));
    SHOW(access("given/words", F_OK));
    SHOW(pipe(fds));
    SHOW(write(fds[0], "x", 1));
    SHOW(read(fds[1], &byte, 1));
    SHOW(lseek(fds[0], 0, SEEK_CUR));
    SHOW(isatty(fds[0]));
    for (int i = 0; i < 134; i += 7)
        printf("%d: %s\n", i, strerror(i));
    return 0;
}
