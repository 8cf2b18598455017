/*
 * multi.h - several signatures of one version on the same Examples
 *
 * What MultiInference is in terms of tensors. The tasks are checked in their order, before anything
 * runs. Then there is one run over the union of their tensors, if the engine can do that
 * (sl_engine.unites); otherwise a run for each, one after the other, which gives the same answers
 * but for what is random or written on the way.
 *
 *     sl_multi_prepare(&m, &version, tasks, count, &examples)
 *     m.done = finished; sl_multi_start(&m, where)
 *     finished(&m, code)               exactly once, on whichever thread that was
 *     sl_predict_classify_result(&m.runs[i], ...)    the results, task by task (service.h)
 *     sl_multi_release(&m)
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

typedef struct sl_multi sl_multi;
struct sl_multi {
    sl_predict *runs; /* one for each task; in the arena */
    size_t count;
    sl_predict *together; /* the run that is for all of them; NULL: they are run themselves */
    void (*done)(sl_multi *m, sl_code rc);
    void *user;                /* the front end's own */
    uint64_t queue_ns, run_ns; /* measured; of all runs */
    size_t at;                 /* the run that is next, or in progress */
    sl_where where;
    atomic_int turn; /* of the run at `at`: who comes second, its start or its end, goes on */
    sl_code rc;      /* of the last run */
};

/*
 * Makes `count` runs, one for each task, which share `examples` (a string [n]; it stays the
 * caller's). `like` is an sl_predict that holds the version (sl_predict_resolve_version); the runs,
 * which are in its arena, use that and do not hold it: no sl_predict_fini for them. *m is
 * initialised in any case. Errors: grpc.md 5, step 2, in its order; "Input is empty."; no memory.
 */
sl_code sl_multi_prepare(sl_multi *m, const sl_predict *like, const sl_multi_task *tasks,
                         size_t count, const sl_tensor *examples);
/* As sl_predict_start. May be called again, when the outputs have been released. */
void sl_multi_start(sl_multi *m, sl_where where);
/* Gives back the outputs of all runs, whether they were started or not. */
void sl_multi_release(sl_multi *m);

/*
 * The steps of sl_multi_start, for those who run it themselves. sl_multi_unite: one run for all of
 * these, in their arena, or NULL, where they have to be run by themselves: the engine cannot do it,
 * they are not all fed the same single tensor, or there is no memory. After it sl_multi_hand_out
 * moves its outputs to where they belong.
 */
sl_predict *sl_multi_unite(const sl_predict *runs, size_t count);
void sl_multi_hand_out(sl_predict *together, sl_predict *runs, size_t count);

#endif
