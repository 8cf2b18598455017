/*
 * ragged.c - RaggedTensorToTensor: rows of different lengths become a rectangle
 *
 * Partition k says to which row of level k - 1 each row of level k belongs: by ROW_SPLITS (where
 * each row begins) or by VALUE_ROWIDS (the row of each, ascending; then FIRST_DIM_SIZE comes in
 * front and says how many rows there are). Level by level each row is given its place in the
 * output, or -1 if it lies outside; in the end the values go to their places.
 */
#include "engine/native/ops/ops.h"

typedef enum partition { FIRST_DIM_SIZE, VALUE_ROWIDS, ROW_SPLITS } partition;

typedef struct ragged_config {
    int n;      /* partitions that say where rows belong */
    int first;  /* input of the first of them */
    bool sized; /* FIRST_DIM_SIZE is there, in front of them */
    partition kinds[SL_MAX_RANK];
} ragged_config;

static sl_code read_kinds(sl_op_node *n, ragged_config *cfg, sl_status *st)
{
    int count = sl_node_list_count(n->source, "row_partition_types");
    if (count < 1 || n->n_in != 3 + count)
        return sl_fail(st, SL_INVALID_ARGUMENT, "%s has %d partitions where %d are expected",
                       n->op->name, n->n_in - 3, count);
    for (int i = 0; i < count; i++) {
        sl_str s = sl_node_list_str(n->source, "row_partition_types", i);
        if (i == 0 && sl_str_is(s, "FIRST_DIM_SIZE")) {
            cfg->sized = true;
            continue;
        }
        if (cfg->n == SL_MAX_RANK - 1)
            return sl_fail(st, SL_FAILED_PRECONDITION, "more than %d partitions are not supported",
                           SL_MAX_RANK - 1);
        if (!sl_str_is(s, "VALUE_ROWIDS") && !sl_str_is(s, "ROW_SPLITS"))
            return sl_fail(st, SL_FAILED_PRECONDITION, "partitions by %.*s are not supported",
                           SL_STR_ARG(s));
        cfg->kinds[cfg->n++] = sl_str_is(s, "ROW_SPLITS") ? ROW_SPLITS : VALUE_ROWIDS;
    }
    if (cfg->n == 0 || (cfg->kinds[0] == VALUE_ROWIDS && !cfg->sized))
        return sl_fail(st, SL_INVALID_ARGUMENT, "%s does not say how many rows there are",
                       n->op->name);
    cfg->first = 3 + cfg->sized;
    return SL_OK;
}

static sl_code ragged_configure(sl_op_node *n, sl_status *st)
{
    if (n->n_in < 4 || n->n_out != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "%s has %d inputs", n->op->name, n->n_in);
    sl_code rc = sl_ops_check_input(n, 0, SL_T_INDEX, st);
    if (!rc)
        rc = sl_ops_check_input(n, 1, SL_T_PLAIN, st);
    if (!rc)
        rc = sl_ops_check_same(n, 1, 3, st);
    for (int i = 3; i < n->n_in && !rc; i++)
        rc = sl_ops_check_input(n, i, SL_T_INDEX, st);
    if (rc)
        return rc;
    ragged_config *cfg = sl_ops_config(n, sizeof *cfg);
    n->config = cfg;
    n->out_types[0] = n->in_types[1];
    return read_kinds(n, cfg, st);
}

/* ---- checks ---- */

/* Splits begin with 0, row ids with nothing below 0, and neither ever descends. */
static sl_code check_partition(const sl_tensor *t, partition kind, int64_t rows, sl_status *st)
{
    int64_t n = t->rank == 1 ? t->dims[0] : -1;
    if (n < 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "a row partition must be a vector");
    if (kind == ROW_SPLITS && (n == 0 || sl_ops_int(t, 0) != 0))
        return sl_fail(st, SL_INVALID_ARGUMENT, "Invalid first partition input: %s",
                       n == 0 ? "row splits must have at least one element"
                              : "row splits must begin with 0");
    if (kind == ROW_SPLITS && n - 1 != rows)
        return sl_fail(st, SL_INVALID_ARGUMENT, "row splits of %lld rows where %lld are expected",
                       (long long)(n - 1), (long long)rows);
    for (int64_t i = 0; i < n; i++) {
        int64_t v = sl_ops_int(t, i);
        if (v < (i ? sl_ops_int(t, i - 1) : 0) || (kind == VALUE_ROWIDS && v >= rows))
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "row partition value %lld at %lld is out of "
                           "order, or out of range",
                           (long long)v, (long long)i);
    }
    return SL_OK;
}

/* Rows of the level that the partition makes. */
static int64_t rows_below(const sl_tensor *t, partition kind)
{
    return kind == ROW_SPLITS ? sl_ops_int(t, t->dims[0] - 1) : t->dims[0];
}

static int64_t widest(const sl_tensor *t, partition kind)
{
    int64_t most = 0, run = 0;
    for (int64_t i = 0; i < t->dims[0]; i++) {
        bool first = i == 0 || sl_ops_int(t, i) != sl_ops_int(t, i - 1);
        run = kind == VALUE_ROWIDS ? (first ? 1 : run + 1)
              : i                  ? sl_ops_int(t, i) - sl_ops_int(t, i - 1)
                                   : 0;
        most = SL_MAX(most, run);
    }
    return most;
}

/* ---- the output's shape ---- */

static sl_code size_of_dim(const sl_op_call *c, int d, int rank, int64_t own, int64_t *out,
                           sl_status *st)
{
    const sl_tensor *shape = &c->in[0];
    const ragged_config *cfg = c->node->config;
    if (shape->rank > 1 || (shape->rank == 1 && shape->dims[0] != rank) ||
        (shape->rank == 0 && sl_ops_int(shape, 0) != -1))
        return sl_fail(st, SL_INVALID_ARGUMENT, "shape does not fit: the result has %d dimensions",
                       rank);
    int64_t wanted = shape->rank ? sl_ops_int(shape, d) : -1;
    *out = wanted < 0 ? own : wanted;
    if (d > cfg->n && *out != own)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Inner dimension %d of the values is %lld, not %lld", d, (long long)own,
                       (long long)wanted);
    return SL_OK;
}

static sl_code size_output(sl_op_call *c, int64_t rows, sl_status *st)
{
    const ragged_config *cfg = c->node->config;
    const sl_tensor *values = &c->in[1];
    sl_tensor *out = &c->out[0];
    int rank = cfg->n + values->rank;
    int64_t own = rows, size = 0;
    sl_code rc = SL_OK;
    out->rank = 0;
    for (int d = 0; d < rank && !rc; d++) {
        if (d >= 1 && d <= cfg->n)
            own = widest(&c->in[cfg->first + d - 1], cfg->kinds[d - 1]);
        else if (d > cfg->n)
            own = values->dims[d - cfg->n];
        rc = size_of_dim(c, d, rank, own, &size, st);
        if (!rc)
            rc = sl_ops_push_dim(out, size, st);
    }
    return rc ? rc : sl_ops_make(c, 0, st);
}

/* ---- places ---- */

static int64_t place_below(int64_t parent, int64_t at, int64_t width, int64_t stride)
{
    return parent < 0 || at >= width ? -1 : parent + at * stride;
}

/* From the places of a level's rows to those of the next one's. */
static void place_rows(const sl_tensor *t, partition kind, const int64_t *above, int64_t *below,
                       int64_t width, int64_t stride)
{
    int64_t at = 0;
    if (kind == ROW_SPLITS) {
        for (int64_t r = 0; r + 1 < t->dims[0]; r++)
            for (int64_t i = sl_ops_int(t, r), first = i; i < sl_ops_int(t, r + 1); i++)
                below[i] = place_below(above[r], i - first, width, stride);
        return;
    }
    for (int64_t i = 0; i < t->dims[0]; i++) {
        int64_t row = sl_ops_int(t, i);
        at = i && row == sl_ops_int(t, i - 1) ? at + 1 : 0;
        below[i] = place_below(above[row], at, width, stride);
    }
}

static void fill(sl_tensor *out, const sl_tensor *by, size_t item)
{
    /* A default of the size of an item is repeated; otherwise it is one element. */
    size_t unit = by->size == item ? item : sl_dtype_size(out->dtype);
    for (size_t at = 0; at + unit <= out->size && unit; at += unit)
        memcpy((char *)out->data + at, by->data, unit);
}

static sl_code ragged_run(sl_op_call *c, sl_status *st)
{
    const ragged_config *cfg = c->node->config;
    const sl_tensor *values = &c->in[1], *otherwise = &c->in[2];
    sl_tensor *out = &c->out[0];
    if (values->rank < 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "values must have at least one dimension");
    const sl_tensor *one = &c->in[3];
    if (cfg->sized ? sl_tensor_count(one) != 1 : one->rank != 1 || one->dims[0] < 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "the first row partition has a wrong shape");
    int64_t rows = cfg->sized ? sl_ops_int(one, 0) : one->dims[0] - 1, n = rows;
    if (rows < 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "the number of rows is negative");
    sl_code rc = SL_OK;
    for (int k = 0; k < cfg->n && !rc; k++) {
        rc = check_partition(&c->in[cfg->first + k], cfg->kinds[k], n, st);
        n = rc ? 0 : rows_below(&c->in[cfg->first + k], cfg->kinds[k]);
    }
    if (!rc && n != values->dims[0])
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "%lld values where the partitions say %lld",
                     (long long)values->dims[0], (long long)n);
    if (!rc)
        rc = size_output(c, rows, st);
    if (rc)
        return rc;
    size_t item = (size_t)sl_ops_product(values->dims, 1, values->rank) * sl_dtype_size(out->dtype);
    if (sl_tensor_count(otherwise) != 1 && otherwise->size != item)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "default_value must be a scalar or have the shape of an item");
    if (out->size == 0)
        return SL_OK;
    fill(out, otherwise, item);
    int64_t stride = sl_ops_product(out->dims, 1, cfg->n + 1), *above, *below;
    size_t bytes; /* the number of rows may be any number */
    above = sl_mul_size((size_t)rows, sizeof *above, &bytes) ? sl_arena_try_alloc(c->arena, bytes)
                                                             : NULL;
    for (int64_t i = 0; above != NULL && i < rows; i++)
        above[i] = i < out->dims[0] ? i * stride : -1;
    for (int k = 0; k < cfg->n && above != NULL; k++) {
        const sl_tensor *t = &c->in[cfg->first + k];
        n = rows_below(t, cfg->kinds[k]);
        stride = sl_ops_product(out->dims, k + 2, cfg->n + 1);
        below = sl_arena_try_alloc(c->arena, (size_t)n * sizeof *below);
        if (below != NULL)
            place_rows(t, cfg->kinds[k], above, below, out->dims[k + 1], stride);
        above = below;
    }
    if (above == NULL)
        return sl_ops_no_memory(st);
    for (int64_t i = 0; i < n && item; i++)
        if (above[i] >= 0)
            memcpy((char *)out->data + (size_t)above[i] * item,
                   (const char *)values->data + (size_t)i * item, item);
    return SL_OK;
}

const sl_op sl_ops_ragged[] = {
    {"RaggedTensorToTensor", SL_OP_MAKES, 0, ragged_configure, NULL, ragged_run, NULL},
    {0},
};
