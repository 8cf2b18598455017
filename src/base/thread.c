/* thread.c - see thread.h */
#include "base/thread.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/mem.h"

enum { NICE = 10 };

/* A thread names itself: naming another one means writing to a file, which a server that has locked
 * itself up may not do. */
typedef struct beginning {
    char name[16];
    void *(*fn)(void *);
    void *arg;
} beginning;

static void *begin(void *arg)
{
    beginning b = *(beginning *)arg;
    sl_free(arg);
    pthread_setname_np(pthread_self(), b.name);
    return b.fn(b.arg);
}

sl_code sl_thread_start(pthread_t *out, const char *name, void *(*fn)(void *), void *arg,
                        sl_status *st)
{
    beginning *b = sl_try_malloc(sizeof *b);
    int e = b == NULL ? ENOMEM : EAGAIN;
    if (b != NULL && !sl_fault_hit(SL_FAULT_THREAD)) {
        *b = (beginning){.fn = fn, .arg = arg};
        snprintf(b->name, sizeof b->name, "%s", name);
        e = pthread_create(out, NULL, begin, b);
    }
    if (e == 0)
        return SL_OK;
    sl_free(b);
    return sl_fail(st, SL_RESOURCE_EXHAUSTED, "cannot start thread \"%s\": %s", name, strerror(e));
}

/* The scheduler lets a thread that runs finish its turn, 3 ms or so, before one that wakes up gets
 * the processor, however nice it is. From Linux 6.12 on a thread may ask for shorter turns; where
 * the kernel knows nothing of that, it makes no difference. */
static void take_short_turns(void)
{
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
    } attr = {.size = 48, .nice = NICE, .runtime = 100000 /* ns, the least there is */};
    syscall(SYS_sched_setattr, 0, &attr, 0);
}

static _Thread_local bool nice_one;
static _Thread_local uint64_t worked_since_ns;

void sl_thread_rest(void)
{
    const uint64_t turn_ns = 500000, most_ns = 5000000;
    struct timespec now;
    if (!nice_one)
        return;
    clock_gettime(CLOCK_MONOTONIC, &now); /* not the clock that tests hold */
    uint64_t ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    uint64_t worked = ns - worked_since_ns;
    if (worked >= turn_ns) {
        struct timespec rest = {.tv_nsec = (long)(3 * (worked < most_ns ? worked : turn_ns))};
        nanosleep(&rest, NULL);
        clock_gettime(CLOCK_MONOTONIC, &now);
        worked_since_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    }
}

void sl_thread_be_nice(void)
{
    nice_one = true;
    /* On Linux both belong to a thread, though glibc knows no ioprio_set: 1 is "this thread", and
     * class 3 gets the disk when nobody else wants it. Not SCHED_IDLE: on a busy machine a load
     * would never end, and who waits for a lock that such a thread holds would wait as long.
     * Failing costs nothing but politeness. */
    enum { WHO_PROCESS = 1, CLASS_IDLE = 3, CLASS_SHIFT = 13 };
    syscall(SYS_ioprio_set, WHO_PROCESS, 0, CLASS_IDLE << CLASS_SHIFT);
    take_short_turns();
    if (setpriority(PRIO_PROCESS, (id_t)gettid(), NICE))
        return;
}

void sl_cond_init(pthread_cond_t *c)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(c, &attr);
    pthread_condattr_destroy(&attr);
}

bool sl_cond_wait_until(pthread_cond_t *c, pthread_mutex_t *m, uint64_t deadline_ns)
{
    if (deadline_ns == 0) {
        pthread_cond_wait(c, m);
        return true;
    }
    uint64_t now = sl_now_ns();
    if (now >= deadline_ns)
        return false;
    /* At most a day at a time: no overflow, and an early return is allowed. */
    uint64_t left = deadline_ns - now, day = UINT64_C(86400) * 1000000000u;
    if (left > day)
        left = day;
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    uint64_t ns = (uint64_t)ts.tv_nsec + left;
    ts.tv_sec += (time_t)(ns / 1000000000u);
    ts.tv_nsec = (long)(ns % 1000000000u);
    pthread_cond_timedwait(c, m, &ts);
    return sl_now_ns() < deadline_ns;
}
