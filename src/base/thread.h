/* thread.h - starting a thread, and waiting by the clock that a test can hold */
#ifndef SL_BASE_THREAD_H
#define SL_BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "sluice/status.h"

/* Starts a thread that is called `name` (at most 15 bytes count) in ps and gdb. RESOURCE_EXHAUSTED
 * "cannot start thread ...". The caller joins it. */
sl_code sl_thread_start(pthread_t *out, const char *name, void *(*fn)(void *), void *arg,
                        sl_status *st) SL_MUST_CHECK;

/* Gives the calling thread less of the processor, and of the disk, than those that answer requests. What it starts
 * (threads, processes) inherits that, and an unprivileged process cannot take it back. */
void sl_thread_be_nice(void);

/* The calling thread answers requests, from here until it says that it ends: while such threads are
 * at work, those that are nice rest. */
void sl_thread_be_prompt(void);
void sl_thread_end_prompt(void);

/* A thread that has been nice and works through much memory calls this every megabyte or so. It
 * rests in proportion to how busy those are that answer requests, fifteen times as long as it works
 * at most: what it reads pushes what requests need out of the caches that all processors share, and
 * no priority helps against that. Where nobody asks it does not rest. Nothing for other threads. */
void sl_thread_rest(void);
/* The rule (for its test): how long who worked so long rests, if in the time that passed those who
 * answer requests were at work so long, on all processors together. */
uint64_t sl_thread_rest_for(uint64_t worked_ns, uint64_t answered_ns, uint64_t passed_ns);

/* A condition variable on the monotonic clock. */
void sl_cond_init(pthread_cond_t *c);
/* Waits for a signal, or until sl_now_ns() has reached `deadline_ns` (0: for ever). False when the
 * time has come. Like any wait on a condition it may return true for no reason. While the clock is
 * a fake one, the test that moves it on also broadcasts. */
bool sl_cond_wait_until(pthread_cond_t *c, pthread_mutex_t *m, uint64_t deadline_ns);

#endif
