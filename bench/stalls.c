/*
 * stalls.c - when the machine did not run a processor
 *
 *     stalls PROCESSOR
 *
 * A virtual machine's host takes its processors away now and then, for up to 30 ms, or for one or two at the
 * end of each tenth of a second in which they did much, and no thread runs meanwhile, not even one of the
 * highest real-time priority. This is such a thread: it sleeps for half a millisecond, again and again,
 * and where it wakes up more than 0.2 ms late it prints when it was due and when it woke up, in
 * nanoseconds of CLOCK_MONOTONIC, one stall a line. It ends with its parent. Exit status 1: no such
 * priority is to be had.
 */
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

enum { PERIOD_NS = 500000, LATE_NS = 200000 };

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int main(int argc, char **argv)
{
    cpu_set_t set;
    struct sched_param highest = {.sched_priority = sched_get_priority_max(SCHED_FIFO)};
    CPU_ZERO(&set);
    CPU_SET(argc == 2 ? (size_t)atoi(argv[1]) : CPU_SETSIZE, &set);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (sched_setaffinity(0, sizeof set, &set) != 0 ||
        sched_setscheduler(0, SCHED_FIFO, &highest) != 0)
        return 1;
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (;;) {
        struct timespec period = {.tv_nsec = PERIOD_NS};
        uint64_t due = now_ns() + PERIOD_NS, now;
        nanosleep(&period, NULL);
        if ((now = now_ns()) > due + LATE_NS)
            printf("%" PRIu64 " %" PRIu64 "\n", due, now);
    }
}
