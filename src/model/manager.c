/*
 * manager.c - from what is aspired to what is available
 *
 * Everything that happens (a configuration, a look at a base path, the end of a load, the last
 * release of a handle) changes some state under the lock and calls reconcile for that model, which
 * asks the policy for one action after another until there is none: nobody polls, nothing waits for
 * anything else. The slow parts (loading, freeing, waiting for readers) run without the lock.
 */
#include "model/manager.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "model/manager_internal.h"

const char *sl_state_name(sl_state s)
{
    switch (s) {
    case SL_STATE_START:
        return "START";
    case SL_STATE_LOADING:
        return "LOADING";
    case SL_STATE_AVAILABLE:
        return "AVAILABLE";
    case SL_STATE_UNLOADING:
        return "UNLOADING";
    case SL_STATE_END:
        return "END";
    case SL_STATE_UNKNOWN:
        break;
    }
    return "UNKNOWN";
}

sl_code sl_manager_acquire(sl_manager *m, const sl_model_spec *spec, const sl_version **out,
                           sl_status *st)
{
    return sl_table_acquire(&m->table, spec, out, st);
}

void sl_manager_release(sl_manager *m, const sl_version *v)
{
    (void)m;
    sl_version_release(v);
}

bool sl_manager_shadow(sl_manager *m, const sl_version *answered, sl_shadow_target *out)
{
    return sl_table_shadow(&m->table, answered, out);
}

void sl_managed_set_state(sl_managed *v, sl_state state, sl_code code, const char *message)
{
    v->state = state;
    v->code = code;
    sl_free(v->message);
    v->message = message ? sl_strdup(message) : NULL;
    if (state != SL_STATE_LOADING) {
        sl_free(v->tried);
        v->tried = NULL;
    }
    if (state == SL_STATE_END)
        v->ended_ns = sl_now_ns();
    sl_cond_broadcast(&v->model->manager->changed);
}

bool sl_served_on_demand(const sl_served *model)
{
    return model->config != NULL && model->config->c.load == SL_LOAD_ON_DEMAND;
}

bool sl_managed_is_idle(const sl_managed *v)
{
    return v->managed && v->aspired && !v->demanded && sl_served_on_demand(v->model) &&
           (v->state == SL_STATE_START || (v->state == SL_STATE_UNLOADING && v->evicted));
}

void sl_manager_recount(sl_served *model)
{
    sl_manager *m = model->manager;
    bool now = model->config != NULL && (!model->looked_at || model->settling);
    m->not_ready += (int)now - (int)model->not_ready;
    model->not_ready = now;
}

/* ---- aspired sets ---- */

sl_managed *sl_manager_find_version(const sl_served *model, int64_t number)
{
    for (sl_managed *v = model->versions; v != NULL; v = v->next)
        if (v->number == number)
            return v;
    return NULL;
}

sl_managed *sl_manager_need_version(sl_served *model, int64_t number)
{
    sl_managed **at = &model->versions;
    while (*at != NULL && (*at)->number > number)
        at = &(*at)->next;
    if (*at != NULL && (*at)->number == number)
        return *at;
    sl_managed *v = sl_calloc(1, sizeof *v);
    v->model = model;
    v->number = number;
    v->next = *at;
    *at = v;
    return v;
}

void sl_manager_drop_version(sl_managed **at)
{
    sl_managed *v = *at;
    *at = v->next;
    sl_free(v->path);
    sl_free(v->message);
    sl_free(v->tried);
    sl_free(v->engine);
    sl_free(v->why);
    sl_free(v);
}

/* Begins to manage a version, afresh if it is remembered from before. */
static void manage(sl_served *model, const sl_aspired *wanted)
{
    sl_managed *v = sl_manager_need_version(model, wanted->number);
    sl_free(v->path);
    v->path = sl_strdup(wanted->path);
    v->look = wanted->look;
    v->managed = v->aspired = true;
    v->attempts = 0;
    v->not_before = 0;
    v->load_us = v->bytes = 0;
    v->demanded = v->evicted = v->refused = false;
    sl_managed_set_state(v, SL_STATE_START, SL_OK,
                         sl_served_on_demand(model) ? "it is loaded when it is asked for" : NULL);
}

static void un_aspire(sl_managed *v)
{
    v->aspired = false;
    v->demanded = false;
    sl_manager_tell(v, SL_UNAVAILABLE, "the version is no longer served");
    bool was_queued = sl_manager_dequeue(v);
    if (v->state == SL_STATE_START)
        sl_managed_set_state(v, SL_STATE_END, SL_CANCELLED, "Loading of servable cancelled");
    else if (v->state == SL_STATE_LOADING && was_queued)
        sl_manager_cancel_retry(v);
}

/* A version that was to go but still serves (its successor failed, or is loading) is simply kept.
 * The original sits on the set for as long as the successor stays broken. */
static void keep_those_that_still_serve(sl_served *model)
{
    for (int i = 0; i < model->pending.count; i++) {
        sl_managed *v = sl_manager_find_version(model, model->pending.list[i].number);
        if (v != NULL && v->managed && !v->aspired && v->state == SL_STATE_AVAILABLE)
            v->aspired = true;
    }
}

/* The version now lies elsewhere. One that serves goes on with what it has; one that failed, or
 * waits for its next attempt, begins anew. */
static void move(sl_managed *v, const sl_aspired *wanted)
{
    bool waiting = v->queued && v->attempts > 0;
    if (v->state != SL_STATE_END && !waiting)
        return;
    sl_manager_dequeue(v);
    sl_free(v->path);
    v->path = sl_strdup(wanted->path);
    v->look = wanted->look;
    v->attempts = 0;
    sl_managed_set_state(v, SL_STATE_START, SL_OK, NULL);
}

/* Takes the newest aspired set over, unless one of its versions is still on its way out: the whole
 * set then waits, so that a version that comes back is loaded afresh. */
static bool take_pending(sl_served *model)
{
    sl_aspired_set *set = &model->pending;
    if (!model->has_pending)
        return false;
    keep_those_that_still_serve(model);
    for (int i = 0; i < set->count; i++) {
        const sl_managed *v = sl_manager_find_version(model, set->list[i].number);
        if (v != NULL && v->managed && !v->aspired)
            return false;
    }
    for (sl_managed *v = model->versions; v != NULL; v = v->next)
        if (v->managed && v->aspired && !sl_aspired_has(set, v->number))
            un_aspire(v);
    for (int i = 0; i < set->count; i++) {
        sl_managed *v = sl_manager_find_version(model, set->list[i].number);
        if (v == NULL || !v->managed)
            manage(model, &set->list[i]);
        else if (strcmp(v->path, set->list[i].path) != 0)
            move(v, &set->list[i]);
    }
    if (sl_served_on_demand(model))
        sl_manager_publish_later(model);
    sl_aspired_fini(set);
    model->has_pending = false;
    return true;
}

static void drop_finished(sl_served *model)
{
    for (sl_managed *v = model->versions; v != NULL; v = v->next)
        if (v->managed && !v->aspired && v->state == SL_STATE_END)
            v->managed = false;
}

/* ---- what to do next ---- */

static sl_stage stage_of(const sl_managed *v)
{
    switch (v->state) {
    case SL_STATE_START:
        return v->queued || sl_managed_is_idle(v) ? SL_STAGE_BUSY : SL_STAGE_NEW;
    case SL_STATE_LOADING:
        return SL_STAGE_BUSY;
    case SL_STATE_AVAILABLE:
        return SL_STAGE_READY;
    case SL_STATE_UNLOADING:
        return SL_STAGE_GOING;
    default:
        return SL_STAGE_OVER;
    }
}

void sl_manager_begin_unload(sl_managed *v)
{
    sl_log(SL_INFO, "Quiescing servable version " SL_ID, SL_ID_ARG(v));
    sl_managed_set_state(v, SL_STATE_UNLOADING, SL_OK, NULL);
    sl_manager_publish(v->model);
    /* After the readers of the older tables; then the last handle's release goes on with it. */
    sl_manager_discard(v->model->manager, (sl_garbage){.serving = v->serving});
}

static sl_transition transition_of(const sl_served *model)
{
    const sl_manager_options *o = &model->manager->opts;
    sl_transition own = model->config ? model->config->c.transition : SL_TRANSITION_DEFAULT;
    return own != SL_TRANSITION_DEFAULT ? own : o->transition;
}

/* On demand: the successor of a version that is in use is wanted without being asked for. */
static void demand_successor(sl_served *model)
{
    bool leaving = false, there = false;
    sl_managed *highest = NULL;
    for (sl_managed *v = model->versions; v != NULL; v = v->next) {
        leaving |= v->managed && !v->aspired && v->state == SL_STATE_AVAILABLE;
        there |= v->aspired && (v->state == SL_STATE_AVAILABLE || v->state == SL_STATE_LOADING);
        if (highest == NULL && sl_managed_is_idle(v))
            highest = v;
    }
    if (leaving && !there && highest != NULL)
        highest->demanded = true;
}

/* One action of the policy; false: there is nothing to do. */
static bool act(sl_served *model)
{
    int n = 0, which;
    for (const sl_managed *v = model->versions; v != NULL; v = v->next)
        n += v->managed;
    sl_policy_version *list = sl_calloc((size_t)n, sizeof *list);
    sl_managed **versions = sl_calloc((size_t)n, sizeof *versions);
    n = 0;
    for (sl_managed *v = model->versions; v != NULL; v = v->next)
        if (v->managed) {
            list[n] = (sl_policy_version){v->number, v->aspired, stage_of(v)};
            versions[n++] = v;
        }
    sl_action action = sl_policy_next(transition_of(model), list, n, &which);
    if (action == SL_ACTION_LOAD)
        sl_manager_enqueue(versions[which]);
    else if (action == SL_ACTION_UNLOAD)
        sl_manager_begin_unload(versions[which]);
    sl_free(list);
    sl_free(versions);
    return action != SL_ACTION_NONE;
}

void sl_manager_reconcile(sl_served *model)
{
    do
        drop_finished(model);
    while (take_pending(model));
    if (sl_served_on_demand(model))
        demand_successor(model);
    while (act(model))
        ;
    sl_manager_check_initial(model->manager);
}

void sl_manager_set_aspired(sl_served *model, sl_aspired_set *set)
{
    sl_aspired_fini(&model->pending);
    model->pending = *set;
    model->has_pending = true;
    *set = (sl_aspired_set){0};
    sl_manager_reconcile(model);
}

/* ---- mending and forgetting ---- */

void sl_manager_mend(sl_served *model, int64_t number, uint64_t look)
{
    sl_managed *v = sl_manager_find_version(model, number);
    if (v == NULL || !v->managed || !v->aspired)
        return;
    bool waiting = v->queued && v->attempts > 0;
    if (v->state != SL_STATE_END && !waiting)
        return;
    sl_log(SL_INFO, "The directory of servable version " SL_ID " has changed: trying again",
           SL_ID_ARG(v));
    v->look = look;
    if (waiting)
        sl_manager_dequeue(v);
    v->attempts = 0;
    sl_managed_set_state(v, SL_STATE_START, SL_OK, NULL);
    sl_manager_reconcile(model);
}

static void free_model(sl_served *model)
{
    while (model->versions != NULL)
        sl_manager_drop_version(&model->versions);
    sl_manager_unwatch_base(model);
    sl_sight_free(model->sight);
    sl_config_release(model->config);
    sl_aspired_fini(&model->pending);
    sl_labels_fini(&model->labels);
    sl_free(model->unreadable);
    sl_free(model->name);
    sl_free(model);
}

/* Returns when the next of its versions may be forgotten. */
static uint64_t forget_versions(sl_served *model, uint64_t now)
{
    uint64_t keep = model->manager->opts.forget_ns, next = 0;
    for (sl_managed **at = &model->versions; *at != NULL;) {
        const sl_managed *v = *at;
        bool over = !v->managed && v->state == SL_STATE_END;
        if (over && now >= v->ended_ns + keep) {
            sl_manager_drop_version(at);
            continue;
        }
        if (over && (next == 0 || v->ended_ns + keep < next))
            next = v->ended_ns + keep;
        at = &(*at)->next;
    }
    return next;
}

uint64_t sl_manager_forget(sl_manager *m, uint64_t now)
{
    uint64_t next = 0;
    sl_served *before = NULL;
    if (m->opts.forget_ns == 0 || now < m->forget_at)
        return m->opts.forget_ns ? m->forget_at : 0;
    for (sl_served *model = m->models, *after; model != NULL; model = after) {
        after = model->next;
        uint64_t when = forget_versions(model, now);
        if (when && (next == 0 || when < next))
            next = when;
        if (model->config != NULL || model->versions != NULL || model->has_pending ||
            model->unpublished || model->visitors > 0) {
            before = model;
            continue;
        }
        if (before != NULL)
            before->next = after;
        else
            m->models = after;
        if (m->last_model == model)
            m->last_model = before;
        m->forgotten++;
        sl_map_remove(&m->by_name, sl_str_of(model->name));
        free_model(model);
    }
    /* What ends later than now is not over before now + keep. */
    m->forget_at = next ? next : now + m->opts.forget_ns;
    return m->forget_at;
}

/* ---- beginning and end ---- */

sl_code sl_manager_new(const sl_manager_options *opts, sl_manager **out, sl_status *st)
{
    sl_manager *m = sl_calloc(1, sizeof *m);
    m->opts = *opts;
    m->initial = true;
    pthread_mutex_init(&m->configuring, NULL);
    pthread_mutex_init(&m->lock, NULL);
    sl_cond_init(&m->changed);
    sl_cond_init(&m->load_work);
    sl_cond_init(&m->source_work);
    sl_cond_init(&m->looker_work);
    sl_cond_init(&m->timer_work);
    sem_init(&m->unload_work, 0, 0);
    sl_code rc = sl_manager_start_loaders(m, st);
    if (rc == SL_OK) {
        sl_manager_start_notices(m);
        rc = sl_manager_start_source(m, st);
    }
    if (rc) {
        sl_manager_free(m);
        return rc;
    }
    *out = m;
    return SL_OK;
}

static bool all_ended(const sl_manager *m)
{
    for (const sl_served *model = m->models; model != NULL; model = model->next)
        for (const sl_managed *v = model->versions; v != NULL; v = v->next)
            if (v->managed && v->state != SL_STATE_END)
                return false;
    return true;
}

static void unload_everything(sl_manager *m)
{
    pthread_mutex_lock(&m->lock);
    if (!all_ended(m))
        sl_log(SL_INFO, "Unload all remaining servables in the manager.");
    for (sl_served *model = m->models; model != NULL; model = model->next)
        sl_manager_remove(model);
    pthread_mutex_unlock(&m->lock);
    sl_manager_collect(m);
    pthread_mutex_lock(&m->lock);
    while (!all_ended(m))
        sl_cond_wait(&m->changed, &m->lock);
    pthread_mutex_unlock(&m->lock);
}

bool sl_manager_is_loading(sl_manager *m)
{
    pthread_mutex_lock(&m->lock);
    bool any = m->loading > 0;
    pthread_mutex_unlock(&m->lock);
    return any;
}

void sl_manager_free(sl_manager *m)
{
    if (m == NULL)
        return;
    sl_manager_stop_source(m);
    sl_manager_stop_notices(m);
    sl_manager_stop_timer(m);
    unload_everything(m);
    sl_manager_stop_loaders(m);
    sl_manager_collect(m);
    sl_table_free_all(atomic_load(&m->table));
    while (m->models != NULL) {
        sl_served *model = m->models;
        m->models = model->next;
        free_model(model);
    }
    sl_map_fini(&m->by_name);
    sem_destroy(&m->unload_work);
    pthread_mutex_destroy(&m->lock);
    pthread_mutex_destroy(&m->configuring);
    sl_free(m);
}

void sl_manager_poke(sl_manager *m)
{
    pthread_mutex_lock(&m->lock);
    sl_cond_broadcast(&m->load_work);
    sl_cond_broadcast(&m->source_work);
    sl_cond_broadcast(&m->changed);
    pthread_mutex_unlock(&m->lock);
}
