/*
 * array_turn.c - Roll and ReverseSequence: elements that change places along dimensions
 */
#include "engine/native/ops/ops.h"

/* ---- Roll (input, shift, axis): what leaves at the end comes in at the start ---- */

static sl_code roll_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 3, SL_T_PLAIN, st);
    for (int i = 1; i < 3 && !rc; i++)
        rc = sl_ops_check_input(n, i, SL_T_INDEX, st);
    if (!rc)
        n->out_types[0] = n->in_types[0];
    return rc;
}

static sl_code roll_shape(sl_op_call *c, sl_status *st)
{
    static const char *const names[] = {"", "shift", "axis"};
    sl_shape_buf b;
    if (c->in[0].rank < 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "input must be 1-D or higher");
    for (int i = 1; i < 3; i++)
        if (c->in[i].rank > 1)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "%s must be a scalar or a 1-D vector. Found: %s", names[i],
                           sl_ops_shape(&c->in[i], &b));
    int64_t shifts = c->in[1].rank ? c->in[1].dims[0] : 1;
    if (shifts != (c->in[2].rank ? c->in[2].dims[0] : 1))
        return sl_fail(st, SL_INVALID_ARGUMENT, "shift and axis must have the same size");
    return sl_ops_shape_like_first(c, st);
}

/* How far each dimension moves, in [0, extent). */
static sl_code read_shifts(const sl_op_call *c, int64_t *by, sl_status *st)
{
    const sl_tensor *in = &c->in[0];
    memset(by, 0, (size_t)in->rank * sizeof *by);
    for (int64_t i = 0, n = c->in[1].rank ? c->in[1].dims[0] : 1; i < n; i++) {
        int64_t axis = sl_ops_int(&c->in[2], i);
        if (!sl_ops_axis(&axis, in->rank))
            return sl_fail(st, SL_INVALID_ARGUMENT, "axis %lld is out of range",
                           (long long)(axis < 0 ? axis + in->rank : axis));
        int64_t extent = SL_MAX(in->dims[axis], (int64_t)1);
        int64_t shift =
            (int32_t)sl_ops_int(&c->in[1], i) % extent; /* TensorFlow's shift is an int */
        by[axis] = (int64_t)(((uint64_t)by[axis] + (uint64_t)(shift < 0 ? shift + extent : shift)) %
                             (uint64_t)extent);
    }
    return SL_OK;
}

static sl_code roll_run(sl_op_call *c, sl_status *st)
{
    const sl_tensor *in = &c->in[0];
    int64_t by[SL_MAX_RANK], strides[SL_MAX_RANK] = {0};
    sl_code rc = read_shifts(c, by, st);
    if (rc || in->size == 0)
        return rc;
    sl_ops_strides(in->dims, in->rank, strides);
    int last = in->rank - 1; /* the last dimension that moves: below it all lies together */
    while (last > 0 && by[last] == 0)
        last--;
    size_t unit = (size_t)strides[last] * sl_dtype_size(in->dtype);
    size_t row = (size_t)in->dims[last] * unit, end = (size_t)by[last] * unit;
    int64_t rows = sl_ops_product(in->dims, 0, last);
    for (int64_t r = 0; r < rows; r++) {
        int64_t left = r, stride = 1, to = 0;
        for (int d = last - 1; d >= 0; d--) {
            int64_t n = in->dims[d];
            to += (left % n + by[d]) % n * stride;
            left /= n;
            stride *= n;
        }
        const char *from = (const char *)in->data + (size_t)r * row;
        char *at = (char *)c->out[0].data + (size_t)to * row;
        memcpy(at + end, from, row - end);
        if (end)
            memcpy(at, from + row - end, end);
    }
    return SL_OK;
}

/* ---- ReverseSequence (input, lengths): the first elements of each row, in reverse ---- */

typedef struct reverse_config {
    int64_t batch, sequence;
} reverse_config;

static sl_code reverse_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 2, SL_T_NUMBERS | SL_T(BOOL) | SL_T(STRING), st);
    if (!rc)
        rc = sl_ops_check_input(n, 1, SL_T_INDEX, st);
    if (rc)
        return rc;
    reverse_config *cfg = sl_ops_config(n, sizeof *cfg);
    cfg->batch = sl_node_int(n->source, "batch_dim", 0);
    cfg->sequence = sl_node_int(n->source, "seq_dim", 0);
    n->config = cfg;
    n->out_types[0] = n->in_types[0];
    return cfg->batch < 0 || cfg->sequence < 0
               ? sl_fail(st, SL_FAILED_PRECONDITION, "negative dimensions are not supported")
               : SL_OK;
}

static sl_code reverse_shape(sl_op_call *c, sl_status *st)
{
    const reverse_config *cfg = c->node->config;
    const sl_tensor *in = &c->in[0], *lengths = &c->in[1];
    if (cfg->batch == cfg->sequence)
        return sl_fail(st, SL_INVALID_ARGUMENT, "batch_dim == seq_dim == %lld",
                       (long long)cfg->sequence);
    if (lengths->rank != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "seq_lengths must be 1-dim, not %d", lengths->rank);
    if (cfg->batch >= in->rank)
        return sl_fail(st, SL_INVALID_ARGUMENT, "batch_dim must be < input rank ( %lld vs. %d)",
                       (long long)cfg->batch, in->rank);
    if (cfg->sequence >= in->rank)
        return sl_fail(st, SL_INVALID_ARGUMENT, "seq_dim must be < input rank ( %lld vs. %d)",
                       (long long)cfg->sequence, in->rank);
    if (lengths->dims[0] != in->dims[cfg->batch])
        return sl_fail(
            st, SL_INVALID_ARGUMENT, "Length of seq_lengths != input.dims(%lld), (%lld vs. %lld)",
            (long long)cfg->batch, (long long)lengths->dims[0], (long long)in->dims[cfg->batch]);
    return sl_ops_shape_like_first(c, st);
}

static sl_code check_lengths(const sl_op_call *c, sl_status *st)
{
    const reverse_config *cfg = c->node->config;
    for (int64_t i = 0; i < c->in[1].dims[0]; i++) {
        int64_t n = sl_ops_int(&c->in[1], i);
        if (n < 0)
            return sl_fail(st, SL_INVALID_ARGUMENT, "seq_lens(%lld) < 0", (long long)i);
        if (n > c->in[0].dims[cfg->sequence])
            return sl_fail(st, SL_INVALID_ARGUMENT, "seq_lens(%lld) > input.dims(%lld)",
                           (long long)i, (long long)cfg->sequence);
    }
    return SL_OK;
}

static sl_code reverse_run(sl_op_call *c, sl_status *st)
{
    const reverse_config *cfg = c->node->config;
    const sl_tensor *in = &c->in[0];
    sl_code rc = check_lengths(c, st);
    if (rc || in->size == 0)
        return rc;
    /* [outer, first, middle, second, inner]: the two named dimensions, in their order. */
    int first = (int)SL_MIN(cfg->batch, cfg->sequence);
    int second = (int)SL_MAX(cfg->batch, cfg->sequence);
    int64_t outer = sl_ops_product(in->dims, 0, first), n1 = in->dims[first];
    int64_t middle = sl_ops_product(in->dims, first + 1, second), n2 = in->dims[second];
    size_t item = (size_t)sl_ops_product(in->dims, second + 1, in->rank) * sl_dtype_size(in->dtype);
    bool batch_first = cfg->batch == first;
    for (int64_t o = 0; o < outer; o++)
        for (int64_t a = 0; a < n1; a++)
            for (int64_t m = 0; m < middle; m++)
                for (int64_t b = 0; b < n2; b++) {
                    int64_t at = batch_first ? b : a;
                    int64_t length = sl_ops_int(&c->in[1], batch_first ? a : b);
                    int64_t from = at < length ? length - 1 - at : at;
                    int64_t i = ((o * n1 + a) * middle + m) * n2 + b;
                    int64_t j = ((o * n1 + (batch_first ? a : from)) * middle + m) * n2 +
                                (batch_first ? from : b);
                    memcpy((char *)c->out[0].data + (size_t)i * item,
                           (const char *)in->data + (size_t)j * item, item);
                }
    return SL_OK;
}

const sl_op sl_ops_array_turn[] = {
    {"Roll", 0, 0, roll_configure, roll_shape, roll_run, NULL},
    {"ReverseSequence", 0, 0, reverse_configure, reverse_shape, reverse_run, NULL},
    {0},
};
