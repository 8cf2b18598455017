/*
 * pure.c - see pure.h
 *
 * A walk backwards over the main graph from the outputs of a signature, along data and control
 * edges, which a fed node ends. Functions are judged as a whole, since what has an effect in a
 * function runs whatever is fetched. No recursion: nodes and functions to be looked at are lists.
 */
#include "engine/pure.h"

#include <stdlib.h>

#include "base/mem.h"
#include "engine/native/graph.h"

typedef struct walk {
    const sl_graph *g;
    bool *seen; /* by node of the main graph */
    int *todo;  /* nodes */
    int n_todo;
    bool *called;   /* by function */
    int *functions; /* to be looked at */
    int n_functions;
} walk;

/* Stateful, and yet nothing is different afterwards. Sorted. */
static const char *const read_only[] = {
    "Assert",
    "Case",
    "CheckNumerics",
    "CudnnRNN",
    "CudnnRNNV2",
    "CudnnRNNV3",
    "Empty",
    "GuaranteeConst",
    "HashTable",
    "HashTableV2",
    "If",
    "IsBoostedTreesEnsembleInitialized",
    "LookupTableExportV2",
    "LookupTableFindV2",
    "LookupTableSizeV2",
    "Multinomial",
    "MutableDenseHashTableV2",
    "MutableHashTable",
    "MutableHashTableV2",
    "ParameterizedTruncatedNormal",
    "RandomGamma",
    "RandomPoisson",
    "RandomShuffle",
    "RandomStandardNormal",
    "RandomUniform",
    "RandomUniformInt",
    "ReadVariableOp",
    "ResourceGather",
    "ResourceGatherNd",
    "SampleDistortedBoundingBoxV2",
    "StatefulPartitionedCall",
    "StatelessRandomGetAlg",
    "TensorArrayCloseV3",
    "TensorArrayConcatV3",
    "TensorArrayGatherV3",
    "TensorArrayReadV3",
    "TensorArrayScatterV3",
    "TensorArraySizeV3",
    "TensorArraySplitV3",
    "TensorArrayV3",
    "TensorArrayWriteV3",
    "Timestamp",
    "TruncatedNormal",
    "VarHandleOp",
    "VarIsInitializedOp",
    "Variable",
    "VariableShape",
    "VariableV2",
    "While",
    "WordpieceTokenizeWithOffsets",
};

static int compare(const void *op, const void *name)
{
    return sl_str_cmp(*(const sl_str *)op, sl_str_of(*(const char *const *)name));
}

static bool is_harmless(const sl_node *n)
{
    if (sl_op_writes(n->op))
        return false;
    if (sl_opdef_output_count(n) < 0) /* not known, or its attributes are damaged */
        return false;
    return !sl_opdef_is_stateful(n->op) ||
           bsearch(&n->op, read_only, SL_COUNTOF(read_only), sizeof *read_only, compare) != NULL;
}

static bool call(walk *w, sl_str name)
{
    const sl_function *f = name.n ? sl_graph_find_function(w->g, name) : NULL;
    if (f == NULL)
        return false;
    ptrdiff_t i = f - w->g->functions;
    if (!w->called[i]) {
        w->called[i] = true;
        w->functions[w->n_functions++] = (int)i;
    }
    return true;
}

/* The functions that a node calls, if it says so in one of the usual ways. */
static bool call_functions(walk *w, const sl_node *n)
{
    static const char *const places[] = {"f", "then_branch", "else_branch", "cond", "body"};
    for (int i = 0; i < n->n_attrs; i++) {
        const sl_attr *a = &n->attrs[i];
        bool usual = sl_str_is(a->name, "branches") && a->kind == SL_ATTR_LIST;
        for (size_t k = 0; k < SL_COUNTOF(places) && a->kind == SL_ATTR_FUNC; k++)
            if (sl_str_is(a->name, places[k])) {
                usual = true;
                if (!call(w, sl_node_func(n, places[k])))
                    return false;
            }
        if (a->kind == SL_ATTR_FUNC && !usual)
            return false;
        for (int k = 0; a->kind == SL_ATTR_LIST && usual && k < sl_node_list_count(n, "branches");
             k++)
            if (!call(w, sl_node_list_func(n, "branches", k)))
                return false;
    }
    return true;
}

static bool look_at(walk *w, const sl_node *n)
{
    if (sl_graph_find_function(w->g, n->op) != NULL) /* TF1: the function's name is the op */
        return call(w, n->op);
    return is_harmless(n) && call_functions(w, n);
}

static void visit(walk *w, sl_str tensor)
{
    sl_input in;
    const sl_node *n = sl_input_parse(tensor, &in) ? sl_graph_find_node(w->g, in.node) : NULL;
    if (n == NULL)
        return; /* a model that names it cannot be loaded */
    ptrdiff_t i = n - w->g->nodes;
    if (!w->seen[i]) {
        w->seen[i] = true;
        w->todo[w->n_todo++] = (int)i;
    }
}

static bool walk_all(walk *w)
{
    while (w->n_todo > 0) {
        const sl_node *n = &w->g->nodes[w->todo[--w->n_todo]];
        if (!look_at(w, n))
            return false;
        for (int i = 0; i < n->n_inputs; i++)
            visit(w, n->inputs[i]);
    }
    while (w->n_functions > 0) {
        const sl_function *f = &w->g->functions[w->functions[--w->n_functions]];
        for (int i = 0; i < f->n_nodes; i++)
            if (!look_at(w, &f->nodes[i]))
                return false;
    }
    return true;
}

static bool is_pure(walk *w, const sl_signature *s)
{
    memset(w->seen, 0, (size_t)w->g->n_nodes * sizeof *w->seen);
    memset(w->called, 0, (size_t)w->g->n_functions * sizeof *w->called);
    w->n_todo = w->n_functions = 0;
    for (int i = 0; i < s->n_inputs; i++) {
        if (s->inputs[i].name == NULL)
            return false;
        visit(w, sl_str_of(s->inputs[i].name));
    }
    w->n_todo = 0; /* seen, and not gone through */
    for (int i = 0; i < s->n_outputs; i++) {
        if (s->outputs[i].name == NULL)
            return false;
        visit(w, sl_str_of(s->outputs[i].name));
    }
    return walk_all(w);
}

bool *sl_pure_signatures(const sl_saved_model *m)
{
    const sl_signatures *all = sl_saved_model_signatures(m);
    walk w = {.g = sl_saved_model_graph(m)};
    size_t nodes = (size_t)w.g->n_nodes + 1, functions = (size_t)w.g->n_functions + 1;
    bool *pure = sl_try_calloc((size_t)all->count + 1, sizeof *pure);
    w.seen = sl_try_calloc(nodes, sizeof *w.seen);
    w.todo = sl_try_calloc(nodes, sizeof *w.todo);
    w.called = sl_try_calloc(functions, sizeof *w.called);
    w.functions = sl_try_calloc(functions, sizeof *w.functions);
    bool room = pure && w.seen && w.todo && w.called && w.functions;
    for (int i = 0; room && i < all->count; i++)
        pure[i] = is_pure(&w, &all->list[i]);
    sl_free(w.seen);
    sl_free(w.todo);
    sl_free(w.called);
    sl_free(w.functions);
    if (room)
        return pure;
    sl_free(pure);
    return NULL;
}
