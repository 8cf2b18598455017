/*
 * plan.h - what a run does, for one set of input shapes
 *
 *     sl_ngraph + input shapes  -- sl_draft_make -->  draft: values, steps
 *     draft  -- sl_draft_fuse, sl_draft_place -->  the same, shorter, with a place for every value
 *     draft  -- sl_plan_make -->  plan: immutable
 *     plan   -- sl_context_take -->  context: memory and ready-made calls of one run
 *
 * A plan holds everything that does not change from run to run, a context everything that does. A
 * context's calls point at its own block from the start; a run only patches in where the inputs and
 * the outputs' buffers are. Plans are immutable and shared; a context belongs to one run at a time.
 */
#ifndef SL_ENGINE_NATIVE_PLAN_H
#define SL_ENGINE_NATIVE_PLAN_H

#include "engine/native/graph.h"

typedef struct sl_plan sl_plan;
typedef struct sl_context sl_context;

/* ---- draft ---- */

typedef enum sl_value_state {
    SL_V_NONE,    /* nobody needs it */
    SL_V_KNOWN,   /* constant: t.data is the value */
    SL_V_SHAPED,  /* shape known, value comes with the run */
    SL_V_DYNAMIC, /* shape comes with the run, too */
} sl_value_state;

typedef enum sl_place_kind {
    SL_AT_NONE,
    SL_AT_CONST,  /* t.data */
    SL_AT_INPUT,  /* data of feed `index` */
    SL_AT_BLOCK,  /* `offset` in the run's block */
    SL_AT_OUTPUT, /* output buffer `index` */
    SL_AT_LATE,   /* late value `index`: wherever the step puts it */
} sl_place_kind;

typedef struct sl_place {
    sl_place_kind kind;
    int index;
    size_t offset;
} sl_place;

typedef struct sl_value {
    sl_tensor t; /* buffer only for KNOWN values that were computed here: owned */
    sl_value_state state;
    int root;       /* the value whose bytes it has: itself, or what it is a view of */
    int feed;       /* root comes from that feed, -1: from a step */
    int step;       /* the step that makes it, -1 */
    int last_use;   /* of a root: last step that reads it or a view of it */
    bool wanted;    /* of a root: an output needs it */
    sl_place place; /* of a root */
} sl_value;

typedef enum sl_step_mode {
    SL_STEP_FIXED, /* everything but the values is known */
    SL_STEP_LATE,  /* shape() runs first, memory comes from the run's arena */
    SL_STEP_MAKES, /* run() makes its outputs */
    SL_STEP_VIEW,  /* like LATE, and output 0 has the bytes of input 0 */
    SL_STEP_READ,  /* value of a variable */
    SL_STEP_FLOW,  /* branch or loop: control.c */
} sl_step_mode;

/* What a step does to its output while it is still warm: y = act(y * scale + bias). float32 only.
 */
typedef enum sl_activation { SL_ACT_NONE, SL_ACT_RELU, SL_ACT_RELU6 } sl_activation;
typedef struct sl_epilogue {
    const float *scale, *bias; /* NULL: none; `channels` of them, for the last dimension */
    int64_t channels;
    sl_activation act;
    int count; /* steps that this took the place of */
} sl_epilogue;

typedef struct sl_draft_step {
    int node;
    sl_step_mode mode;
    int n_in;
    int *in; /* values */
    int n_out;
    int out; /* first value */
    size_t scratch, scratch_at;
    int64_t cost;
    sl_epilogue after;
    bool live;
} sl_draft_step;

/* Which inputs are there and which outputs are wanted. */
typedef struct sl_request {
    const sl_tensor *const
        *feeds; /* for each feed of the graph its tensor (data unused), or NULL */
    int n_outs;
    const int *outs; /* positions in g->outs; NULL: all of them */
} sl_request;

typedef struct sl_limits {
    size_t fold_each;  /* a folded value may have this many bytes, or as many as went in */
    size_t fold_total; /* of one draft */
    size_t block;      /* memory of one run: planned, and likewise what late steps take */
} sl_limits;

typedef struct sl_draft {
    const sl_ngraph *g;
    const sl_request *request;
    const sl_limits *limits;
    sl_arena arena;   /* bookkeeping; goes with the draft */
    sl_arena scratch; /* of ops that are folded */
    sl_value *values;
    sl_draft_step *steps;
    int n_steps;
    size_t folded;   /* bytes */
    size_t block;    /* set by sl_draft_place */
    int n_buffers;   /* output buffers */
    size_t *buffers; /* their sizes */
    int n_late;
    sl_buffer **made; /* vectors that fusing computed: owned */
    size_t n_made, cap_made;
} sl_draft;

/* Walks the graph: shapes, constants, views, steps; then drops what nobody needs. On failure the
 * draft is already finished. Errors are those of the ops, with the node's name. */
sl_code sl_draft_make(sl_draft *d, const sl_ngraph *g, const sl_request *r, const sl_limits *limits,
                      sl_status *st);
void sl_draft_fuse(sl_draft *d);
/* RESOURCE_EXHAUSTED: more than limits->block. */
sl_code sl_draft_place(sl_draft *d, sl_status *st);
void sl_draft_fini(sl_draft *d);

/* Computes once and for all what hangs on no input, and makes constants of it in the graph. Load
 * thread, before the graph is shared. */
sl_code sl_ngraph_fold(sl_ngraph *g, const sl_limits *limits, sl_status *st);

/* Appends TensorFlow's "\n\t [[{{node <name>}}]]". Returns st->code. */
sl_code sl_fail_at(sl_status *st, const char *node);

/* ---- plan ---- */

typedef struct sl_plan_step {
    const sl_op_node *node;
    const sl_gnode *graph_node;
    sl_step_mode mode;
    int first; /* its first tensor: inputs, then outputs */
    int n_in, n_out;
    size_t scratch, scratch_at;
    int64_t cost;
    sl_epilogue after;
} sl_plan_step;

typedef struct sl_plan_out {
    sl_tensor t; /* dtype and, unless late, shape; a constant's data and buffer */
    sl_place place;
} sl_plan_out;

typedef struct sl_patch {
    int tensor; /* whose data */
    int index;  /* is that of this feed, or output buffer */
} sl_patch;

struct sl_plan {
    sl_arena arena; /* all that is below */
    sl_plan_step *steps;
    int n_steps, n_fused;
    sl_tensor *tensors; /* of all steps, in order: shapes, and data where it never changes */
    sl_place *places;
    int n_tensors;
    sl_patch *feeds, *outputs;
    int n_feeds, n_outputs;
    sl_plan_out *outs;
    int n_outs;
    size_t *buffers; /* bytes of each output buffer */
    int n_buffers;
    int n_late;
    size_t block;         /* bytes of working memory */
    size_t late_limit;    /* late steps of one run may take so much together */
    sl_tensor *constants; /* owned */
    int n_constants;
    size_t bytes;     /* what the plan itself takes */
    bool locks;       /* touches a variable that is written */
    bool may_block;   /* loop, late shapes, or an op that may block */
    int64_t estimate; /* ns: sum of the ops' own estimates */
};

/* Takes the draft's folded values over. */
sl_code sl_plan_make(sl_draft *d, sl_plan **out, sl_status *st);
void sl_plan_free(sl_plan *p); /* accepts NULL */

/* ---- run ---- */

struct sl_context {
    const sl_plan *plan;
    sl_tensor *tensors, *late;
    sl_op_call *calls;
    sl_buffer **buffers;
    char *block; /* aligned to 64 */
    sl_arena arena;
    int threads; /* as the calls have it now */
    unsigned runs;
    size_t bytes;
};

/* NULL: no memory. */
sl_context *sl_context_new(const sl_plan *p);
void sl_context_free(sl_context *c); /* accepts NULL */

/* What a run is given besides the plan. */
typedef struct sl_run_args {
    const sl_tensor *const *feeds; /* as in sl_request, with data */
    sl_tensor *outputs;            /* for each of the plan's outs */
    uint64_t deadline_ns;
    const atomic_bool *cancelled;
    int threads;
    int depth; /* of control flow */
} sl_run_args;

sl_code sl_context_run(sl_context *c, const sl_run_args *args, sl_status *st);

/* Runs sl_epilogue on an output. epilogue.c */
void sl_epilogue_run(const sl_epilogue *e, const sl_tensor *t);

#endif
