/*
 * conds.h - conditionals of TensorFlow 1 whose predicate is computed
 *
 * branches.h has the picture. Where it is only known during the run which side is taken, a Merge is
 * an If: the predicate is what its Switches share, their data goes in, and each side is a function
 * from the Switches' outputs to an input of the Merge. The Switches are found by a walk backwards
 * from the Merge; on its way a conditional inside a side opens at its Merge and closes at its
 * Switches.
 *
 *     sl_cond c;
 *     sl_cond_find(g, merge, is_fed, b, &budget, &c, st);      c.n_splits 0: it is none
 *     sl_cond_fini(&c);
 *
 * Each Merge is an If of its own: a conditional with several results is computed once for each of
 * them, so none of those may change a variable or draw random numbers (graph.c refuses it).
 *
 * Load thread.
 */
#ifndef SL_ENGINE_NATIVE_CONDS_H
#define SL_ENGINE_NATIVE_CONDS_H

#include "savedmodel/savedmodel.h"

typedef struct sl_cond {
    int merge;
    sl_str pred; /* tensor */
    int *splits; /* Switches */
    int n_splits;
    size_t cap_splits;
    int input[2]; /* of the Merge: what comes if the predicate is false, true */
} sl_cond;

/* `fed`: comes from outside of the graph that is built. `budget`: nodes that may still be looked
 * at. RESOURCE_EXHAUSTED: too many, or no memory. */
sl_code sl_cond_find(const sl_graph *g, int merge, bool (*fed)(void *arg, int node, int out),
                     void *arg, size_t *budget, sl_cond *out, sl_status *st);
void sl_cond_fini(sl_cond *c);

#endif
