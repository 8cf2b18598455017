/*
 * exec.h - a graph that can be run: it finds or makes the plan for what it is given, and runs it
 *
 * A signature is one; so is the body of a loop or branch.
 */
#ifndef SL_ENGINE_NATIVE_EXEC_H
#define SL_ENGINE_NATIVE_EXEC_H

#include "engine/native/cache.h"

typedef struct sl_exec {
    sl_ngraph *g; /* owned; sub-graphs' executors hang on it */
    sl_cache cache;
    pthread_mutex_t making; /* held while a plan is made and put into the cache */
    pthread_mutex_t *state; /* the session's: held while a plan that touches variables runs */
    sl_limits limits;
} sl_exec;

/* Takes `g` over even if it fails (no memory: NULL). */
sl_exec *sl_exec_new(sl_ngraph *g, const sl_limits *limits, pthread_mutex_t *state);
void sl_exec_free(sl_exec *x); /* accepts NULL; frees the graph and its sub-graphs' executors */

/* Runs the wanted outputs. Any thread. */
sl_code sl_exec_run(sl_exec *x, const sl_request *r, const sl_run_args *args, sl_status *st);
/* Makes the plan for these shapes, if it can be made, and adds up its steps. Errors are for the
 * run. */
void sl_exec_prepare(sl_exec *x, const sl_request *r, int *steps, int *fused);
/* See sl_engine.cost. */
int64_t sl_exec_cost(sl_exec *x, const sl_request *r, int64_t *elements);
/* Bytes of plans and of contexts that wait, sub-graphs included. */
size_t sl_exec_bytes(const sl_exec *x);

#endif
