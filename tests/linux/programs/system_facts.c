// What the system says of itself, as far as it is the same everywhere.
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>
int main() {
    struct utsname name;
    printf("%d", uname(&name));
    printf(" %s %s\n", name.sysname, name.machine);
    printf("page %ld, clock %ld, arguments %d, files %d\n", sysconf(_SC_PAGESIZE), sysconf(_SC_CLK_TCK),
           sysconf(_SC_ARG_MAX) > 100000, sysconf(_SC_OPEN_MAX) > 0);
    printf("pipe %ld, name %ld, version %ld\n", pathconf("/", _PC_PIPE_BUF), pathconf("/", _PC_NAME_MAX),
           sysconf(_SC_VERSION));
    printf("descriptors %d, user %d %d %d %d\n", getdtablesize() > 0, getuid(), geteuid(), getgid(), getegid());
    return 0;
}
