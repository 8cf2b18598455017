/*
 * budget.c - memory as a budget
 *
 *     used = what loaded versions hold (measured) + what loading ones will need (estimated)
 *
 * A load that does not fit first lets versions on demand go, the one that was used least recently
 * first, and never one that a request holds. What is being unloaded is waited for, for a few
 * seconds, and requests that hold what could go for a shorter time; then the load is refused. That
 * is an error like any other, with its retries, except that it is tried again as soon as memory has
 * become free.
 */
#include <stddef.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "model/manager_internal.h"

/* Requests are short, and a handle's release tells nobody: it is looked at again and again. A long
 * one shall not keep the loads of others waiting. */
enum { PATIENCE_MS = 10000, PATIENCE_WITH_REQUESTS_MS = 1000, LOOK_AGAIN_MS = 2 };

static const uint64_t MS = 1000000;

void sl_manager_use(sl_managed *v, uint64_t bytes)
{
    sl_manager *m = v->model->manager;
    m->used = m->used - v->reserved + bytes;
    v->reserved = bytes;
    if (m->opts.on_use != NULL)
        m->opts.on_use(m->opts.on_use_arg, m->used);
}

/* What the walk over all versions finds. */
typedef struct survey {
    uint64_t leaving; /* bytes that are on their way back */
    bool loading;     /* another load is running, which may need less than it reserved */
    bool busy;        /* a request holds one on demand */
    sl_managed *idlest;
} survey;

static survey look_around(const sl_manager *m, const sl_managed *self)
{
    survey s = {0};
    uint64_t least = UINT64_MAX;
    for (const sl_served *model = m->models; model != NULL; model = model->next)
        for (sl_managed *v = model->versions; v != NULL; v = v->next) {
            if (v == self || v->reserved == 0)
                continue;
            s.leaving += v->state == SL_STATE_UNLOADING ? v->reserved : 0;
            s.loading |= v->state == SL_STATE_LOADING;
            if (v->state != SL_STATE_AVAILABLE || !sl_served_on_demand(model))
                continue;
            if (sl_serving_in_use(v->serving)) {
                s.busy = true;
                continue;
            }
            uint64_t last = sl_serving_last_use(v->serving);
            if (last < least) {
                least = last;
                s.idlest = v;
            }
        }
    return s;
}

static sl_code refuse(sl_managed *v, uint64_t bytes, sl_status *st)
{
    const sl_manager *m = v->model->manager;
    const double mb = 1024.0 * 1024.0;
    v->refused = true;
    return sl_fail(st, SL_RESOURCE_EXHAUSTED,
                   "Insufficient resources to load servable " SL_ID
                   ": it needs %.1f MB, and %.1f of the memory budget of %.1f MB are in use",
                   SL_ID_ARG(v), (double)bytes / mb, (double)m->used / mb,
                   (double)m->opts.memory_budget / mb);
}

static void evict(sl_managed *v)
{
    sl_log(SL_INFO, "Giving up servable version " SL_ID ": its memory is needed", SL_ID_ARG(v));
    v->demanded = false;
    v->evicted = true;
    sl_manager_begin_unload(v);
}

/* With the lock, which is given back meanwhile. False: there is nothing to be waited for any
 * longer. */
static bool wait_for_room(sl_manager *m, const survey *s, bool fits_soon, uint64_t begin)
{
    if (fits_soon || s->loading)
        return sl_cond_wait_until(&m->changed, &m->lock, begin + PATIENCE_MS * MS);
    uint64_t now = sl_now_ns();
    if (!s->busy || now >= begin + PATIENCE_WITH_REQUESTS_MS * MS)
        return false;
    sl_cond_wait_until(&m->changed, &m->lock, now + LOOK_AGAIN_MS * MS);
    return true;
}

sl_code sl_manager_reserve(sl_version *version, uint64_t bytes, sl_status *st)
{
    sl_managed *v = (sl_managed *)((char *)version - offsetof(sl_managed, version));
    sl_manager *m = v->model->manager;
    uint64_t budget = m->opts.memory_budget, begin = sl_now_ns();
    sl_code rc = SL_OK;
    pthread_mutex_lock(&m->lock);
    v->refused = false;
    while (budget && rc == SL_OK && (bytes > budget || m->used > budget - bytes)) {
        survey s = look_around(m, v);
        bool fits_soon = bytes <= budget && m->used - s.leaving <= budget - bytes;
        if (bytes <= budget && !fits_soon && s.idlest != NULL) {
            evict(s.idlest);
            pthread_mutex_unlock(&m->lock);
            sl_manager_collect(m); /* readers of the table that still had it */
            pthread_mutex_lock(&m->lock);
        } else if (bytes > budget || !wait_for_room(m, &s, fits_soon, begin)) {
            rc = refuse(v, bytes, st);
        }
    }
    if (rc == SL_OK)
        sl_manager_use(v, bytes);
    pthread_mutex_unlock(&m->lock);
    return rc;
}

static void retry(sl_managed *v)
{
    bool waiting = v->queued && v->attempts > 0;
    if (!v->managed || !v->aspired || (v->state != SL_STATE_END && !waiting))
        return;
    v->refused = false;
    if (waiting)
        sl_manager_dequeue(v);
    v->attempts = 0;
    sl_managed_set_state(v, SL_STATE_START, SL_OK, NULL);
    sl_manager_reconcile(v->model);
}

void sl_manager_retry_refused(sl_manager *m)
{
    if (!m->any_refused)
        return;
    m->any_refused = false; /* until the next one is */
    for (const sl_served *model = m->models; model != NULL; model = model->next)
        for (sl_managed *v = model->versions; v != NULL; v = v->next)
            if (v->refused)
                retry(v);
}
