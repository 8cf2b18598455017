/*
 * service.h - predict, classify, regress, metadata, status: in terms of tensors
 *
 * What REST and gRPC have in common. A front end decodes bytes into tensors, and asks here for the
 * rest: which version, which signature, are the inputs complete, where does it run.
 *
 *     sl_predict_init(&p, service, arena, st)
 *     sl_predict_resolve(&p, ...)      version and signature; called by the decoder
 *     sl_predict_set_inputs(&p, ...)   or sl_predict_set_examples(&p, ...)
 *     p.done = finished; sl_predict_start(&p, where)
 *                                      runs it here, or on a worker, or in a batch
 *     finished(&p, code)               exactly once, on whichever thread that was
 *     sl_predict_fini(&p)              gives back outputs and version
 *
 * An sl_predict belongs to one thread at a time. It allocates only from the arena.
 *
 * Source: rest.md 3.3, 6.1 and 8; grpc.md 3 and 4.
 */
#ifndef SL_SERVICE_SERVICE_H
#define SL_SERVICE_SERVICE_H

#include "base/arena.h"
#include "batch/scheduler.h"
#include "batch/workers.h"
#include "model/manager.h"
#include "model/overview.h" /* for the lists of api/ */
#include "sluice/engine.h"

typedef struct sl_service {
    sl_manager *manager;
    sl_workers *workers;
    struct sl_shadows *shadows; /* shadow.h; NULL: none */
    bool check_method_name;     /* --enable_signature_method_name_check */
    uint64_t run_timeout_ns; /* of one model execution, queueing included, where the front end sets
                                no deadline; 0: none */
    int64_t in_place_ns;     /* a run that costs less may stay on the loop; 0: never */
    int64_t in_place_elements;  /* ... if its outputs have no more elements than this */
    uint64_t on_demand_wait_ns; /* how long a request waits for a load; 0: no limit */
    int run_threads;            /* how many threads one run may use */
    /* Of the inputs of one request; 0: any. */
    int max_rank;              /* of each: INVALID_ARGUMENT */
    uint64_t max_elements;     /* of all together: RESOURCE_EXHAUSTED */
    uint64_t max_string_bytes; /* likewise */
} sl_service;

typedef enum sl_where {
    SL_RUN_HERE,          /* this thread may block as long as it takes (a worker, a tool) */
    SL_RUN_HERE_IF_CHEAP, /* a loop: here if the engine knows it to be cheap, else a worker */
    SL_RUN_ELSEWHERE      /* a loop that should not */
} sl_where;

typedef enum sl_method { SL_METHOD_PREDICT, SL_METHOD_CLASSIFY, SL_METHOD_REGRESS } sl_method;

typedef struct sl_predict sl_predict;
struct sl_predict {
    sl_service *service;
    sl_arena *arena;
    sl_status *st;
    sl_method method;
    bool rpc;       /* words failures as gRPC does, where REST has other words; set after init */
    bool uncounted; /* its run is not in the metric runtime_latency */
    const sl_version *version;     /* held from resolve to fini */
    const sl_signature *signature; /* of that version */
    sl_run run;                    /* outputs are ours until fini */
    const atomic_bool *cancelled;  /* or NULL; set by the front end */
    uint64_t deadline_ns; /* set by the front end; 0: service->run_timeout_ns from the start */
    size_t bytes;         /* what the request holds while it waits */
    void (*done)(sl_predict *p, sl_code rc);
    void *user;                /* the front end's own */
    uint64_t queue_ns, run_ns; /* measured */
    uint64_t started_ns;
    sl_job job;         /* on a worker, or */
    sl_batch_task task; /* in a batch */
    sl_awaited awaited; /* while the version is loaded on demand */
    void (*again)(sl_predict *p, sl_code rc);
    /* classify and regress: what was asked */
    int64_t n_examples;
};

void sl_predict_init(sl_predict *p, sl_service *s, sl_arena *arena, sl_status *st);
void sl_predict_fini(sl_predict *p); /* of one that is all zeros: nothing */

/*
 * Before anything is resolved: must the version be loaded first, because it is one on demand? Then
 * true, and again(p, rc) is called exactly once, perhaps before this returns: on a worker, with
 * SL_OK, when it is time to go on; or on any thread, with a code and p->st set, when the request
 * must be refused. Nothing of the request occupies a thread meanwhile. False: go on now.
 */
bool sl_predict_await(sl_predict *p, const sl_model_spec *spec,
                      void (*again)(sl_predict *p, sl_code rc));

/* Finds the version for `spec` (once; later calls keep it) and the signature, "serving_default"
 * for an empty name. For SL_METHOD_PREDICT over REST: a signature without inputs is refused.
 * Errors: rest.md 3.3 and 6.1 steps 3 to 5, 8.2, 8.3. With p->rpc: grpc.md 2.2 and 3, steps 2 and
 * 3 (the name of the method is checked here, before the inputs are looked at). */
sl_code sl_predict_resolve(sl_predict *p, const sl_model_spec *spec, sl_str signature_name);

/* Feeds inputs (positions ascending); fills in the signature's defaults; asks for all outputs. The
 * tensors stay the caller's and must live until done. rest.md 6.1 step 7. */
sl_code sl_predict_set_inputs(sl_predict *p, const int *index, const sl_tensor *inputs, int count);

/* For a front end that has checked the inputs itself, filled in defaults, and knows which outputs
 * are wanted: feeds all n_inputs of the signature, in its order. The arrays, too, must live until
 * done. */
sl_code sl_predict_set_run(sl_predict *p, const int *input_index, const sl_tensor *inputs,
                           int n_inputs, const int *output_index, int n_outputs);

/* Feeds a string [n] of serialized Examples to a classify or regress signature, after checking that
 * it is one; asks for what the answer needs. No examples: "Input is empty.". rest.md 8.2, 8.3. */
sl_code sl_predict_set_examples(sl_predict *p, const sl_tensor *examples);

/* Is the signature one for p->method, classify or regress? A part of the above, for those who check
 * it at another time (multi.h). */
sl_code sl_predict_check_example_signature(sl_predict *p);

/* Runs it: in a batch if the version is batched, else as `where` says. p->done is called exactly
 * once, perhaps before this returns, on whichever thread. */
void sl_predict_start(sl_predict *p, sl_where where);

/* After a successful classify: *classes and *scores, each NULL if the model does not give it.
 * Checks the outputs as rest.md 8.2. They are p's. */
sl_code sl_predict_classify_result(sl_predict *p, const sl_tensor **classes,
                                   const sl_tensor **scores);
sl_code sl_predict_regress_result(sl_predict *p, const sl_tensor **values);

/* For metadata: version only. The handle is released by sl_predict_fini. */
sl_code sl_predict_resolve_version(sl_predict *p, const sl_model_spec *spec);

#endif
