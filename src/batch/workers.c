/*
 * workers.c - one list, one lock, threads that sleep until there is something in it
 *
 * A job that is submitted goes to the list's tail; a thread takes the head. Only when a thread
 * sleeps is it woken (one futex call, outside the lock), so that a busy server submits without a
 * system call. What happens to a job is decided at the last moment, when it would start: a client
 * that has left or a deadline that has passed costs the model nothing.
 *
 * Locking: `lock` guards the list, `waiting`, `sleeping`, `ending` and the counters; the counters
 * that are atomic may be read without it, as a hint.
 */
#include "batch/workers.h"

#include <pthread.h>

#include "base/clock.h"
#include "base/cpu.h"
#include "base/mem.h"
#include "base/thread.h"

struct sl_workers {
    pthread_mutex_t lock;
    sl_cond work;
    sl_job *head, *tail;
    bool ending;
    atomic_int waiting, sleeping, busy;
    atomic_size_t bytes;
    atomic_ullong refused, cancelled, expired;
    sl_workers_options opts;
    int started;
    pthread_t threads[];
};

/* Written under the lock only: a plain load and store is enough. */
#define BUMP(counter, by)                                                                \
    atomic_store_explicit(&(counter),                                                    \
                          atomic_load_explicit(&(counter), memory_order_relaxed) + (by), \
                          memory_order_relaxed)

/* With the lock. NULL when the threads are to end. */
static sl_job *take(sl_workers *w)
{
    while (w->head == NULL && !w->ending) {
        BUMP(w->sleeping, 1);
        sl_cond_wait(&w->work, &w->lock);
        BUMP(w->sleeping, -1);
    }
    sl_job *job = w->head;
    if (job == NULL)
        return NULL;
    w->head = job->next;
    if (w->head == NULL)
        w->tail = NULL;
    job->next = NULL;
    BUMP(w->waiting, -1);
    BUMP(w->bytes, -job->bytes);
    return job;
}

/* With the lock: counts what is not run. */
static sl_code judge(sl_workers *w, const sl_job *job)
{
    if (job->cancelled != NULL && atomic_load(job->cancelled)) {
        BUMP(w->cancelled, 1);
        return SL_CANCELLED;
    }
    if (job->deadline_ns && sl_now_ns() >= job->deadline_ns) {
        BUMP(w->expired, 1);
        return SL_DEADLINE_EXCEEDED;
    }
    return SL_OK;
}

static void *worker(void *arg)
{
    sl_workers *w = arg;
    sl_job *job;
    sl_thread_be_prompt();
    pthread_mutex_lock(&w->lock);
    while ((job = take(w)) != NULL) {
        sl_code verdict = judge(w, job);
        BUMP(w->busy, 1);
        pthread_mutex_unlock(&w->lock);
        job->run(job, verdict);
        pthread_mutex_lock(&w->lock);
        BUMP(w->busy, -1);
    }
    pthread_mutex_unlock(&w->lock);
    sl_thread_end_prompt();
    return NULL;
}

sl_code sl_workers_new(const sl_workers_options *opts, sl_workers **out, sl_status *st)
{
    sl_workers_options o = *opts;
    if (o.threads <= 0)
        o.threads = sl_cpu_count();
    if (o.max_queue <= 0)
        o.max_queue = 1024;
    if (o.max_bytes == 0)
        o.max_bytes = (size_t)1 << 30;
    if (o.max_wait_ns == 0)
        o.max_wait_ns = UINT64_C(10000000000);
    sl_workers *w = sl_calloc(1, sizeof *w + (size_t)o.threads * sizeof w->threads[0]);
    w->opts = o;
    pthread_mutex_init(&w->lock, NULL);
    sl_cond_init(&w->work);
    for (; w->started < o.threads; w->started++)
        if (sl_thread_start(&w->threads[w->started], "sl-worker", worker, w, st)) {
            sl_workers_free(w);
            return SL_RESOURCE_EXHAUSTED;
        }
    *out = w;
    return SL_OK;
}

/* With the lock: which bound, if any, keeps the job out. */
static sl_code admit(sl_workers *w, const sl_job *job, uint64_t now, sl_status *st)
{
    int waiting = atomic_load_explicit(&w->waiting, memory_order_relaxed);
    size_t bytes = atomic_load_explicit(&w->bytes, memory_order_relaxed), sum;
    if (waiting >= w->opts.max_queue)
        return sl_fail(st, SL_UNAVAILABLE,
                       "server is overloaded: %d requests are waiting (limit %d)", waiting,
                       w->opts.max_queue);
    /* One job alone may be larger than the bound: it would never be let in otherwise. */
    if (waiting > 0 && (!sl_add_size(bytes, job->bytes, &sum) || sum > w->opts.max_bytes))
        return sl_fail(st, SL_UNAVAILABLE,
                       "server is overloaded: %d requests of %zu bytes are waiting (limit %zu "
                       "bytes)",
                       waiting, bytes, w->opts.max_bytes);
    if (w->head != NULL && now > w->head->queued_ns &&
        now - w->head->queued_ns > w->opts.max_wait_ns)
        return sl_fail(st, SL_UNAVAILABLE,
                       "server is overloaded: %d requests are waiting, the oldest for %llu ms "
                       "(limit %llu ms)",
                       waiting, (unsigned long long)((now - w->head->queued_ns) / 1000000),
                       (unsigned long long)(w->opts.max_wait_ns / 1000000));
    return SL_OK;
}

sl_code sl_workers_submit(sl_workers *w, sl_job *job, sl_status *st)
{
    uint64_t now = sl_now_ns();
    pthread_mutex_lock(&w->lock);
    sl_code rc = admit(w, job, now, st);
    if (rc) {
        BUMP(w->refused, 1);
        pthread_mutex_unlock(&w->lock);
        return rc;
    }
    job->next = NULL;
    job->queued_ns = now;
    if (w->tail != NULL)
        w->tail->next = job;
    else
        w->head = job;
    w->tail = job;
    BUMP(w->waiting, 1);
    BUMP(w->bytes, job->bytes);
    bool wake = atomic_load_explicit(&w->sleeping, memory_order_relaxed) > 0;
    pthread_mutex_unlock(&w->lock);
    if (wake)
        sl_cond_signal(&w->work);
    return SL_OK;
}

bool sl_workers_idle(const sl_workers *w)
{
    return atomic_load_explicit(&w->sleeping, memory_order_relaxed) >
           atomic_load_explicit(&w->waiting, memory_order_relaxed);
}

void sl_workers_free(sl_workers *w)
{
    if (w == NULL)
        return;
    pthread_mutex_lock(&w->lock);
    w->ending = true;
    pthread_mutex_unlock(&w->lock);
    sl_cond_broadcast(&w->work);
    for (int i = 0; i < w->started; i++)
        pthread_join(w->threads[i], NULL);
    pthread_mutex_destroy(&w->lock);
    sl_free(w);
}

void sl_workers_get_stats(const sl_workers *w, sl_workers_stats *out)
{
    *out = (sl_workers_stats){.threads = w->opts.threads,
                              .busy = atomic_load(&w->busy),
                              .waiting = atomic_load(&w->waiting),
                              .waiting_bytes = atomic_load(&w->bytes),
                              .refused = atomic_load(&w->refused),
                              .cancelled = atomic_load(&w->cancelled),
                              .expired = atomic_load(&w->expired)};
}
