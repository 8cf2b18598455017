/* overview.c - see overview.h */
#include "model/overview.h"

#include "base/mem.h"
#include "model/manager_internal.h"
#include "model/traffic.h"

typedef struct copier {
    sl_arena *arena;
    bool failed;
} copier;

static void *room(copier *c, int count, size_t size)
{
    size_t bytes;
    void *p =
        sl_mul_size((size_t)count + 1, size, &bytes) ? sl_arena_try_alloc(c->arena, bytes) : NULL;
    c->failed |= p == NULL;
    return p;
}

static const char *text(copier *c, const char *s)
{
    const char *p = sl_arena_try_strndup(c->arena, s ? s : "", s ? strlen(s) : 0);
    c->failed |= p == NULL;
    return p ? p : "";
}

static void copy_versions(copier *c, const sl_served *model, sl_model_overview *out)
{
    int n = 0;
    for (const sl_managed *v = model->versions; v != NULL; v = v->next)
        n++;
    sl_version_info *list = room(c, n, sizeof *list);
    if (list == NULL)
        return;
    for (const sl_managed *v = model->versions; v != NULL; v = v->next)
        list[out->n_versions++] = sl_managed_describe(v, c->arena, &c->failed);
    out->versions = list;
}

static void copy_labels(copier *c, const sl_served *model, sl_model_overview *out)
{
    sl_label *list = room(c, model->labels.count, sizeof *list);
    for (int i = 0; list != NULL && i < model->labels.count; i++)
        list[out->n_labels++] =
            (sl_label){text(c, model->labels.list[i].label), model->labels.list[i].version};
    out->labels = list;
}

static bool is_available(const sl_served *model, int64_t number)
{
    for (const sl_managed *v = model->versions; v != NULL; v = v->next)
        if (v->number == number)
            return v->state == SL_STATE_AVAILABLE;
    return false;
}

static sl_arm_overview describe_arm(copier *c, const sl_served *model, sl_target t, double weight)
{
    sl_arm_overview a = {.label = t.label ? text(c, t.label) : NULL, .weight = weight};
    a.resolved = sl_target_resolve(t, model->labels.list, model->labels.count, &a.version);
    a.available = a.resolved && is_available(model, a.version);
    return a;
}

static void copy_traffic(copier *c, const sl_served *model, const sl_traffic_config *t,
                         sl_model_overview *out)
{
    sl_arm_overview *list = room(c, t->n_arms + 1, sizeof *list);
    if (list == NULL)
        return;
    for (int i = 0; i < t->n_arms; i++)
        list[out->n_arms++] = describe_arm(c, model, t->arms[i].target, t->arms[i].weight);
    out->arms = list;
    out->sticky_header = text(c, t->sticky_header);
    if (!t->has_shadow)
        return;
    list[t->n_arms] = describe_arm(c, model, t->shadow, t->shadow_percent);
    out->shadow = &list[t->n_arms];
}

static void copy_model(copier *c, const sl_served *model, sl_model_overview *out)
{
    const sl_model_config *config = model->config ? &model->config->c : NULL;
    *out = (sl_model_overview){.name = text(c, model->name),
                               .configured = config != NULL,
                               .base_path = text(c, config ? config->base_path : NULL),
                               .sticky_header = ""};
    copy_versions(c, model, out);
    copy_labels(c, model, out);
    if (config != NULL && config->traffic != NULL)
        copy_traffic(c, model, config->traffic, out);
}

static bool is_wanted(const sl_served *model, sl_str name)
{
    bool any = model->config != NULL;
    if (name.n > 0)
        return sl_str_is(name, model->name);
    for (const sl_managed *v = model->versions; v != NULL && !any; v = v->next)
        any = v->state != SL_STATE_END;
    return any;
}

/* With the lock. */
static int copy_all(copier *c, const sl_manager *m, sl_str name, sl_model_overview **out)
{
    int n = 0, k = 0;
    for (const sl_served *model = m->models; model != NULL; model = model->next)
        n += is_wanted(model, name);
    *out = room(c, n, sizeof **out);
    for (const sl_served *model = m->models; model != NULL && !c->failed; model = model->next)
        if (is_wanted(model, name))
            copy_model(c, model, &(*out)[k++]);
    return k;
}

sl_code sl_manager_overview(sl_manager *m, sl_str name, sl_arena *arena,
                            const sl_model_overview **out, int *count, sl_status *st)
{
    copier c = {.arena = arena};
    sl_model_overview *list;
    pthread_mutex_lock(&m->lock);
    *count = copy_all(&c, m, name, &list);
    pthread_mutex_unlock(&m->lock);
    *out = list;
    if (c.failed)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory for the list of models");
    if (name.n > 0 && *count == 0)
        return sl_fail(st, SL_NOT_FOUND, "Could not find any versions of model %.*s",
                       SL_STR_ARG(name));
    return SL_OK;
}
