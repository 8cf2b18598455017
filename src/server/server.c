/*
 * server.c - start, run, drain
 *
 * Threads: the main thread waits for signals; each loop has one; workers, the manager's load,
 * unload and poll threads, and the log's writer are made by their parts; one more waits for the
 * first configuration to be loaded, so that a signal is heard meanwhile.
 *
 * Order of the end: stop listening and let requests finish; stop the loops; the workers are idle
 * then; unload everything; stop the engines; write out the log.
 */
#include "server/server.h"

#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>

#include "base/clock.h"
#include "base/counts.h"
#include "base/mem.h"
#include "base/thread.h"
#include "server/heap.h"
#include "server/notify.h"
#include "server/parts.h"

/* ---- the first configuration ---- */

static void *wait_for_models(void *arg)
{
    sl_server *s = arg;
    s->start_code = sl_manager_wait(s->manager, UINT64_MAX, &s->start_status);
    if (s->start_code)
        sl_log(SL_ERROR, "%s", s->start_status.msg);
    if (s->start_code && s->flags->strict_startup) {
        kill(getpid(), SIGTERM);
        return NULL;
    }
    if (sl_flags_listen_late(s->flags)) {
        sl_status st;
        atomic_store(&s->rest.started, true); /* the first who connects is answered */
        if (sl_ports_open(s, &st) || sl_sandbox_finish(&s->sandbox, &st)) {
            sl_log(SL_ERROR, "%s", st.msg);
            atomic_store(&s->listening_failed, true);
            kill(getpid(), SIGTERM);
            return NULL;
        }
    }
    atomic_store(&s->rest.started, true);
    sl_ports_say_ready(s);
    sl_notify("READY=1\nSTATUS=Serving");
    return NULL;
}

/* ---- the end ---- */

static void drained(void *arg)
{
    sem_post(arg);
}

/* Others find out that this server is about to end, or a second signal comes. */
static void leave(sl_server *s, const sigset_t *signals)
{
    int ms = s->flags->drain_grace_ms;
    if (s->flags->reuse_port && !sl_flags_given(s->flags, "drain_grace_ms"))
        ms = 1000; /* handshakes that have begun here end here */
    if (ms == 0)
        return;
    const struct timespec grace = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    for (int i = 0; i < s->n_http; i++)
        sl_http_leave(s->http[i]);
    while (sigtimedwait(signals, NULL, &grace) < 0 && errno == EINTR)
        ;
}

/* Waits for the semaphore, a second signal, or the deadline. */
static void drain(sl_server *s, const sigset_t *signals)
{
    sem_t done;
    sem_init(&done, 0, 0);
    atomic_store(&s->rest.draining, true);
    leave(s, signals);
    for (int i = 0; i < s->n_http; i++)
        sl_http_drain(s->http[i], drained, &done);
    uint64_t end = sl_now_ns() + (uint64_t)s->flags->drain_timeout_s * 1000000000u;
    for (int left = s->n_http; left > 0;) {
        /* Signals are looked at between short waits: sem_timedwait is not interrupted by blocked
         * ones. */
        struct timespec soon, none = {0};
        clock_gettime(CLOCK_REALTIME, &soon);
        soon.tv_nsec += 20000000;
        if (soon.tv_nsec >= 1000000000) {
            soon.tv_nsec -= 1000000000;
            soon.tv_sec++;
        }
        if (sem_timedwait(&done, &soon) == 0)
            left--;
        else if (sigtimedwait(signals, NULL, &none) > 0 || sl_now_ns() > end) {
            sl_log(SL_WARNING, "not drained: what is left is cut off");
            break;
        }
    }
}

/* ---- when the end does not come ---- */

typedef struct ender {
    pthread_t thread;
    bool started;
    int status;
    atomic_bool over; /* whoever sets it ends the process */
} ender;

/* What is given back goes to the system anyway: who waits for the process shall not wait for a load
 * that hangs, for a run that nobody awaits any more, or for a storage that does not answer. */
static void end_now(int status)
{
    sl_log_stop();
    sl_counts_write();
    _exit(status);
}

static void *end_anyway(void *arg)
{
    ender *e = arg;
    const struct timespec enough = {.tv_sec = 2};
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    while (sigtimedwait(&signals, NULL, &enough) < 0 && errno == EINTR)
        ;
    if (atomic_exchange(&e->over, true))
        return NULL;
    sl_log(SL_WARNING, "ended without waiting for what still loads, unloads or runs");
    end_now(e->status);
    return NULL;
}

static void begin_the_end(ender *e, int status)
{
    sl_status st;
    e->status = status;
    e->started = sl_thread_start(&e->thread, "ender", end_anyway, e, &st) == SL_OK;
}

static void ended_in_time(ender *e)
{
    if (!e->started)
        return;
    while (atomic_exchange(&e->over, true))
        pause();                     /* it has begun to end the process */
    pthread_kill(e->thread, SIGINT); /* it waits for it */
    pthread_join(e->thread, NULL);
}

/* ---- the program ---- */

static void raise_descriptor_limit(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
        r.rlim_cur = r.rlim_max;
        setrlimit(RLIMIT_NOFILE, &r);
    }
}

/* Main thread: looks at the certificates and at the heap now and then; returns the signal that ends
 * the server. */
static int wait_for_the_end(sl_server *s, const sigset_t *signals)
{
    bool watch = sl_certificates_are_there(&s->certificates);
    uint64_t period = watch ? SL_CERTIFICATES_POLL_NS : SL_HEAP_TEND_NS, tend_ns = 0;
    const struct timespec pause = {.tv_sec = (time_t)(period / 1000000000u)};
    sl_heap heap = {0};
    for (;;) {
        int sig = sigtimedwait(signals, NULL, &pause);
        bool nothing = sig < 0 && errno == EAGAIN;
        uint64_t now = sl_now_ns();
        if (now >= tend_ns) {
            tend_ns = now + SL_HEAP_TEND_NS;
            sl_heap_tend(&heap);
        }
        if (sig > 0 && sig != SIGHUP)
            return sig;
        if (sig == SIGHUP) {
            sl_reload_poke(s->reload);
            sl_auth_poke(s->auth);
        }
        if (sig == SIGHUP || nothing)
            sl_certificates_poll(&s->certificates, sig == SIGHUP);
    }
}

static int run(sl_server *s, const sigset_t *signals)
{
    int sig;
    sl_status st;
    if (sl_thread_start(&s->starter, "starter", wait_for_models, s, &st) != SL_OK) {
        sl_log(SL_ERROR, "%s", st.msg);
        return 1;
    }
    sig = wait_for_the_end(s, signals);
    sl_log(SL_INFO, "signal %d: draining", sig);
    sl_notify("STOPPING=1\nSTATUS=Draining");
    if (!atomic_load(&s->rest.started) && !atomic_load(&s->listening_failed) &&
        !(s->flags->strict_startup && s->start_code))
        end_now(0); /* there is no request to finish, and a load cannot be hurried */
    pthread_join(s->starter, NULL);
    atomic_store(&s->admin.open, false);
    sl_reload_stop(s->reload);
    drain(s, signals);
    if (s->start_code && s->flags->strict_startup)
        return sl_flags_refuse(s->flags, &s->start_status);
    if (atomic_load(&s->listening_failed))
        return 1;
    if (sl_manager_is_loading(s->manager) || sl_manager_hangs(s->manager))
        end_now(0);
    return 0;
}

int sl_serve(sl_flags *flags)
{
    static sl_server s;
    sl_status st = {0};
    sigset_t signals;
    sl_log_options log = {
        .level = (sl_log_level)flags->log_level, .json = flags->log_json, .fd = 2};
    s.flags = flags;
    sl_heap_begin();
    sl_flags_choose_port(flags);
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* threads inherit it: only the main thread hears */
    signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    sl_log_prepare(&log);
    sl_notify_open();
    sl_notify("STATUS=Loading models");
    sl_code rc = sl_parts_make_alone(&s, &st);
    if (rc == SL_OK)
        rc = sl_log_start(&log, &st);
    if (rc == SL_OK)
        rc = sl_parts_make(&s, &st);
    int status = rc ? sl_flags_refuse(flags, &st) : run(&s, &signals);
    ender e = {0};
    begin_the_end(&e, status);
    sl_parts_unmake(&s);
    sl_notify_close();
    ended_in_time(&e);
    sl_log_stop();
    return status;
}
