/*
 * check_models.c - `sluice check`: what would become of each model
 *
 * The source's own policy says which versions are wanted, and asks for each that may be taken
 * whether all of it is there, as it does in the server; what is taken is opened, an engine chosen,
 * and its estimate held against the memory budget. Nothing is loaded.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "cli/check.h"
#include "fetch/place.h"
#include "model/policy.h"
#include "model/version_dir.h"
#include "savedmodel/complete.h"
#include "savedmodel/savedmodel.h"
#include "server/engines.h"
#include "server/model_dir.h"
#include "server/remote.h"

typedef struct models {
    sl_check *check;
    const sl_model_config *m; /* the one that is looked at */
    sl_loader loader;
    uint64_t budget; /* 0: none */
    uint64_t sum;    /* of the estimates of what is loaded without being asked for */
    int n_summed;
} models;

/* ---- memory ---- */

static const char *bytes_text(uint64_t n, char buf[40])
{
    const double mb = 1024.0 * 1024.0;
    if (n < 100000)
        snprintf(buf, 40, "%" PRIu64 " bytes", n);
    else
        snprintf(buf, 40, "%.1f MB", (double)n / mb);
    return buf;
}

static void check_memory(models *x, int64_t version, uint64_t bytes)
{
    char needs[40], budget[40];
    if (x->budget > 0 && bytes > x->budget)
        sl_check_find(x->check, true,
                      "model %s: version %" PRId64 " may need %s, and the memory budget is %s "
                      "(--memory_budget): it is never loaded",
                      x->m->name, version, bytes_text(bytes, needs), bytes_text(x->budget, budget));
    if (x->m->load == SL_LOAD_ON_DEMAND)
        return; /* they make room for each other */
    x->sum = bytes > UINT64_MAX - x->sum ? UINT64_MAX : x->sum + bytes;
    x->n_summed += bytes > 0;
}

/* What is loaded counts as what it really uses, which may be less: the last ones may still fit. */
static void check_sum(const models *x)
{
    char needs[40], budget[40];
    if (x->budget > 0 && x->sum > x->budget && x->n_summed > 1)
        sl_check_find(x->check, x->check->flags->strict_startup,
                      "the %d versions that are loaded at the start may need %s together, and the "
                      "memory budget is %s (--memory_budget): those that do not fit are not loaded",
                      x->n_summed, bytes_text(x->sum, needs), bytes_text(x->budget, budget));
}

/* ---- signatures ---- */

static void put_infos(sl_text *t, const sl_tensor_info *infos, int n)
{
    char shape[256];
    if (n == 0)
        sl_text_puts(t, "nothing");
    for (int i = 0; i < n; i++)
        sl_text_printf(t, "%s%s %s%s", i ? ", " : "", infos[i].key,
                       sl_dtype_name(sl_dtype_base(infos[i].dtype)),
                       infos[i].rank < 0
                           ? " of any shape"
                           : sl_shape_text(infos[i].dims, infos[i].rank, shape, sizeof shape));
}

static void say_signatures(const models *x, int64_t version, const sl_signatures *all)
{
    int shown = 0;
    for (int i = 0; i < all->count; i++) {
        const sl_signature *s = &all->list[i];
        sl_text t = {0};
        if (strncmp(s->key, "__", 2) == 0)
            continue; /* the loader's own */
        put_infos(&t, s->inputs, s->n_inputs);
        sl_text_puts(&t, " -> ");
        put_infos(&t, s->outputs, s->n_outputs);
        sl_check_say("model %s: version %" PRId64 ": signature %s: %s", x->m->name, version, s->key,
                     t.p ? t.p : "");
        sl_text_fini(&t);
        shown++;
    }
    if (shown == 0)
        sl_check_find(x->check, false,
                      "model %s: version %" PRId64 " has no signature: there is nothing that a "
                      "client could ask it",
                      x->m->name, version);
}

/* ---- versions ---- */

static sl_code look_inside(models *x, const sl_saved_model *model, int64_t version, sl_status *st)
{
    const sl_engine_entry *e;
    sl_text why = {0};
    uint64_t bytes = 0;
    sl_code rc = sl_engines_choose(&x->loader.engines, sl_loader_engine(&x->loader, x->m), model,
                                   &e, &why, NULL, st);
    if (rc == SL_OK)
        rc = sl_loader_estimate(e, model, &bytes, st);
    if (rc == SL_OK) {
        char needs[40];
        sl_check_say("model %s: version %" PRId64 ": %s%s%s", x->m->name, version,
                     why.p ? why.p : e->engine->name, bytes ? "; may need " : "",
                     bytes ? bytes_text(bytes, needs) : "");
        say_signatures(x, version, sl_saved_model_signatures(model));
        check_memory(x, version, bytes);
    }
    sl_text_fini(&why);
    return rc;
}

static void note_version(models *x, const sl_aspired *v)
{
    sl_check *c = x->check;
    c->versions =
        sl_grow(c->versions, (size_t)c->n_versions, &c->cap_versions, sizeof *c->versions);
    c->versions[c->n_versions++] = (sl_checked_version){x->m, v->number, sl_strdup(v->path)};
}

static void check_version(models *x, const sl_aspired *v)
{
    sl_saved_model *model = NULL;
    sl_status st = {0};
    sl_code rc = sl_saved_model_open(v->path, x->loader.tags, x->loader.n_tags, &model, &st);
    if (rc == SL_OK)
        rc = look_inside(x, model, v->number, &st);
    if (rc)
        sl_check_find(x->check, true, "model %s: version %" PRId64 ": %s", x->m->name, v->number,
                      st.msg);
    else
        note_version(x, v);
    sl_saved_model_close(model);
}

/* An sl_policy_accept: the source's, without waiting for what is being copied. */
static bool is_complete(void *arg, int64_t number, const char *path)
{
    models *x = arg;
    sl_status st = {0};
    if (sl_saved_model_check_complete(path, x->loader.tags, x->loader.n_tags, &st) !=
        SL_UNAVAILABLE)
        return true;
    sl_check_find(x->check, true,
                  "model %s: version %" PRId64 " is not complete, and is not loaded until it is: "
                  "%s: %s",
                  x->m->name, number, path, st.msg);
    return false;
}

/* ---- one model ---- */

static sl_numbers numbers_of(const sl_aspired_set *set)
{
    int64_t *list = sl_calloc((size_t)set->count, sizeof *list);
    for (int i = 0; i < set->count; i++)
        list[i] = set->list[i].number;
    return (sl_numbers){list, set->count};
}

static sl_numbers versions_there(const sl_model_config *m)
{
    char *dir;
    sl_version_dirs d = {0};
    int64_t *list;
    int n = 0;
    if (sl_version_dir_local(m->base_path, &dir, NULL))
        return (sl_numbers){NULL, 0};
    if (sl_version_dirs_read(dir, &d, NULL))
        d = (sl_version_dirs){0};
    sl_free(dir);
    list = sl_calloc((size_t)d.count, sizeof *list);
    for (int i = 0; i < d.count; i++)
        if (n == 0 || list[n - 1] != d.list[i].number)
            list[n++] = d.list[i].number;
    sl_version_dirs_fini(&d);
    return (sl_numbers){list, n};
}

/* Lines of which the first character says how bad it is (policy.h). */
static void tell_remarks(models *x, const sl_text *remarks, bool only_errors)
{
    const char *line = remarks->p ? remarks->p : "";
    while (*line) {
        int n = (int)strcspn(line, "\n");
        if (*line == 'E' || !only_errors)
            sl_check_find(x->check, *line == 'E', "model %s: %.*s", x->m->name, n - 1, line + 1);
        line += n + (line[n] == '\n');
    }
}

/* Nothing is wanted of what is there. People get a sentence that says what to do, if there is one.
 */
static void tell_nothing_there(models *x, const sl_text *remarks)
{
    sl_status st = {0};
    if (x->m->policy != SL_POLICY_SPECIFIC && sl_model_dir_check(x->m->base_path, &st))
        sl_check_find(x->check, true, "model %s: %s", x->m->name, st.msg);
    else if (x->m->policy == SL_POLICY_SPECIFIC && x->m->n_versions == 0) /* to unload it */
        sl_check_find(x->check, x->check->flags->strict_startup && !x->check->reload,
                      "model %s: \"specific {}\" wants no version: nothing of it is served",
                      x->m->name);
    else
        tell_remarks(x, remarks, x->m->n_versions > 0); /* "nothing found" says no more */
}

static void check_versions(models *x)
{
    sl_aspired_set set;
    sl_text again = {0}; /* the same remarks as before */
    if (sl_policy_select(x->m, is_complete, x, &set, &again, NULL) == SL_OK) {
        for (int i = 0; i < set.count; i++)
            check_version(x, &set.list[i]);
        sl_aspired_fini(&set);
    }
    sl_text_fini(&again);
}

static void check_local(models *x)
{
    sl_aspired_set set;
    sl_text remarks = {0};
    sl_status st = {0}, better = {0};
    if (sl_policy_select(x->m, NULL, NULL, &set, &remarks, &st)) {
        bool is_better = sl_model_dir_check(x->m->base_path, &better) != SL_OK;
        sl_check_find(x->check, true, "model %s: %s", x->m->name, is_better ? better.msg : st.msg);
        sl_text_fini(&remarks);
        return;
    }
    if (set.count > 0)
        tell_remarks(x, &remarks, false);
    else
        tell_nothing_there(x, &remarks);
    if (x->loader.platform != NULL)
        check_versions(x);
    sl_numbers loaded = numbers_of(&set), there = versions_there(x->m);
    sl_check_names(x->check, x->m, there, loaded);
    sl_free((int64_t *)loaded.list);
    sl_free((int64_t *)there.list);
    sl_aspired_fini(&set);
    sl_text_fini(&remarks);
}

static void check_model(models *x)
{
    sl_status st = {0};
    const char *path = x->m->base_path;
    if (!sl_fetch_is_remote(path))
        check_local(x);
    else if (sl_remote_check(path, x->check->flags->remote_helper, &st))
        sl_check_find(x->check, true, "model %s: %s", x->m->name, st.msg);
    else
        sl_check_say("model %s: %s is fetched when the server runs, and was not looked at",
                     x->m->name, path);
}

void sl_check_models(sl_check *c)
{
    const sl_model_list *l = &c->config.models;
    models x = {.check = c, .budget = sl_flags_memory_budget(c->flags)};
    sl_engines engines = {0};
    sl_status st = {0};
    if (c->config.n_platforms == 0)
        sl_check_say("models were not looked at inside: it is not known how to load them");
    else if (sl_engines_start(&engines, c->flags, sl_config_serving_platform(&c->config), &x.loader,
                              &st))
        sl_check_find(c, true, "%s", st.msg);
    for (int i = 0; i < l->count; i++) {
        x.m = &l->models[i];
        check_model(&x);
    }
    check_sum(&x);
    sl_engines_stop(&engines);
}
