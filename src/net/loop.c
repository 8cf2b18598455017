/*
 * loop.c - epoll, posts, timers
 *
 * A round: wait; read the clock; call what is ready; call what is due; call what was posted.
 *
 * Posts are a stack that any thread pushes on and the loop takes whole and turns round. A poster
 * rings the eventfd only if the loop sleeps or is about to: the loop announces that, and then looks
 * at the stack once more before it waits. The eventfd is watched edge-triggered, so it is never
 * read.
 */
#include "net/loop.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/thread.h"
#include "net/wheel.h"

enum { MAX_EVENTS = 256 };

struct sl_loop {
    int epoll_fd, event_fd;
    uint64_t now_ns, spent_ns, turn;
    sl_wheel wheel;
    struct epoll_event events[MAX_EVENTS];
    int at, n_events; /* which event of this round is being told */
    bool ended;
    bool threaded;
    pthread_t thread;
    char name[16];
    sl_post stop;

    /* What other threads touch, away from what the loop writes all the time. */
    char gap[64];
    _Atomic(sl_post *) posted;
    atomic_bool sleeps;
    atomic_bool stopping;
    _Atomic uintptr_t owner; /* the thread it runs on; 0: none */
};

static _Thread_local char thread_mark; /* its address names the thread */

static uintptr_t this_thread(void)
{
    return (uintptr_t)&thread_mark;
}

sl_code sl_loop_new(sl_loop **out, sl_status *st)
{
    sl_loop *l = sl_try_calloc(1, sizeof *l);
    if (l == NULL)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "no memory for an event loop");
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    l->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.ptr = NULL};
    if (l->epoll_fd < 0 || l->event_fd < 0 ||
        epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, l->event_fd, &e) != 0) {
        sl_fail(st, SL_RESOURCE_EXHAUSTED, "cannot make an event loop: %s", strerror(errno));
        sl_loop_free(l);
        return SL_RESOURCE_EXHAUSTED;
    }
    l->now_ns = sl_now_ns();
    sl_wheel_init(&l->wheel, l->now_ns);
    *out = l;
    return SL_OK;
}

void sl_loop_free(sl_loop *l)
{
    if (l == NULL)
        return;
    if (l->threaded)
        pthread_join(l->thread, NULL);
    if (l->epoll_fd >= 0)
        close(l->epoll_fd);
    if (l->event_fd >= 0)
        close(l->event_fd);
    sl_free(l);
}

/* ---- posts ---- */

static void ring(sl_loop *l)
{
    uint64_t one = 1;
    /* It does not block, so nothing interrupts it; and a count that is full has been heard. */
    ssize_t n = write(l->event_fd, &one, sizeof one);
    (void)n;
}

void sl_loop_post(sl_loop *l, sl_post *p, void (*fn)(void *), void *arg)
{
    p->fn = fn;
    p->arg = arg;
    p->next = atomic_load_explicit(&l->posted, memory_order_relaxed);
    while (!atomic_compare_exchange_weak(&l->posted, &p->next, p))
        ;
    if (atomic_load(&l->sleeps)) {
        atomic_store(&l->sleeps, false); /* two at once ring twice, which is one wake-up */
        ring(l);
    }
}

static void run_posted(sl_loop *l)
{
    if (atomic_load_explicit(&l->posted, memory_order_relaxed) == NULL)
        return;
    sl_post *newest = atomic_exchange(&l->posted, NULL), *p = NULL;
    while (newest != NULL) {
        sl_post *older = newest->next;
        newest->next = p;
        p = newest;
        newest = older;
    }
    while (p != NULL) {
        sl_post *next = p->next; /* fn may post p again, or free it */
        p->fn(p->arg);
        p = next;
    }
}

/* ---- rounds ---- */

static int timeout_ms(const sl_loop *l)
{
    uint64_t due = sl_wheel_next(&l->wheel), now = sl_now_ns();
    if (due == UINT64_MAX)
        return -1;
    if (due <= now)
        return 0;
    return (int)((due - now + 999999) / 1000000); /* ten seconds: a turn of the wheel */
}

static int wait_for_events(sl_loop *l, bool wait)
{
    int timeout = wait ? timeout_ms(l) : 0;
    if (timeout != 0) {
        atomic_store(&l->sleeps, true);
        if (atomic_load(&l->posted) != NULL)
            timeout = 0;
    }
    sl_thread_waits(timeout != 0);
    int n = epoll_wait(l->epoll_fd, l->events, MAX_EVENTS, timeout);
    sl_thread_waits(false);
    atomic_store_explicit(&l->sleeps, false, memory_order_relaxed);
    return n < 0 ? 0 : n; /* EINTR: a round without events */
}

void sl_loop_turn(sl_loop *l, bool wait)
{
    atomic_store_explicit(&l->owner, this_thread(), memory_order_relaxed);
    l->n_events = wait_for_events(l, wait);
    l->now_ns = sl_now_ns();
    l->spent_ns = 0;
    l->turn++;
    for (l->at = 0; l->at < l->n_events; l->at++) {
        sl_watch *w = l->events[l->at].data.ptr;
        if (w != NULL)
            w->ready(w, l->events[l->at].events);
    }
    l->n_events = 0;
    sl_wheel_advance(&l->wheel, l->now_ns);
    run_posted(l);
}

uint64_t sl_loop_turn_number(const sl_loop *l)
{
    return l->turn;
}

void sl_loop_run(sl_loop *l)
{
    sl_thread_be_prompt();
    while (!l->ended)
        sl_loop_turn(l, true);
    sl_thread_end_prompt();
    atomic_store(&l->owner, 0);
}

static void *thread_main(void *arg)
{
    sl_loop *l = arg;
    pthread_setname_np(pthread_self(), l->name);
    sl_loop_run(l);
    return NULL;
}

sl_code sl_loop_start(sl_loop *l, const char *name, sl_status *st)
{
    sigset_t all, before;
    snprintf(l->name, sizeof l->name, "%s", name);
    /* Signals are for the main thread. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int e =
        sl_fault_hit(SL_FAULT_THREAD) ? EAGAIN : pthread_create(&l->thread, NULL, thread_main, l);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (e != 0)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "cannot start thread \"%s\": %s", name,
                       strerror(e));
    l->threaded = true;
    return SL_OK;
}

static void end(void *arg)
{
    sl_loop *l = arg;
    l->ended = true;
}

void sl_loop_stop(sl_loop *l)
{
    if (!atomic_exchange(&l->stopping, true))
        sl_loop_post(l, &l->stop, end, l);
    if (l->threaded && !sl_loop_is_mine(l)) {
        pthread_join(l->thread, NULL);
        l->threaded = false;
    }
}

bool sl_loop_is_mine(const sl_loop *l)
{
    return atomic_load_explicit(&l->owner, memory_order_relaxed) == this_thread();
}

uint64_t sl_loop_now(const sl_loop *l)
{
    return l->now_ns;
}

void sl_loop_spend(sl_loop *l, uint64_t ns)
{
    if (sl_loop_is_mine(l))
        l->spent_ns += ns;
}

uint64_t sl_loop_spent_ns(const sl_loop *l)
{
    return l->spent_ns;
}

/* ---- watches, timers ---- */

sl_code sl_watch_start(sl_loop *l, sl_watch *w, uint32_t events, sl_status *st)
{
    struct epoll_event e = {.events = events, .data.ptr = w};
    if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, w->fd, &e) != 0)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "cannot watch a file descriptor: %s",
                       strerror(errno));
    w->events = events;
    w->loop = l;
    return SL_OK;
}

void sl_watch_change(sl_watch *w, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = w};
    if (w->loop == NULL || w->events == events)
        return;
    /* Cannot fail: the descriptor is watched, and MOD allocates nothing. */
    int rc = epoll_ctl(w->loop->epoll_fd, EPOLL_CTL_MOD, w->fd, &e);
    assert(rc == 0);
    (void)rc;
    w->events = events;
}

void sl_watch_stop(sl_watch *w)
{
    sl_loop *l = w->loop;
    if (l == NULL)
        return;
    epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
    for (int i = l->at; i < l->n_events; i++)
        if (l->events[i].data.ptr == w)
            l->events[i].data.ptr = NULL;
    w->loop = NULL;
    w->events = 0;
}

void sl_timer_start(sl_loop *l, sl_timer *t, uint64_t due_ns)
{
    sl_wheel_add(&l->wheel, t, due_ns);
}
