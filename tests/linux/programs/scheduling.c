// Calls about scheduling.
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>
int main() {
    printf("%d %d\n", sched_yield(), sched_getscheduler(0));
    printf("%d %d\n", sched_get_priority_max(SCHED_FIFO), sched_get_priority_min(SCHED_FIFO));
    printf("%d", getpriority(PRIO_PROCESS, 0));
    printf(" %d", nice(5));
    printf(" %d\n", getpriority(PRIO_PROCESS, 0));
    struct sched_param parameter = {-1};
    printf("%d", sched_getparam(0, &parameter));
    printf(" %d\n", parameter.sched_priority);
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(0, &set);
    printf("%d\n", sched_setaffinity(0, sizeof set, &set));
    CPU_ZERO(&set);
    sched_getaffinity(0, sizeof set, &set);
    printf("%d %d\n", CPU_COUNT(&set), sched_getcpu());
    return 0;
}
