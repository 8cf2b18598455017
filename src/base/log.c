/*
 * log.c - lines go through a ring to a thread that writes them
 *
 * The ring is a bounded queue for many producers and one consumer: slot i of round r may be filled
 * when its `turn` is r * SLOTS + i, and holds a record when `turn` is one more. A record that needs
 * several slots takes them in a row with one compare-and-swap: the consumer frees slots in order,
 * so if the last of them is free, all are. The first slot is published last; so whoever sees it
 * sees the whole record. No producer ever waits: a full ring counts the line as dropped.
 *
 *     caller:  text -> slots -> semaphore          writer:  slots -> form (text, json) -> write(2)
 *
 * Repeats are told apart by the writer alone: a record equal to the one before it (but for the
 * time) is counted, and the count is written before the next other line, or when REPEAT_NS have
 * passed.
 *
 * Before sl_log_start and after sl_log_stop the caller formats and writes by itself. `inside`
 * counts the callers between looking at `running` and having published: stop waits for them, so
 * that no line stays behind in the ring.
 */
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log_form.h"
#include "base/mem.h"

enum {
    SLOTS = 1024, /* a power of two */
    SLOT_BYTES = 248
};
#define REPEAT_NS 1000000000u

typedef struct slot {
    _Atomic size_t turn;
    char bytes[SLOT_BYTES];
} slot;

static _Atomic int level = SL_INFO;
static sl_log_options options = {.fd = 2}; /* json, fd: written while no writer runs */
static atomic_bool running;
static atomic_int inside;

static slot ring[SLOTS];
static _Atomic size_t head; /* next slot to be taken by a producer */
static size_t tail;         /* next slot to be read; the writer's */
static atomic_uint dropped; /* lines that found the ring full */
static atomic_bool woken;   /* the semaphore has been posted since the writer last looked */
static sem_t wake, flushed;
static _Atomic unsigned flush_asked;
static atomic_bool ending;
static pthread_t writer_thread;

/* The writer's. */
static sl_log_record last; /* the line that was written last; text_n == 0: none to repeat */
static unsigned repeats;   /* of it, not yet reported */
static uint64_t repeats_due_ns;

/* ---- writing ---- */

static void write_out(const char *p, size_t n)
{
    while (n > 0) {
        ssize_t done = sl_fault_hit(SL_FAULT_WRITE) ? (errno = EIO, -1) : write(options.fd, p, n);
        if (done > 0) {
            p += done;
            n -= (size_t)done;
        } else if (done < 0 && errno == EAGAIN) {
            struct pollfd ready = {.fd = options.fd, .events = POLLOUT};
            poll(&ready, 1, -1); /* a pipe that somebody made non-blocking */
        } else if (done == 0 || errno != EINTR) {
            return; /* nobody is left to be told */
        }
    }
}

static void write_record(const sl_log_record *r)
{
    char line[SL_LOG_LINE_MAX];
    size_t n = sl_log_form(r, options.json, line);
    write_out(line, n);
}

SL_PRINTF(3, 4)
static void write_note(sl_log_record like, sl_log_level at, const char *fmt, ...)
{
    va_list ap;
    like.level = at;
    like.wall_us = sl_wall_us();
    va_start(ap, fmt);
    int n = vsnprintf(like.text, sizeof like.text, fmt, ap);
    va_end(ap);
    like.text_n = n > 0 ? (size_t)n : 0;
    write_record(&like);
}

static void report_repeats(void)
{
    if (repeats)
        write_note(last, last.level, "last line repeated %u time%s", repeats,
                   repeats == 1 ? "" : "s");
    repeats = 0;
}

static void report_dropped(void)
{
    unsigned n = atomic_exchange(&dropped, 0);
    if (n == 0)
        return;
    report_repeats();
    last.text_n = 0;
    write_note((sl_log_record){.file = __FILE__, .line = __LINE__}, SL_WARNING,
               "%u line%s of the log dropped: they came faster than they could be written", n,
               n == 1 ? "" : "s");
}

static bool same(const sl_log_record *a, const sl_log_record *b)
{
    return a->text_n == b->text_n && a->line == b->line && a->level == b->level &&
           strcmp(a->file, b->file) == 0 &&
           memcmp(a->text, b->text, SL_MIN(a->text_n, sizeof a->text)) == 0;
}

static void take_record(const sl_log_record *r)
{
    if (r->raw) {
        report_repeats();
        last.text_n = 0;
        write_out(r->text, r->text_n);
        return;
    }
    if (last.text_n && same(r, &last)) {
        if (repeats++ == 0)
            repeats_due_ns = sl_now_ns() + REPEAT_NS;
        return;
    }
    report_repeats();
    write_record(r);
    last = *r;
}

/* ---- the ring ---- */

/* What of a record travels: all of it, but of its text only what is there. */
static size_t record_bytes(const sl_log_record *r)
{
    return offsetof(sl_log_record, text) + SL_MIN(r->text_n, sizeof r->text);
}

static size_t slots_for(size_t bytes)
{
    return (bytes + SLOT_BYTES - 1) / SLOT_BYTES;
}

/* Takes `n` slots in a row; false if they are not free. */
static bool claim(size_t n, size_t *at)
{
    size_t pos = atomic_load_explicit(&head, memory_order_relaxed);
    for (;;) {
        size_t end = pos + n - 1;
        size_t turn = atomic_load_explicit(&ring[end % SLOTS].turn, memory_order_acquire);
        if (turn == end) {
            if (atomic_compare_exchange_weak_explicit(&head, &pos, pos + n, memory_order_relaxed,
                                                      memory_order_relaxed))
                break;
        } else if ((ptrdiff_t)(turn - end) < 0) {
            return false; /* still holds the record of the round before */
        } else {
            pos = atomic_load_explicit(&head, memory_order_relaxed);
        }
    }
    *at = pos;
    return true;
}

static void wake_writer(void)
{
    if (!atomic_exchange(&woken, true))
        sem_post(&wake);
}

static void put(const sl_log_record *r)
{
    size_t bytes = record_bytes(r), n = slots_for(bytes), at;
    const char *from = (const char *)r;
    if (!claim(n, &at)) {
        atomic_fetch_add(&dropped, 1);
        wake_writer();
        return;
    }
    for (size_t i = 0; i < n; i++) {
        size_t part = SL_MIN(bytes - i * SLOT_BYTES, (size_t)SLOT_BYTES);
        memcpy(ring[(at + i) % SLOTS].bytes, from + i * SLOT_BYTES, part);
    }
    atomic_store_explicit(&ring[at % SLOTS].turn, at + 1, memory_order_release);
    wake_writer();
}

/* Takes the oldest record out of the ring; false if there is none. */
static bool get(sl_log_record *r)
{
    slot *first = &ring[tail % SLOTS];
    if (atomic_load_explicit(&first->turn, memory_order_acquire) != tail + 1)
        return false;
    size_t got = SLOT_BYTES, n = 1;
    memcpy(r, first->bytes, SLOT_BYTES);
    for (n = slots_for(record_bytes(r)); got < record_bytes(r); got += SLOT_BYTES) {
        size_t part = SL_MIN(record_bytes(r) - got, (size_t)SLOT_BYTES);
        memcpy((char *)r + got, ring[(tail + got / SLOT_BYTES) % SLOTS].bytes, part);
    }
    for (size_t i = 0; i < n; i++, tail++)
        atomic_store_explicit(&ring[tail % SLOTS].turn, tail + SLOTS, memory_order_release);
    return true;
}

/* ---- the writer ---- */

static void drain(void)
{
    static sl_log_record r; /* the writer's; after its end that of whoever stops the log */
    while (get(&r))
        take_record(&r);
    report_dropped();
    if (repeats && sl_now_ns() >= repeats_due_ns)
        report_repeats();
}

/* Until something comes, or until a count of repeats is due. */
static void wait_for_lines(void)
{
    if (!repeats) {
        sem_wait(&wake);
        return;
    }
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 1;
    sem_timedwait(&wake, &until);
}

static void *writer(void *arg)
{
    (void)arg;
    unsigned answered = 0;
    while (!atomic_load(&ending)) {
        wait_for_lines();
        atomic_store(&woken, false);
        unsigned asked = atomic_load(&flush_asked);
        drain();
        for (; answered != asked; answered++)
            sem_post(&flushed);
    }
    return NULL;
}

static sl_code start_writer(sl_status *st)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before); /* signals are for others, SIGPIPE for nobody */
    int e =
        sl_fault_hit(SL_FAULT_THREAD) ? EAGAIN : pthread_create(&writer_thread, NULL, writer, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (e == 0)
        return SL_OK;
    return sl_fail(st, SL_RESOURCE_EXHAUSTED, "cannot start the log's thread: %s", strerror(e));
}

void sl_log_prepare(const sl_log_options *opts)
{
    options = *opts;
    atomic_store(&level, (int)opts->level);
}

sl_code sl_log_start(const sl_log_options *opts, sl_status *st)
{
    sl_log_prepare(opts);
    size_t first = atomic_load(&head);
    tail = first;
    for (size_t i = 0; i < SLOTS; i++)
        atomic_store(&ring[(first + i) % SLOTS].turn, first + i);
    last.text_n = 0;
    atomic_store(&ending, false);
    atomic_store(&woken, false);
    atomic_store(&flush_asked, 0u);
    sem_init(&wake, 0, 0);
    sem_init(&flushed, 0, 0);
    sl_code rc = start_writer(st);
    if (rc == SL_OK)
        atomic_store(&running, true);
    return rc;
}

void sl_log_stop(void)
{
    if (!atomic_exchange(&running, false))
        return;
    while (atomic_load(&inside) > 0)
        sched_yield(); /* they only copy a line */
    atomic_store(&ending, true);
    sem_post(&wake);
    pthread_join(writer_thread, NULL);
    drain();
    report_repeats();
    sem_destroy(&wake);
    sem_destroy(&flushed);
}

/* ---- callers ---- */

/* True: the caller may use the ring, until leave(). */
static bool enter(void)
{
    atomic_fetch_add(&inside, 1);
    if (atomic_load(&running))
        return true;
    atomic_fetch_sub(&inside, 1);
    return false;
}

static void leave(void)
{
    atomic_fetch_sub(&inside, 1);
}

void sl_log_flush(void)
{
    if (!enter())
        return;
    atomic_fetch_add(&flush_asked, 1);
    wake_writer();
    while (sem_wait(&flushed) != 0 && errno == EINTR)
        ;
    leave();
}

bool sl_log_wants(sl_log_level at)
{
    return (int)at >= atomic_load_explicit(&level, memory_order_relaxed);
}

void sl_log_set_level(sl_log_level at)
{
    atomic_store(&level, (int)at);
}

static void submit(const sl_log_record *r)
{
    if (enter()) {
        put(r);
        leave();
    } else if (r->raw) {
        write_out(r->text, r->text_n);
    } else {
        write_record(r);
    }
}

void sl_log_raw(const char *line, size_t n)
{
    sl_log_record r;
    r.raw = true;
    r.file = "";
    r.line = 0;
    r.level = SL_INFO;
    r.wall_us = 0;
    r.text_n = SL_MIN(n, sizeof r.text);
    memcpy(r.text, line, r.text_n);
    if (r.text_n < n) /* cut, but still a line */
        r.text[r.text_n - 1] = '\n';
    submit(&r);
}

void sl_log_at(sl_log_level at, const char *file, int line, const char *fmt, ...)
{
    sl_log_record r;
    va_list ap;
    if (!sl_log_wants(at))
        return;
    r.raw = false;
    r.file = file;
    r.line = line;
    r.level = at;
    r.wall_us = sl_wall_us();
    va_start(ap, fmt);
    int n = vsnprintf(r.text, sizeof r.text, fmt, ap);
    va_end(ap);
    r.text_n = n > 0 ? (size_t)n : 0;
    submit(&r);
}
