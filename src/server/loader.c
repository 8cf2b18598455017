/* loader.c - see loader.h */
#include "server/loader.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "metrics/metrics.h"
#include "savedmodel/savedmodel.h"
#include "server/synthetic.h"

const char *sl_loader_engine(const sl_loader *l, const sl_model_config *config)
{
    return config->engine != NULL && *config->engine != '\0' ? config->engine : l->engine;
}

sl_code sl_loader_estimate(const sl_engine_entry *e, const sl_saved_model *model, uint64_t *bytes,
                           sl_status *st)
{
    *bytes = 0;
    return e->engine->estimate ? e->engine->estimate(e->self, model, bytes, st) : SL_OK;
}

static sl_code reserve(const sl_loader *l, const sl_engine_entry *e, const sl_saved_model *model,
                       sl_version *v, sl_status *st)
{
    uint64_t bytes;
    if (l->reserve == NULL || e->engine->estimate == NULL)
        return SL_OK;
    sl_code rc = sl_loader_estimate(e, model, &bytes, st);
    return rc ? rc : l->reserve(v, bytes, st);
}

/* The model is open: choose, load, keep what must outlive it. */
static sl_code load_opened(const sl_loader *l, const sl_model_config *config,
                           const sl_saved_model *model, sl_version *v, sl_text *why, sl_status *st)
{
    const sl_engine_entry *e;
    sl_load_options options = l->options;
    sl_code rc =
        sl_engines_choose(&l->engines, sl_loader_engine(l, config), model, &e, why, NULL, st);
    if (rc == SL_OK)
        rc = reserve(l, e, model, v, st);
    if (rc)
        return rc;
    options.model_name = v->model;
    options.version = v->number;
    sl_signatures *signatures = sl_signatures_try_dup(sl_saved_model_signatures(model));
    if (signatures == NULL)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory: signatures of %s", v->path);
    rc = e->engine->load(e->self, model, &options, &v->session, st);
    if (rc) {
        sl_signatures_free(signatures);
        return rc;
    }
    v->engine = e->engine;
    v->signatures = signatures;
    rc = sl_batching_attach(l->batches, l->platform, v, st);
    if (rc)
        sl_loader_unload((void *)l, v);
    return rc;
}

static void count_load(const char *path, bool ok, uint64_t us)
{
    static const char *const labels[] = {"model_path", "status", NULL};
    static const char *const path_label[] = {"model_path", NULL};
    sl_str attempt[] = {sl_str_of(path), sl_str_of(ok ? "success" : "fail")};
    sl_cell_add(sl_metric_cell(sl_metric_register("/tensorflow/cc/saved_model/load_attempt_count",
                                                  SL_COUNTER, labels, NULL, 0),
                               attempt),
                1);
    if (ok)
        sl_cell_add(sl_metric_cell(sl_metric_register("/tensorflow/cc/saved_model/load_latency",
                                                      SL_COUNTER, path_label, NULL, 0),
                                   attempt),
                    (int64_t)us);
}

/* The tag set as the original's log shows it: "serve" or "serve, gpu". */
static void tag_text(const sl_loader *l, sl_text *t)
{
    for (int i = 0; i < l->n_tags; i++)
        sl_text_printf(t, "%s%s", i ? " " : "", l->tags[i]);
    if (l->n_tags == 0)
        sl_text_puts(t, "serve");
}

/* Loaded, as far as the log and the metrics of loading go; if this fails, nothing is left of it. */
static sl_code warm_up(sl_loader *l, sl_version *v, sl_status *st)
{
    int64_t records;
    if (!l->warm_up)
        return SL_OK;
    sl_code rc = sl_warmup_replay(v, v->path, &l->warmup, &records, st);
    if (rc)
        sl_loader_unload(l, v);
    else if (records < 0 && l->synthetic_warmup)
        sl_warmup_synthetic(v, &l->warmup);
    return rc;
}

sl_code sl_loader_load(void *arg, const sl_model_config *config, sl_version *v, sl_text *why,
                       sl_status *st)
{
    const sl_loader *l = arg;
    sl_saved_model *model = NULL;
    sl_text tags = {0};
    uint64_t begin = sl_now_ns();
    tag_text(l, &tags);
    sl_log(SL_INFO, "Reading SavedModel from: %s", v->path);
    sl_code rc = sl_saved_model_open(v->path, l->tags, l->n_tags, &model, st);
    if (rc == SL_OK) {
        sl_log(SL_INFO, "Reading meta graph with tags { %s }", tags.p);
        rc = load_opened(l, config, model, v, why, st);
    }
    uint64_t us = (sl_now_ns() - begin) / 1000;
    if (rc == SL_OK) {
        const char *how = v->engine->describe ? v->engine->describe(v->session) : "";
        sl_log(SL_INFO, "Engine of {name: %s version: %lld}: %s (%s)", v->model,
               (long long)v->number, why->p ? why->p : v->engine->name, how);
        sl_log(SL_INFO,
               "SavedModel load for tags { %s }; Status: success: OK. Took %llu microseconds.",
               tags.p, (unsigned long long)us);
    } else {
        sl_log(SL_ERROR,
               "SavedModel load for tags { %s }; Status: fail: %s: %s. Took %llu microseconds.",
               tags.p, sl_code_name(rc), st->msg, (unsigned long long)us);
    }
    count_load(v->path, rc == SL_OK, us);
    sl_saved_model_close(model);
    sl_text_fini(&tags);
    return rc ? rc : warm_up(arg, v, st);
}

void sl_loader_unload(void *arg, sl_version *v)
{
    (void)arg;
    sl_batching_detach(v);
    v->engine->close(v->session);
    sl_signatures_free((sl_signatures *)v->signatures);
    v->session = NULL;
    v->signatures = NULL;
}
