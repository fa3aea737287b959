// Resource limits: read, lowered, inherited.
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
int main() {
    struct rlimit limit;
    syscall(SYS_close_range, 3, ~0U, 0);
    getrlimit(RLIMIT_STACK, &limit);
    printf("stack %d\n", limit.rlim_cur > 0);
    limit = (struct rlimit){16, 32};
    printf("%d", setrlimit(RLIMIT_NOFILE, &limit));
    getrlimit(RLIMIT_NOFILE, &limit);
    printf(" %ld %ld\n", (long)limit.rlim_cur, (long)limit.rlim_max);
    fflush(stdout);
    int child = fork();
    if (child == 0) {
        getrlimit(RLIMIT_NOFILE, &limit);
        printf("child %ld\n", (long)limit.rlim_cur);
        int last = 0, next;
        while ((next = dup(1)) >= 0)
            last = next;
        printf("last descriptor %d, %d\n", last, errno == EMFILE);
        return 0;
    }
    waitpid(child, NULL, 0);
    limit = (struct rlimit){64, 32};
    printf("%d %d\n", setrlimit(RLIMIT_NOFILE, &limit), errno == EINVAL);
    return 0;
}
