/*
 * math_select.c - Select, SelectV2, ClipByValue
 */
#include "engine/native/kernels/half.h"
#include "engine/native/ops/binary.h"
#include "engine/native/ops/ops.h"

/* ---- Select, SelectV2 ---- */

static sl_code select_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 3, SL_T(BOOL), st);
    if (!rc)
        rc = sl_ops_check_input(n, 1, SL_T_PLAIN, st);
    if (!rc)
        rc = sl_ops_check_same(n, 1, 3, st);
    if (!rc)
        n->out_types[0] = n->in_types[1];
    return rc;
}

static sl_code select_v2_shape(sl_op_call *c, sl_status *st)
{
    sl_tensor *out = &c->out[0];
    sl_shape_buf a, b, d;
    if (!sl_ops_broadcast(&c->in[1], &c->in[2], out) || !sl_ops_broadcast(&c->in[0], out, out))
        return sl_fail(
            st, SL_INVALID_ARGUMENT, "condition %s, then %s, and else %s must be broadcastable",
            sl_ops_shape(&c->in[0], &a), sl_ops_shape(&c->in[1], &b), sl_ops_shape(&c->in[2], &d));
    return sl_ops_check_size(out, st);
}

static bool same_shape(const sl_tensor *a, const sl_tensor *b)
{
    return a->rank == b->rank && memcmp(a->dims, b->dims, (size_t)a->rank * sizeof a->dims[0]) == 0;
}

static sl_code select_v1_shape(sl_op_call *c, sl_status *st)
{
    const sl_tensor *cond = &c->in[0], *t = &c->in[1];
    sl_shape_buf a, b;
    if (!same_shape(t, &c->in[2]))
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "'then' and 'else' must have the same size.  but received: %s vs. %s",
                       sl_ops_shape(t, &a), sl_ops_shape(&c->in[2], &b));
    if (cond->rank == 1 && t->rank > 0 && !same_shape(cond, t)) {
        if (cond->dims[0] != t->dims[0])
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "Number of batches of 'then' must match size of 'cond', but saw: %lld "
                           "vs. %lld",
                           (long long)t->dims[0], (long long)cond->dims[0]);
    } else if (cond->rank != 0 && !same_shape(cond, t)) {
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "'cond' must be a vector or of the shape of 'then': %s vs. %s",
                       sl_ops_shape(cond, &a), sl_ops_shape(t, &b));
    }
    sl_ops_same_shape(&c->out[0], t);
    return SL_OK;
}

/* Select with a vector chooses rows; everything else broadcasts. */
static sl_code select_v1_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    const uint8_t *cond = c->in[0].data;
    int64_t n = sl_shape_count(c->in[0].dims, c->in[0].rank, 1);
    size_t row = n ? c->out[0].size / (size_t)n : 0;
    for (int64_t i = 0; row && i < n; i++) {
        char *to = (char *)c->out[0].data + (size_t)i * row;
        const char *from = (const char *)c->in[cond[i] ? 1 : 2].data + (size_t)i * row;
        if (to != from)
            memcpy(to, from, row);
    }
    return SL_OK;
}

typedef struct pair16 {
    uint64_t a, b;
} pair16;

#define SELECT_ROW(name, type)                                                              \
    static void name(const uint8_t *c, const void *pt, const void *pe, void *po, int64_t n, \
                     const int64_t *s)                                                      \
    {                                                                                       \
        const type *t = pt, *e = pe;                                                        \
        type *o = po;                                                                       \
        if (s[0] && s[1] && s[2]) {                                                         \
            SL_IVDEP                                                                        \
            for (int64_t i = 0; i < n; i++)                                                 \
                o[i] = c[i] ? t[i] : e[i];                                                  \
        } else {                                                                            \
            for (int64_t i = 0; i < n; i++)                                                 \
                o[i] = c[i * s[0]] ? t[i * s[1]] : e[i * s[2]];                             \
        }                                                                                   \
    }
SELECT_ROW(select1, uint8_t)
SELECT_ROW(select2, uint16_t)
SELECT_ROW(select4, uint32_t)
SELECT_ROW(select8, uint64_t)
SELECT_ROW(select16, pair16)

static void select_row(size_t element, const char *const *p, char *out, int64_t n, const int64_t *s)
{
    const uint8_t *c = (const uint8_t *)p[0];
    switch (element) {
    case 1:
        select1(c, p[1], p[2], out, n, s);
        break;
    case 2:
        select2(c, p[1], p[2], out, n, s);
        break;
    case 4:
        select4(c, p[1], p[2], out, n, s);
        break;
    case 8:
        select8(c, p[1], p[2], out, n, s);
        break;
    default:
        select16(c, p[1], p[2], out, n, s);
        break;
    }
}

/* A dimension after joining; strides in elements, 0 where that operand stays. */
typedef struct dim3 {
    int64_t n, s[3];
} dim3;

static int join_dims(const sl_op_call *c, dim3 *dims)
{
    const sl_tensor *out = &c->out[0];
    int64_t at[3] = {1, 1, 1};
    int rank = 0;
    for (int i = 0; i < out->rank; i++) { /* from the last */
        dim3 d = {.n = out->dims[out->rank - 1 - i]};
        bool joins = rank > 0;
        if (d.n == 1)
            continue;
        for (int k = 0; k < 3; k++) {
            const sl_tensor *t = &c->in[k];
            int64_t n = i < t->rank ? t->dims[t->rank - 1 - i] : 1;
            d.s[k] = n == 1 ? 0 : at[k];
            at[k] *= n;
            joins = joins && (d.s[k] == 0) == (dims[rank - 1].s[k] == 0);
        }
        if (joins)
            dims[rank - 1].n *= d.n;
        else
            dims[rank++] = d;
    }
    if (rank == 0)
        dims[rank++] = (dim3){1, {1, 1, 1}};
    return rank;
}

static sl_code select_v2_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    sl_tensor *out = &c->out[0];
    size_t element = sl_dtype_size(out->dtype);
    if (out->size == 0)
        return SL_OK;
    dim3 dims[SL_MAX_RANK];
    int64_t at[SL_MAX_RANK] = {0};
    int rank = join_dims(c, dims);
    const char *p[3] = {c->in[0].data, c->in[1].data, c->in[2].data};
    const int64_t bytes[3] = {1, (int64_t)element, (int64_t)element};
    for (char *to = out->data;; to += (size_t)dims[0].n * element) {
        select_row(element, p, to, dims[0].n, dims[0].s);
        int d = 1;
        for (; d < rank; d++) {
            for (int k = 0; k < 3; k++)
                p[k] += dims[d].s[k] * bytes[k];
            if (++at[d] < dims[d].n)
                break;
            for (int k = 0; k < 3; k++)
                p[k] -= dims[d].n * dims[d].s[k] * bytes[k];
            at[d] = 0;
        }
        if (d == rank)
            return SL_OK;
    }
}

static sl_code select_run(sl_op_call *c, sl_status *st)
{
    const sl_tensor *cond = &c->in[0];
    return cond->rank == 1 && c->in[1].rank > 1 ? select_v1_run(c, st) : select_v2_run(c, st);
}

/* ---- ClipByValue ---- */

typedef struct clip_config {
    sl_binary_fn min, max;
} clip_config;

static sl_code clip_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check_all(n, 3, SL_T_INTS | SL_T(FLOAT) | SL_T(DOUBLE), st);
    if (rc)
        return rc;
    bool to_bool;
    clip_config *cfg = sl_ops_config(n, sizeof *cfg);
    cfg->min = sl_binary_kernel("Minimum", n->in_types[0], &to_bool);
    cfg->max = sl_binary_kernel("Maximum", n->in_types[0], &to_bool);
    n->config = cfg;
    n->out_types[0] = n->in_types[0];
    return SL_OK;
}

static sl_code clip_shape(sl_op_call *c, sl_status *st)
{
    sl_shape_buf a, b, d;
    for (int i = 1; i < 3; i++)
        if (c->in[i].rank != 0 && !same_shape(&c->in[i], &c->in[0]))
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "clip_value_min and clip_value_max must be either of the same shape as "
                           "input, or a scalar. input shape: %sclip_value_min shape: "
                           "%sclip_value_max shape: %s",
                           sl_ops_shape(&c->in[0], &a), sl_ops_shape(&c->in[1], &b),
                           sl_ops_shape(&c->in[2], &d));
    return sl_ops_shape_like_first(c, st);
}

static sl_code clip_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    const clip_config *cfg = c->node->config;
    sl_tensor *out = &c->out[0];
    int64_t n = (int64_t)(out->size / sl_dtype_size(out->dtype));
    cfg->min(c->in[0].data, c->in[2].data, out->data, n,
             c->in[2].rank ? SL_BINARY_BOTH : SL_BINARY_B_STAYS);
    cfg->max(out->data, c->in[1].data, out->data, n,
             c->in[1].rank ? SL_BINARY_BOTH : SL_BINARY_B_STAYS);
    return SL_OK;
}

const sl_op sl_ops_math_select[] = {
    {"SelectV2", 0, 0, select_configure, select_v2_shape, select_v2_run, NULL},
    {"Select", 0, 0, select_configure, select_v1_shape, select_run, NULL},
    {"ClipByValue", 0, 0, clip_configure, clip_shape, clip_run, NULL},
    {0},
};
