/*
 * graph.h - the part of a graph that a signature needs, with every reference resolved
 *
 * The file's graph names its edges ("dense/MatMul:0", "^init", in functions "MatMul:product:0").
 * Here a node is a number and an edge is (node, output). A graph is built backwards from what is
 * fetched: a tensor that is fed is a source, wherever it stands; a call's outputs are its body's,
 * so calls do not appear at all. What only orders side effects stays as control edges.
 *
 *     sl_graph (file)  -- sl_ngraph_build -->  nodes, edges  -- sl_ngraph_configure -->  dtypes,
 * ops
 *
 * An sl_ngraph belongs to the load thread until the session is up; then it is read-only.
 */
#ifndef SL_ENGINE_NATIVE_GRAPH_H
#define SL_ENGINE_NATIVE_GRAPH_H

#include "engine/native/op.h"
#include "engine/native/resource.h"

/* What a hostile file may make of itself. The largest real model seen has 9180 reachable nodes. */
enum {
    SL_NGRAPH_MAX_NODES = 1 << 20,
    SL_NGRAPH_MAX_DEPTH = 64,       /* nested calls; the deepest seen: 6 */
    SL_NGRAPH_MAX_FRAMES = 1 << 16, /* calls inlined */
    SL_NGRAPH_MAX_SLOTS = 1 << 23,  /* nodes of all inlined bodies together */
    SL_NGRAPH_MAX_EDGES = 1 << 23,
};

typedef struct sl_edge {
    int node, out;
} sl_edge;

typedef enum sl_gkind {
    SL_G_OP,      /* computes */
    SL_G_FEED,    /* comes with the request (feed >= 0), in[0] if it does not and there is one */
    SL_G_CONST,   /* value */
    SL_G_HANDLE,  /* a variable or table: resource */
    SL_G_READ,    /* value of the variable that in[0] names, taken when control reaches it (ref
                     variables) */
    SL_G_CONTROL, /* no value: NoOp, begin and end of an inlined call */
    SL_G_BRANCH, /* If, Case, or a Merge of TensorFlow 1 (source NULL): in[0] chooses among subs, the
                     others are their arguments */
    SL_G_LOOP, /* While, or a loop of TensorFlow 1 (source NULL): subs[0] is the condition, subs[1]
                     the body */
} sl_gkind;

typedef struct sl_ngraph sl_ngraph;

typedef struct sl_gnode {
    sl_gkind kind;
    bool stateful; /* order and existence matter: op, or what a sub-graph holds */
    bool writes;   /* changes a variable */
    bool draws;    /* random numbers */
    bool again;    /* BRANCH: another one computes some of the same, as the file has one for both */
    bool of_shapes; /* what it gives hangs on its inputs' shapes alone: Shape, Size, Rank ... */
    const sl_node *source; /* attributes; NULL for what has none, and for all once loaded */
    const char *name;      /* "StatefulPartitionedCall/dense/MatMul" */
    sl_edge *in;
    int n_in;
    int controls; /* list of sl_gcontrol, -1: none */
    int n_out;
    int value;             /* number of output 0 among all values of the graph */
    int feed;              /* FEED */
    sl_tensor constant;    /* CONST: owned */
    sl_resource *resource; /* HANDLE: set by the session */
    sl_ngraph **subs;      /* BRANCH, LOOP: owned */
    int n_subs;
    bool is_case;  /* BRANCH: in[0] is a number, not a truth */
    sl_op_node op; /* dtypes of inputs and outputs for every kind; .op for OP */
} sl_gnode;

/* Control edges are linked lists in one array. */
typedef struct sl_gcontrol {
    int node, next;
} sl_gcontrol;

typedef struct sl_gfeed {
    const char *tensor; /* "x:0"; NULL in sub-graphs */
    sl_dtype dtype;     /* as the graph has it; INVALID if the outputs do not need it */
    int node;           /* -1: likewise */
} sl_gfeed;

typedef struct sl_gout {
    sl_edge edge;
    int controls;   /* what must have run besides */
    sl_dtype dtype; /* base type */
} sl_gout;

struct sl_ngraph {
    sl_arena arena;
    sl_gnode *nodes;
    int n_nodes;
    size_t cap_nodes;
    sl_gcontrol *controls;
    int n_controls;
    size_t cap_controls;
    sl_gfeed *feeds;
    int n_feeds;
    sl_gout *outs;
    int n_outs;
    int effects; /* control list: must run whatever is fetched */
    int *order;  /* nodes, what is needed first */
    int n_order;
    int n_values;
    bool mutates;                /* some node touches a variable that is written */
    const sl_op *const *own_ops; /* ops that only this graph may use (init.c), NULL at the end */
    void *own_ops_context;       /* their config */
    struct sl_exec *exec;        /* sub-graphs only: who runs it */
};

/* What to build. Names are the graph's: "x:0". */
typedef struct sl_ngraph_want {
    const sl_op *const *own_ops; /* or NULL */
    void *own_ops_context;
    const sl_str *feeds;
    const sl_tensor *feed_values; /* or NULL: then the feeds come with each run */
    int n_feeds;
    const sl_str *fetches;
    int n_fetches;
    sl_str target; /* a node that must run; n == 0: none */
    const sl_function
        *function; /* instead of all that: this body, its args fed, its results fetched */
} sl_ngraph_want;

/*
 * Builds the closure. INVALID_ARGUMENT: the file is wrong (a name that is not there, a cycle);
 * RESOURCE_EXHAUSTED: larger than the limits above, or no memory.
 */
sl_code sl_ngraph_build(const sl_saved_model *m, const sl_ngraph_want *want, sl_ngraph **out,
                        sl_status *st);
void sl_ngraph_free(sl_ngraph *g); /* accepts NULL */

/*
 * Orders the nodes, finds each node's op and lets it check itself. Every obstacle goes to `why`
 * (may be NULL) and is counted in *obstacles; SL_OK even so. The graph may run only if there are
 * none.
 */
sl_code sl_ngraph_configure(sl_ngraph *g, const sl_report *why, int *obstacles, sl_status *st);

/*
 * Copies the attributes that the graph's nodes point to, so that the graph no longer needs the
 * file. An attribute of more than a few KiB is left behind: configure() has read it.
 */
sl_code sl_ngraph_detach(sl_ngraph *g, sl_status *st);

/* Adds `node` to a control list. False: no memory, or too many edges. */
bool sl_ngraph_add_control(sl_ngraph *g, int *list, int node) SL_MUST_CHECK;
/* Adds a node and gives its number; -1: no memory, or too many nodes. Moves g->nodes. */
int sl_ngraph_add(sl_ngraph *g, sl_gkind kind, const char *name, const sl_node *source, int n_in);

/* The handle node behind an edge that carries a resource: through Identity and the like. -1: none.
 */
int sl_ngraph_handle_of(const sl_ngraph *g, sl_edge e);

/* The op takes input 0 by reference (Assign, AssignAdd ...) and gives the reference on. */
bool sl_op_takes_ref(sl_str op);
/* The op makes a handle or a ref: VarHandleOp, VariableV2, HashTableV2 ... */
bool sl_op_makes_handle(sl_str op, sl_resource_kind *kind);
/* The op changes the variable or table that its first input names. */
bool sl_op_writes(sl_str op);

#endif
