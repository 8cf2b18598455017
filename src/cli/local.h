/*
 * local.h - a model in a directory, with the engines at hand, without a server; for inspect,
 * predict and warmup
 */
#ifndef SL_CLI_LOCAL_H
#define SL_CLI_LOCAL_H

#include "base/arena.h"
#include "server/engines.h"

typedef struct sl_local {
    sl_arena arena;
    sl_flags flags;
    sl_platform *platform;
    int n_platforms;
    sl_engines engines;
    bool engines_made;
    sl_loader loader;
    char *path;       /* of the version directory */
    bool has_version; /* false: the directory given holds the model itself */
    int64_t version;
} sl_local;

/* Finds the model below `dir` and makes the engines. `argv` holds flags of serve (--engine,
 * --saved_model_tags, --tensorflow_library ...). sl_local_fini afterwards, also after a failure.
 * INVALID_ARGUMENT also for a flag that is wrong: *usage is then true. */
sl_code sl_local_open(sl_local *l, const char *dir, int argc, char **argv, bool *usage,
                      sl_status *st);
void sl_local_fini(sl_local *l);

/* Finds the model, loads it, lets `use` have it, and unloads it. The command's exit status; what
 * failed is on stderr. */
typedef sl_code sl_local_use(void *arg, sl_local *l, const sl_version *v, sl_status *st);
int sl_local_with_version(const char *dir, int argc, char **argv, sl_local_use *use, void *arg);

#endif
