/*
 * turns.c - see turns.h
 *
 * The handler runs in any thread at any point, so all here is system calls, and one lock that nobody
 * waits for: who does not get it does without.
 */
#include "engine/tensorflow/host/turns.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/thread.h"

enum {
    MOST = 64, /* threads; more are not interrupted */
    TURN_NS =
        100000, /* twice what sleeps are late by, or one that goes on after each would never end */
    LOOK_NS = 1000000,  /* how often to look who else works */
    AT_WORK_NS = 50000, /* in that time */
    LEAST_NS = 50000,   /* of work, before it gives way again */
    IDLE_NS = 25000,    /* of a turn */
    MOST_IDLE = 20      /* turns in a row */
};

typedef struct thread_turns {
    timer_t timer;
    uint64_t look_due_ns, yielded_ns;
    _Atomic uint64_t worked_ns; /* the handler's while it is on */
    _Atomic int idle;
    pid_t tid;
    atomic_bool on;
    atomic_bool looks; /* at others, and is interrupted until it says that it waits */
} thread_turns;

static thread_turns threads[MOST];
static int n_threads;
static atomic_flag busy = ATOMIC_FLAG_INIT; /* guards both */
static atomic_bool give_way;
static int tasks = -1; /* /proc/self/task */

static uint64_t read_clock(clockid_t clock)
{
    struct timespec t;
    if (clock_gettime(clock, &t) != 0)
        return 0;
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The clock of another thread's processor time, as pthread_getcpuclockid has it, but of one that may have
 * ended (clock_getcpuclockid(3), "kernel clock ids"): then it says 0. */
static uint64_t time_of(pid_t tid)
{
    return read_clock((clockid_t)((~(unsigned)tid << 3) | 6));
}

static void interrupt(thread_turns *t, bool on)
{
    struct timespec period = {.tv_nsec = on ? TURN_NS : 0};
    t->idle = 0;
    atomic_store(&t->on, on);
    timer_settime(t->timer, 0, &(struct itimerspec){period, period}, NULL);
}

/* With the lock. NULL: it cannot be interrupted. */
static thread_turns *turns_of(pid_t tid)
{
    int i = 0;
    while (i < n_threads && threads[i].tid != tid)
        i++;
    if (i < n_threads || n_threads == MOST)
        return i < MOST ? &threads[i] : NULL;
    thread_turns *t = &threads[n_threads];
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGURG};
    event.sigev_value.sival_ptr = t;
    event._sigev_un._tid = tid; /* glibc has no other name for it */
    if (timer_create(CLOCK_MONOTONIC, &event, &t->timer) != 0)
        return NULL;
    t->tid = tid;
    t->worked_ns = time_of(tid);
    n_threads++;
    return t;
}

/* The kernel's; glibc has only readdir(3), which allocates. */
typedef struct kernel_dirent {
    uint64_t inode;
    int64_t offset;
    uint16_t size;
    uint8_t type;
    char name[];
} kernel_dirent;

static void note_threads(void)
{
    _Alignas(kernel_dirent) static char list[2048];
    lseek(tasks, 0, SEEK_SET);
    long n;
    while ((n = syscall(SYS_getdents64, tasks, list, sizeof list)) > 0)
        for (long at = 0; at < n;) {
            const kernel_dirent *d = (const kernel_dirent *)(list + at);
            int tid = atoi(d->name);
            if (tid > 0)
                turns_of(tid);
            at += d->size;
        }
}

static void look_at_others(thread_turns *one)
{
    uint64_t now = read_clock(CLOCK_MONOTONIC);
    if (now < one->look_due_ns || atomic_flag_test_and_set(&busy))
        return;
    one->look_due_ns = now + LOOK_NS;
    note_threads();
    for (int i = 0; i < n_threads; i++) {
        thread_turns *t = &threads[i];
        if (t == one || atomic_load(&t->on))
            continue;
        uint64_t worked = time_of(t->tid);
        bool works = worked > t->worked_ns + AT_WORK_NS;
        t->worked_ns = worked;
        if (works)
            interrupt(t, true);
    }
    atomic_flag_clear(&busy);
}

/* Since the last turn: `worked` is its processor time now. */
static bool is_idle(thread_turns *t, uint64_t worked)
{
    t->idle = worked - t->worked_ns < IDLE_NS ? t->idle + 1 : 0;
    t->worked_ns = worked;
    return t->idle == MOST_IDLE;
}

/* A signal that came while the thread waited for a processor must not send it away again: it would never
 * come to anything where there are always others. */
static void yield(thread_turns *t, uint64_t worked)
{
    if (worked - t->yielded_ns < LEAST_NS)
        return;
    t->yielded_ns = worked;
    sched_yield();
}

static void let_others(int signal, siginfo_t *info, void *context)
{
    int e = errno;
    thread_turns *t = info->si_value.sival_ptr;
    (void)signal, (void)context;
    if (info->si_code == SI_TIMER) {
        uint64_t worked = read_clock(CLOCK_THREAD_CPUTIME_ID);
        yield(t, worked);
        if (!give_way || (!t->looks && is_idle(t, worked)))
            interrupt(t, false);
        else if (t->looks)
            look_at_others(t);
    }
    errno = e;
}

static _Thread_local thread_turns *me;

/* This thread's; it waits for the lock only once. NULL: it has none. */
static thread_turns *mine(void)
{
    if (me == NULL) {
        while (atomic_flag_test_and_set(&busy))
            sched_yield();
        me = turns_of(gettid());
        atomic_flag_clear(&busy);
    }
    return me;
}

void tf_turns_work(void)
{
    if (!give_way || mine() == NULL)
        return;
    me->looks = true;
    interrupt(me, true);
}

void tf_turns_wait(void)
{
    if (me == NULL || !me->looks)
        return;
    me->looks = false;
    interrupt(me, false);
}

void tf_turns_join(void)
{
    if (give_way && mine() != NULL && !atomic_load(&me->on))
        interrupt(me, true);
}

int tf_turns_begin(void)
{
    struct sigaction action = {.sa_sigaction = let_others, .sa_flags = SA_RESTART | SA_SIGINFO};
    tasks = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0); /* a sleep that goes on after each signal ends, too */
    give_way = tasks >= 0 && sigaction(SIGURG, &action, NULL) == 0;
    tf_turns_work();
    return tasks;
}

void tf_turns_end(void)
{
    give_way = false;
    DIR *all = opendir("/proc/self/task");
    for (struct dirent *t; all != NULL && (t = readdir(all)) != NULL;)
        if (atoi(t->d_name) > 0) /* it may have ended meanwhile */
            sl_thread_short_turns(atoi(t->d_name), SCHED_OTHER);
    if (all != NULL)
        closedir(all);
}
