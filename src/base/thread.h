/* thread.h - starting a thread, and waiting by the clock that a test can hold */
#ifndef SL_BASE_THREAD_H
#define SL_BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "sluice/status.h"

/* Starts a thread that is called `name` (at most 15 bytes count) in ps and gdb. RESOURCE_EXHAUSTED
 * "cannot start thread ...". The caller joins it. */
sl_code sl_thread_start(pthread_t *out, const char *name, void *(*fn)(void *), void *arg,
                        sl_status *st) SL_MUST_CHECK;

/* Gives the calling thread less of the processor, and of the disk, than those that answer requests.
 * What it starts (threads, processes) inherits that, and an unprivileged process cannot take it
 * back. */
void sl_thread_be_nice(void);

/* This thread (0: the calling one) has the shortest turns there are, as nice as it is: it gives the
 * processor up sooner, and gets it sooner when it wakes up. A kernel that knows nothing of turns
 * (before 6.12), or refuses, does not matter: only `policy` (sched_setattr(2)) counts then. */
void sl_thread_short_turns(pid_t tid, int policy);

/* The calling thread answers requests, from here until it says that it ends: while such threads are
 * at work, those that are nice rest. It asks for short turns (sched_setattr(2), sched_runtime; Linux
 * 6.12), so that it gets the processor when it wakes up, also from a thread that has just begun a turn
 * of the usual 3 ms. */
void sl_thread_be_prompt(void);
void sl_thread_end_prompt(void);

/* Has the calling thread been nice? */
bool sl_thread_is_nice(void);

/* A thread that has been nice calls this often, 30 us apart or so: no priority keeps
 * others from waiting for it, where the kernel looks only with the next tick. It
 * rests in proportion to how busy those are that answer requests, fifteen times as long as it works
 * at most: what it reads pushes what requests need out of the caches that all processors share, and
 * no priority helps against that. Where nobody asks it does not rest. Nothing for other threads. */
void sl_thread_rest(void);

/* What sl_thread_rest goes by, and who waits until next to nothing is asked. All zeros to begin with. */
typedef struct sl_busy {
    uint64_t wall_ns, answered_ns;
} sl_busy;
/* How much of all processors went into answering since the last call: 0 to 100; the first says
 * 0. */
unsigned sl_busy_percent(sl_busy *b);
/* The rule of sl_thread_rest, for its test: how long to rest after so much work, of which no more
 * than 2 ms count. */
uint64_t sl_rest_ns(uint64_t worked_ns, unsigned busy_percent);

/* Does the calling thread answer requests? */
bool sl_thread_is_prompt(void);

/* A prompt thread is about to wait for something else than an sl_cond, or does so no more. Costs
 * next to nothing. */
void sl_thread_waits(bool waits);

/* A thread that computes calls this often, 50 us apart or so: others that answer requests, and wait for
 * this processor, come first. Linux decides when one wakes up, and looks again only with the next
 * tick, up to 4 ms later; where it preempts lazily (6.13 and later) also when a thread enters the
 * kernel, so this does, for a tenth of a microsecond. If more prompt threads are awake than there are
 * processors, it yields: who was sent away in the middle of something is not one that was woken. */
void sl_thread_step_aside(void);

/*
 * A condition variable, on the monotonic clock; all zeros is a good one, and nothing is to be
 * freed.
 *
 * Used as one of POSIX: wait() gives the mutex back meanwhile, and may return for no reason. It is
 * our own because glibc's loses wake-ups when several threads wait (glibc bug 25847, there until
 * 2.41): a request would lie in a queue until the next one comes. A count and a futex, as in
 * Android's libc.
 */
typedef struct sl_cond {
    _Atomic uint32_t count; /* of signals and broadcasts */
    _Atomic uint32_t waiting;
} sl_cond;
void sl_cond_init(sl_cond *c);
void sl_cond_wait(sl_cond *c, pthread_mutex_t *m);
void sl_cond_signal(sl_cond *c); /* with the mutex or without, after the change under it */
void sl_cond_broadcast(sl_cond *c);
/* Waits for a signal, or until sl_now_ns() has reached `deadline_ns` (0: for ever). False when the
 * time has come. While the clock is a fake one, the test that moves it on also broadcasts. */
bool sl_cond_wait_until(sl_cond *c, pthread_mutex_t *m, uint64_t deadline_ns);

#endif
