/*
 * loop.h - one thread, one epoll: what is ready is told, what is due is called
 *
 *     sl_loop *l;  sl_loop_new(&l, st);  sl_loop_start(l, "loop/0", st);   its own thread, or
 *                                        sl_loop_run(l);                   this thread
 *     sl_loop_post(l, fn, arg);          any thread: fn(arg) runs on the loop
 *     sl_loop_stop(l);  sl_loop_free(l);
 *
 * Everything else is for the loop's own thread. Timers are coarse (a hashed wheel, 10 ms): they are
 * for time-outs, of which nearly all are cancelled.
 */
#ifndef SL_NET_LOOP_H
#define SL_NET_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "sluice/status.h"

typedef struct sl_loop sl_loop;

sl_code sl_loop_new(sl_loop **out, sl_status *st);
/* Runs the loop on a thread of its own. `name` is shown by top -H. */
sl_code sl_loop_start(sl_loop *l, const char *name, sl_status *st);
/* Runs it here, until sl_loop_stop. */
void sl_loop_run(sl_loop *l);
/* For tests, instead of run: one round on this thread. Waits for an event only if `wait`. */
void sl_loop_turn(sl_loop *l, bool wait);
/* Its number, from 1; the loop's thread. */
uint64_t sl_loop_turn_number(const sl_loop *l);
/* Any thread. Ends the loop after what is posted so far has run; joins the thread, if it has one
 * (and is not the caller). */
void sl_loop_stop(sl_loop *l);
/* The loop has ended, or never ran. Watches and timers that are left are forgotten. Accepts NULL.
 */
void sl_loop_free(sl_loop *l);
bool sl_loop_is_mine(const sl_loop *l); /* called on the loop's thread? */

/* Posts fn(arg) to the loop. Any thread; the caller owns `p`, which stays in use until fn is
 * called: embed it in what is posted, so that posting cannot fail. Order of posting is kept. */
typedef struct sl_post {
    struct sl_post *next;
    void (*fn)(void *arg);
    void *arg;
} sl_post;
void sl_loop_post(sl_loop *l, sl_post *p, void (*fn)(void *), void *arg);

/* A file descriptor that is watched, level-triggered. */
typedef struct sl_watch {
    int fd;
    uint32_t events; /* EPOLLIN | EPOLLOUT ...: what was last asked for */
    void (*ready)(struct sl_watch *w, uint32_t events);
    sl_loop *loop;
} sl_watch;
/* RESOURCE_EXHAUSTED, ... The caller set fd and ready. */
sl_code sl_watch_start(sl_loop *l, sl_watch *w, uint32_t events, sl_status *st);
void sl_watch_change(sl_watch *w, uint32_t events); /* no system call if it is the same */
/* After this ready() is not called any more, also not for events already fetched. Does not close.
 * Nothing happens if it is not watched. */
void sl_watch_stop(sl_watch *w);

/* A timer, one shot. All zeros is a timer that does not run. */
typedef struct sl_timer {
    struct sl_timer *next, **prev;
    uint64_t due_ns;
    void (*fire)(struct sl_timer *t);
} sl_timer;
void sl_timer_start(sl_loop *l, sl_timer *t, uint64_t due_ns); /* moves it if it runs */
void sl_timer_stop(sl_timer *t);                               /* nothing if it does not run */
static inline bool sl_timer_runs(const sl_timer *t)
{
    return t->prev != NULL;
}

/* The time when this round of the loop began: no system call. */
uint64_t sl_loop_now(const sl_loop *l);
/* Tells that so many nanoseconds went into work that another thread could have done; from another
 * thread than the loop's it says nothing. */
void sl_loop_spend(sl_loop *l, uint64_t ns);
/* What was told in the current round: whether the loop should hand work to somebody else. */
uint64_t sl_loop_spent_ns(const sl_loop *l);

#endif
