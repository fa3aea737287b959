// Advice and locks, which have no effect on what a program reads, and large sets of select.
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <unistd.h>
static void show(const char *what, long result) {
    printf("%s %ld%s%s\n", what, result, result < 0 ? " " : "", result < 0 ? strerror(errno) : "");
}
int main() {
    char *pages = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(pages, 1, 4 * 4096);
    munmap(pages + 4096, 4096);
    errno = 0;
    printf("%d", madvise(pages, 3 * 4096, MADV_DONTNEED));
    printf(" %d, %d %d\n", errno == ENOMEM, pages[0], pages[2 * 4096]);
    show("unknown advice", madvise(pages, 4096, 999));
    show("mlock", mlock(pages, 4096));
    printf("mlock of a hole %d\n", mlock(pages, 2 * 4096));
    show("munlock", munlock(pages, 4096));
    show("mlock inside a page", mlock(pages + 100, 10));
    printf("mlock into a hole %d\n", mlock(pages + 100, 4096));
    show("msync", msync(pages, 4096, MS_SYNC));
    int file = open("given/words", O_RDONLY);
    show("posix_fadvise", posix_fadvise(file, 0, 0, POSIX_FADV_SEQUENTIAL));
    show("flock", flock(file, LOCK_SH));
    show("fsync", fsync(file));
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    show("lock", fcntl(file, F_SETLK, &lock));
    lock.l_type = F_RDLCK;
    show("get lock", fcntl(file, F_GETLK, &lock));
    printf("unlocked: %d\n", lock.l_type == F_UNLCK);
    show("append", fcntl(file, F_SETFL, O_APPEND));
    printf("appends: %d\n", (fcntl(file, F_GETFL) & O_APPEND) != 0);
    char path[4096] = "", link[32];
    sprintf(link, "/proc/self/fd/%d", file);
    ssize_t size = readlink(link, path, sizeof path - 1);
    printf("%s\n", size > 5 ? path + size - 5 : "");
    int ends[2];
    pipe(ends);
    fd_set set;
    FD_ZERO(&set);
    FD_SET(ends[1], &set);
    struct timeval now = {0, 0};
    show("select", select(FD_SETSIZE, NULL, &set, NULL, &now));
    show("scheduler", sched_getscheduler(0));
    return 0;
}
