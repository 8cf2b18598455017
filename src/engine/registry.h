/*
 * registry.h - which engines there are, and which of them runs a model
 *
 * "auto" takes the first engine of the list that can run the model; a name takes that one or fails.
 * Either way the answer comes with its reason: in one sentence for the log and the status, in
 * detail for `sluice inspect` and for load errors.
 */
#ifndef SL_ENGINE_REGISTRY_H
#define SL_ENGINE_REGISTRY_H

#include "base/str.h"
#include "sluice/engine.h"

typedef struct sl_engine_entry {
    const sl_engine *engine;
    void *self; /* what its functions get */
} sl_engine_entry;

typedef struct sl_engine_list {
    sl_engine_entry list[4]; /* in order of preference */
    int count;
} sl_engine_list;

/*
 * Chooses an engine for `model`. `wanted` is "auto" or an engine's name. On success *out is set and
 * `why` gets one sentence ("native: it knows all 12 ops"). On failure `why` gets the sentence for
 * each engine that was asked, and st says the same: FAILED_PRECONDITION, or the code of a broken
 * model, or INVALID_ARGUMENT for an engine that does not exist.
 *
 * `details` (may be NULL) gets one line for each op, node or place that stood in the way, of all
 * engines, also of those that were not chosen but asked. Load thread; may take seconds.
 */
sl_code sl_engines_choose(const sl_engine_list *engines, const char *wanted,
                          const sl_saved_model *model, const sl_engine_entry **out, sl_text *why,
                          sl_text *details, sl_status *st);

#endif
