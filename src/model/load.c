/*
 * load.c - the threads that load, and those that unload
 *
 * One queue holds the versions that are to be loaded, those that wait for their next attempt
 * included: an attempt that failed occupies no thread while it waits. A fixed few threads take from
 * it; while the first configuration is being loaded and nobody is served yet, further threads come
 * as they are needed and go when the queue is empty. After that loading is done by threads of low
 * priority, so that it does not slow down those who answer requests. If all of them have been at
 * one load for ten seconds while others wait (a storage that does not answer, a warm-up that takes
 * minutes), a further thread comes, unless the user has said how many there are.
 *
 * A version that was drained arrives, perhaps from a request's thread, on a stack without a lock;
 * an unload thread takes it from there.
 */
#include <malloc.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/cpu.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "model/manager_internal.h"

static const uint64_t patience_ns = 10000000000u;

/* A thread of the first hour, or one that comes because the others do not get on. */
typedef struct sl_extra {
    struct sl_extra *next;
    sl_manager *manager;
    bool first;
    pthread_t thread;
} extra;

static void *load_more(void *arg);

/* ---- the queue ---- */

static void append(sl_managed *v, uint64_t not_before)
{
    sl_manager *m = v->model->manager;
    v->queued = true;
    v->not_before = not_before;
    v->next_queued = NULL;
    if (m->queue_tail != NULL)
        m->queue_tail->next_queued = v;
    else
        m->queue = v;
    m->queue_tail = v;
    m->queued++;
    m->untried += v->attempts == 0;
    sl_cond_signal(&m->load_work);
}

bool sl_manager_dequeue(sl_managed *v)
{
    sl_manager *m = v->model->manager;
    if (!v->queued)
        return false;
    sl_managed **at = &m->queue, *before = NULL;
    while (*at != v) {
        before = *at;
        at = &before->next_queued;
    }
    *at = v->next_queued;
    if (m->queue_tail == v)
        m->queue_tail = before;
    v->queued = false;
    m->queued--;
    m->untried -= v->attempts == 0;
    return true;
}

static int initial_limit(const sl_manager *m)
{
    return m->opts.initial_load_threads > 0 ? m->opts.initial_load_threads : 4 * sl_cpu_count();
}

static void start_extra(sl_manager *m)
{
    extra *e = sl_malloc(sizeof *e);
    *e = (extra){.manager = m, .first = m->initial};
    if (sl_thread_start(&e->thread, "sl-load-more", load_more, e, NULL))
        sl_free(e); /* the others will get to it */
    else
        m->extra_loaders++;
}

void sl_manager_enqueue(sl_managed *v)
{
    sl_manager *m = v->model->manager;
    append(v, 0);
    if (!m->initial && m->idle_loaders == 0)
        sl_cond_signal(&m->source_work); /* sl_manager_relieve */
    /* A thread that was signalled still counts as idle, so this may start one too few for a moment,
     * and those that were started but have not begun are not counted, so it may start one too many.
     */
    if (!m->initial || m->queued <= m->idle_loaders ||
        m->n_loaders + m->extra_loaders >= initial_limit(m))
        return;
    start_extra(m);
}

/* The first version whose time has come; otherwise NULL, and *when the others' first: 0 for none.
 */
static sl_managed *next_due(sl_manager *m, uint64_t *when)
{
    uint64_t now = sl_now_ns();
    *when = 0;
    for (sl_managed *v = m->queue; v != NULL; v = v->next_queued) {
        if (v->not_before <= now)
            return v;
        if (*when == 0 || v->not_before < *when)
            *when = v->not_before;
    }
    return NULL;
}

uint64_t sl_manager_relieve(sl_manager *m, uint64_t now)
{
    uint64_t when;
    if (m->initial || m->opts.load_threads > 0 || m->idle_loaders > 0 ||
        m->n_loaders + m->extra_loaders >= initial_limit(m) || next_due(m, &when) == NULL)
        return 0;
    if (now < m->load_begun_ns + patience_ns)
        return m->load_begun_ns + patience_ns;
    m->load_begun_ns = now; /* the next one comes as late */
    start_extra(m);
    return now + patience_ns;
}

/* ---- one load ---- */

static void fail_for_good(sl_managed *v, sl_code code, const char *message)
{
    v->demanded = false;
    sl_log(SL_ERROR, "Encountered an error for servable version " SL_ID ": %s: %s", SL_ID_ARG(v),
           sl_code_name(code), message);
    sl_log(SL_ERROR, "Servable " SL_ID " cannot be loaded: %s: %s", SL_ID_ARG(v),
           sl_code_name(code), message);
    char *kept = sl_strdup(message); /* it may be the version's own, which set_state frees */
    sl_managed_set_state(v, SL_STATE_END, code, kept);
    sl_free(kept);
}

void sl_manager_cancel_retry(sl_managed *v)
{
    sl_log(SL_INFO, "Retrying of Loading servable: " SL_ID " was cancelled.", SL_ID_ARG(v));
    fail_for_good(v, v->code, v->message ? v->message : "");
}

/* An eighth of the interval after the first attempt, twice as long after each further one, up to
 * the interval: what is mended soon is there soon, and what stays broken costs little. */
static uint64_t pause_after(const sl_manager_options *o, unsigned attempts)
{
    uint64_t interval = o->retry_interval_us > 0 ? (uint64_t)o->retry_interval_us * 1000 : 0;
    return attempts < 4 ? interval >> (4 - attempts) : interval;
}

/* With the lock: an attempt failed. */
static void failed(sl_managed *v, const sl_status *why)
{
    sl_manager_use(v, 0);
    v->model->manager->any_refused |= v->refused;
    sl_manager_tell(v, why->code, why->msg);
    const sl_manager_options *o = &v->model->manager->opts;
    sl_log(SL_ERROR, "Loading servable: " SL_ID " failed: %s: %s", SL_ID_ARG(v),
           sl_code_name(why->code), why->msg);
    if (v->aspired && v->attempts <= o->max_retries) {
        sl_managed_set_state(v, SL_STATE_LOADING, why->code, why->msg);
        sl_free(v->tried);
        v->tried = sl_strdup(why->msg);
        append(v, sl_now_ns() + pause_after(o, v->attempts));
        return;
    }
    if (!v->aspired)
        sl_log(SL_INFO, "Retrying of Loading servable: " SL_ID " was cancelled.", SL_ID_ARG(v));
    else
        sl_log(SL_INFO, "Retrying of Loading servable: " SL_ID " exhausted max_num_retries: %u",
               SL_ID_ARG(v), o->max_retries);
    fail_for_good(v, why->code, why->msg);
}

/* With the lock: the version becomes available. */
static void succeeded(sl_managed *v)
{
    v->serving = sl_serving_new(&v->version, sl_manager_on_drained, v);
    if (sl_served_on_demand(v->model))
        sl_serving_note_uses(v->serving);
    sl_log(SL_INFO, "Successfully loaded servable version " SL_ID, SL_ID_ARG(v));
    v->state = SL_STATE_AVAILABLE; /* published before anybody is told of it */
    sl_manager_publish(v->model);
    sl_managed_set_state(v, SL_STATE_AVAILABLE, SL_OK, NULL);
    sl_manager_tell(v, SL_OK, NULL);
}

/* Without the lock: a version that was loaded although nobody wants it any more. */
static void unload_unwanted(sl_managed *v)
{
    sl_manager_options *o = &v->model->manager->opts;
    sl_log(SL_INFO, "Unloading just-loaded servable version " SL_ID, SL_ID_ARG(v));
    o->unload(o->arg, &v->version);
}

/* What a load took. */
typedef struct taken {
    uint64_t us, bytes;
} taken;

/* Without the lock. */
static sl_code attempt(sl_managed *v, const sl_model_config *config, const char *path, taken *t,
                       sl_text *why, sl_status *st)
{
    const sl_manager_options *o = &v->model->manager->opts;
    uint64_t start = sl_now_ns();
    if (v->attempts == 1) {
        sl_log(SL_INFO, "Successfully reserved resources to load servable " SL_ID, SL_ID_ARG(v));
        sl_log(SL_INFO, "Approving load for servable version " SL_ID, SL_ID_ARG(v));
        sl_log(SL_INFO, "Loading servable version " SL_ID, SL_ID_ARG(v));
    } else {
        sl_log(SL_INFO, "Retrying of Loading servable: " SL_ID " retry: %u", SL_ID_ARG(v),
               v->attempts - 1);
    }
    v->version = (sl_version){.model = v->model->name, .number = v->number, .path = path};
    sl_code rc = o->load(o->arg, config, &v->version, why, st);
    const sl_engine *e = rc == SL_OK ? v->version.engine : NULL;
    t->us = (sl_now_ns() - start) / 1000;
    t->bytes = e != NULL && e->memory != NULL ? e->memory(v->version.session) : 0;
    if (e != NULL && e->serve != NULL)
        e->serve(v->version.session);
    st->code = rc; /* also of a loader that gave no reason */
    return rc;
}

static void note(sl_managed *v, sl_code rc, const taken *t, const sl_text *why)
{
    const sl_engine *e = rc == SL_OK ? v->version.engine : NULL;
    v->load_us = t->us;
    v->bytes = t->bytes;
    if (t->bytes)
        sl_manager_use(v, t->bytes); /* what was estimated is known now */
    sl_free(v->engine);
    sl_free(v->why);
    v->engine = e ? sl_strdup(e->name) : NULL;
    v->why = why->p && why->n ? sl_strdup(why->p) : NULL;
}

/* With the lock, which is given back meanwhile. */
static void load_one(sl_manager *m, sl_managed *v)
{
    sl_status st = {0};
    sl_text why = {0};
    taken t = {0};
    sl_manager_dequeue(v);
    v->attempts++;
    v->refused = false;
    sl_managed_set_state(v, SL_STATE_LOADING, SL_OK, NULL);
    /* What is queued is aspired, so the model is configured. */
    sl_kept_config *config = sl_config_acquire(v->model->config);
    m->loading++;
    m->load_begun_ns = sl_now_ns();
    pthread_mutex_unlock(&m->lock);
    sl_code rc = attempt(v, &config->c, v->path, &t, &why, &st);

    pthread_mutex_lock(&m->lock);
    note(v, rc, &t, &why);
    if (rc == SL_OK && !v->aspired) {
        pthread_mutex_unlock(&m->lock);
        unload_unwanted(v);
        pthread_mutex_lock(&m->lock);
        sl_manager_use(v, 0);
        sl_managed_set_state(v, SL_STATE_END, SL_CANCELLED, "Loading of servable cancelled");
        sl_manager_retry_refused(m);
    } else if (rc == SL_OK) {
        succeeded(v);
    } else {
        failed(v, &st);
    }
    m->loading--;
    sl_manager_reconcile(v->model);
    pthread_mutex_unlock(&m->lock);
    sl_text_fini(&why);
    sl_config_release(config);
    sl_manager_collect(m);
    pthread_mutex_lock(&m->lock);
}

/* ---- the threads that load ---- */

void sl_manager_check_initial(sl_manager *m)
{
    /* What waits for a further attempt does not count: it may wait for minutes. */
    if (m->initial && m->loading == 0 && m->models != NULL && m->not_ready == 0 && m->untried == 0)
        m->initial = false;
}

/* Threads of the first hour that have ended. */
static void join_extra(sl_manager *m)
{
    while (m->ended_extra != NULL) {
        extra *e = m->ended_extra;
        m->ended_extra = e->next;
        pthread_mutex_unlock(&m->lock);
        pthread_join(e->thread, NULL);
        sl_free(e);
        pthread_mutex_lock(&m->lock);
    }
}

static void *load(void *arg)
{
    sl_manager *m = arg;
    bool nice = false;
    uint64_t when;
    pthread_mutex_lock(&m->lock);
    while (!m->ending) {
        if (m->ended_extra != NULL) {
            join_extra(m); /* gives the lock back meanwhile: look at everything again */
            continue;
        }
        sl_managed *v = next_due(m, &when);
        if (v == NULL) {
            m->idle_loaders++;
            sl_cond_wait_until(&m->load_work, &m->lock, when);
            m->idle_loaders--;
            continue;
        }
        if (!m->initial && !nice) {
            nice = true;
            sl_thread_be_nice();
        }
        load_one(m, v);
    }
    join_extra(m);
    pthread_mutex_unlock(&m->lock);
    return NULL;
}

static void *load_more(void *arg)
{
    extra *self = arg;
    sl_manager *m = self->manager;
    uint64_t when;
    sl_managed *v;
    pthread_mutex_lock(&m->lock);
    if (!self->first)
        sl_thread_be_nice();
    while (!m->ending && (m->initial || !self->first) && (v = next_due(m, &when)) != NULL)
        load_one(m, v);
    m->extra_loaders--;
    self->next = m->ended_extra;
    m->ended_extra = self;
    sl_cond_broadcast(&m->load_work);
    pthread_mutex_unlock(&m->lock);
    return NULL;
}

/* ---- unloading ---- */

void sl_manager_on_drained(void *managed)
{
    sl_managed *v = managed;
    sl_manager *m = v->model->manager;
    v->next_drained = atomic_load_explicit(&m->drained, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&m->drained, &v->next_drained, v,
                                                  memory_order_release, memory_order_relaxed))
        ;
    sem_post(&m->unload_work);
}

/* With the lock: a version is unloaded. One that was only given up can be had again. */
static void ended(sl_managed *v)
{
    bool again = v->evicted && v->aspired && sl_served_on_demand(v->model);
    v->evicted = false;
    v->attempts = 0;
    sl_managed_set_state(v, again ? SL_STATE_START : SL_STATE_END, SL_OK,
                         again ? "it is loaded when it is asked for" : NULL);
}

static void unload_one(sl_manager *m, sl_managed *v)
{
    sl_log(SL_INFO, "Done quiescing servable version " SL_ID, SL_ID_ARG(v));
    sl_log(SL_INFO, "Unloading servable version " SL_ID, SL_ID_ARG(v));
    sl_serving_free(v->serving);
    m->opts.unload(m->opts.arg, &v->version);
    sl_log(SL_INFO, "Calling MallocExtension_ReleaseToSystem() after servable unload with %llu",
           (unsigned long long)v->bytes);
    sl_log(SL_INFO, "Done unloading servable version " SL_ID, SL_ID_ARG(v));
    pthread_mutex_lock(&m->lock);
    v->serving = NULL;
    v->bytes = 0;
    sl_manager_use(v, 0);
    ended(v);
    sl_manager_reconcile(v->model);
    sl_manager_retry_refused(m);
    pthread_mutex_unlock(&m->lock);
    sl_manager_collect(m);
}

/* One version off the stack, or NULL. Only unload threads pop, one at a time under `lock`, so that
 * an element cannot be popped and pushed again between load and exchange. */
static sl_managed *pop_drained(sl_manager *m)
{
    pthread_mutex_lock(&m->lock);
    sl_managed *v = atomic_load_explicit(&m->drained, memory_order_acquire);
    while (v != NULL &&
           !atomic_compare_exchange_weak_explicit(&m->drained, &v, v->next_drained,
                                                  memory_order_acquire, memory_order_acquire))
        ;
    pthread_mutex_unlock(&m->lock);
    return v;
}

/* What lay in the heap goes back to the system when the last of a row of unloads is done: trimming
 * goes through all arenas, so not after each of a thousand models, and not when the process
 * ends. */
static void give_back_heap(sl_manager *m)
{
    int more = 0;
    pthread_mutex_lock(&m->lock);
    bool last = m->source_ending;
    pthread_mutex_unlock(&m->lock);
    if (!last && sem_getvalue(&m->unload_work, &more) == 0 && more <= 0)
        malloc_trim(0);
}

static void *unload(void *arg)
{
    sl_manager *m = arg;
    sl_managed *v;
    sl_thread_be_nice();
    for (;;) {
        while (sem_wait(&m->unload_work))
            ; /* EINTR */
        if ((v = pop_drained(m)) == NULL)
            return NULL; /* a post without a version: the end */
        unload_one(m, v);
        give_back_heap(m);
    }
}

/* ---- beginning and end ---- */

sl_code sl_manager_start_loaders(sl_manager *m, sl_status *st)
{
    int loaders = m->opts.load_threads > 0 ? m->opts.load_threads : 1;
    int unloaders = m->opts.unload_threads > 0 ? m->opts.unload_threads : 1;
    sl_code rc = SL_OK;
    m->loaders = sl_calloc((size_t)loaders, sizeof *m->loaders);
    m->unloaders = sl_calloc((size_t)unloaders, sizeof *m->unloaders);
    for (; rc == SL_OK && m->n_loaders < loaders; m->n_loaders += rc == SL_OK)
        rc = sl_thread_start(&m->loaders[m->n_loaders], "sl-load", load, m, st);
    for (; rc == SL_OK && m->n_unloaders < unloaders; m->n_unloaders += rc == SL_OK)
        rc = sl_thread_start(&m->unloaders[m->n_unloaders], "sl-unload", unload, m, st);
    return rc;
}

void sl_manager_stop_loaders(sl_manager *m)
{
    pthread_mutex_lock(&m->lock);
    m->ending = true;
    sl_cond_broadcast(&m->load_work);
    while (m->extra_loaders > 0)
        sl_cond_wait(&m->load_work, &m->lock);
    pthread_mutex_unlock(&m->lock);
    for (int i = 0; i < m->n_unloaders; i++)
        sem_post(&m->unload_work);
    for (int i = 0; i < m->n_unloaders; i++)
        pthread_join(m->unloaders[i], NULL);
    for (int i = 0; i < m->n_loaders; i++)
        pthread_join(m->loaders[i], NULL);
    pthread_mutex_lock(&m->lock);
    join_extra(m);
    pthread_mutex_unlock(&m->lock);
    sl_free(m->loaders);
    sl_free(m->unloaders);
}
