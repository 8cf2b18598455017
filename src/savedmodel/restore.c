/*
 * restore.c - which checkpoint key fills which variable, read off the restore op
 *
 *     TF1   save/restore_all ^<- save/Assign_k (variable, RestoreV2:k)
 *     TF2   StatefulPartitionedCall_N (prefix, handle, handle, ...) whose function holds
 *           AssignVariableOp (argument, Identity of RestoreV2:tensors:k)
 *
 * Both are one walk over scopes. Scope 0 is the graph, where the walk starts at the restore op and
 * follows control inputs; each call that is met opens a scope, in which every node runs. An input
 * is followed through identities, and from a function's argument out to the call's input, until it
 * comes to a node that makes something: a variable, or a RestoreV2. Nothing is run.
 *
 * What is not understood is left to the object graph (objects.c).
 */
#include "base/map.h"
#include "base/mem.h"
#include "savedmodel/model.h"

enum {
    MOST_SCOPES = 4096,       /* a function that calls itself ends here */
    MOST_NODES = 1 << 24,     /* and arguments, in all scopes together */
    LONGEST_CHAIN = 256,      /* identities and calls between a variable and its assignment */
    LARGEST_NAMES = 256 << 20 /* bytes of a list of keys */
};

typedef struct scope {
    const sl_function *f; /* NULL: the graph */
    const sl_node *call;  /* in `parent` */
    int parent;
    sl_names args;
} scope;

typedef struct sl_kept {
    struct sl_kept *next;
    sl_tensor tensor;
} kept;

typedef struct walk {
    sl_saved_model *m;
    sl_status *st;
    scope *scopes;
    size_t n_scopes, scope_cap, restored_cap;
    size_t visited;
    sl_map lists; /* from a Const node's address to its decoded strings */
    bool complete;
} walk;

/* Where an input comes from. */
typedef struct source {
    int scope;
    const sl_node *node; /* NULL: it could not be followed */
    int output;
} source;

static sl_code no_memory(const walk *w)
{
    return sl_model_no_memory(w->m, w->st);
}

static bool is_one_of(sl_str op, const char *const *list, int n)
{
    for (int i = 0; i < n; i++)
        if (sl_str_is(op, list[i]))
            return true;
    return false;
}

static bool is_identity(sl_str op)
{
    static const char *const ops[] = {"Identity", "Reshape", "StopGradient", "EnsureShape"};
    return is_one_of(op, ops, SL_COUNTOF(ops));
}

static bool is_assignment(sl_str op)
{
    static const char *const ops[] = {"Assign", "AssignVariableOp"};
    return is_one_of(op, ops, SL_COUNTOF(ops));
}

static bool is_import(sl_str op)
{
    static const char *const ops[] = {"LookupTableImport", "LookupTableImportV2"};
    return is_one_of(op, ops, SL_COUNTOF(ops));
}

static bool is_call(sl_str op)
{
    static const char *const ops[] = {"PartitionedCall", "StatefulPartitionedCall"};
    return is_one_of(op, ops, SL_COUNTOF(ops));
}

/* ---- following an input ---- */

static const sl_node *find_node(const walk *w, int s, sl_str name)
{
    const sl_function *f = w->scopes[s].f;
    return f ? sl_function_find_node(f, name) : sl_graph_find_node(&w->m->graph, name);
}

/* Out of a function: the input of the call that stands for the argument. */
static bool step_out(const walk *w, int *s, sl_str *text)
{
    const scope *here = &w->scopes[*s];
    int i = here->f ? sl_names_find(&here->args, *text) : -1;
    if (i < 0 || i >= here->call->n_inputs - here->call->n_control)
        return false;
    *text = here->call->inputs[i];
    *s = here->parent;
    return true;
}

static source follow(const walk *w, int s, sl_str text)
{
    for (int hops = 0; hops < LONGEST_CHAIN; hops++) {
        sl_input in; /* of data: control inputs come last, and are not followed */
        if (!sl_input_parse(text, &in))
            break;
        const sl_node *n = find_node(w, s, in.node);
        if (n == NULL) {
            if (!step_out(w, &s, &text))
                break;
        } else if (is_identity(n->op) && n->n_inputs > n->n_control) {
            text = n->inputs[0];
        } else {
            return (source){s, n, in.index};
        }
    }
    return (source){0, NULL, 0};
}

/* ---- RestoreV2 ---- */

/* The strings of a Const node, decoded once; NULL if it is something else. */
static sl_code strings_of(walk *w, const sl_node *n, const sl_tensor **out)
{
    const sl_str address = {(const char *)&n, sizeof n};
    *out = NULL;
    if (n == NULL || !sl_str_is(n->op, "Const"))
        return SL_OK;
    kept *k = sl_map_get(&w->lists, address);
    if (k == NULL) {
        k = sl_model_try_array(w->m, 1, sizeof *k);
        if (k == NULL || !sl_map_try_set(&w->lists, address, k))
            return no_memory(w);
        if (sl_node_tensor_of(n, "value", LARGEST_NAMES, &k->tensor, w->st) ==
            SL_RESOURCE_EXHAUSTED)
            return SL_RESOURCE_EXHAUSTED;
        k->next = w->m->kept; /* kept as well where it is no tensor: none is decoded twice */
        w->m->kept = k;
    }
    *out = k->tensor.dtype == SL_DT_STRING ? &k->tensor : NULL;
    return SL_OK;
}

/* The key (and part of it) that output k of a RestoreV2 reads; key->p == NULL: not understood. */
static sl_code key_of(walk *w, source value, sl_str *key, sl_str *part)
{
    const sl_tensor *names, *parts;
    *key = (sl_str){NULL, 0};
    if (value.node == NULL || !sl_str_is(value.node->op, "RestoreV2") ||
        value.node->n_inputs - value.node->n_control != 3)
        return SL_OK;
    sl_code rc = strings_of(w, follow(w, value.scope, value.node->inputs[1]).node, &names);
    if (rc == SL_OK)
        rc = strings_of(w, follow(w, value.scope, value.node->inputs[2]).node, &parts);
    if (rc || names == NULL || parts == NULL)
        return rc;
    if (value.output < sl_tensor_count(names) && value.output < sl_tensor_count(parts)) {
        *key = ((const sl_str *)names->data)[value.output];
        *part = ((const sl_str *)parts->data)[value.output];
    }
    return SL_OK;
}

/* ---- what a node of the restore op does ---- */

sl_code sl_model_add_restored(sl_saved_model *m, size_t *cap, sl_restored r, sl_status *st)
{
    sl_restored *list = sl_try_grow(m->restored, (size_t)m->n_restored, cap, sizeof *list);
    if (list == NULL)
        return sl_model_no_memory(m, st);
    m->restored = list;
    list[m->n_restored++] = r;
    return SL_OK;
}

/* Assign(variable, value) or LookupTableImportV2(table, keys, values). */
static sl_code read_assignment(walk *w, int s, const sl_node *n)
{
    bool import = is_import(n->op);
    sl_str part = {"", 0};
    sl_restored r = {.values_key = {"", 0}};
    if (n->n_inputs - n->n_control < (import ? 3 : 2)) {
        w->complete = false;
        return SL_OK;
    }
    source to = follow(w, s, n->inputs[0]);
    sl_code rc = key_of(w, follow(w, s, n->inputs[1]), &r.key, &r.shape_and_slice);
    if (rc == SL_OK && import)
        rc = key_of(w, follow(w, s, n->inputs[2]), &r.values_key, &part);
    if (rc)
        return rc;
    if (to.node == NULL || to.scope != 0 || r.key.p == NULL || r.values_key.p == NULL) {
        w->complete = false;
        return SL_OK;
    }
    r.node = to.node->name;
    return sl_model_add_restored(w->m, &w->restored_cap, r, w->st);
}

static sl_code open_scope(walk *w, int parent, const sl_node *call)
{
    const sl_function *f = sl_graph_find_function(&w->m->graph, sl_node_func(call, "f"));
    int twice;
    if (f != NULL)
        w->visited += (size_t)f->n_inputs;
    if (f == NULL || w->n_scopes == MOST_SCOPES || w->visited > MOST_NODES) {
        w->complete = false;
        return SL_OK;
    }
    scope *list = sl_try_grow(w->scopes, w->n_scopes, &w->scope_cap, sizeof *list);
    if (list == NULL)
        return no_memory(w);
    w->scopes = list;
    scope *s = &list[w->n_scopes++];
    *s = (scope){.f = f, .call = call, .parent = parent};
    if (!sl_names_try_index(&s->args, &w->m->arena, f->inputs, offsetof(sl_arg, name),
                            sizeof *f->inputs, f->n_inputs, &twice))
        return no_memory(w);
    return SL_OK;
}

static sl_code visit(walk *w, int s, const sl_node *n)
{
    if (is_assignment(n->op) || is_import(n->op))
        return read_assignment(w, s, n);
    return is_call(n->op) ? open_scope(w, s, n) : SL_OK;
}

/* ---- the walk ---- */

/* From the restore op along control inputs, each node once. */
static sl_code walk_graph(walk *w, const sl_node *start)
{
    const sl_graph *g = &w->m->graph;
    sl_code rc = SL_OK;
    size_t n = 0;
    bool *seen = sl_try_calloc((size_t)g->n_nodes, sizeof *seen);
    const sl_node **stack = sl_try_calloc((size_t)g->n_nodes, sizeof *stack);
    if (seen == NULL || stack == NULL) {
        rc = no_memory(w);
        goto out;
    }
    seen[start - g->nodes] = true;
    stack[n++] = start;
    while (rc == SL_OK && n > 0) {
        const sl_node *at = stack[--n];
        rc = visit(w, 0, at);
        for (int i = at->n_inputs - at->n_control; i < at->n_inputs; i++) {
            const sl_node *from = sl_graph_find_node(g, sl_node_of_tensor(at->inputs[i]));
            if (from != NULL && !seen[from - g->nodes]) {
                seen[from - g->nodes] = true;
                stack[n++] = from;
            }
        }
    }
out:
    sl_free(seen);
    sl_free(stack);
    return rc;
}

static sl_code walk_functions(walk *w)
{
    sl_code rc = SL_OK;
    for (size_t s = 1; rc == SL_OK && s < w->n_scopes; s++) {
        const sl_function *f = w->scopes[s].f;
        w->visited += (size_t)f->n_nodes;
        if (w->visited > MOST_NODES) {
            w->complete = false;
            break;
        }
        for (int i = 0; rc == SL_OK && i < f->n_nodes; i++)
            rc = visit(w, (int)s, &f->nodes[i]);
    }
    return rc;
}

/* ---- originals of copies ---- */

/* The variable whose value `n` gives to another one, by AssignVariableOp (copy, ReadVariableOp). */
static const sl_node *original_of(const walk *w, const sl_node *n, const sl_node **copy)
{
    if (!sl_str_is(n->op, "AssignVariableOp") || n->n_inputs - n->n_control < 2)
        return NULL;
    const sl_node *read = follow(w, 0, n->inputs[1]).node;
    if (read == NULL || !sl_str_is(read->op, "ReadVariableOp") ||
        read->n_inputs - read->n_control < 1)
        return NULL;
    *copy = follow(w, 0, n->inputs[0]).node;
    const sl_node *original = follow(w, 0, read->inputs[0]).node;
    return *copy && original && sl_str_is(original->op, "VarHandleOp") ? original : NULL;
}

/*
 * Keras 3, when tf.saved_model.save() writes it, restores copies, each of which the graph
 * initialises from the variable that the signatures read; TensorFlow's own loader leaves those
 * empty. What fills the copy fills the original, if nothing else does.
 */
static sl_code fill_originals(walk *w)
{
    const sl_graph *g = &w->m->graph;
    sl_map filled = {0};
    sl_code rc = SL_OK;
    for (int i = 0; i < w->m->n_restored && rc == SL_OK; i++)
        if (!sl_map_try_set(&filled, w->m->restored[i].node, (void *)(intptr_t)(i + 1)))
            rc = no_memory(w);
    for (int i = 0; i < g->n_nodes && rc == SL_OK; i++) {
        const sl_node *copy = NULL, *original = original_of(w, &g->nodes[i], &copy);
        intptr_t by = original ? (intptr_t)sl_map_get(&filled, copy->name) : 0;
        if (by == 0 || sl_map_get(&filled, original->name) != NULL)
            continue;
        sl_restored r = w->m->restored[by - 1];
        r.node = original->name;
        rc = sl_model_add_restored(w->m, &w->restored_cap, r, w->st);
        if (rc == SL_OK && !sl_map_try_set(&filled, r.node, (void *)by))
            rc = no_memory(w);
    }
    sl_map_fini(&filled);
    return rc;
}

sl_code sl_model_read_restored(sl_saved_model *m, sl_status *st)
{
    walk w = {.m = m, .st = st, .complete = true};
    sl_code rc = SL_OK;
    const sl_node *start = sl_graph_find_node(&m->graph, sl_node_of_tensor(m->restore_op));
    w.scopes = sl_try_grow(NULL, 0, &w.scope_cap, sizeof *w.scopes);
    if (w.scopes == NULL)
        return no_memory(&w);
    w.scopes[w.n_scopes++] = (scope){0};
    if (start != NULL) {
        rc = walk_graph(&w, start);
        if (rc == SL_OK)
            rc = walk_functions(&w);
        if (rc == SL_OK && w.m->meta.objects.n > 0)
            rc = fill_originals(&w);
    }
    if (rc == SL_OK && (start == NULL || !w.complete || m->n_restored == 0))
        rc = sl_model_restore_by_objects(m, &w.restored_cap, st);
    sl_map_fini(&w.lists);
    sl_free(w.scopes);
    return rc;
}

void sl_model_free_restored(sl_saved_model *m)
{
    for (kept *k = m->kept; k != NULL; k = k->next)
        sl_tensor_release(&k->tensor);
    sl_free(m->restored);
}
