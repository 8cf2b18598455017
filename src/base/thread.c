/* thread.c - see thread.h */
#include "base/thread.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cpu.h"
#include "base/fault.h"
#include "base/mem.h"

enum { NICE = 15 };

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

void sl_thread_short_turns(pid_t tid, int policy)
{
    struct { /* glibc has neither this nor the call */
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
    } attr = {.size = 48,
              .policy = (uint32_t)policy,
              .nice = getpriority(PRIO_PROCESS, (id_t)(tid ? tid : gettid())),
              .runtime = 100000 /* ns, the least there is */};
    syscall(SYS_sched_setattr, tid, &attr, 0);
}

/* ---- who answers requests, and who rests for them ---- */

enum { MOST_PROMPT = 256 };
typedef struct prompt_thread {
    _Alignas(64) atomic_bool awake; /* its thread writes it all the time: a cache line of its own */
    clockid_t clock;                /* of its processor time */
    bool used;
} prompt_thread;
static pthread_mutex_t prompt_lock = PTHREAD_MUTEX_INITIALIZER;
static prompt_thread prompt[MOST_PROMPT];
static _Atomic int n_prompt; /* places that are, or were, used: the first ones */
static _Thread_local prompt_thread *my_place;

void sl_thread_be_prompt(void)
{
    clockid_t mine;
    sl_thread_short_turns(0, SCHED_OTHER);
    if (pthread_getcpuclockid(pthread_self(), &mine) != 0)
        return;
    pthread_mutex_lock(&prompt_lock);
    int i = 0, n = n_prompt;
    while (i < n && prompt[i].used)
        i++;
    if (i < MOST_PROMPT) {
        prompt[i].clock = mine;
        prompt[i].used = true;
        my_place = &prompt[i];
        n_prompt = SL_MAX(n, i + 1);
    }
    pthread_mutex_unlock(&prompt_lock);
    sl_thread_waits(false);
}

void sl_thread_end_prompt(void)
{
    sl_thread_waits(true);
    pthread_mutex_lock(&prompt_lock);
    if (my_place != NULL)
        my_place->used = false;
    pthread_mutex_unlock(&prompt_lock);
    my_place = NULL;
}

bool sl_thread_is_prompt(void)
{
    return my_place != NULL;
}

void sl_thread_waits(bool waits)
{
    if (my_place != NULL)
        atomic_store_explicit(&my_place->awake, !waits, memory_order_relaxed);
}

static uint64_t read_ns(clockid_t clock)
{
    struct timespec t;
    if (clock_gettime(clock, &t))
        return 0;
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t processors(void)
{
    static _Atomic int n; /* asking means reading files */
    if (n == 0)
        n = sl_cpu_count();
    return (uint64_t)n;
}

static uint64_t prompt_ns(void)
{
    uint64_t sum = 0;
    pthread_mutex_lock(&prompt_lock);
    for (int i = 0; i < n_prompt; i++)
        sum += prompt[i].used ? read_ns(prompt[i].clock) : 0;
    pthread_mutex_unlock(&prompt_lock);
    return sum;
}

unsigned sl_busy_percent(sl_busy *b)
{
    uint64_t wall = read_ns(CLOCK_MONOTONIC), answered = prompt_ns(); /* not the clock of tests */
    uint64_t passed = wall - b->wall_ns, busy = answered - b->answered_ns;
    bool first = b->wall_ns == 0, less = answered < b->answered_ns; /* a thread has ended */
    *b = (sl_busy){wall, answered};
    if (first || less || passed == 0)
        return 0;
    uint64_t all = passed * processors();
    return (unsigned)(100 * SL_MIN(busy, all) / all);
}

uint64_t sl_rest_ns(uint64_t worked_ns, unsigned busy_percent)
{
    const uint64_t most = 150, most_work_ns = 2000000; /* tenths */
    return SL_MIN(worked_ns, most_work_ns) * SL_MIN(busy_percent * UINT64_C(4), most) / 10;
}

static _Thread_local bool nice_one;
static _Thread_local uint64_t turn_began_ns; /* in processor time */
static _Thread_local sl_busy since_look;
static _Thread_local unsigned busy; /* percent, then */

bool sl_thread_is_nice(void)
{
    return nice_one;
}

/* How busy those are that answer, as of the last millisecond or so. Within a turn of this thread they may not have
 * got the processor at all, and would seem to have nothing to do. */
static unsigned lately_busy(void)
{
    const uint64_t window_ns = 1000000;
    bool first = since_look.wall_ns == 0;
    if (first || read_ns(CLOCK_MONOTONIC) - since_look.wall_ns >= window_ns)
        busy = sl_busy_percent(&since_look);
    return first ? 100 : busy; /* not known yet */
}

void sl_thread_rest(void)
{
    const uint64_t turn_ns = 30000;
    uint64_t work;
    if (!nice_one || (work = read_ns(CLOCK_THREAD_CPUTIME_ID)) - turn_began_ns < turn_ns)
        return;
    uint64_t ns = sl_rest_ns(work - turn_began_ns, lately_busy());
    struct timespec rest = {.tv_nsec = (long)ns};
    if (ns != 0)
        nanosleep(&rest, NULL);
    turn_began_ns = work;
}

void sl_thread_step_aside(void)
{
    uint64_t awake = 0;
    for (int i = 0, n = n_prompt; i < n; i++)
        awake += atomic_load_explicit(&prompt[i].awake, memory_order_relaxed);
    if (awake > processors())
        sched_yield();
    else
        syscall(SYS_gettid);
}

void sl_thread_be_nice(void)
{
    nice_one = true;
    /* On Linux all of this belongs to a thread, though glibc knows no ioprio_set: 1 is "this thread", and
     * class 3 gets the disk when nobody else wants it. SCHED_BATCH: who comes back from its rest does not
     * send away who is answering. Of the kinds of nice 15 is the first at which those that answer come
     * first when they wake up, too: with more, such a thread is owed time, after its rest, that the others
     * have to wait for. Not SCHED_IDLE: on a busy machine a load would never end, and who waits for a lock
     * that such a thread holds would wait as long. Failing costs nothing but politeness. */
    enum { WHO_PROCESS = 1, CLASS_IDLE = 3, CLASS_SHIFT = 13 };
    syscall(SYS_ioprio_set, WHO_PROCESS, 0, CLASS_IDLE << CLASS_SHIFT);
    sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){0});
    if (setpriority(PRIO_PROCESS, (id_t)gettid(), NICE))
        return;
}

/* ---- waiting ---- */

void sl_cond_init(sl_cond *c)
{
    atomic_init(&c->count, 0);
    atomic_init(&c->waiting, 0);
}

/* Sleeps unless the count has changed since it was `seen`: what is signalled after the mutex was
 * given back cannot be missed. `for_ns` 0: for ever. */
static void wait_for(sl_cond *c, pthread_mutex_t *m, uint64_t for_ns)
{
    struct timespec ts = {.tv_sec = (time_t)(for_ns / 1000000000u),
                          .tv_nsec = (long)(for_ns % 1000000000u)};
    atomic_fetch_add(&c->waiting, 1);
    uint32_t seen = atomic_load(&c->count);
    pthread_mutex_unlock(m);
    sl_thread_waits(true);
    syscall(SYS_futex, &c->count, FUTEX_WAIT_PRIVATE, seen, for_ns ? &ts : NULL, NULL, 0);
    sl_thread_waits(false);
    pthread_mutex_lock(m);
    atomic_fetch_sub(&c->waiting, 1);
}

static void wake(sl_cond *c, int threads)
{
    atomic_fetch_add(&c->count, 1);
    if (atomic_load(&c->waiting) > 0)
        syscall(SYS_futex, &c->count, FUTEX_WAKE_PRIVATE, threads, NULL, NULL, 0);
}

void sl_cond_wait(sl_cond *c, pthread_mutex_t *m)
{
    wait_for(c, m, 0);
}

void sl_cond_signal(sl_cond *c)
{
    wake(c, 1);
}

void sl_cond_broadcast(sl_cond *c)
{
    wake(c, INT_MAX);
}

bool sl_cond_wait_until(sl_cond *c, pthread_mutex_t *m, uint64_t deadline_ns)
{
    if (deadline_ns == 0) {
        wait_for(c, m, 0);
        return true;
    }
    uint64_t now = sl_now_ns(), day = UINT64_C(86400) * 1000000000u;
    if (now >= deadline_ns)
        return false;
    wait_for(c, m, SL_MIN(deadline_ns - now, day)); /* an early return is allowed */
    return sl_now_ns() < deadline_ns;
}
