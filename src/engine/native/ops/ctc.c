/*
 * ctc.c - CTCGreedyDecoder (inputs [time, batch, classes], lengths [batch]): the likeliest class of
 * each moment, without blanks and, if wanted, without repetitions
 */
#include "engine/native/ops/ops.h"

typedef struct ctc_config {
    bool merge;
    int64_t blank;
} ctc_config;

static sl_code ctc_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 2, SL_T(FLOAT) | SL_T(DOUBLE), st);
    if (!rc)
        rc = sl_ops_check_input(n, 1, SL_T(INT32), st);
    if (!rc && n->n_out != 4)
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "CTCGreedyDecoder has %d outputs", n->n_out);
    if (rc)
        return rc;
    ctc_config *cfg = sl_ops_config(n, sizeof *cfg);
    cfg->merge = sl_node_bool(n->source, "merge_repeated", false);
    cfg->blank = sl_node_int(n->source, "blank_index", -1);
    n->config = cfg;
    n->out_types[0] = n->out_types[1] = n->out_types[2] = SL_DT_INT64;
    n->out_types[3] = n->in_types[0];
    return SL_OK;
}

static sl_code check(const sl_op_call *c, sl_status *st)
{
    const sl_tensor *in = &c->in[0], *lengths = &c->in[1];
    if (in->rank != 3)
        return sl_fail(st, SL_INVALID_ARGUMENT, "inputs is not a 3-Tensor");
    if (sl_tensor_count(in) == 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "inputs must not be empty");
    if (lengths->rank != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "sequence_length is not a vector");
    if (lengths->dims[0] != in->dims[1])
        return sl_fail(st, SL_FAILED_PRECONDITION,
                       "len(sequence_length) != batch_size.  len(sequence_length):  %lld "
                       "batch_size: %lld",
                       (long long)lengths->dims[0], (long long)in->dims[1]);
    for (int64_t b = 0; b < lengths->dims[0]; b++)
        if (sl_ops_int(lengths, b) > in->dims[0])
            return sl_fail(st, SL_FAILED_PRECONDITION, "sequence_length(%lld) <= %lld",
                           (long long)b, (long long)in->dims[0]);
    return SL_OK;
}

static double at(const sl_tensor *t, int64_t i)
{
    return t->dtype == SL_DT_FLOAT ? (double)((const float *)t->data)[i]
                                   : ((const double *)t->data)[i];
}

/* The likeliest class of moment t of sequence b. */
static int64_t best(const sl_tensor *in, int64_t t, int64_t b, double *value)
{
    int64_t classes = in->dims[2], row = (t * in->dims[1] + b) * classes, found = 0;
    *value = at(in, row);
    for (int64_t k = 1; k < classes; k++)
        if (at(in, row + k) > *value) {
            *value = at(in, row + k);
            found = k;
        }
    return found;
}

/* Decodes sequence b into `to`, NULL: only counts. */
static int64_t decode(const sl_op_call *c, int64_t b, int64_t blank, int64_t *to, double *score)
{
    const ctc_config *cfg = c->node->config;
    int64_t n = 0, before = -1;
    *score = 0;
    for (int64_t t = 0; t < sl_ops_int(&c->in[1], b); t++) {
        double value;
        int64_t k = best(&c->in[0], t, b, &value);
        *score -= value;
        if (k != blank && !(cfg->merge && k == before)) {
            if (to)
                to[n] = k;
            n++;
        }
        before = k;
    }
    return n;
}

static sl_code make(sl_op_call *c, int k, int rank, int64_t n, int64_t m, sl_status *st)
{
    c->out[k].rank = rank;
    c->out[k].dims[0] = n;
    c->out[k].dims[1] = m;
    return sl_ops_make(c, k, st);
}

static sl_code ctc_run(sl_op_call *c, sl_status *st)
{
    const ctc_config *cfg = c->node->config;
    sl_code rc = check(c, st);
    if (rc)
        return rc;
    int64_t batch = c->in[0].dims[1], classes = c->in[0].dims[2], total = 0, longest = 0, row = 0;
    int64_t blank = cfg->blank < 0 ? cfg->blank + classes : cfg->blank;
    if (blank < 0 || blank >= classes)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "blank_index expected to be between %lld and %lld but was %lld",
                       -(long long)classes, (long long)classes - 1, (long long)cfg->blank);
    double score;
    for (int64_t b = 0; b < batch; b++) {
        int64_t n = decode(c, b, blank, NULL, &score);
        longest = SL_MAX(longest, n);
        total += n;
    }
    rc = make(c, 0, 2, total, 2, st);
    if (!rc)
        rc = make(c, 1, 1, total, 0, st);
    if (!rc)
        rc = make(c, 2, 1, 2, 0, st);
    if (!rc)
        rc = make(c, 3, 2, batch, 1, st);
    if (rc)
        return rc;
    ((int64_t *)c->out[2].data)[0] = batch;
    ((int64_t *)c->out[2].data)[1] = longest;
    for (int64_t b = 0; b < batch; b++) {
        int64_t n = decode(c, b, blank, (int64_t *)c->out[1].data + row, &score);
        if (c->in[0].dtype == SL_DT_FLOAT)
            ((float *)c->out[3].data)[b] = (float)score;
        else
            ((double *)c->out[3].data)[b] = score;
        for (int64_t i = 0; i < n; i++, row++) {
            ((int64_t *)c->out[0].data)[2 * row] = b;
            ((int64_t *)c->out[0].data)[2 * row + 1] = i;
        }
    }
    return SL_OK;
}

const sl_op sl_ops_ctc[] = {
    {"CTCGreedyDecoder", SL_OP_MAKES, 0, ctc_configure, NULL, ctc_run, NULL},
    {0},
};
