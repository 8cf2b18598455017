/*
 * branches.h - conditionals of TensorFlow 1 whose predicate is known
 *
 * Before control flow was made of functions, tf.cond() was a Switch for each tensor that goes in
 * and a Merge for each that comes out; what stands on the side that is not taken is dead, and a
 * Merge gives whichever input is alive:
 *
 *     training (default: False) -> Switch -> false side -> Merge
 *                                         -> true side  ->
 *
 * Exported models have many of these, and nearly all hang on a flag that no signature feeds. Then
 * it is known before any request which side is taken, and neither Switch nor Merge is there at all.
 *
 *     sl_branches br = {.graph = g, .fed = is_fed, .arg = b};
 *     sl_branches_pass(&br, node, out, &input, st);      input -1: it hangs on the request
 *     sl_branches_fini(&br);
 *
 * Of the main graph only. Load thread.
 */
#ifndef SL_ENGINE_NATIVE_BRANCHES_H
#define SL_ENGINE_NATIVE_BRANCHES_H

#include "savedmodel/savedmodel.h"

typedef struct sl_branches {
    const sl_graph *graph;
    bool (*fed)(void *arg, int node, int out); /* comes with the request */
    void *arg;
    char *states; /* of the nodes that have been looked at; NULL: none yet */
    int *stack, *next;
} sl_branches;

/* The input of a Switch or Merge that its output `out` has the value of; -1: that is not known, or
 * the node is neither, or the output is dead. RESOURCE_EXHAUSTED: no memory. */
sl_code sl_branches_pass(sl_branches *b, int node, int out, int *input, sl_status *st);
void sl_branches_fini(sl_branches *b);

#endif
