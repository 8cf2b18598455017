/*
 * sets.c - SetSize, and differences, intersections and unions of sets: DenseToDenseSetOperation,
 * DenseToSparseSetOperation, SparseToSparseSetOperation
 *
 * A set is what lies along the last dimension; the others number the sets. An operand is walked set by
 * set in ascending order, dense or sparse alike, and the two are merged: sets that only one of them
 * has meet an empty one. The elements of a result ascend. Sparse operands are checked first (in bounds,
 * ascending, none twice), so nothing later depends on what a client claims.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/native/ops/ops.h"

#define SET_TYPES (SL_T_SIGNED | SL_T(UINT8) | SL_T(UINT16) | SL_T(STRING))

typedef enum set_kind { A_MINUS_B, B_MINUS_A, INTERSECTION, UNION } set_kind;

typedef struct set_config {
    set_kind kind;
    int second;     /* input where operand b begins */
    bool sparse[2]; /* which operands are indices, values, shape */
} set_config;

/* `at`: inputs at which an operand begins. */
static sl_code check_operand(const sl_op_node *n, int at, bool sparse, sl_status *st)
{
    if (!sparse)
        return sl_ops_check_input(n, at, SET_TYPES, st);
    sl_code rc = sl_ops_check_input(n, at, SL_T(INT64), st);
    if (!rc)
        rc = sl_ops_check_input(n, at + 1, SET_TYPES, st);
    return rc ? rc : sl_ops_check_input(n, at + 2, SL_T(INT64), st);
}

static sl_code check_validates(const sl_op_node *n, sl_status *st)
{
    return sl_node_bool(n->source, "validate_indices", true)
               ? SL_OK
               : sl_fail(st, SL_FAILED_PRECONDITION, "validate_indices false is not supported");
}

static sl_code set_configure(sl_op_node *n, sl_status *st)
{
    static const char *const names[] = {"a-b", "b-a", "intersection", "union"};
    set_config *cfg = sl_ops_config(n, sizeof *cfg);
    cfg->sparse[0] = strncmp(n->op->name, "Sparse", 6) == 0;
    cfg->sparse[1] = strstr(n->op->name, "ToSparse") != NULL;
    cfg->second = cfg->sparse[0] ? 3 : 1;
    if (n->n_in != cfg->second + (cfg->sparse[1] ? 3 : 1) || n->n_out != 3)
        return sl_fail(st, SL_INVALID_ARGUMENT, "%s has %d inputs and %d outputs", n->op->name,
                       n->n_in, n->n_out);
    sl_code rc = check_operand(n, 0, cfg->sparse[0], st);
    if (!rc)
        rc = check_operand(n, cfg->second, cfg->sparse[1], st);
    sl_dtype a = n->in_types[cfg->sparse[0]], b = n->in_types[cfg->second + cfg->sparse[1]];
    if (!rc && a != b)
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "%s mixes dtypes %s and %s", n->op->name,
                     sl_dtype_name(a), sl_dtype_name(b));
    if (!rc)
        rc = check_validates(n, st);
    if (rc)
        return rc;
    sl_str kind = sl_node_str(n->source, "set_operation", "");
    int k = 0;
    while (k < 4 && !sl_str_eq_nocase(kind, sl_str_of(names[k])))
        k++;
    if (k == 4)
        return sl_fail(st, SL_INVALID_ARGUMENT, "Invalid set_operation %.*s.", SL_STR_ARG(kind));
    cfg->kind = (set_kind)k;
    n->config = cfg;
    n->out_types[0] = n->out_types[2] = SL_DT_INT64;
    n->out_types[1] = a;
    return SL_OK;
}

/* ---- operands ---- */

typedef struct operand {
    const sl_tensor *values;
    const int64_t *indices; /* NULL: dense */
    int depth;              /* of a dense one: its rank */
    int64_t shape[SL_MAX_RANK];
    int64_t n, first, count; /* elements; those of the present set; count 0: there is none left */
    int64_t place[SL_MAX_RANK]; /* number of the present set */
} operand;

/* "[1,-5]"; sl_shape_text has another text for what is negative. */
static const char *row_text(const int64_t *row, int n, sl_shape_buf *b)
{
    size_t at = 0;
    for (int d = 0; d < n; d++) /* at most 8 numbers of 20 digits */
        at += (size_t)snprintf(b->text + at, sizeof b->text - at, d ? ",%lld" : "[%lld",
                               (long long)row[d]);
    snprintf(b->text + at, sizeof b->text - at, n ? "]" : "[]");
    return b->text;
}

static sl_code check_indices(const operand *o, sl_status *st)
{
    sl_shape_buf a, b;
    for (int64_t i = 0; i < o->n; i++) {
        const int64_t *x = o->indices + i * o->depth;
        for (int d = 0; d < o->depth; d++)
            if (x[d] < 0 || x[d] >= o->shape[d])
                return sl_fail(st, SL_INVALID_ARGUMENT,
                               "indices[%lld] = %s is out of bounds: need 0 <= index < %s",
                               (long long)i, row_text(x, o->depth, &a),
                               row_text(o->shape, o->depth, &b));
        int d = 0;
        while (i > 0 && d < o->depth && x[d] == x[d - o->depth])
            d++;
        if (i > 0 && d == o->depth)
            return sl_fail(st, SL_INVALID_ARGUMENT, "indices[%lld] = %s is repeated", (long long)i,
                           row_text(x, o->depth, &a));
        if (i > 0 && x[d] < x[d - o->depth])
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "indices[%lld] = %s is out of order. Many sparse ops require sorted "
                           "indices.\n    Use `tf.sparse.reorder` to create a correctly ordered "
                           "copy.\n\n",
                           (long long)i, row_text(x, o->depth, &a));
    }
    return SL_OK;
}

static sl_code read_sparse(const sl_tensor *in, operand *o, sl_status *st)
{
    const sl_tensor *indices = &in[0], *values = &in[1], *shape = &in[2];
    sl_shape_buf b;
    int64_t all = 1;
    if (shape->rank != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "Shape must be a 1D tensor.");
    if (shape->dims[0] > SL_MAX_RANK)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "a set operand of rank %lld is not supported: at most %d",
                       (long long)shape->dims[0], SL_MAX_RANK);
    *o = (operand){.values = values, .indices = indices->data, .depth = (int)shape->dims[0]};
    for (int d = 0; d < o->depth; d++) {
        o->shape[d] = sl_ops_int(shape, d);
        if (o->shape[d] < 0)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "Expected shape dimensions to be non-negative, got %lld",
                           (long long)o->shape[d]);
        if (__builtin_mul_overflow(all, o->shape[d], &all))
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "the shape of a sparse tensor has too many elements");
    }
    if (o->depth < 2)
        return sl_fail(st, SL_INVALID_ARGUMENT, "Invalid rank %d.", o->depth);
    if (indices->rank != 2 || values->rank != 1 || indices->dims[0] != values->dims[0] ||
        indices->dims[1] != o->depth)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "the indices %s of a sparse tensor do not fit its values and shape",
                       sl_ops_shape(indices, &b));
    o->n = indices->dims[0];
    return check_indices(o, st);
}

static sl_code read_operand(const sl_tensor *in, bool sparse, operand *o, sl_status *st)
{
    if (sparse)
        return read_sparse(in, o, st);
    *o = (operand){.values = in, .depth = in->rank, .n = sl_tensor_count(in)};
    memcpy(o->shape, in->dims, sizeof o->shape);
    return SL_OK;
}

/* Moves to the next set; count 0: there is none. Of a dense operand every set counts, if the last dimension
 * has any elements at all. */
static void next_set(operand *o)
{
    o->first += o->count;
    o->count = 0;
    if (o->first >= o->n)
        return;
    if (o->indices == NULL) {
        o->count = o->shape[o->depth - 1];
        int64_t left = o->first / o->count;
        for (int d = o->depth - 2; d >= 0; d--) {
            o->place[d] = left % o->shape[d];
            left /= o->shape[d];
        }
        return;
    }
    const int64_t *x = o->indices + o->first * o->depth;
    size_t bytes = (size_t)(o->depth - 1) * sizeof *x;
    memcpy(o->place, x, bytes);
    while (o->first + o->count < o->n && memcmp(x + o->count * o->depth, x, bytes) == 0)
        o->count++;
}

/* ---- one set ---- */

typedef struct element {
    int64_t number;
    sl_str text;
} element;

static int by_number(const void *a, const void *b)
{
    int64_t x = ((const element *)a)->number, y = ((const element *)b)->number;
    return (x > y) - (x < y);
}

static int by_text(const void *a, const void *b)
{
    return sl_str_cmp(((const element *)a)->text, ((const element *)b)->text);
}

typedef int (*compare_fn)(const void *a, const void *b);

/* The elements of the present set, ascending, each once; returns how many. */
static int64_t collect(const operand *o, compare_fn compare, element *to)
{
    int64_t n = 0;
    for (int64_t i = 0; i < o->count; i++)
        if (o->values->dtype == SL_DT_STRING)
            to[i].text = ((const sl_str *)o->values->data)[o->first + i];
        else
            to[i].number = sl_ops_int(o->values, o->first + i);
    if (o->count > 1)
        qsort(to, (size_t)o->count, sizeof *to, compare);
    for (int64_t i = 0; i < o->count; i++)
        if (n == 0 || compare(&to[n - 1], &to[i]) != 0)
            to[n++] = to[i];
    return n;
}

/* Merges a and b, which ascend, into `to`. */
static int64_t combine(set_kind kind, compare_fn compare, const element *a, int64_t na,
                       const element *b, int64_t nb, element *to)
{
    int64_t n = 0, i = 0, k = 0;
    while (i < na || k < nb) {
        int order = i == na ? 1 : k == nb ? -1 : compare(&a[i], &b[k]);
        bool in_a = order <= 0, in_b = order >= 0;
        bool take = kind == UNION          ? true
                    : kind == INTERSECTION ? in_a && in_b
                    : kind == A_MINUS_B    ? !in_b
                                           : !in_a;
        if (take)
            to[n++] = in_a ? a[i] : b[k];
        i += in_a;
        k += in_b;
    }
    return n;
}

/* ---- run ---- */

/* What has been found: the elements, and for each set its number and size. */
typedef struct found {
    element *elements;
    int64_t n, most;
    int64_t *sets; /* depth - 1 numbers, then the size */
    int64_t n_sets;
    int depth;
} found;

static int compare_place(const operand *a, const operand *b)
{
    if (a->count == 0 || b->count == 0)
        return a->count ? -1 : 1;
    for (int d = 0; d < a->depth - 1; d++)
        if (a->place[d] != b->place[d])
            return a->place[d] < b->place[d] ? -1 : 1;
    return 0;
}

static void walk(set_kind kind, operand *a, operand *b, element *work, found *f)
{
    compare_fn compare = a->values->dtype == SL_DT_STRING ? by_text : by_number;
    next_set(a);
    next_set(b);
    while (a->count || b->count) {
        int order = compare_place(a, b);
        int64_t na = 0, nb = 0;
        const operand *here = order <= 0 ? a : b;
        if (order <= 0)
            na = collect(a, compare, work);
        if (order >= 0)
            nb = collect(b, compare, work + na);
        int64_t n = combine(kind, compare, work, na, work + na, nb, f->elements + f->n);
        if (n > 0) {
            int64_t *set = f->sets + f->n_sets++ * f->depth;
            memcpy(set, here->place, (size_t)(f->depth - 1) * sizeof *set);
            set[f->depth - 1] = n;
            f->n += n;
            f->most = SL_MAX(f->most, n);
        }
        if (order <= 0)
            next_set(a);
        if (order >= 0)
            next_set(b);
    }
}

static sl_code put_result(sl_op_call *c, const operand *a, const found *f, sl_status *st)
{
    c->out[0].rank = 2;
    c->out[0].dims[0] = f->n;
    c->out[0].dims[1] = f->depth;
    sl_code rc = sl_ops_make(c, 0, st);
    if (!rc)
        rc = sl_ops_make_vector(c, 1, f->n, st);
    if (!rc)
        rc = sl_ops_make_vector(c, 2, f->depth, st);
    if (rc)
        return rc;
    int64_t *to = c->out[0].data, *shape = c->out[2].data, at = 0;
    memcpy(shape, a->shape, (size_t)(f->depth - 1) * sizeof *shape);
    shape[f->depth - 1] = f->most;
    for (int64_t s = 0; s < f->n_sets; s++) {
        const int64_t *set = f->sets + s * f->depth;
        for (int64_t i = 0; i < set[f->depth - 1]; i++, at++, to += f->depth) {
            memcpy(to, set, (size_t)f->depth * sizeof *to);
            to[f->depth - 1] = i;
        }
    }
    size_t size = sl_dtype_size(c->out[1].dtype);
    for (int64_t i = 0; i < f->n; i++)
        if (c->out[1].dtype == SL_DT_STRING)
            ((sl_str *)c->out[1].data)[i] = f->elements[i].text;
        else /* little endian: the lower bytes are the number */
            memcpy((char *)c->out[1].data + (size_t)i * size, &f->elements[i].number, size);
    return SL_OK;
}

static sl_code check_pair(const operand *a, const operand *b, sl_status *st)
{
    sl_shape_buf ta, tb;
    const operand *both[] = {a, b};
    for (int i = 0; i < 2; i++)
        if (both[i]->depth < 2)
            return sl_fail(st, SL_INVALID_ARGUMENT, "Shape %s has rank %d < 2",
                           row_text(both[i]->shape, both[i]->depth, &ta), both[i]->depth);
    if (a->depth != b->depth ||
        memcmp(a->shape, b->shape, (size_t)(a->depth - 1) * sizeof a->shape[0]) != 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "Mismatched shapes %s vs %s",
                       row_text(a->shape, a->depth - 1, &ta),
                       row_text(b->shape, b->depth - 1, &tb));
    return SL_OK;
}

/* Room for n pieces of `size` bytes, or NULL. */
static void *room(sl_op_call *c, int64_t n, size_t size)
{
    size_t bytes;
    return sl_mul_size((size_t)n + 1, size, &bytes) ? sl_arena_try_alloc(c->arena, bytes) : NULL;
}

static sl_code set_run(sl_op_call *c, sl_status *st)
{
    const set_config *cfg = c->node->config;
    operand a, b;
    int64_t n;
    /* TensorFlow looks at the sparse operands first. */
    sl_code rc = read_operand(&c->in[0], cfg->sparse[0], &a, st);
    if (!rc)
        rc = read_operand(&c->in[cfg->second], cfg->sparse[1], &b, st);
    if (!rc)
        rc = check_pair(&a, &b, st);
    if (rc)
        return rc;
    if (__builtin_add_overflow(a.n, b.n, &n) || n >= INT64_MAX / 64)
        return sl_ops_no_memory(st);
    found f = {.depth = a.depth};
    element *work = room(c, n, sizeof *work);
    f.elements = room(c, n, sizeof *f.elements);
    f.sets = room(c, n, (size_t)f.depth * sizeof *f.sets);
    if (work == NULL || f.elements == NULL || f.sets == NULL)
        return sl_ops_no_memory(st);
    walk(cfg->kind, &a, &b, work, &f);
    return put_result(c, &a, &f, st);
}

/* ---- SetSize (indices, values, shape) ---- */

static sl_code size_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 3, SL_T(INT64), st);
    if (!rc)
        rc = check_operand(n, 0, true, st);
    if (!rc)
        rc = check_validates(n, st);
    if (!rc)
        n->out_types[0] = SL_DT_INT32;
    return rc;
}

static sl_code size_run(sl_op_call *c, sl_status *st)
{
    operand o;
    sl_tensor *out = &c->out[0];
    sl_code rc = read_sparse(c->in, &o, st);
    if (rc)
        return rc;
    out->rank = o.depth - 1;
    memcpy(out->dims, o.shape, (size_t)out->rank * sizeof out->dims[0]);
    rc = sl_ops_make(c, 0, st);
    element *work = rc ? NULL : room(c, o.n, sizeof *work);
    if (rc || work == NULL)
        return rc ? rc : sl_ops_no_memory(st);
    if (out->size)
        memset(out->data, 0, out->size);
    compare_fn compare = o.values->dtype == SL_DT_STRING ? by_text : by_number;
    for (next_set(&o); o.count; next_set(&o)) {
        int64_t at = 0;
        for (int d = 0; d < out->rank; d++)
            at = at * out->dims[d] + o.place[d];
        ((int32_t *)out->data)[at] = (int32_t)collect(&o, compare, work);
    }
    return SL_OK;
}

const sl_op sl_ops_sets[] = {
    {"SetSize", SL_OP_MAKES, 0, size_configure, NULL, size_run, NULL},
    {"DenseToDenseSetOperation", SL_OP_MAKES, 0, set_configure, NULL, set_run, NULL},
    {"DenseToSparseSetOperation", SL_OP_MAKES, 0, set_configure, NULL, set_run, NULL},
    {"SparseToSparseSetOperation", SL_OP_MAKES, 0, set_configure, NULL, set_run, NULL},
    {0},
};
