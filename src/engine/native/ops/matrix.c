/*
 * matrix.c - MatrixBandPart, and what puts diagonals into matrices and takes them out
 *
 * Diagonal d holds the elements (i, j) with j - i = d. Several of them, lower ... upper, are packed
 * into rows of one matrix, the highest first, each padded to the longest; `align` says on which
 * side, for those above the main diagonal and for those below it.
 */
#include "engine/native/ops/ops.h"

typedef struct diag_config {
    bool many; /* V2 and V3: k and so on are inputs */
    bool left_super, left_sub;
} diag_config;

typedef struct band {
    int64_t lower, upper, rows, cols, longest;
} band;

/* ---- MatrixBandPart (matrices, below, above): the others become zeros ---- */

static sl_code band_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 3, SL_T_PLAIN & ~SL_T(STRING), st);
    for (int i = 1; i < 3 && !rc; i++)
        rc = sl_ops_check_input(n, i, SL_T_INDEX, st);
    if (!rc)
        n->out_types[0] = n->in_types[0];
    return rc;
}

static sl_code band_shape(sl_op_call *c, sl_status *st)
{
    static const char *const names[] = {"", "num_lower", "num_upper"};
    const sl_tensor *in = &c->in[0];
    sl_shape_buf b;
    if (in->rank < 2)
        return sl_fail(st, SL_INVALID_ARGUMENT, "input must be at least 2-dim, received shape: %s",
                       sl_ops_shape(in, &b));
    for (int i = 1; i < 3; i++) {
        if (c->in[i].rank != 0)
            return sl_fail(st, SL_INVALID_ARGUMENT, "%s must be scalar, got shape %s", names[i],
                           sl_ops_shape(&c->in[i], &b));
        int64_t most = in->dims[in->rank - (i == 1 ? 2 : 1)], k = sl_ops_int(&c->in[i], 0);
        if (k > most)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "%s must be negative or less or equal to number of %s (%lld) got: %lld",
                           names[i], i == 1 ? "rows" : "columns", (long long)most, (long long)k);
    }
    return sl_ops_shape_like_first(c, st);
}

static sl_code band_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    const sl_tensor *in = &c->in[0];
    int64_t rows = in->dims[in->rank - 2], cols = in->dims[in->rank - 1];
    int64_t below = sl_ops_int(&c->in[1], 0), above = sl_ops_int(&c->in[2], 0);
    size_t element = sl_dtype_size(in->dtype);
    if (c->out[0].size == 0)
        return SL_OK;
    int64_t all = sl_ops_product(in->dims, 0, in->rank - 1);
    for (int64_t r = 0; r < all; r++) {
        int64_t i = r % rows;
        int64_t from = below < 0 ? 0 : SL_MIN(SL_MAX(i - below, 0), cols);
        int64_t to = above < 0 ? cols : SL_MAX(SL_MIN(i + above + 1, cols), from);
        char *out = (char *)c->out[0].data + (size_t)(r * cols) * element;
        const char *x = (const char *)in->data + (size_t)(r * cols) * element;
        if (out != x)
            memcpy(out + (size_t)from * element, x + (size_t)from * element,
                   (size_t)(to - from) * element);
        memset(out, 0, (size_t)from * element);
        memset(out + (size_t)to * element, 0, (size_t)(cols - to) * element);
    }
    return SL_OK;
}

/* ---- diagonals ---- */

static sl_code diag_config_of(sl_op_node *n, sl_status *st)
{
    diag_config *cfg = sl_ops_config(n, sizeof *cfg);
    sl_str align = sl_node_str(n->source, "align", "RIGHT_LEFT");
    char version = n->op->name[strlen(n->op->name) - 1];
    cfg->many = version == '2' || version == '3';
    cfg->left_super =
        version != '3' || sl_str_is(align, "LEFT_LEFT") || sl_str_is(align, "LEFT_RIGHT");
    cfg->left_sub =
        version != '3' || sl_str_is(align, "LEFT_LEFT") || sl_str_is(align, "RIGHT_LEFT");
    n->config = cfg;
    n->out_types[0] = n->in_types[0];
    (void)st;
    return SL_OK;
}

/* `values`: inputs of the dtype of the first, as bits; the others are int32. */
static sl_code diag_check(sl_op_node *n, int n_in, unsigned values, sl_status *st)
{
    sl_code rc = sl_ops_check(n, n_in, SL_T_PLAIN & ~SL_T(STRING), st);
    for (int i = 1; i < n_in && !rc; i++)
        if (!(values >> i & 1))
            rc = sl_ops_check_input(n, i, SL_T_INDEX, st);
        else if (n->in_types[i] != n->in_types[0])
            rc = sl_fail(st, SL_INVALID_ARGUMENT, "%s mixes dtypes", n->op->name);
    return rc ? rc : diag_config_of(n, st);
}

static sl_code read_k(const sl_tensor *k, band *b, sl_status *st)
{
    int64_t n = sl_tensor_count(k);
    if (k->rank > 1 || n < 1 || n > 2)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "diag_index must be a scalar or vector with one or two elements");
    b->lower = sl_ops_int(k, 0);
    b->upper = sl_ops_int(k, n - 1);
    if (b->lower > b->upper)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "lower_diag_index must not be larger than upper_diag_index: %lld > %lld",
                       (long long)b->lower, (long long)b->upper);
    return SL_OK;
}

static int64_t length_of(const band *b, int64_t d)
{
    return SL_MIN(b->rows + SL_MIN(d, 0), b->cols - SL_MAX(d, 0));
}

/* Of a matrix of b->rows x b->cols. */
static sl_code check_band(band *b, sl_status *st)
{
    bool ok = (b->lower == 0 || (b->lower > -b->rows && b->lower < b->cols)) &&
              (b->upper == 0 || (b->upper > -b->rows && b->upper < b->cols));
    b->longest = SL_MIN(b->rows + SL_MIN(b->upper, 0), b->cols - SL_MAX(b->lower, 0));
    return ok ? SL_OK
              : sl_fail(st, SL_INVALID_ARGUMENT,
                        "the diagonals %lld to %lld are not all in a matrix of %lld rows and %lld "
                        "columns",
                        (long long)b->lower, (long long)b->upper, (long long)b->rows,
                        (long long)b->cols);
}

/* Where element (i, j) stands in the packed diagonals, from their first. */
static int64_t packed_at(const diag_config *cfg, const band *b, int64_t i, int64_t j)
{
    int64_t d = j - i;
    bool left = (d >= 0 && cfg->left_super) || (d <= 0 && cfg->left_sub);
    int64_t skipped = left ? 0 : b->longest - length_of(b, d);
    return (b->upper - d) * b->longest + skipped + (d > 0 ? i : j);
}

static bool in_band(const band *b, int64_t i, int64_t j)
{
    return j - i >= b->lower && j - i <= b->upper;
}

/* ---- MatrixDiag (diagonals, k, rows, columns, padding) ---- */

static sl_code diag_configure(sl_op_node *n, sl_status *st)
{
    return n->n_in == 1 ? diag_check(n, 1, 0, st) : diag_check(n, 5, 1 << 4, st);
}

static sl_code band_of_diag(const sl_op_call *c, band *b, sl_status *st)
{
    const diag_config *cfg = c->node->config;
    const sl_tensor *in = &c->in[0];
    *b = (band){0};
    if (in->rank < 1)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "diagonal must be at least 1-dim, received shape: []");
    b->longest = in->dims[in->rank - 1];
    b->rows = b->cols = b->longest;
    if (!cfg->many)
        return SL_OK;
    sl_code rc = read_k(&c->in[1], b, st);
    for (int i = 2; i < 5 && !rc; i++)
        if (sl_tensor_count(&c->in[i]) != 1)
            rc = sl_fail(st, SL_INVALID_ARGUMENT,
                         "num_rows, num_cols and padding_value must be scalars");
    int64_t n = b->upper - b->lower + 1;
    if (!rc && n > 1 && (in->rank < 2 || in->dims[in->rank - 2] != n))
        rc = sl_fail(
            st, SL_INVALID_ARGUMENT,
            "The number of diagonals provided in the input does not match the lower_diag_index "
            "and upper_diag_index range.");
    if (rc)
        return rc;
    int64_t rows = sl_ops_int(&c->in[2], 0), cols = sl_ops_int(&c->in[3], 0);
    int64_t least_rows = b->longest - SL_MIN(b->upper, 0);
    int64_t least_cols = b->longest + SL_MAX(b->lower, 0);
    if (rows != -1 && rows < least_rows)
        return sl_fail(st, SL_INVALID_ARGUMENT, "The number of rows is too small.");
    if (cols != -1 && cols < least_cols)
        return sl_fail(st, SL_INVALID_ARGUMENT, "The number of columns is too small.");
    b->rows = rows != -1 ? rows : cols != -1 ? least_rows : SL_MAX(least_rows, least_cols);
    b->cols = cols != -1 ? cols : rows != -1 ? least_cols : SL_MAX(least_rows, least_cols);
    if (b->rows != least_rows && b->cols != least_cols)
        return sl_fail(
            st, SL_INVALID_ARGUMENT,
            "The number of rows or columns is not consistent with the specified d_lower, "
            "d_upper, and diagonal.");
    return SL_OK;
}

static sl_code diag_shape(sl_op_call *c, sl_status *st)
{
    band b;
    sl_tensor *out = &c->out[0];
    sl_code rc = band_of_diag(c, &b, st);
    int outer = c->in[0].rank - (b.upper > b.lower ? 2 : 1);
    out->rank = 0;
    for (int i = 0; i < outer && !rc; i++)
        rc = sl_ops_push_dim(out, c->in[0].dims[i], st);
    if (!rc)
        rc = sl_ops_push_dim(out, b.rows, st);
    if (!rc)
        rc = sl_ops_push_dim(out, b.cols, st);
    return rc ? rc : sl_ops_check_size(out, st);
}

static sl_code diag_run(sl_op_call *c, sl_status *st)
{
    const diag_config *cfg = c->node->config;
    sl_tensor *out = &c->out[0];
    size_t element = sl_dtype_size(out->dtype);
    char *to = out->data;
    band b;
    sl_code rc = band_of_diag(c, &b, st);
    if (rc || out->size == 0)
        return rc;
    int64_t count = sl_ops_product(out->dims, 0, out->rank - 2);
    int64_t packed = (b.upper - b.lower + 1) * b.longest;
    memset(out->data, 0, out->size);
    for (int64_t m = 0; m < count; m++)
        for (int64_t i = 0; i < b.rows; i++)
            for (int64_t j = 0; j < b.cols; j++, to += element)
                if (in_band(&b, i, j))
                    memcpy(to,
                           (const char *)c->in[0].data +
                               (size_t)(m * packed + packed_at(cfg, &b, i, j)) * element,
                           element);
                else if (cfg->many)
                    memcpy(to, c->in[4].data, element);
    return SL_OK;
}

/* ---- MatrixDiagPart (matrices, k, padding), MatrixSetDiag (matrices, diagonals, k) ---- */

static sl_code part_configure(sl_op_node *n, sl_status *st)
{
    return n->n_in == 1 ? diag_check(n, 1, 0, st) : diag_check(n, 3, 1 << 2, st);
}

static sl_code set_diag_configure(sl_op_node *n, sl_status *st)
{
    return n->n_in == 2 ? diag_check(n, 2, 1 << 1, st) : diag_check(n, 3, 1 << 1, st);
}

/* `k`: the input that says which diagonals. */
static sl_code band_of_matrix(const sl_op_call *c, int k, band *b, sl_status *st)
{
    const sl_tensor *in = &c->in[0];
    sl_shape_buf text;
    *b = (band){0};
    if (in->rank < 2)
        return sl_fail(st, SL_INVALID_ARGUMENT, "input must be at least 2-dim, received shape: %s",
                       sl_ops_shape(in, &text));
    b->rows = in->dims[in->rank - 2];
    b->cols = in->dims[in->rank - 1];
    sl_code rc = ((const diag_config *)c->node->config)->many ? read_k(&c->in[k], b, st) : SL_OK;
    return rc ? rc : check_band(b, st);
}

static sl_code packed_shape(const sl_op_call *c, const band *b, sl_tensor *t, sl_status *st)
{
    sl_code rc = SL_OK;
    t->rank = 0;
    for (int i = 0; i < c->in[0].rank - 2 && !rc; i++)
        rc = sl_ops_push_dim(t, c->in[0].dims[i], st);
    if (!rc && b->upper > b->lower)
        rc = sl_ops_push_dim(t, b->upper - b->lower + 1, st);
    return rc ? rc : sl_ops_push_dim(t, b->longest, st);
}

static sl_code part_shape(sl_op_call *c, sl_status *st)
{
    band b;
    sl_code rc = band_of_matrix(c, 1, &b, st);
    if (!rc && ((const diag_config *)c->node->config)->many && sl_tensor_count(&c->in[2]) != 1)
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "padding_value must be a scalar");
    if (!rc)
        rc = packed_shape(c, &b, &c->out[0], st);
    return rc ? rc : sl_ops_check_size(&c->out[0], st);
}

static sl_code part_run(sl_op_call *c, sl_status *st)
{
    const diag_config *cfg = c->node->config;
    const sl_tensor *in = &c->in[0];
    sl_tensor *out = &c->out[0];
    size_t element = sl_dtype_size(out->dtype);
    band b;
    sl_code rc = band_of_matrix(c, 1, &b, st);
    if (rc || out->size == 0)
        return rc;
    int64_t count = sl_ops_product(in->dims, 0, in->rank - 2);
    int64_t packed = (b.upper - b.lower + 1) * b.longest;
    for (size_t at = 0; at < out->size && cfg->many; at += element)
        memcpy((char *)out->data + at, c->in[2].data, element);
    for (int64_t m = 0; m < count; m++)
        for (int64_t i = 0; i < b.rows; i++)
            for (int64_t j = SL_MAX(i + b.lower, 0); j < b.cols && j <= i + b.upper; j++)
                memcpy((char *)out->data +
                           (size_t)(m * packed + packed_at(cfg, &b, i, j)) * element,
                       (const char *)in->data + (size_t)((m * b.rows + i) * b.cols + j) * element,
                       element);
    return SL_OK;
}

static sl_code set_diag_shape(sl_op_call *c, sl_status *st)
{
    band b;
    sl_tensor want = {0};
    sl_shape_buf x, y, z;
    sl_code rc = band_of_matrix(c, 2, &b, st);
    if (!rc)
        rc = packed_shape(c, &b, &want, st);
    const sl_tensor *d = &c->in[1];
    if (!rc && (d->rank != want.rank ||
                memcmp(d->dims, want.dims, (size_t)d->rank * sizeof d->dims[0]) != 0))
        rc = sl_fail(st, SL_INVALID_ARGUMENT,
                     "Either first dimensions of diagonal don't match input.shape[:-2], or "
                     "diagonal.shape[:-1] is not equal to the longests diagonal in range "
                     "[lower_diag_index:upper_diag_index].\nInput shape: %s\nDiagonal shape: "
                     "%s\nExpected diagonal shape: %s",
                     sl_ops_shape(&c->in[0], &x), sl_ops_shape(d, &y), sl_ops_shape(&want, &z));
    return rc ? rc : sl_ops_shape_like_first(c, st);
}

static sl_code set_diag_run(sl_op_call *c, sl_status *st)
{
    const diag_config *cfg = c->node->config;
    const sl_tensor *in = &c->in[0];
    size_t element = sl_dtype_size(in->dtype);
    band b;
    sl_code rc = band_of_matrix(c, 2, &b, st);
    if (rc || in->size == 0)
        return rc;
    int64_t count = sl_ops_product(in->dims, 0, in->rank - 2);
    int64_t packed = (b.upper - b.lower + 1) * b.longest;
    sl_ops_copy_first(c, st);
    for (int64_t m = 0; m < count; m++)
        for (int64_t i = 0; i < b.rows; i++)
            for (int64_t j = SL_MAX(i + b.lower, 0); j < b.cols && j <= i + b.upper; j++)
                memcpy((char *)c->out[0].data + (size_t)((m * b.rows + i) * b.cols + j) * element,
                       (const char *)c->in[1].data +
                           (size_t)(m * packed + packed_at(cfg, &b, i, j)) * element,
                       element);
    return SL_OK;
}

const sl_op sl_ops_matrix[] = {
    {"MatrixBandPart", SL_OP_IN_PLACE, 1 << 1 | 1 << 2, band_configure, band_shape, band_run, NULL},
    {"MatrixDiag", 0, 0, diag_configure, diag_shape, diag_run, NULL},
    {"MatrixDiagV2", 0, 14, diag_configure, diag_shape, diag_run, NULL},
    {"MatrixDiagV3", 0, 14, diag_configure, diag_shape, diag_run, NULL},
    {"MatrixDiagPart", 0, 0, part_configure, part_shape, part_run, NULL},
    {"MatrixDiagPartV2", 0, 1 << 1, part_configure, part_shape, part_run, NULL},
    {"MatrixDiagPartV3", 0, 1 << 1, part_configure, part_shape, part_run, NULL},
    {"MatrixSetDiag", 0, 0, set_diag_configure, set_diag_shape, set_diag_run, NULL},
    {"MatrixSetDiagV2", 0, 1 << 2, set_diag_configure, set_diag_shape, set_diag_run, NULL},
    {"MatrixSetDiagV3", 0, 1 << 2, set_diag_configure, set_diag_shape, set_diag_run, NULL},
    {0},
};
