/*
 * policy.h - which versions are wanted, and what to do next to get there
 *
 * Two questions, both answered without side effects: which of the versions that lie below a base
 * path does the model's configuration want (latest N, all, specific)? And, given what is loaded,
 * which one action brings the servable nearer to that without a gap in its availability?
 *
 * Source: lifecycle.md 1 and 3.
 */
#ifndef SL_MODEL_POLICY_H
#define SL_MODEL_POLICY_H

#include "model/manager.h"

typedef struct sl_aspired {
    int64_t number;
    char *path;
} sl_aspired;

typedef struct sl_aspired_set {
    sl_aspired *list; /* ascending, each number once */
    int count;
} sl_aspired_set;

void sl_aspired_fini(sl_aspired_set *s);
bool sl_aspired_has(const sl_aspired_set *s, int64_t number);

/*
 * Looks at the base path and selects. What the operator should know (duplicates, versions that are
 * missing, nothing found) is added to `remarks`, a line each, of which the first character is the
 * log level's: 'W' or 'E'. Fails, in the original's words, when the base path cannot be read. An
 * empty set on success: there is nothing that the configuration wants.
 */
sl_code sl_policy_select(const sl_model_config *c, bool (*is_complete)(void *arg, const char *path),
                         void *arg, sl_aspired_set *out, sl_text *remarks, sl_status *st);

typedef enum sl_stage {
    SL_STAGE_NEW,   /* nothing done yet */
    SL_STAGE_BUSY,  /* a load is requested or running */
    SL_STAGE_READY, /* available */
    SL_STAGE_OVER   /* unloading, ended, failed */
} sl_stage;

typedef struct sl_policy_version {
    int64_t number;
    bool aspired;
    sl_stage stage;
} sl_policy_version;

typedef enum sl_action { SL_ACTION_NONE, SL_ACTION_LOAD, SL_ACTION_UNLOAD } sl_action;

/* Availability preserving: the old version goes only when a new one is there. *which: the position
 * of the version to load or unload. */
sl_action sl_policy_next(const sl_policy_version *v, int count, int *which);

#endif
