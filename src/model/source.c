/*
 * source.c - when to look at which base path
 *
 * One thread goes through the configured models, at once when the configuration has changed and
 * then every poll_seconds. Each model stands alone: one whose base path is missing keeps what it
 * serves, and the others are looked at all the same. (The original ends the whole round.) A model
 * with a version that is still being copied is looked at more often, whatever the period, and one
 * of which the kernel says that its base path has changed (notice.c) at once.
 *
 * The same thread sees when those who load do not get on (load.c), and forgets versions that ended long ago, and models that nobody remembers, so only
 * it may hold a model without the lock.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "model/manager_internal.h"

static uint64_t earlier(uint64_t a, uint64_t b)
{
    if (a == 0 || b == 0)
        return a ? a : b;
    return SL_MIN(a, b);
}

/* Looks at all, or only at those whose time has come. Returns when to look before the next round;
 * 0: no need to. */
static uint64_t look_round(sl_manager *m, bool all)
{
    enum { TOGETHER = 128 }; /* models whose routes are published at once */
    uint64_t again = 0;
    int looked = 0;
    pthread_mutex_lock(&m->lock);
    for (sl_served *model = m->models; model != NULL && !m->source_ending; model = model->next) {
        bool due =
            all || model->noticed || (model->look_again_ns && model->look_again_ns <= sl_now_ns());
        model->noticed = false;
        sl_kept_config *config = due ? sl_config_acquire(model->config) : NULL;
        if (config != NULL) {
            pthread_mutex_unlock(&m->lock);
            sl_manager_look_at(model, config);
            sl_config_release(config);
            pthread_mutex_lock(&m->lock);
            if (m->garbage != NULL || ++looked % TOGETHER == 0) {
                pthread_mutex_unlock(&m->lock);
                sl_manager_collect(m);
                pthread_mutex_lock(&m->lock);
            }
        }
        if (model->config == NULL)
            model->look_again_ns = 0;
        again = earlier(again, model->look_again_ns);
    }
    pthread_mutex_unlock(&m->lock);
    sl_manager_collect(m);
    return again;
}

static void *watch(void *arg)
{
    sl_manager *m = arg;
    uint64_t period = m->opts.poll_seconds > 0 ? (uint64_t)m->opts.poll_seconds * 1000000000u : 0;
    uint64_t next = period ? sl_now_ns() + period : 0, again = 0;
    bool nice = false;
    pthread_mutex_lock(&m->lock);
    while (!m->source_ending) {
        uint64_t now = sl_now_ns(), relieve = sl_manager_relieve(m, now);
        uint64_t forget = earlier(sl_manager_forget(m, now), relieve);
        bool all = (next && now >= next) || m->looks_done != m->looks_wanted;
        uint64_t some = earlier(again, m->notice_due_ns);
        if (!all && (some == 0 || now < some)) {
            sl_cond_wait_until(&m->source_work, &m->lock, earlier(forget, earlier(next, some)));
            continue;
        }
        if (m->notice_due_ns <= now)
            m->notice_due_ns = 0;
        uint64_t wanted = m->looks_wanted;
        pthread_mutex_unlock(&m->lock);
        again = look_round(m, all);
        pthread_mutex_lock(&m->lock);
        if (all && !nice) {
            nice = true; /* from now on there is somebody to be polite to */
            sl_thread_be_nice();
        }
        if (all) {
            m->looks_done = wanted;
            next = period ? sl_now_ns() + period : 0;
        }
        sl_cond_broadcast(&m->changed);
    }
    pthread_mutex_unlock(&m->lock);
    return NULL;
}

void sl_manager_want_look(sl_manager *m)
{
    if (m->opts.poll_seconds < 0)
        return;
    m->looks_wanted++;
    sl_cond_signal(&m->source_work);
}

void sl_manager_look_soon(sl_manager *m)
{
    pthread_mutex_lock(&m->lock);
    m->looks_wanted++;
    sl_cond_signal(&m->source_work);
    pthread_mutex_unlock(&m->lock);
}

void sl_manager_look(sl_manager *m)
{
    pthread_mutex_lock(&m->lock);
    uint64_t mine = ++m->looks_wanted;
    sl_cond_signal(&m->source_work);
    while (m->looks_done < mine && !m->source_ending)
        sl_cond_wait(&m->changed, &m->lock);
    pthread_mutex_unlock(&m->lock);
}

sl_code sl_manager_start_source(sl_manager *m, sl_status *st)
{
    sl_code rc = sl_thread_start(&m->source, "sl-source", watch, m, st);
    m->has_source = rc == SL_OK;
    return rc;
}

void sl_manager_stop_source(sl_manager *m)
{
    if (!m->has_source)
        return;
    pthread_mutex_lock(&m->lock);
    m->source_ending = true;
    sl_cond_broadcast(&m->source_work);
    sl_cond_broadcast(&m->changed);
    pthread_mutex_unlock(&m->lock);
    pthread_join(m->source, NULL);
    m->has_source = false;
}
