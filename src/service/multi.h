/*
 * multi.h - several signatures of one version on the same Examples
 *
 * What MultiInference is in terms of tensors. The tasks are checked in their order, before
 * anything runs; then each of the runs is started like any other (service.h) and its results are
 * asked for.
 *
 * Source: grpc.md 5.
 */
#ifndef SL_SERVICE_MULTI_H
#define SL_SERVICE_MULTI_H

#include "service/service.h"

typedef struct sl_multi_task {
    sl_str model;     /* the name in its ModelSpec */
    sl_str signature; /* n == 0: the default one */
    sl_str method_name;
} sl_multi_task;

/*
 * Makes `count` runs, one for each task, which share `examples` (a string [n]; it stays the
 * caller's). `like` is an sl_predict that holds the version (sl_predict_resolve_version); the runs
 * in *out, which are in its arena, use that and do not hold it: no sl_predict_fini for them, but
 * their outputs are the caller's (sl_multi_release). Errors: grpc.md 5, step 2, in its order;
 * "Input is empty."; no memory.
 */
sl_code sl_multi_prepare(const sl_predict *like, const sl_multi_task *tasks, size_t count,
                         const sl_tensor *examples, sl_predict **out);
/* Gives back the outputs of all runs, whether they were started or not. */
void sl_multi_release(sl_predict *runs, size_t count);

#endif
