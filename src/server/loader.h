/*
 * loader.h - turns a version directory into a session
 *
 * What the manager calls on its load threads: read the SavedModel, choose the engine, load, warm
 * up. The log lines are the original's (lifecycle.md 8.2, 8.3).
 */
#ifndef SL_SERVER_LOADER_H
#define SL_SERVER_LOADER_H

#include "engine/registry.h"
#include "model/manager.h"
#include "server/batching.h"
#include "server/warmup.h"

typedef struct sl_loader {
    sl_engine_list engines;  /* those there are, in order of preference */
    const char *engine;      /* "auto", "native", "tensorflow" */
    const char *const *tags; /* NULL: serve */
    int n_tags;
    sl_load_options options; /* model_name and version are filled in per load */
    const sl_platform *platform;
    /* Asked before a version begins to use memory (sl_manager_reserve), or NULL. */
    sl_code (*reserve)(sl_version *v, uint64_t bytes, sl_status *st);
    sl_batch_scheduler *batches; /* NULL: no batching */
    bool warm_up;                /* replay what the version's assets.extra has recorded */
    bool synthetic_warmup;       /* if there is nothing: with requests of zeros */
    sl_warmup_options warmup;
} sl_loader;

/* The engine that a model asks for: "auto", or a name. */
const char *sl_loader_engine(const sl_loader *l, const sl_model_config *config);
/* What its load will be asked to fit into the memory budget; 0: the engine does not say. */
sl_code sl_loader_estimate(const sl_engine_entry *e, const sl_saved_model *model, uint64_t *bytes,
                           sl_status *st);

/* For sl_manager_options: arg is the sl_loader. */
sl_code sl_loader_load(void *arg, const sl_model_config *config, sl_version *v, sl_text *why,
                       sl_status *st);
void sl_loader_unload(void *arg, sl_version *v);

#endif
