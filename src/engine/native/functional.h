/*
 * functional.h - control flow of TensorFlow 1, made functional
 *
 * TensorFlow 2 has If and While, whose bodies are functions. TensorFlow 1 wove both into the graph
 * itself: branches.h, conds.h and whiles.h have the pictures and find them. Here they become what
 * If and While become, so that nothing after the building knows the difference: a loop is a LOOP
 * whose condition and body are read from the same main graph, as a signature is, with the loop's
 * variables fed and what they become fetched; a Merge is a BRANCH with a graph for each side.
 *
 * build.h has the state that the walk and this share. All nodes are those of the main graph.
 * Load thread.
 */
#ifndef SL_ENGINE_NATIVE_FUNCTIONAL_H
#define SL_ENGINE_NATIVE_FUNCTIONAL_H

#include "engine/native/branches.h"
#include "engine/native/conds.h"
#include "engine/native/graph.h"
#include "engine/native/whiles.h"

typedef struct sl_builder sl_builder;

/* What one builder knows of it; all zero is none. */
typedef struct sl_functional {
    sl_branches branches;
    sl_whiles *whiles; /* or NULL; owned by the builder without a parent */
    sl_cond *conds;    /* those that were met here */
    size_t n_conds, cap_conds;
    int *opens;           /* for each Switch the first node that has it + 1; or NULL */
    const sl_while *loop; /* the one of which this is the condition or body, or NULL */
    const sl_cond *cond;  /* the one of which this is a side, or NULL */
    int side;
} sl_functional;

/* Finds the loops that the signature needs, once its feeds are marked. */
sl_code sl_functional_find(sl_builder *b);

/*
 * What an output of a node is. edge->node >= 0: that edge, and what the node waits for is added to
 * *controls; ref->n > 0: it has the value of that; else nothing special. FAILED_PRECONDITION: what
 * is fed around a part gets into it on no way that there is for it.
 */
sl_code sl_functional_pass(sl_builder *b, int node, int out, sl_edge *edge, sl_str *ref,
                           int *controls);

/* The LOOP or BRANCH that an Exit or a Merge is the end of; -1: the node is neither. */
sl_code sl_functional_id(sl_builder *b, int node, int *id);

void sl_functional_fini(sl_builder *b);

#endif
