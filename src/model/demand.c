/*
 * demand.c - versions that are loaded when somebody asks for them, and those who wait for that
 *
 * A request that waits is a link in a list, not a thread. When the outcome of a version is known,
 * the links that wait for it move to another list, and whoever took the lock tells them after
 * giving it back. One thread, which exists only if a model is configured so, looks after deadlines.
 */
#include <stdio.h>

#include "base/clock.h"
#include "base/thread.h"
#include "model/manager_internal.h"

enum { MOST_AWAITING = 1024 };

/* With the lock. What somebody has waited for stays until he has acquired it. */
static void hold(sl_awaited *a, const sl_managed *v)
{
    if (v->state == SL_STATE_AVAILABLE)
        a->held = sl_serving_hold(v->serving);
}

static void move(sl_manager *m, sl_awaited **at, sl_code code, const char *message)
{
    sl_awaited *a = *at;
    *at = a->next;
    if (code == SL_OK)
        hold(a, a->version);
    a->code = code;
    snprintf(a->message, sizeof a->message, "%s", message ? message : "");
    a->next = m->to_wake;
    m->to_wake = a;
    m->n_awaited--;
}

void sl_manager_tell(sl_managed *v, sl_code code, const char *message)
{
    sl_manager *m = v->model->manager;
    for (sl_awaited **at = &m->awaited; *at != NULL;)
        if ((*at)->version == v)
            move(m, at, code, message);
        else
            at = &(*at)->next;
}

sl_awaited *sl_manager_take_told(sl_manager *m)
{
    sl_awaited *list = m->to_wake;
    m->to_wake = NULL;
    m->waking += list != NULL;
    return list;
}

void sl_manager_wake(sl_manager *m, sl_awaited *list)
{
    if (list == NULL)
        return;
    while (list != NULL) {
        sl_awaited *next = list->next; /* ready() may be the end of it */
        list->ready(list);
        list = next;
    }
    pthread_mutex_lock(&m->lock);
    if (--m->waking == 0)
        sl_cond_broadcast(&m->changed);
    pthread_mutex_unlock(&m->lock);
}

/* ---- deadlines ---- */

/* Those whose time is over; returns when the next one's is, 0: nobody's. */
static uint64_t expire(sl_manager *m)
{
    uint64_t now = sl_now_ns(), next = 0;
    for (sl_awaited **at = &m->awaited; *at != NULL;) {
        const sl_awaited *a = *at;
        if (a->deadline_ns && now >= a->deadline_ns) {
            move(m, at, SL_UNAVAILABLE, "its load on demand takes longer than a request may wait");
            continue;
        }
        if (a->deadline_ns && (next == 0 || a->deadline_ns < next))
            next = a->deadline_ns;
        at = &(*at)->next;
    }
    return next;
}

static void *keep_time(void *arg)
{
    sl_manager *m = arg;
    pthread_mutex_lock(&m->lock);
    while (!m->no_waiting) {
        uint64_t next = expire(m);
        if (m->to_wake != NULL) {
            sl_awaited *list = sl_manager_take_told(m);
            pthread_mutex_unlock(&m->lock);
            sl_manager_wake(m, list);
            pthread_mutex_lock(&m->lock);
            continue;
        }
        sl_cond_wait_until(&m->timer_work, &m->lock, next);
    }
    pthread_mutex_unlock(&m->lock);
    return NULL;
}

void sl_manager_start_timer(sl_manager *m)
{
    atomic_store(&m->has_on_demand, true);
    /* Without it requests wait until the load has ended, however long that takes. */
    if (!m->has_timer)
        m->has_timer = sl_thread_start(&m->timer, "sl-on-demand", keep_time, m, NULL) == SL_OK;
}

void sl_manager_stop_waiting(sl_manager *m)
{
    pthread_mutex_lock(&m->lock);
    m->no_waiting = true;
    while (m->awaited != NULL)
        move(m, &m->awaited, SL_UNAVAILABLE, "the server is about to end");
    sl_cond_broadcast(&m->timer_work);
    pthread_mutex_unlock(&m->lock);
    sl_manager_collect(m);
    pthread_mutex_lock(&m->lock);
    while (m->waking > 0)
        sl_cond_wait(&m->changed, &m->lock);
    pthread_mutex_unlock(&m->lock);
}

void sl_manager_stop_timer(sl_manager *m)
{
    sl_manager_stop_waiting(m);
    if (m->has_timer)
        pthread_join(m->timer, NULL);
    m->has_timer = false;
}

/* ---- asking ---- */

static bool no(sl_awaited *a, sl_code code, const char *message)
{
    a->code = code;
    snprintf(a->message, sizeof a->message, "%s", message ? message : "");
    return false;
}

/* With the lock. A version that failed is tried again by the next request, but not at once. */
static bool want(sl_managed *v, sl_awaited *a)
{
    sl_manager *m = v->model->manager;
    int most = m->opts.max_awaiting > 0 ? m->opts.max_awaiting : MOST_AWAITING;
    if (!v->managed || !v->aspired || v->state == SL_STATE_AVAILABLE) {
        hold(a, v);
        return no(a, SL_OK, NULL);
    }
    if (v->queued && v->attempts > 0)
        return no(a, v->code, v->message);
    if (v->state == SL_STATE_END) {
        int64_t pause_us = m->opts.retry_interval_us;
        if (sl_now_ns() < v->ended_ns + (pause_us > 0 ? (uint64_t)pause_us * 1000 / 8 : 0))
            return no(a, v->code, v->message);
        v->attempts = 0;
        sl_managed_set_state(v, SL_STATE_START, SL_OK, NULL);
    }
    if (m->no_waiting)
        return no(a, SL_UNAVAILABLE, "the server is about to end");
    if (m->n_awaited >= most)
        return no(a, SL_UNAVAILABLE, "too many requests wait for models to be loaded");
    v->demanded = true;
    a->version = v;
    a->next = m->awaited;
    m->awaited = a;
    m->n_awaited++;
    sl_cond_signal(&m->timer_work);
    sl_manager_reconcile(v->model);
    return true;
}

bool sl_manager_await(sl_manager *m, const sl_model_spec *spec, sl_awaited *a)
{
    int64_t number;
    a->code = SL_OK;
    a->held = NULL;
    if (!atomic_load_explicit(&m->has_on_demand, memory_order_relaxed) ||
        !sl_table_waits(&m->table, spec, &number, &a->held))
        return false;
    pthread_mutex_lock(&m->lock);
    const sl_served *model = sl_map_get(&m->by_name, spec->model);
    sl_managed *v = model ? sl_manager_find_version(model, number) : NULL;
    bool yes = v != NULL && want(v, a);
    pthread_mutex_unlock(&m->lock);
    return yes;
}
