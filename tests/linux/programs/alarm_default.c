// An alarm without a handler ends the process.
#include <stdio.h>
#include <sys/time.h>
#include <unistd.h>
int main() {
    printf("waiting\n");
    fflush(stdout);
    struct itimerval timer = {.it_value = {0, 20000}};
    setitimer(ITIMER_REAL, &timer, NULL);
    for (;;)
        pause();
}
