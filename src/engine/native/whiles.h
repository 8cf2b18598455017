/*
 * whiles.h - the while loops of TensorFlow 1, found in the main graph
 *
 * Before control flow was made of functions, a loop was a frame of nodes that run again and again:
 *
 *     x -> Enter -> Merge -> Switch -> Exit -> y             Merge -> the condition -> LoopCond
 *                     |        |                             LoopCond -> each Switch
 *           NextIteration <- body
 *
 * Each such chain is a variable of the loop; an Enter with is_constant is a value that stays the
 * same. What the tensors of a functional While are can be read off: its inputs are what the Enters
 * take, the condition is a function of the Merges, the body one from the Switches' second outputs
 * to what the NextIterations take, and the Exits are its outputs. functional.c makes one of it;
 * here the loops are only found and checked.
 *
 * The walk goes backwards from what is fetched and stops at what is fed, so a variable that is only
 * there for a gradient that nobody asks for is none, as TensorFlow prunes it. It knows in which loop
 * it is, and everything that is met belongs to one: edges may only cross at an Enter or an Exit.
 *
 * Load thread.
 */
#ifndef SL_ENGINE_NATIVE_WHILES_H
#define SL_ENGINE_NATIVE_WHILES_H

#include "base/map.h"
#include "savedmodel/savedmodel.h"

/* Nodes of the main graph. */
typedef struct sl_while_var {
    int enter, merge, next;
    int split; /* the Switch; -1: nothing asks for it */
} sl_while_var;

typedef struct sl_while {
    sl_str name; /* of the frame */
    int parent;  /* the loop it stands in, -1: none */
    int cond;    /* the LoopCond */
    sl_while_var *vars;
    int n_vars;
    size_t cap_vars;
    int *invariants; /* Enters */
    int n_invariants;
    size_t cap_invariants;
} sl_while;

typedef struct sl_whiles {
    const sl_graph *graph;
    sl_while *list;
    int count;
    size_t cap;
    int *where;  /* for each node: 0 not met, 1 outside of all loops, k + 2 in loop k */
    int *var_of; /* for each Merge of a loop: its variable + 1 */
    int *split;  /* for each Merge: the Switch behind it + 1 */
    sl_map names;
} sl_whiles;

/*
 * Finds the loops that `roots` need (names of tensors or nodes); `fed`: comes with the request. *out
 * is NULL where the graph has none. FAILED_PRECONDITION: a loop is not as above; the message names
 * the node. RESOURCE_EXHAUSTED: no memory.
 */
sl_code sl_whiles_find(const sl_graph *g, const sl_str *roots, int n_roots,
                       bool (*fed)(void *arg, int node, int out), void *arg, sl_whiles **out,
                       sl_status *st);
void sl_whiles_free(sl_whiles *w); /* accepts NULL */

/* The loop and variable that an Exit gives; false if the node is none that the walk has met. */
bool sl_whiles_exit(const sl_whiles *w, int node, int *loop, int *var);

/* The op is `name`, or the same for ref tensors ("RefEnter"). */
bool sl_node_is_flow(const sl_node *n, const char *name);

#endif
