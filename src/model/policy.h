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
    uint64_t look; /* what the directory looked like (savedmodel/complete.h); the source's */
} sl_aspired;

typedef struct sl_aspired_set {
    sl_aspired *list; /* ascending, each number once */
    int count;
} sl_aspired_set;

void sl_aspired_fini(sl_aspired_set *s);
bool sl_aspired_has(const sl_aspired_set *s, int64_t number);

/* May this version be taken, or is it still being copied? */
typedef bool sl_policy_accept(void *arg, int64_t number, const char *path);

/*
 * Looks at the base path and selects, of those that accept() takes (NULL: all): it is asked for the
 * highest first, and no more often than is needed. What the operator should know (duplicates,
 * versions that are missing, nothing found) is added to `remarks`, a line each, of which the first
 * character is the log level's: 'W' or 'E'. Fails, in the original's words, when the base path
 * cannot be read. An empty set on success: there is nothing that the configuration wants and that
 * may be taken.
 */
sl_code sl_policy_select(const sl_model_config *c, sl_policy_accept *accept, void *arg,
                         sl_aspired_set *out, sl_text *remarks, sl_status *st);

typedef enum sl_stage {
    SL_STAGE_NEW,   /* nothing done yet */
    SL_STAGE_BUSY,  /* a load is requested or running */
    SL_STAGE_READY, /* available */
    SL_STAGE_GOING, /* unloading */
    SL_STAGE_OVER   /* ended, failed */
} sl_stage;

typedef struct sl_policy_version {
    int64_t number;
    bool aspired;
    sl_stage stage;
} sl_policy_version;

typedef enum sl_action { SL_ACTION_NONE, SL_ACTION_LOAD, SL_ACTION_UNLOAD } sl_action;

/* *which: the position of the version to load or unload.
 *   AVAILABILITY  the old version goes only when a new one is there
 *   RESOURCE      what is not wanted goes first, and nothing is loaded until it is gone: never more
 *                 in memory than is wanted, at the price of a gap */
sl_action sl_policy_next(sl_transition transition, const sl_policy_version *v, int count,
                         int *which);

#endif
