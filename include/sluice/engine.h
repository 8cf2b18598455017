/*
 * engine.h - what runs a model
 *
 * An engine is a table of functions. The server asks probe() whether the engine can run a model,
 * load() makes a session of it, run() answers requests on the session, close() gives everything
 * back.
 *
 *     saved model -- probe --> can it?  -- load --> session -- run, run, run --> close
 *
 * A new engine needs this header, tensor.h, signature.h, status.h and version.h, nothing else of
 * Sluice; savedmodel/savedmodel.h says what can be asked of the sl_saved_model that it is given.
 */
#ifndef SLUICE_ENGINE_H
#define SLUICE_ENGINE_H

#include <stdatomic.h>

#include "sluice/signature.h"

#define SL_ENGINE_ABI 1

typedef struct sl_saved_model sl_saved_model; /* savedmodel/savedmodel.h */
typedef struct sl_session sl_session;         /* the engine's own */

/*
 * Collects every reason why an engine cannot run a model, or a remark about how it will. `add` may
 * be called any number of times; `node` and `op` may be NULL.
 */
typedef struct sl_report {
    void (*add)(void *arg, const char *node, const char *op, const char *reason);
    void *arg;
} sl_report;

typedef struct sl_load_options {
    const char *model_name; /* for messages and the engine's own logs */
    int64_t version;
    int intra_op_threads; /* 0: as many as the process has processors */
    int inter_op_threads; /* 0: likewise */
    /* A text ConfigProto already turned into its wire form, or n == 0. Only the TensorFlow engine
     * reads it. */
    sl_str session_config;
} sl_load_options;

/* One run of one signature. The caller fills in everything but `outputs`. */
typedef struct sl_run {
    int signature; /* position in the model's sl_signatures; see also sl_engine.unites */

    /* Which of the signature's inputs are fed, ascending, and with what. An engine may keep the
     * tensors' buffers alive (sl_tensor_share) but never writes to them. */
    int n_inputs;
    const int *input_index;
    const sl_tensor *inputs;

    /* Which of the signature's outputs are wanted, in any order; run() makes outputs[k] for
     * output_index[k]. On failure none of them is set. The caller releases them. */
    int n_outputs;
    const int *output_index;
    sl_tensor *outputs;

    uint64_t deadline_ns;         /* monotonic clock (sl_now_ns); 0: none. Polled between steps */
    const atomic_bool *cancelled; /* or NULL; polled between steps: run() then fails CANCELLED */
    int threads;                  /* how many threads this run may use, the caller's included */
} sl_run;

typedef struct sl_engine {
    int abi;          /* SL_ENGINE_ABI; members are only ever added at the end */
    const char *name; /* as in the configuration: "native", "tensorflow" */

    /* Can this engine run the model? SL_OK: yes. FAILED_PRECONDITION: no; `why` then holds every
     * op and node that stands in the way. Other codes: the model itself is broken. `self` is what
     * the engine was created with. Load thread; may take a second. */
    sl_code (*probe)(void *self, const sl_saved_model *model, const sl_report *why, sl_status *st);

    /* Loads `model` and stores the session in *out; close() gives it back. Called on a load
     * thread, may take minutes. `model` is valid only during the call. Variables are restored and
     * the init op has run when it returns. */
    sl_code (*load)(void *self, const sl_saved_model *model, const sl_load_options *opts,
                    sl_session **out, sl_status *st);

    /* Runs one signature and returns when the outputs are there. Called from many threads at once
     * on the same session. Inputs that the graph refuses: INVALID_ARGUMENT, in TensorFlow's words
     * where it has some (specification: ops.md, rest.md 6.1). */
    sl_code (*run)(sl_session *s, sl_run *run, sl_status *st);

    /* Frees the session. No run() is in progress and none will follow. */
    void (*close)(sl_session *s);

    /* (optional) Upper bound in bytes of what load() will use, for admission control. */
    sl_code (*estimate)(void *self, const sl_saved_model *model, uint64_t *bytes, sl_status *st);

    /* (optional) What this very run would cost in nanoseconds, from a plan that is already cached
     * for these shapes; -1: not known, or it may block, loop, or wait for anything. *elements: how
     * many the wanted outputs will have together. Never blocks, allocates nothing. The server runs
     * in place only what this says is cheap and small. */
    int64_t (*cost)(sl_session *s, const sl_run *run, int64_t *elements);

    /* (optional) Bytes that the session holds now. Any thread. */
    uint64_t (*memory)(sl_session *s);

    /* (optional) One line about how this session runs (device, library version, fused steps), for
     * inspect and status. Owned by the session. */
    const char *(*describe)(sl_session *s);

    /* (optional) Does running the signature leave everything as it was: no variable, table or other
     * resource written, no effect outside? Only then may it be run though nobody asked (warm-up,
     * shadow traffic). Any thread, never blocks. Absent: never. */
    bool (*pure)(sl_session *s, int signature);

    /* (optional) Can run() and cost() be given the position of the signatures' union, `count`
     * (signature.h), where there is one? Then those of its inputs are fed that belong to a
     * signature of which an output is wanted, and no others. Any thread, never blocks. Absent: no.
     */
    bool (*unites)(sl_session *s);

    /* (optional) From here on clients' requests come: load() and what warms the session up are
     * over. Until then an engine may hold back, so as not to disturb those that answer. Once; load
     * thread; returns at once. */
    void (*serve)(sl_session *s);
} sl_engine;

#endif
