// Stop signals, what wait says of them, and an alarm that another thread sets. The calls depend on time.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t handled;

static void handler(int signal) { handled++; }

static void *sets_alarm(void *none) {
    struct timespec before = {0, 20000000};
    nanosleep(&before, 0);
    ualarm(50000, 50000); // again and again, until the other thread sleeps
    return 0;
}

static void wait_for(int child, int options) {
    int status, pid = waitpid(child, &status, options);
    if (pid != child) printf("nothing\n");
    else if (WIFSTOPPED(status)) printf("stopped by %d\n", WSTOPSIG(status));
    else if (WIFCONTINUED(status)) printf("continued\n");
    else if (WIFSIGNALED(status)) printf("killed by %d\n", WTERMSIG(status));
    else printf("exited with %d\n", WEXITSTATUS(status));
    fflush(stdout);
}

int main(void) {
    signal(SIGCHLD, handler);
    int go[2];
    char byte = 0;
    pipe(go);
    int child = fork();
    if (!child) {
        raise(SIGSTOP);
        read(go[0], &byte, 1);
        // Linux ignores SIGTSTP in an orphaned group. This one has a parent in another group of the session.
        setpgid(0, 0);
        raise(SIGTSTP);
        for (;;) pause();
    }
    wait_for(child, WUNTRACED);
    wait_for(child, WUNTRACED | WNOHANG);
    kill(child, SIGCONT);
    wait_for(child, WCONTINUED);
    write(go[1], &byte, 1);
    wait_for(child, WUNTRACED);
    kill(child, SIGTERM);
    wait_for(child, WNOHANG);
    kill(child, SIGCONT);
    wait_for(child, 0);
    printf("handler %s\n", handled > 0 ? "ran" : "did not run");

    struct sigaction quiet = {.sa_handler = handler, .sa_flags = SA_NOCLDSTOP};
    sigaction(SIGCHLD, &quiet, 0);
    handled = 0;
    child = fork();
    if (!child) {
        raise(SIGSTOP);
        _exit(1);
    }
    siginfo_t info;
    waitid(P_PID, child, &info, WSTOPPED | WNOWAIT);
    printf("%d %d %d\n", info.si_code == CLD_STOPPED, info.si_status == SIGSTOP, handled);
    wait_for(child, WUNTRACED);
    kill(child, SIGKILL);
    wait_for(child, 0);

    struct sigaction action = {.sa_handler = handler};
    sigaction(SIGALRM, &action, 0);
    pthread_t thread;
    handled = 0;
    pthread_create(&thread, 0, sets_alarm, 0);
    struct timespec long_time = {50, 0};
    int result = nanosleep(&long_time, 0);
    ualarm(0, 0);
    printf("%s, handled %d\n", result ? "interrupted" : "slept", handled > 0);
    pthread_join(thread, 0);
    return 0;
}
