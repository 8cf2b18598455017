/*
 * build.h - a graph while it is being built: what build.c and functional.c share
 *
 *   build.c       follows names to nodes: through calls, into the bodies of functions
 *   functional.c  makes a LOOP or BRANCH of what was control flow in TensorFlow 1
 *
 * A builder makes one graph: of a signature, of a function, or of a part of the main graph that is
 * a condition, a body or a side. These differ only in their roots: how many feeds and outs there
 * are, and `start`, which marks what is fed and fetches what is wanted. Each node that is met on
 * the way leaves a job, which finds the node's inputs later, so nothing recurses on the graph.
 *
 * functional.c is called with nodes of the main graph; it adds to `g` and keeps what it knows in
 * `functional`. All other fields are build.c's. Load thread.
 */
#ifndef SL_ENGINE_NATIVE_BUILD_H
#define SL_ENGINE_NATIVE_BUILD_H

#include "engine/native/functional.h"
#include "engine/native/inline.h"

typedef struct sl_build_job {
    sl_code (*run)(sl_builder *b, const struct sl_build_job *j);
    int frame, node; /* of the frame; of functional.c: which loop or conditional */
    int id;          /* of the graph: the node whose inputs are to be found */
} sl_build_job;

/* Of a graph with all its sub-graphs. */
typedef struct sl_build_total {
    int subs;
    size_t budget; /* nodes that may still be looked at for conditionals */
} sl_build_total;

struct sl_builder {
    const sl_saved_model *model;
    const sl_ngraph_want *want; /* of a part of the main graph: nothing */
    int n_feeds, n_outs;
    sl_code (*start)(sl_builder *b);
    const sl_builder *parent; /* of a part of the main graph: the graph that it is a part of */
    sl_ngraph *g;
    sl_frames frames;
    sl_build_job *jobs;
    size_t n_jobs, cap_jobs;
    int *fed;       /* main graph: for each node the first mark of one of its outputs + 1 */
    int *next_feed; /* for each mark: the next one of the same node + 1 */
    int *feed_out;  /* mark k is of feed k % n_feeds: a loop's variable has two names */
    sl_functional functional;
    int depth; /* of sub-graphs */
    sl_build_total *total;
    sl_status *st;
};

/* ---- what is added to the graph; RESOURCE_EXHAUSTED: no memory, or it is too large ---- */

/* A node that stands for several of the file; `j` is how its inputs are found, without the id. */
sl_code sl_build_add(sl_builder *b, sl_gkind kind, sl_str name, int n_in, sl_build_job j, int *id);
/* Input i of such a node is what `ref` names. `after`: nodes that it waits for are added to
 * *controls; or NULL. */
sl_code sl_build_input(sl_builder *b, int id, int i, sl_str ref, const sl_node *after,
                       int *controls);
/* Adds to *controls what the node, which stands in that frame, waits for. */
sl_code sl_build_follow_controls(sl_builder *b, int frame, const sl_node *n, int *controls);
/* Room for `count` sub-graphs. */
sl_code sl_build_add_subs(sl_builder *b, int id, int count);
/* Builds sub-graph k with `sub`, whose roots and want are set. */
sl_code sl_build_sub(sl_builder *b, int id, int k, sl_builder *sub);

/* ---- roots ---- */

/* Feed k, or for k >= n_feeds its second name, is that output of a node of the main graph. */
void sl_build_mark(sl_builder *b, int k, int node, int out);
/* Out i is what `ref` names in the root frame. */
sl_code sl_build_fetch(sl_builder *b, int i, sl_str ref);
/* Fed here, or in what this is a part of. `builder`: const sl_builder *, of the main graph. */
bool sl_build_is_fed(void *builder, int node, int out);

/* Reports what stopped the building: the limit of nodes, or no memory. */
sl_code sl_build_too_large(sl_builder *b);

#endif
