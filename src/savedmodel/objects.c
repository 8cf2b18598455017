/*
 * objects.c - from checkpoint key to variable by the object graph, where the restore op is silent
 *
 * SavedObjectGraph is a graph of objects with named children; node 0 is the root. A variable that
 * is first met, breadth first, on the path a/b has the key "a/b/.ATTRIBUTES/VARIABLE_VALUE" and
 * names its VarHandleOp by shared_name.
 */
#include <stdio.h>

#include "base/mem.h"
#include "savedmodel/model.h"

enum { LONGEST_PATH = 1024 };

typedef struct handle {
    sl_str shared_name;
    sl_str node;
    int claims; /* objects that say they are this variable */
} handle;

typedef struct object {
    sl_str wire;
    sl_str path;      /* p == NULL: not met yet */
    handle *variable; /* which it says it is; NULL: none, or one that is not in the graph */
} object;

typedef struct objects {
    sl_saved_model *m;
    sl_status *st;
    object *list;
    int n;
    handle *handles;
    int n_handles;
    sl_names by_shared_name;
    sl_names filled; /* nodes that the restore op fills */
    size_t *cap;
} objects;

static sl_code list_objects(objects *o)
{
    sl_saved_model *m = o->m;
    int count;
    sl_code rc = sl_model_count(m, m->meta.objects, 1, &count, o->st);
    if (rc)
        return rc;
    o->list = sl_model_try_array(m, (size_t)count, sizeof *o->list);
    if (o->list == NULL)
        return sl_model_no_memory(m, o->st);
    sl_wire w = sl_wire_open(m->meta.objects);
    while (sl_wire_next(&w))
        if (w.field == 1 && w.type == SL_WIRE_BYTES)
            o->list[o->n++].wire = w.bytes;
    return SL_OK;
}

static sl_code list_handles(objects *o)
{
    const sl_graph *g = &o->m->graph;
    int twice;
    o->handles = sl_model_try_array(o->m, (size_t)g->n_nodes, sizeof *o->handles);
    if (o->handles == NULL)
        return sl_model_no_memory(o->m, o->st);
    for (int i = 0; i < g->n_nodes; i++) {
        const sl_node *n = &g->nodes[i];
        if (!sl_str_is(n->op, "VarHandleOp"))
            continue;
        sl_str shared = sl_node_str(n, "shared_name", "");
        o->handles[o->n_handles++] = (handle){shared.n ? shared : n->name, n->name, 0};
    }
    if (!sl_names_try_index(&o->by_shared_name, &o->m->arena, o->handles,
                            offsetof(handle, shared_name), sizeof *o->handles, o->n_handles,
                            &twice))
        return sl_model_no_memory(o->m, o->st);
    /* over a copy: the list grows, and may move, while new ones are added */
    sl_str *filled = sl_model_try_array(o->m, (size_t)o->m->n_restored, sizeof *filled);
    if (filled == NULL)
        return sl_model_no_memory(o->m, o->st);
    for (int i = 0; i < o->m->n_restored; i++)
        filled[i] = o->m->restored[i].node;
    return sl_names_try_index(&o->filled, &o->m->arena, filled, 0, sizeof *filled, o->m->n_restored,
                              &twice)
               ? SL_OK
               : sl_model_no_memory(o->m, o->st);
}

/* Which of the handles the object is: its SavedVariable names it. */
static sl_code find_handle(const objects *o, object *of)
{
    sl_str variable, shared = {NULL, 0};
    sl_code rc = sl_model_field(o->m, of->wire, 7, &variable, o->st);
    if (rc == SL_OK && variable.p != NULL)
        rc = sl_model_field(o->m, variable, 6, &shared, o->st);
    int i = shared.p ? sl_names_find(&o->by_shared_name, shared) : -1;
    of->variable = i < 0 ? NULL : &o->handles[i];
    return rc;
}

static sl_code count_claims(objects *o)
{
    sl_code rc = SL_OK;
    for (int i = 0; rc == SL_OK && i < o->n; i++) {
        rc = find_handle(o, &o->list[i]);
        if (o->list[i].variable != NULL)
            o->list[i].variable->claims++;
    }
    return rc;
}

/* Adds what the object is, if its key is in the bundle and nothing else fills it. */
static sl_code add_variable(objects *o, const object *of)
{
    static const char suffix[] = "/.ATTRIBUTES/VARIABLE_VALUE";
    const handle *h = of->variable;
    if (h == NULL || h->claims != 1 || sl_names_find(&o->filled, h->node) >= 0)
        return SL_OK;
    char *key = sl_arena_try_printf(&o->m->arena, "%.*s%s", (int)of->path.n, of->path.p, suffix);
    if (key == NULL)
        return sl_model_no_memory(o->m, o->st);
    if (sl_bundle_find(o->m->bundle, sl_str_of(key)) == NULL)
        return SL_OK;
    const sl_restored r = {
        .node = h->node, .key = sl_str_of(key), .shape_and_slice = {"", 0}, .values_key = {"", 0}};
    return sl_model_add_restored(o->m, o->cap, r, o->st);
}

/* "a/b" and "c.d" give "a/b/c..d"; p == NULL where that is too long to be real. */
static sl_code child_path(objects *o, sl_str parent, sl_str name, sl_str *out)
{
    char text[LONGEST_PATH + 4];
    size_t n = parent.n;
    *out = (sl_str){NULL, 0};
    if (parent.n + 2 * name.n + 1 > LONGEST_PATH)
        return SL_OK;
    memcpy(text, parent.p, parent.n);
    if (n)
        text[n++] = '/';
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        if (c == '.' || c == '/')
            text[n++] = '.';
        text[n++] = c == '/' ? 'S' : c;
    }
    char *copy = sl_arena_try_strndup(&o->m->arena, text, n);
    *out = (sl_str){copy, n};
    return copy ? SL_OK : sl_model_no_memory(o->m, o->st);
}

static sl_code meet_child(objects *o, const object *parent, sl_str reference, int *queue, int *end)
{
    sl_wire w = sl_wire_open(reference);
    uint64_t id = 0;
    sl_str name = {"", 0};
    while (sl_wire_next(&w)) {
        if (w.field == 1 && w.type == SL_WIRE_VARINT)
            id = w.value;
        else if (w.field == 2 && w.type == SL_WIRE_BYTES)
            name = w.bytes;
    }
    if (w.bad)
        return sl_model_bad_wire(o->m, &w, o->st);
    if (id >= (uint64_t)o->n || o->list[id].path.p != NULL)
        return SL_OK;
    sl_code rc = child_path(o, parent->path, name, &o->list[id].path);
    if (rc == SL_OK && o->list[id].path.p != NULL)
        queue[(*end)++] = (int)id;
    return rc;
}

/* Its wire form was walked once already, by find_handle: this walk cannot fail. */
static sl_code meet_object(objects *o, const object *at, int *queue, int *end)
{
    sl_wire w = sl_wire_open(at->wire);
    sl_code rc = add_variable(o, at);
    while (rc == SL_OK && sl_wire_next(&w))
        if (w.field == 1 && w.type == SL_WIRE_BYTES)
            rc = meet_child(o, at, w.bytes, queue, end);
    return rc;
}

sl_code sl_model_restore_by_objects(sl_saved_model *m, size_t *cap, sl_status *st)
{
    objects o = {.m = m, .st = st, .cap = cap};
    sl_code rc = list_objects(&o);
    if (rc == SL_OK)
        rc = list_handles(&o);
    if (rc == SL_OK)
        rc = count_claims(&o);
    if (rc || o.n == 0)
        return rc;
    int *queue = sl_try_calloc((size_t)o.n, sizeof *queue), end = 0;
    if (queue == NULL)
        return sl_model_no_memory(m, st);
    o.list[0].path = (sl_str){"", 0};
    queue[end++] = 0;
    for (int i = 0; rc == SL_OK && i < end; i++)
        rc = meet_object(&o, &o.list[queue[i]], queue, &end);
    sl_free(queue);
    return rc;
}
