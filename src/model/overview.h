/*
 * overview.h - everything that the manager knows about its models, for lists
 *
 * For whoever looks from outside (the admin listener, a dashboard), not for requests: it takes the
 * manager's lock while it copies.
 */
#ifndef SL_MODEL_OVERVIEW_H
#define SL_MODEL_OVERVIEW_H

#include "model/manager.h"

/* Where a target of the configuration leads now. */
typedef struct sl_arm_overview {
    const char *label; /* NULL: by version */
    int64_t version;   /* that the label points to now */
    bool resolved;     /* false: the label points nowhere yet */
    bool available;
    double weight; /* of an arm; of a shadow its percent */
} sl_arm_overview;

typedef struct sl_model_overview {
    const char *name;
    bool configured; /* false: it is being unloaded */
    const char *base_path;
    const sl_version_info *versions; /* highest first */
    int n_versions;
    const sl_label *labels; /* as they point now */
    int n_labels;
    const sl_arm_overview *arms;
    int n_arms;
    const char *sticky_header;     /* "": none */
    const sl_arm_overview *shadow; /* or NULL */
} sl_model_overview;

/* All models that are configured or still have versions, or with name.n > 0 that one, in the order
 * of the configuration; everything is in `arena`. NOT_FOUND "Could not find any versions of model
 * <m>", RESOURCE_EXHAUSTED. Any thread. */
sl_code sl_manager_overview(sl_manager *m, sl_str name, sl_arena *arena,
                            const sl_model_overview **out, int *count, sl_status *st);

#endif
