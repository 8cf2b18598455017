/*
 * source.c - when to look at which base path
 *
 * A looker goes through the configured models, at once when the configuration has changed and then
 * every poll_seconds. Each model stands alone: one whose base path is missing keeps what it serves,
 * and the others are looked at all the same. (The original ends the whole round.) A model with a
 * version that is still being copied is looked at more often, whatever the period, and one of which
 * the kernel says that its base path has changed (notice.c) at once.
 *
 * The source's own thread touches no file: it orders rounds, and when a look does not return (a
 * mount that is dead) it leaves the looker to it, notes the place (hung.c) and lets another one
 * begin the round again. It also sees when those who load do not get on (load.c), and forgets
 * versions that ended long ago, and models that nobody remembers.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "model/manager_internal.h"

enum { MOST_LOOKERS = 17 }; /* sixteen of them may be left to looks that do not return */

struct sl_looker {
    sl_manager *m;
    pthread_t thread;
    sl_served *model; /* at which it looks just now, or NULL */
    sl_sight *sight;  /* with what is remembered of it */
    sl_kept_config *config;
    uint64_t begun_ns;
    sl_hung *hung; /* it was given up: nobody waits for it, and the thread is detached */
    bool nice;
};

static uint64_t earlier(uint64_t a, uint64_t b)
{
    if (a == 0 || b == 0)
        return a ? a : b;
    return SL_MIN(a, b);
}

/* ---- those who look ---- */

/* With the lock, which is given back meanwhile. False: it took so long that it was given up. */
static bool look_at(sl_looker *self, sl_served *model)
{
    sl_manager *m = self->m;
    self->model = model;
    self->config = sl_config_acquire(model->config);
    self->sight = model->sight;
    self->begun_ns = sl_now_ns();
    model->visitors++; /* so it is not forgotten */
    pthread_mutex_unlock(&m->lock);
    sl_manager_look_at(model, self->sight, self->config);
    pthread_mutex_lock(&m->lock);
    sl_config_release(self->config);
    model->visitors--;
    self->model = NULL;
    return self->hung == NULL;
}

/* With the lock, which is given back now and then. Looks at all, or only at those whose time has
 * come. */
static void look_round(sl_looker *self)
{
    enum { TOGETHER = 128 }; /* models whose routes are published at once */
    sl_manager *m = self->m;
    sl_mounts mounts = {0};
    uint64_t again = 0;
    int looked = 0;
    if (m->hung != NULL) {
        pthread_mutex_unlock(&m->lock);
        sl_mounts_read(&mounts);
        pthread_mutex_lock(&m->lock);
    }
    for (sl_served *model = m->models; model != NULL && !m->source_ending; model = model->next) {
        uint64_t when = sl_sight_look_again_ns(model->sight);
        bool due = m->looking_at_all || model->noticed || (when && when <= sl_now_ns());
        model->noticed = false;
        if (model->config == NULL) {
            sl_sight_look_no_more(model->sight);
        } else if (due && sl_hung_covers(m, &model->config->c, &mounts)) {
            sl_manager_cannot_look(model);
        } else if (due) {
            if (!look_at(self, model))
                break;
            if (m->garbage != NULL || ++looked % TOGETHER == 0) {
                model->visitors++;
                pthread_mutex_unlock(&m->lock);
                sl_manager_collect(m);
                pthread_mutex_lock(&m->lock);
                model->visitors--;
            }
        }
        again = earlier(again, sl_sight_look_again_ns(model->sight));
    }
    m->again = again;
    sl_mounts_fini(&mounts);
}

static void end_round(sl_looker *self)
{
    sl_manager *m = self->m;
    pthread_mutex_unlock(&m->lock);
    sl_manager_collect(m);
    pthread_mutex_lock(&m->lock);
    bool all = m->looking_at_all;
    m->looking = m->looking_at_all = false;
    sl_cond_signal(&m->source_work);
    if (!all || self->nice)
        return;
    self->nice = true; /* from now on there is somebody to be polite to */
    pthread_mutex_unlock(&m->lock);
    sl_thread_be_nice();
    pthread_mutex_lock(&m->lock);
}

/* With the lock. The look has returned after all, long after it was given up. */
static void come_back(sl_looker *self)
{
    sl_manager *m = self->m;
    sl_hung_remove(m, self->hung);
    sl_sight_free(self->sight);
    m->looks_wanted++;
    sl_cond_signal(&m->source_work);
}

static void *look(void *arg)
{
    sl_looker *self = arg;
    sl_manager *m = self->m;
    pthread_mutex_lock(&m->lock);
    while (!m->source_ending && self->hung == NULL) {
        if (!m->looking) {
            sl_cond_wait(&m->looker_work, &m->lock);
            continue;
        }
        look_round(self);
        if (self->hung == NULL)
            end_round(self);
    }
    bool alone = self->hung != NULL;
    if (alone)
        come_back(self);
    m->lookers--;
    sl_cond_broadcast(&m->changed);
    pthread_mutex_unlock(&m->lock); /* from here on the manager may be gone */
    if (alone)
        sl_free(self);
    return NULL;
}

static sl_code start_looker(sl_manager *m, sl_status *st)
{
    sl_looker *l = sl_calloc(1, sizeof *l);
    l->m = m;
    sl_code rc = sl_thread_start(&l->thread, "sl-look", look, l, st);
    if (rc) {
        sl_free(l);
        return rc;
    }
    m->looker = l;
    m->lookers++;
    return SL_OK;
}

/* ---- looks that do not return ---- */

/* With the lock, which is given back meanwhile: the looker is left to its look, and another one takes
 * the round. */
static void give_up(sl_manager *m, sl_looker *l)
{
    const sl_served *model = l->model;
    uint64_t begun = l->begun_ns;
    sl_kept_config *config = sl_config_acquire(l->config);
    sl_mounts mounts;
    pthread_mutex_unlock(&m->lock);
    sl_mounts_read(&mounts);
    pthread_mutex_lock(&m->lock);
    sl_status st;
    if (l->model == model && l->begun_ns == begun && start_looker(m, &st) == SL_OK) {
        pthread_detach(l->thread);
        l->hung = sl_hung_add(m, &config->c, &mounts);
        l->model->sight = sl_sight_new();
        sl_cond_broadcast(&m->looker_work);
    }
    sl_config_release(config);
    sl_mounts_fini(&mounts);
}

/* With the lock. When to ask again; 0: no need to. */
static uint64_t be_patient(sl_manager *m, uint64_t now)
{
    sl_looker *l = m->looker;
    if (m->lookers >= MOST_LOOKERS)
        return 0; /* until one comes back */
    if (l->model == NULL)
        return now + m->opts.look_patience_ns; /* it has not begun, or is between two */
    if (now < l->begun_ns + m->opts.look_patience_ns)
        return l->begun_ns + m->opts.look_patience_ns;
    give_up(m, l);
    return now + m->opts.look_patience_ns;
}

/* ---- when ---- */

static void order_round(sl_manager *m, bool all)
{
    m->looking = true;
    m->looking_at_all = all;
    sl_cond_signal(&m->looker_work);
}

static void *watch(void *arg)
{
    sl_manager *m = arg;
    uint64_t period = m->opts.poll_seconds > 0 ? (uint64_t)m->opts.poll_seconds * 1000000000u : 0;
    uint64_t next = period ? sl_now_ns() + period : 0, wanted = 0;
    bool ordered = false, all = false;
    pthread_mutex_lock(&m->lock);
    while (!m->source_ending) {
        uint64_t now = sl_now_ns(), relieve = sl_manager_relieve(m, now);
        uint64_t wake = earlier(sl_manager_forget(m, now), relieve);
        if (m->looking) {
            sl_cond_wait_until(&m->source_work, &m->lock, earlier(wake, be_patient(m, now)));
            continue;
        }
        if (ordered && all) {
            m->looks_done = wanted;
            next = period ? now + period : 0;
            sl_cond_broadcast(&m->changed);
        }
        ordered = false;
        all = (next && now >= next) || m->looks_done != m->looks_wanted;
        uint64_t some = earlier(m->again, m->notice_due_ns);
        if (!all && (some == 0 || now < some)) {
            sl_cond_wait_until(&m->source_work, &m->lock, earlier(wake, earlier(next, some)));
            continue;
        }
        if (m->notice_due_ns <= now)
            m->notice_due_ns = 0;
        wanted = m->looks_wanted;
        ordered = true;
        order_round(m, all);
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

bool sl_manager_hangs(sl_manager *m)
{
    pthread_mutex_lock(&m->lock);
    bool hangs = m->hung != NULL;
    pthread_mutex_unlock(&m->lock);
    return hangs;
}

/* ---- beginning and end ---- */

sl_code sl_manager_start_source(sl_manager *m, sl_status *st)
{
    if (m->opts.look_patience_ns == 0)
        m->opts.look_patience_ns = UINT64_C(10000000000);
    pthread_mutex_lock(&m->lock);
    sl_code rc = start_looker(m, st);
    pthread_mutex_unlock(&m->lock);
    if (rc)
        return rc;
    rc = sl_thread_start(&m->source, "sl-source", watch, m, st);
    m->has_source = rc == SL_OK;
    return rc;
}

/* Waits for looks that have begun. */
static void stop_lookers(sl_manager *m)
{
    pthread_mutex_lock(&m->lock);
    m->source_ending = true;
    sl_cond_broadcast(&m->source_work);
    sl_cond_broadcast(&m->looker_work);
    sl_cond_broadcast(&m->changed);
    while (m->lookers > 0)
        sl_cond_wait(&m->changed, &m->lock);
    pthread_mutex_unlock(&m->lock);
}

void sl_manager_stop_source(sl_manager *m)
{
    if (m->looker == NULL)
        return;
    stop_lookers(m);
    if (m->has_source)
        pthread_join(m->source, NULL);
    m->has_source = false;
    pthread_join(m->looker->thread, NULL);
    sl_free(m->looker);
    m->looker = NULL;
}
