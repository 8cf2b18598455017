/*
 * unique.c - Unique and its relatives: each element once, or each slice along an axis, in the order
 * in which they were first seen; ListDiff: the elements of one vector that are not in another
 *
 * A slice is known by its bytes, so slices that do not lie together are brought together first.
 * Numbers differ as == says: both zeros are one, and a NaN is like nothing.
 */
#include <math.h>

#include "base/map.h"
#include "engine/native/kernels/copy.h"
#include "engine/native/ops/ops.h"

/* The input as [outer, n, inner], and its slices: [n, outer * inner]. */
typedef struct slices {
    sl_dtype dtype;
    int64_t outer, n, inner;
    size_t element, bytes; /* of one element; of one slice */
    const char *data;      /* the slices */
    const char *keys;      /* the same with one zero */
} slices;

static sl_code unique_configure(sl_op_node *n, sl_status *st)
{
    bool v2 = strstr(n->op->name, "V2") != NULL;
    sl_code rc = sl_ops_check(n, v2 ? 2 : 1, SL_T_PLAIN, st);
    if (!rc && v2)
        rc = sl_ops_check_input(n, 1, SL_T_INDEX, st);
    if (rc)
        return rc;
    sl_dtype index = sl_node_type(n->source, "out_idx", SL_DT_INT32);
    if (!sl_types_has(SL_T_INDEX, index))
        return sl_ops_unsupported(index, st);
    if (n->n_out < 2)
        return sl_fail(st, SL_INVALID_ARGUMENT, "%s has %d outputs", n->op->name, n->n_out);
    n->out_types[0] = n->in_types[0];
    for (int k = 1; k < n->n_out; k++)
        n->out_types[k] = index;
    return SL_OK;
}

/* -1: there is no axis, the input is a vector. */
static sl_code read_axis(const sl_op_call *c, int64_t *axis, sl_status *st)
{
    const sl_tensor *in = &c->in[0], *given = &c->in[1];
    bool is_given = c->node->n_in > 1;
    *axis = -1;
    if (is_given && given->rank != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "axis expects a 1D vector.");
    if (!is_given || given->dims[0] == 0)
        return in->rank == 1 ? SL_OK
                             : sl_fail(st, SL_INVALID_ARGUMENT, "unique expects a 1D vector.");
    if (given->dims[0] != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "axis does not support input tensors larger than 1 elements");
    *axis = sl_ops_int(given, 0);
    if (!sl_ops_axis(axis, in->rank))
        return sl_fail(st, SL_INVALID_ARGUMENT, "axis has to be between [0, %d)", in->rank);
    return SL_OK;
}

static bool is_real(sl_dtype t)
{
    return sl_types_has(SL_T_FLOATS, t);
}

/* The sign of zeros goes: of n numbers. */
static void one_zero(sl_dtype t, char *p, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (t == SL_DT_FLOAT && ((float *)(void *)p)[i] == 0)
            ((float *)(void *)p)[i] = 0;
        else if (t == SL_DT_DOUBLE && ((double *)(void *)p)[i] == 0)
            ((double *)(void *)p)[i] = 0;
        else if (sl_dtype_size(t) == 2 && ((uint16_t *)(void *)p)[i] == 0x8000)
            ((uint16_t *)(void *)p)[i] = 0;
}

static sl_code read_slices(sl_op_call *c, const sl_tensor *in, int64_t axis, slices *s,
                           sl_status *st)
{
    int at = (int)SL_MAX(axis, (int64_t)0);
    *s = (slices){.dtype = in->dtype,
                  .outer = sl_ops_product(in->dims, 0, at),
                  .n = in->dims[at],
                  .inner = sl_ops_product(in->dims, at + 1, in->rank),
                  .element = sl_dtype_size(in->dtype),
                  .data = in->data,
                  .keys = in->data};
    if (in->size == 0)
        return SL_OK;
    s->bytes = in->size / (size_t)s->n;
    if (s->outer > 1) {
        char *p = sl_arena_try_alloc(c->arena, in->size);
        if (p == NULL)
            return sl_ops_no_memory(st);
        sl_copy_dim dims[] = {{s->n, s->outer * s->inner, s->inner},
                              {s->outer, s->inner, s->n * s->inner},
                              {s->inner, 1, 1}};
        sl_kernel_copy(p, in->data, dims, 3, s->element);
        s->data = s->keys = p;
    }
    if (is_real(in->dtype)) {
        char *p = sl_arena_try_alloc(c->arena, in->size);
        if (p == NULL)
            return sl_ops_no_memory(st);
        memcpy(p, s->data, in->size);
        one_zero(in->dtype, p, (int64_t)(in->size / s->element));
        s->keys = p;
    }
    return SL_OK;
}

/* Does slice i hold something that is not like itself? */
static bool has_nan(const slices *s, int64_t i)
{
    const char *p = s->keys + (size_t)i * s->bytes;
    uint16_t infinite = s->dtype == SL_DT_HALF ? 0x7c00 : 0x7f80;
    for (size_t k = 0; is_real(s->dtype) && k < s->bytes; k += s->element)
        if (s->dtype == SL_DT_FLOAT ? isnan(*(const float *)(const void *)(p + k))
            : s->dtype == SL_DT_DOUBLE
                ? isnan(*(const double *)(const void *)(p + k))
                : (*(const uint16_t *)(const void *)(p + k) & 0x7fff) > infinite)
            return true;
    return false;
}

/* What slice i is known by. Several strings are joined with their lengths. */
static sl_code key_of(sl_op_call *c, const slices *s, int64_t i, sl_str *key, sl_status *st)
{
    *key = (sl_str){s->bytes ? s->keys + (size_t)i * s->bytes : "", s->bytes};
    if (s->dtype != SL_DT_STRING || s->bytes == 0)
        return SL_OK;
    const sl_str *strings = (const sl_str *)(const void *)key->p;
    size_t count = s->bytes / sizeof *strings, size = 0;
    if (count == 1) {
        *key = strings[0];
        return SL_OK;
    }
    for (size_t k = 0; k < count; k++)
        if (!sl_add_size(size, strings[k].n, &size) ||
            !sl_add_size(size, sizeof strings[k].n, &size))
            return sl_ops_no_memory(st);
    char *p = sl_arena_try_alloc(c->arena, size);
    if (p == NULL)
        return sl_ops_no_memory(st);
    *key = (sl_str){p, size};
    for (size_t k = 0; k < count; k++) {
        p = (char *)memcpy(p, &strings[k].n, sizeof strings[k].n) + sizeof strings[k].n;
        if (strings[k].n)
            p = (char *)memcpy(p, strings[k].p, strings[k].n) + strings[k].n;
    }
    return SL_OK;
}

static sl_code find(sl_op_call *c, const slices *s, sl_map *seen, int64_t *first, int64_t *found,
                    sl_status *st)
{
    for (int64_t i = 0; i < s->n; i++) {
        sl_str key;
        sl_code rc = key_of(c, s, i, &key, st);
        if (rc)
            return rc;
        bool alone = has_nan(s, i);
        uintptr_t at = alone ? 0 : (uintptr_t)sl_map_get(seen, key);
        if (at == 0) {
            first[*found] = i;
            at = (uintptr_t)++ * found;
            if (!alone && !sl_map_try_set(seen, key, (void *)at))
                return sl_ops_no_memory(st);
        }
        sl_ops_set_int(&c->out[1], i, (int64_t)at - 1);
    }
    return SL_OK;
}

/* The slices that were found, [outer, found, inner]. */
static sl_code take(sl_op_call *c, const slices *s, int64_t axis, const int64_t *first,
                    int64_t found, sl_status *st)
{
    sl_ops_same_shape(&c->out[0], &c->in[0]);
    c->out[0].dims[SL_MAX(axis, (int64_t)0)] = found;
    sl_code rc = sl_ops_make(c, 0, st);
    size_t piece = (size_t)s->inner * s->element;
    char *to = c->out[0].data;
    if (rc || c->out[0].size == 0)
        return rc;
    for (int64_t o = 0; o < s->outer; o++)
        for (int64_t i = 0; i < found; i++, to += piece)
            memcpy(to, s->data + (size_t)first[i] * s->bytes + (size_t)o * piece, piece);
    return SL_OK;
}

static sl_code unique_run(sl_op_call *c, sl_status *st)
{
    slices s;
    int64_t axis, found = 0, *first = NULL;
    size_t bytes;
    sl_code rc = read_axis(c, &axis, st);
    if (!rc)
        rc = read_slices(c, &c->in[0], axis, &s, st);
    if (!rc)
        rc = sl_ops_make_vector(c, 1, s.n,
                                st); /* bounds n, which may be any number if nothing is there */
    if (!rc) {
        first = sl_mul_size((size_t)s.n + 1, sizeof *first, &bytes)
                    ? sl_arena_try_alloc(c->arena, bytes)
                    : NULL;
        rc = first ? SL_OK : sl_ops_no_memory(st);
    }
    if (rc)
        return rc;
    sl_map seen = {NULL, 0, 0};
    rc = find(c, &s, &seen, first, &found, st);
    sl_map_fini(&seen);
    if (!rc)
        rc = take(c, &s, axis, first, found, st);
    if (rc || c->node->n_out < 3)
        return rc;
    rc = sl_ops_make_vector(c, 2, found, st);
    if (!rc && found)
        memset(c->out[2].data, 0, c->out[2].size);
    for (int64_t i = 0; !rc && i < s.n; i++) {
        int64_t at = sl_ops_int(&c->out[1], i);
        sl_ops_set_int(&c->out[2], at, sl_ops_int(&c->out[2], at) + 1);
    }
    return rc;
}

/* ---- ListDiff (x, y): elements of x that are not in y, and their places ---- */

static sl_code difference_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check_all(n, 2, SL_T_NUMBERS | SL_T(STRING), st);
    sl_dtype index = sl_node_type(n->source, "out_idx", SL_DT_INT32);
    if (!rc && !sl_types_has(SL_T_INDEX, index))
        rc = sl_ops_unsupported(index, st);
    if (!rc && n->n_out != 2)
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "%s has %d outputs", n->op->name, n->n_out);
    if (rc)
        return rc;
    n->out_types[0] = n->in_types[0];
    n->out_types[1] = index;
    return SL_OK;
}

static sl_code remember(sl_op_call *c, const slices *y, sl_map *seen, sl_status *st)
{
    for (int64_t i = 0; i < y->n; i++) {
        sl_str key;
        sl_code rc = key_of(c, y, i, &key, st);
        if (rc)
            return rc;
        if (!has_nan(y, i) && !sl_map_try_set(seen, key, seen))
            return sl_ops_no_memory(st);
    }
    return SL_OK;
}

/* Writes the elements that are not in `seen`, and their places; without memory only counts them. */
static sl_code leave_out(sl_op_call *c, const slices *x, const sl_map *seen, bool write,
                         int64_t *count, sl_status *st)
{
    *count = 0;
    for (int64_t i = 0; i < x->n; i++) {
        sl_str key;
        sl_code rc = key_of(c, x, i, &key, st);
        if (rc)
            return rc;
        if (!has_nan(x, i) && sl_map_get(seen, key) != NULL)
            continue;
        if (write) {
            memcpy((char *)c->out[0].data + (size_t)*count * x->bytes,
                   x->data + (size_t)i * x->bytes, x->bytes);
            sl_ops_set_int(&c->out[1], *count, i);
        }
        ++*count;
    }
    return SL_OK;
}

static sl_code difference_run(sl_op_call *c, sl_status *st)
{
    slices x, y;
    int64_t count = 0;
    sl_map seen = {NULL, 0, 0};
    for (int i = 0; i < 2; i++)
        if (c->in[i].rank != 1)
            return sl_fail(st, SL_INVALID_ARGUMENT, "%s should be a 1D vector.", i ? "y" : "x");
    sl_code rc = read_slices(c, &c->in[0], -1, &x, st);
    if (!rc)
        rc = read_slices(c, &c->in[1], -1, &y, st);
    if (!rc && c->out[1].dtype == SL_DT_INT32 && x.n > INT32_MAX)
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "x too large for int32 indexing");
    if (!rc)
        rc = remember(c, &y, &seen, st);
    if (!rc)
        rc = leave_out(c, &x, &seen, false, &count, st);
    for (int k = 0; k < 2 && !rc; k++)
        rc = sl_ops_make_vector(c, k, count, st);
    if (!rc)
        rc = leave_out(c, &x, &seen, true, &count, st);
    sl_map_fini(&seen);
    return rc;
}

const sl_op sl_ops_unique[] = {
    {"ListDiff", SL_OP_MAKES, 0, difference_configure, NULL, difference_run, NULL},
    {"Unique", SL_OP_MAKES, 0, unique_configure, NULL, unique_run, NULL},
    {"UniqueV2", SL_OP_MAKES, 0, unique_configure, NULL, unique_run, NULL},
    {"UniqueWithCounts", SL_OP_MAKES, 0, unique_configure, NULL, unique_run, NULL},
    {"UniqueWithCountsV2", SL_OP_MAKES, 0, unique_configure, NULL, unique_run, NULL},
    {0},
};
