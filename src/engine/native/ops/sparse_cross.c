/*
 * sparse_cross.c - SparseCross, SparseCrossV2 and SparseCrossHashed: crossed feature columns
 *
 * Each column has some features in each row of the batch; a row's crosses are all ways to take one
 * feature of each column, the last column changing fastest. A cross is the features joined with a
 * separator, or their hashes mixed. A sparse column is read once from front to back, as TensorFlow
 * does: where its rows do not ascend, what follows is not seen.
 */
#include <stdio.h>

#include "engine/native/farmhash.h"
#include "engine/native/ops/ops.h"
#include "engine/native/ops/string_hash.h"

typedef enum cross_kind { CROSS_TEXT, CROSS_HASH, CROSS_KEYED } cross_kind;

typedef struct cross_config {
    cross_kind kind;
    int sparse, dense; /* columns of each sort */
    int64_t buckets;   /* of CROSS_HASH */
    uint64_t start;    /* its first hash */
    sl_dtype features; /* SparseCross: what it takes its features for; else INVALID */
} cross_config;

static sl_code check_columns(const sl_op_node *n, const cross_config *cfg, int more, sl_status *st)
{
    if (cfg->sparse < 0 || cfg->sparse > n->n_in || cfg->dense < 0 || n->n_out != 3 ||
        n->n_in != 3 * cfg->sparse + cfg->dense + more)
        return sl_fail(st, SL_INVALID_ARGUMENT, "%s has %d inputs and %d outputs", n->op->name,
                       n->n_in, n->n_out);
    sl_code rc = SL_OK;
    for (int i = 0; i < n->n_in - more && !rc; i++) {
        bool values = i >= 3 * cfg->sparse || i / cfg->sparse == 1;
        rc = sl_ops_check_input(n, i, values ? SL_T(INT64) | SL_T(STRING) : SL_T(INT64), st);
    }
    return rc;
}

static void set_types(sl_op_node *n, cross_config *cfg)
{
    n->config = cfg;
    n->out_types[0] = n->out_types[2] = SL_DT_INT64;
    n->out_types[1] = cfg->kind == CROSS_TEXT ? SL_DT_STRING : SL_DT_INT64;
}

/* The number of columns is an attribute for sparse ones; the others are what is left. */
static cross_config *count_columns(sl_op_node *n, int more)
{
    cross_config *cfg = sl_ops_config(n, sizeof *cfg);
    int64_t count = sl_node_int(n->source, "N", 0);
    cfg->sparse = count < 0 || count > n->n_in / 3 ? -1 : (int)count;
    cfg->dense = n->n_in - more - 3 * cfg->sparse;
    return cfg;
}

static sl_code text_configure(sl_op_node *n, sl_status *st)
{
    cross_config *cfg = count_columns(n, 1);
    sl_code rc = check_columns(n, cfg, 1, st);
    if (!rc)
        rc = sl_ops_check_input(n, n->n_in - 1, SL_T(STRING), st);
    if (!rc)
        set_types(n, cfg);
    return rc;
}

static sl_code cross_configure(sl_op_node *n, sl_status *st)
{
    cross_config *cfg = count_columns(n, 0);
    sl_code rc = check_columns(n, cfg, 0, st);
    if (rc)
        return rc;
    sl_dtype out = sl_node_type(n->source, "out_type", SL_DT_INVALID);
    cfg->features = sl_node_type(n->source, "internal_type", SL_DT_INVALID);
    if (!sl_types_has(SL_T(INT64) | SL_T(STRING), out))
        return sl_ops_unsupported(out, st);
    if (!sl_types_has(SL_T(INT64) | SL_T(STRING), cfg->features))
        return sl_ops_unsupported(cfg->features, st);
    cfg->kind = out == SL_DT_STRING ? CROSS_TEXT : CROSS_HASH;
    cfg->buckets = sl_node_int(n->source, "num_buckets", 0);
    cfg->start = (uint64_t)sl_node_int(n->source, "hash_key", 0);
    if (cfg->buckets < 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "num_buckets must not be negative");
#ifndef SLUICE_FARMHASH
    if (cfg->kind == CROSS_HASH)
        return sl_fail(st, SL_FAILED_PRECONDITION, "built without FarmHash");
#endif
    set_types(n, cfg);
    return SL_OK;
}

#ifdef SLUICE_FARMHASH
static sl_code keyed_configure(sl_op_node *n, sl_status *st)
{
    cross_config *cfg = count_columns(n, 3);
    sl_code rc = check_columns(n, cfg, 3, st);
    static const sl_types types[] = {SL_T(INT64), SL_T(BOOL), SL_T(INT64)};
    for (int i = 0; i < 3 && !rc; i++)
        rc = sl_ops_check_input(n, n->n_in - 3 + i, types[i], st);
    if (!rc && !sl_sip_is_there())
        rc = sl_fail(st, SL_FAILED_PRECONDITION, "OpenSSL has no SipHash here");
    cfg->kind = CROSS_KEYED;
    if (!rc)
        set_types(n, cfg);
    return rc;
}
#endif

/* ---- checks ---- */

static sl_code check_sparse(const sl_op_call *c, int i, sl_status *st)
{
    int n = ((const cross_config *)c->node->config)->sparse;
    const sl_tensor *indices = &c->in[i], *values = &c->in[n + i], *shape = &c->in[2 * n + i];
    sl_shape_buf b;
    if (indices->rank != 2)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Input indices should be a matrix but received shape %s at position %d",
                       sl_ops_shape(indices, &b), i);
    if (indices->dims[1] != 2)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Expected D2 of index to be 2 got %lld at position %d",
                       (long long)indices->dims[1], i);
    if (values->rank != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Input values should be a vector but received shape %s at position %d",
                       sl_ops_shape(values, &b), i);
    if (indices->dims[0] != values->dims[0])
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Expected size of values to be %lld got %lld at position %d",
                       (long long)indices->dims[0], (long long)values->dims[0], i);
    if (shape->rank != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Input shapes should be a vector but received shape %s at position %d",
                       sl_ops_shape(shape, &b), i);
    if (shape->dims[0] != 2)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "shape should imply a 2D tensor, but got %s at position %d",
                       sl_ops_shape(shape, &b), i);
    return SL_OK;
}

static sl_code check_cross(const sl_op_call *c, int64_t *batch, sl_status *st)
{
    const cross_config *cfg = c->node->config;
    const sl_tensor *shapes = &c->in[2 * cfg->sparse], *dense = &c->in[3 * cfg->sparse];
    sl_shape_buf b;
    sl_code rc = SL_OK;
    for (int i = 0; i < cfg->sparse && !rc; i++)
        rc = check_sparse(c, i, st);
    for (int i = 0; i < cfg->dense && !rc; i++)
        if (dense[i].rank != 2)
            rc = sl_fail(st, SL_INVALID_ARGUMENT,
                         "Dense inputs should be a matrix but received shape %s at position %d",
                         sl_ops_shape(&dense[i], &b), i);
    if (rc)
        return rc;
    *batch = cfg->sparse ? sl_ops_int(&shapes[0], 0) : cfg->dense ? dense[0].dims[0] : 0;
    for (int i = 0; i < cfg->sparse; i++)
        if (sl_ops_int(&shapes[i], 0) != *batch)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "Expected batch size %lld got %lld at position %d", (long long)*batch,
                           (long long)sl_ops_int(&shapes[i], 0), i);
    for (int i = 0; i < cfg->dense; i++)
        if (dense[i].dims[0] != *batch)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "Expected batch size %lld got %lld at dense tensor %d",
                           (long long)*batch, (long long)dense[i].dims[0], i);
    if (*batch < 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "the batch size %lld is negative",
                       (long long)*batch);
    return SL_OK;
}

/* ---- rows ---- */

/* A column and its features of the present row. */
typedef struct column {
    const sl_tensor *indices, *values; /* indices NULL: a dense column */
    int64_t first, count;              /* which of the values are this row's */
    int64_t row, next;                 /* of a sparse one: the row; where the next begins */
    int64_t pick;
} column;

typedef struct crossing {
    int n;
    column *columns;
    int64_t batch, row, turn; /* turn: of rows that no sparse column decides */
} crossing;

/* Moves a sparse column to its next row with features; false: there is none. */
static bool next_row(column *k, int64_t batch)
{
    const int64_t *x = k->indices->data;
    int64_t n = k->indices->dims[0], i = k->next;
    if (i >= n || x[2 * i] <= k->row || x[2 * i] >= batch)
        return false;
    k->row = x[2 * i];
    k->first = i;
    while (i < n && x[2 * i] == k->row)
        i++;
    k->count = i - k->first;
    k->next = i;
    return true;
}

static void rewind_columns(crossing *s)
{
    s->turn = 0;
    for (int i = 0; i < s->n; i++) {
        s->columns[i].row = -1;
        s->columns[i].next = 0;
    }
}

/* The next row in which every column has features. Rows without any take no time: there may be more of them
 * than of anything else. */
static bool next_full_row(crossing *s)
{
    bool sparse = false;
    int64_t row = s->turn;
    for (int i = 0; i < s->n; i++) {
        column *k = &s->columns[i];
        if (k->indices == NULL)
            continue;
        sparse = true;
        while (k->row < row)
            if (!next_row(k, s->batch))
                return false;
        if (k->row > row) { /* the others have to come here, too */
            row = k->row;
            i = -1;
        }
    }
    if (!sparse && row >= s->batch)
        return false;
    s->row = row;
    s->turn = row + 1;
    for (int i = 0; i < s->n; i++) {
        column *k = &s->columns[i];
        k->pick = 0;
        if (k->indices == NULL) {
            k->count = k->values->dims[1];
            k->first = row * k->count;
            if (k->count == 0)
                return false; /* in this row and in all others */
        }
    }
    return true;
}

static bool count_row(const crossing *s, int64_t *count)
{
    *count = 1;
    for (int i = 0; i < s->n; i++)
        if (__builtin_mul_overflow(*count, s->columns[i].count, count))
            return false;
    return true;
}

static bool next_pick(crossing *s)
{
    for (int i = s->n - 1; i >= 0; i--) {
        if (++s->columns[i].pick < s->columns[i].count)
            return true;
        s->columns[i].pick = 0;
    }
    return false;
}

/* ---- one cross ---- */

typedef struct crosser {
    const cross_config *cfg;
    sl_str separator;
    int64_t buckets;
    bool strong;
    sl_sip sip;
} crosser;

/* `digits` holds a number's text. */
static sl_str feature_text(const column *k, char digits[24])
{
    int64_t at = k->first + k->pick;
    if (k->values->dtype == SL_DT_STRING)
        return ((const sl_str *)k->values->data)[at];
    int n = snprintf(digits, 24, "%lld", (long long)((const int64_t *)k->values->data)[at]);
    return (sl_str){digits, (size_t)n};
}

static sl_code join_features(sl_op_call *c, const crosser *x, const crossing *s, sl_str *out,
                             sl_status *st)
{
    char digits[24], *p = NULL;
    size_t size = 0;
    for (int i = 0; i < s->n; i++)
        if (!sl_add_size(size, feature_text(&s->columns[i], digits).n, &size) ||
            !sl_add_size(size, i ? x->separator.n : 0, &size))
            return sl_ops_no_memory(st);
    if (size == SIZE_MAX || (p = sl_arena_try_alloc(c->arena, size + 1)) == NULL)
        return sl_ops_no_memory(st);
    *out = (sl_str){p, size};
    for (int i = 0; i < s->n; i++) {
        sl_str f = feature_text(&s->columns[i], digits);
        if (i && x->separator.n)
            p = (char *)memcpy(p, x->separator.p, x->separator.n) + x->separator.n;
        if (f.n)
            p = (char *)memcpy(p, f.p, f.n) + f.n;
    }
    return SL_OK;
}

#ifdef SLUICE_FARMHASH
static uint64_t shift_mix(uint64_t v)
{
    return v ^ v >> 47;
}

/* TensorFlow's FingerprintCat64. */
static uint64_t mix(uint64_t a, uint64_t b)
{
    const uint64_t m = 0xc6a4a7935bd1e995;
    uint64_t v = (a ^ m ^ shift_mix(b * m) * m) * m;
    return shift_mix(shift_mix(v) * m);
}

static bool feature_hash(crosser *x, const column *k, uint64_t *hash)
{
    int64_t at = k->first + k->pick;
    sl_str s;
    if (k->values->dtype == SL_DT_STRING) {
        s = ((const sl_str *)k->values->data)[at];
    } else {
        const int64_t *v = (const int64_t *)k->values->data + at;
        *hash = (uint64_t)*v;
        if (x->cfg->kind == CROSS_HASH || (k->indices == NULL && !x->strong))
            return true;
        s = (sl_str){(const char *)v, 4}; /* TensorFlow takes the lower half */
    }
    if (x->cfg->kind == CROSS_KEYED && x->strong)
        return sl_sip_hash(&x->sip, s, hash);
    *hash = sl_farmhash64(s.n ? s.p : "", s.n);
    return true;
}

static bool mix_features(crosser *x, const crossing *s, int64_t *out)
{
    uint64_t hash = x->cfg->start, f;
    for (int i = 0; i < s->n; i++) {
        if (!feature_hash(x, &s->columns[i], &f))
            return false;
        hash = i == 0 && x->cfg->kind == CROSS_KEYED ? f : mix(hash, f);
    }
    *out = (int64_t)(hash % (uint64_t)(x->buckets > 0 ? x->buckets : INT64_MAX));
    return true;
}
#endif

/* ---- run ---- */

static sl_code read_last_inputs(const sl_op_call *c, crosser *x, sl_status *st)
{
    const cross_config *cfg = c->node->config;
    const sl_tensor *last = &c->in[c->node->n_in - 1];
    sl_shape_buf b;
    *x = (crosser){.cfg = cfg, .separator = SL_STR("_X_"), .buckets = cfg->buckets};
    if (strcmp(c->node->op->name, "SparseCrossV2") == 0) {
        if (last->rank != 0)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "Input separator should be a scalar. Received: a tensor of shape %s",
                           sl_ops_shape(last, &b));
        x->separator = *(const sl_str *)last->data;
    }
    if (cfg->kind != CROSS_KEYED)
        return SL_OK;
    if (sl_tensor_count(&last[-2]) != 1 || sl_tensor_count(&last[-1]) != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "num_buckets and strong_hash must be scalars");
    if (sl_tensor_count(last) != 2)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Input \"salt\" must have length 2 but has length %lld",
                       (long long)sl_tensor_count(last));
    x->buckets = *(const int64_t *)last[-2].data;
    x->strong = *(const bool *)last[-1].data;
    return sl_sip_begin(&x->sip, last->data) ? SL_OK : sl_ops_no_memory(st);
}

static sl_code begin_crossing(sl_op_call *c, crossing *s, sl_status *st)
{
    const cross_config *cfg = c->node->config;
    *s = (crossing){.n = cfg->sparse + cfg->dense};
    sl_code rc = check_cross(c, &s->batch, st);
    if (rc)
        return rc;
    size_t bytes = ((size_t)s->n + 1) * sizeof *s->columns; /* as many as the node has inputs */
    s->columns = sl_arena_try_alloc(c->arena, bytes);
    if (s->columns == NULL)
        return sl_ops_no_memory(st);
    memset(s->columns, 0, bytes);
    for (int i = 0; i < s->n; i++) {
        bool sparse = i < cfg->sparse;
        s->columns[i].indices = sparse ? &c->in[i] : NULL;
        s->columns[i].values = &c->in[sparse ? cfg->sparse + i : 2 * cfg->sparse + i];
    }
    return SL_OK;
}

static sl_code make_outputs(sl_op_call *c, crossing *s, sl_status *st)
{
    int64_t total = 0, most = 0, count;
    rewind_columns(s);
    while (s->n && next_full_row(s)) {
        if (!count_row(s, &count) || __builtin_add_overflow(total, count, &total))
            return sl_ops_no_memory(st);
        most = SL_MAX(most, count);
    }
    c->out[0].rank = 2;
    c->out[0].dims[0] = total;
    c->out[0].dims[1] = 2;
    sl_code rc = sl_ops_make(c, 0, st);
    if (!rc)
        rc = sl_ops_make_vector(c, 1, total, st);
    if (!rc)
        rc = sl_ops_make_vector(c, 2, 2, st);
    if (rc)
        return rc;
    ((int64_t *)c->out[2].data)[0] = s->batch;
    ((int64_t *)c->out[2].data)[1] = most;
    return SL_OK;
}

static sl_code put_cross(sl_op_call *c, crosser *x, const crossing *s, int64_t at, sl_status *st)
{
#ifdef SLUICE_FARMHASH
    if (x->cfg->kind != CROSS_TEXT)
        return mix_features(x, s, (int64_t *)c->out[1].data + at) ? SL_OK : sl_ops_no_memory(st);
#endif
    return join_features(c, x, s, (sl_str *)c->out[1].data + at, st);
}

static sl_code check_features(const sl_op_call *c, sl_status *st)
{
    const cross_config *cfg = c->node->config;
    for (int i = 0; i < cfg->sparse + cfg->dense; i++) {
        bool sparse = i < cfg->sparse;
        const sl_tensor *t = &c->in[sparse ? cfg->sparse + i : 2 * cfg->sparse + i];
        if (cfg->features == SL_DT_STRING && t->dtype == SL_DT_INT64)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "%s should be of internal type %d but received %d",
                           sparse ? "Input values" : "Dense inputs", SL_DT_STRING, SL_DT_INT64);
    }
    return SL_OK;
}

static sl_code cross_run(sl_op_call *c, sl_status *st)
{
    crossing s;
    crosser x;
    int64_t at = 0;
    sl_code rc = check_features(c, st);
    if (!rc)
        rc = begin_crossing(c, &s, st);
    if (!rc)
        rc = read_last_inputs(c, &x, st);
    if (rc)
        return rc;
    rc = make_outputs(c, &s, st);
    rewind_columns(&s);
    while (!rc && s.n && next_full_row(&s)) {
        int64_t number = 0;
        do {
            ((int64_t *)c->out[0].data)[2 * at] = s.row;
            ((int64_t *)c->out[0].data)[2 * at + 1] = number++;
            rc = put_cross(c, &x, &s, at++, st);
        } while (!rc && next_pick(&s));
    }
    sl_sip_end(&x.sip);
    return rc;
}

const sl_op sl_ops_sparse_cross[] = {
    {"SparseCross", SL_OP_MAKES, 0, cross_configure, NULL, cross_run, NULL},
    {"SparseCrossV2", SL_OP_MAKES, 0, text_configure, NULL, cross_run, NULL},
#ifdef SLUICE_FARMHASH
    {"SparseCrossHashed", SL_OP_MAKES, 0, keyed_configure, NULL, cross_run, NULL},
#endif
    {0},
};
