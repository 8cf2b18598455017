/*
 * inline.h - which node a name means, across calls
 *
 * A frame is one body being read: the main graph, or a function at one place where it is called. A
 * reference is followed down into a called body (an output of a call is what its body returns) and
 * up out of it (an argument is what the caller passes) until it reaches a node that computes.
 */
#ifndef SL_ENGINE_NATIVE_INLINE_H
#define SL_ENGINE_NATIVE_INLINE_H

#include "engine/native/graph.h"

typedef struct sl_frame {
    const sl_function *fn; /* NULL: the main graph */
    const sl_map *names;   /* name of a node -> index + 1; NULL: the main graph's own index */
    const sl_map *args;    /* name of an input arg -> index + 1 */
    const sl_map *rets;    /* name of an output arg -> index + 1 into fn->ret */
    const sl_node *nodes;
    int n_nodes;
    int parent;          /* -1: the root */
    const sl_node *call; /* the node of the parent that calls */
    const char *prefix;  /* "StatefulPartitionedCall/", "" for the root */
    int depth;
    int *ids;         /* for each node: 0 not met, n > 0 node n - 1 of the graph, n < 0 frame -n */
    int enter, leave; /* control nodes around an inlined body; -1: nothing hangs on them */
} sl_frame;

typedef struct sl_frames {
    const sl_graph *graph;
    sl_frame *list;
    int count;
    size_t cap;
    size_t slots;   /* sum of n_nodes */
    sl_map indexes; /* function name -> struct index */
    sl_arena *arena;
} sl_frames;

/* Root frame 0: the main graph, or `fn`. */
sl_code sl_frames_init(sl_frames *f, const sl_graph *g, const sl_function *fn, sl_arena *arena,
                       sl_status *st);
void sl_frames_fini(sl_frames *f);

/* Index of the node in its frame, -1 if there is none. */
int sl_frame_find(const sl_frames *f, int frame, sl_str name);
/* The frame of a call node, made the first time. *fresh: it was made now. */
sl_code sl_frames_enter(sl_frames *f, int frame, int node, int *callee, bool *fresh, sl_status *st);
bool sl_node_is_call(const sl_node *n);

/*
 * Splits a data reference as it is written in that frame. *arg is the argument's index and *node -1
 * if it names an argument of the function.
 */
sl_code sl_frame_parse(const sl_frames *f, int frame, sl_str ref, int *node, int *out, int *arg,
                       sl_status *st);
/* What result k of the function returns, as written in its body. */
sl_code sl_frame_result(const sl_frames *f, int frame, int k, sl_str *ref, sl_status *st);

#endif
