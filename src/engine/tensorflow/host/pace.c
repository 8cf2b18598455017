/* pace.c - see pace.h */
#include "engine/tensorflow/host/pace.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

#include "base/mem.h"
#include "engine/tensorflow/host/autogroup.h"

static const uint64_t TURN_NS = 500000, LONGEST_NS = 200000000, TRY_AGAIN_NS = 20000000;

/* 0 for one that has ended. */
static uint64_t processor_time(pid_t pid)
{
    clockid_t clock;
    struct timespec t;
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) != 0)
        return 0;
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void begin_turn(tf_pace *p, pid_t pid, uint64_t now_ns)
{
    if (p->stopped)
        kill(pid, SIGCONT);
    p->stopped = false;
    p->worked_ns = processor_time(pid);
    p->due_ns = now_ns + TURN_NS;
}

/* When to call again. */
static uint64_t keep_share(tf_pace *p, pid_t pid, uint64_t now_ns)
{
    bool wanted = p->rest_ns != 0 || p->ending;
    if (p->lowered == wanted || p->autogroup == 0)
        return UINT64_MAX;
    if (now_ns < p->share_due_ns)
        return p->share_due_ns;
    if (tf_autogroup_nice(p->autogroup, pid, wanted ? TF_NICEST : 0) == EAGAIN) {
        p->share_due_ns = now_ns + TRY_AGAIN_NS;
        return p->share_due_ns;
    }
    p->lowered = wanted;
    return UINT64_MAX;
}

void tf_pace_set(tf_pace *p, pid_t pid, uint64_t rest_ns, uint64_t now_ns)
{
    bool was_free = p->rest_ns == 0;
    p->rest_ns = p->ending ? 0 : rest_ns;
    if (was_free != (p->rest_ns == 0))
        begin_turn(p, pid, now_ns);
    keep_share(p, pid, now_ns);
}

void tf_pace_end(tf_pace *p, pid_t pid, uint64_t now_ns)
{
    p->ending = true;
    tf_pace_set(p, pid, 0, now_ns);
}

static uint64_t keep_turns(tf_pace *p, pid_t pid, uint64_t now_ns)
{
    if (p->rest_ns == 0)
        return UINT64_MAX;
    if (now_ns < p->due_ns)
        return p->due_ns;
    if (p->stopped) {
        begin_turn(p, pid, now_ns);
        return p->due_ns;
    }
    /* On a busy machine it may not have had its turn yet, or, with more threads, twice as much. */
    uint64_t worked = processor_time(pid) - p->worked_ns;
    if (worked < TURN_NS / 2) {
        p->due_ns = now_ns + TURN_NS - worked;
        return p->due_ns;
    }
    worked = SL_MIN(worked, UINT64_C(1000) * TURN_NS);
    p->stopped = kill(pid, SIGSTOP) == 0;
    p->due_ns = now_ns + SL_MIN(worked / 1000 * (p->rest_ns / 1000), LONGEST_NS);
    return p->due_ns;
}

uint64_t tf_pace_keep(tf_pace *p, pid_t pid, uint64_t now_ns)
{
    uint64_t share = keep_share(p, pid, now_ns), turn = keep_turns(p, pid, now_ns);
    return SL_MIN(share, turn);
}
