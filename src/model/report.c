/* report.c - what the manager tells others: status, lists, and when it is ready */
#include "base/mem.h"
#include "base/thread.h"
#include "model/manager_internal.h"

static const char *copy(sl_arena *arena, const char *s, bool *failed)
{
    if (s == NULL || *s == '\0')
        return "";
    const char *c = sl_arena_try_strndup(arena, s, strlen(s));
    *failed |= c == NULL;
    return c;
}

sl_version_info sl_managed_describe(const sl_managed *v, sl_arena *arena, bool *failed)
{
    return (sl_version_info){
        .number = v->number,
        .state = v->state,
        /* a load that waits for its next attempt has not failed yet, but says what is wrong */
        .code = v->state == SL_STATE_END ? v->code : SL_OK,
        .message = copy(arena, v->state != SL_STATE_LOADING ? v->message : v->tried, failed),
        .engine = copy(arena, v->engine, failed),
        .why = copy(arena, v->why, failed),
        .load_us = v->load_us,
        .bytes = v->bytes};
}

/* Adds why there is nothing, if anybody knows. */
static void explain(sl_text *t, const sl_served *model)
{
    const sl_manager_options *o = &model->manager->opts;
    sl_text why = {0};
    if (o->explain != NULL && model->config != NULL && model->config->c.mirror != NULL)
        o->explain(o->explain_arg, model->config->c.base_path, &why);
    if (why.n || model->unreadable != NULL)
        sl_text_printf(t, ": %s", why.n ? why.p : model->unreadable);
    sl_text_fini(&why);
}

/* With the lock. */
static sl_code list_versions(const sl_served *model, const sl_model_spec *spec, sl_arena *arena,
                             const sl_version_info **out, int *count, sl_status *st)
{
    size_t n = 0, k = 0, bytes;
    bool failed = false;
    const sl_managed *v;
    for (v = model ? model->versions : NULL; v != NULL; v = v->next)
        n += !spec->has_version || v->number == spec->version;
    if (n == 0 && spec->has_version)
        return sl_fail(st, SL_NOT_FOUND, "Could not find version %lld of model %.*s",
                       (long long)spec->version, SL_STR_ARG(spec->model));
    if (n == 0) {
        sl_text why = {0};
        if (model != NULL)
            explain(&why, model);
        sl_fail(st, SL_NOT_FOUND, "Could not find any versions of model %.*s%s",
                SL_STR_ARG(spec->model), why.p ? why.p : "");
        sl_text_fini(&why);
        return SL_NOT_FOUND;
    }
    sl_version_info *list =
        sl_mul_size(n, sizeof *list, &bytes) ? sl_arena_try_alloc(arena, bytes) : NULL;
    for (v = model->versions; v != NULL && list != NULL; v = v->next)
        if (!spec->has_version || v->number == spec->version)
            list[k++] = sl_managed_describe(v, arena, &failed);
    if (list == NULL || failed)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory for the status of %zu versions",
                       n);
    *out = list;
    *count = (int)n;
    return SL_OK;
}

sl_code sl_manager_status(sl_manager *m, const sl_model_spec *spec, sl_arena *arena,
                          const sl_version_info **out, int *count, sl_status *st)
{
    pthread_mutex_lock(&m->lock);
    const sl_served *model = sl_map_get(&m->by_name, spec->model);
    sl_code rc = list_versions(model, spec, arena, out, count, st);
    pthread_mutex_unlock(&m->lock);
    return rc;
}

void sl_manager_each(sl_manager *m,
                     void (*fn)(void *arg, const char *model, int available, int versions),
                     void *arg)
{
    pthread_mutex_lock(&m->lock);
    for (const sl_served *model = m->models; model != NULL; model = model->next) {
        int available = 0, versions = 0;
        for (const sl_managed *v = model->versions; v != NULL; v = v->next) {
            available += v->state == SL_STATE_AVAILABLE ||
                         (v->state == SL_STATE_START && sl_served_on_demand(model));
            versions += v->state != SL_STATE_END;
        }
        if (model->config != NULL || versions > 0)
            fn(arg, model->name, available, versions);
    }
    pthread_mutex_unlock(&m->lock);
}

/* ---- waiting ---- */

typedef enum outcome { PENDING, AVAILABLE, FAILED } outcome;

/* A message while it is loading is that of an attempt that failed: it will be tried again, but
 * nobody has to wait for that. */
static bool is_under_way(const sl_managed *v)
{
    bool retrying = v->message != NULL && !v->model->manager->opts.strict;
    return v->state != SL_STATE_AVAILABLE && v->state != SL_STATE_END && !retrying;
}

/* How it stands with a model, and for a failure which version's error to show. */
static outcome outcome_of(const sl_served *model, const sl_managed **culprit)
{
    bool under_way = model->has_pending, available = false, copied = model->settling;
    *culprit = NULL;
    for (const sl_managed *v = model->versions; v != NULL; v = v->next) {
        available |= v->state == SL_STATE_AVAILABLE || sl_managed_is_idle(v);
        if (!v->managed && v->state == SL_STATE_START) { /* it is being copied */
            copied |= model->manager->opts.strict;
            if (*culprit == NULL)
                *culprit = v;
        }
        if (!v->managed || !v->aspired || v->state == SL_STATE_AVAILABLE || sl_managed_is_idle(v))
            continue;
        under_way |= is_under_way(v);
        if (*culprit == NULL)
            *culprit = v;
    }
    /* All its versions, as in the original: labels and a split may need any of them. */
    if (under_way || !model->looked_at || (copied && !available))
        return PENDING;
    return available ? AVAILABLE : FAILED;
}

static void complain(sl_text *t, const sl_served *model, outcome o, const sl_managed *v)
{
    if (v == NULL && o == FAILED) {
        sl_text_printf(t,
                       "{{name: %s} due to error: NOT_FOUND: Unable to find a numerical version "
                       "path for servable %s at: %s",
                       model->name, model->name, model->config->c.base_path);
        explain(t, model);
        sl_text_puts(t, "}, ");
    } else if (v == NULL)
        sl_text_printf(t,
                       "{{name: %s} due to error: DEADLINE_EXCEEDED: its base path is still "
                       "being looked at}, ",
                       model->name);
    else if (o == FAILED)
        sl_text_printf(t, "{" SL_ID " due to error: %s: %s}, ", SL_ID_ARG(v),
                       sl_code_name(v->managed ? v->code : SL_UNAVAILABLE),
                       v->message ? v->message : "");
    else
        sl_text_printf(t, "{" SL_ID " due to error: DEADLINE_EXCEEDED: still loading%s%s}, ",
                       SL_ID_ARG(v), v->message ? "; last attempt: " : "",
                       v->message ? v->message : "");
}

/* How far sl_manager_wait has come in the list of models. */
typedef struct position {
    const sl_served *at;
    unsigned forgotten;
} position;

static const sl_served *next_pending(const sl_served *model)
{
    const sl_managed *culprit;
    while (model != NULL && (model->config == NULL || outcome_of(model, &culprit) != PENDING))
        model = model->next;
    return model;
}

/* Is any model neither available nor failed, or not published yet? Goes on from where it stood, so
 * that ten thousand models that become available one after the other are not ten thousand walks. */
static bool is_pending(const sl_manager *m, position *p)
{
    if (m->not_ready > 0 || m->to_publish != NULL)
        return true;
    if (p->at == NULL || p->forgotten != m->forgotten)
        *p = (position){m->models, m->forgotten};
    p->at = next_pending(p->at);
    if (p->at == NULL) /* from the start once more: what was available may not be any longer */
        p->at = next_pending(m->models);
    return p->at != NULL;
}

sl_code sl_manager_wait(sl_manager *m, uint64_t deadline_ns, sl_status *st)
{
    sl_text list = {0};
    position p = {0};
    int n = 0;
    pthread_mutex_lock(&m->lock);
    while (is_pending(m, &p) && sl_cond_wait_until(&m->changed, &m->lock, deadline_ns))
        ;
    for (const sl_served *model = m->models; model != NULL; model = model->next) {
        const sl_managed *culprit;
        outcome o = model->config ? outcome_of(model, &culprit) : AVAILABLE;
        if (o == AVAILABLE)
            continue;
        n++;
        complain(&list, model, o, culprit);
    }
    pthread_mutex_unlock(&m->lock);
    sl_code rc = SL_OK;
    if (n)
        rc = sl_fail(st, SL_UNKNOWN, "%d servable(s) did not become available: {%s}", n,
                     list.p ? list.p : "");
    sl_text_fini(&list);
    return rc;
}

/* ---- what became of a change of the configuration ---- */

static sl_progress progress_of(const sl_served *model, const sl_managed **culprit)
{
    bool failed = false, under_way = false, any = false;
    *culprit = NULL;
    if (model == NULL || model->config == NULL)
        return SL_PROGRESS_REMOVED;
    for (const sl_managed *v = model->versions; v != NULL; v = v->next) {
        if (!v->managed && v->state == SL_STATE_START && *culprit == NULL)
            *culprit = v; /* it is being copied */
        if (!v->managed || !v->aspired)
            continue;
        any = true;
        if (v->state == SL_STATE_AVAILABLE || sl_managed_is_idle(v))
            continue;
        under_way |= is_under_way(v);
        failed |= !is_under_way(v);
        if (*culprit == NULL)
            *culprit = v;
    }
    if (under_way || model->has_pending || model->settling || !model->looked_at)
        return SL_PROGRESS_PENDING;
    return failed || !any ? SL_PROGRESS_FAILED : SL_PROGRESS_AVAILABLE;
}

static bool any_pending(const sl_manager *m, const char *const *models, int count)
{
    const sl_managed *culprit;
    for (int i = 0; i < count; i++)
        if (progress_of(sl_map_get(&m->by_name, sl_str_of(models[i])), &culprit) ==
            SL_PROGRESS_PENDING)
            return true;
    return false;
}

void sl_manager_settle(sl_manager *m, const char *const *models, int count, uint64_t deadline_ns,
                       const atomic_bool *stop)
{
    pthread_mutex_lock(&m->lock);
    while (!atomic_load(stop) && any_pending(m, models, count) &&
           sl_cond_wait_until(&m->changed, &m->lock, deadline_ns))
        ;
    pthread_mutex_unlock(&m->lock);
}

sl_progress sl_manager_progress(sl_manager *m, const char *name, bool *serves, sl_text *complaint)
{
    const sl_managed *culprit;
    pthread_mutex_lock(&m->lock);
    const sl_served *model = sl_map_get(&m->by_name, sl_str_of(name));
    sl_progress p = progress_of(model, &culprit);
    *serves = false;
    for (const sl_managed *v = model ? model->versions : NULL; v != NULL; v = v->next)
        *serves |= v->state == SL_STATE_AVAILABLE || sl_managed_is_idle(v);
    if (p == SL_PROGRESS_FAILED || p == SL_PROGRESS_PENDING)
        complain(complaint, model, p == SL_PROGRESS_FAILED ? FAILED : PENDING, culprit);
    pthread_mutex_unlock(&m->lock);
    return p;
}
