/*
 * loss.c - SoftmaxCrossEntropyWithLogits, SparseSoftmaxCrossEntropyWithLogits
 *
 * Of a row of logits x and labels p: loss = sum p (log sum exp x - x), backprop = softmax x - p.
 */
#include <math.h>
#include <stdio.h>

#include "engine/native/kernels/half.h"
#include "engine/native/ops/ops.h"

#define LOSS_TYPES SL_T_FLOATS

static double get(const sl_tensor *t, int64_t i)
{
    switch (t->dtype) {
    case SL_DT_FLOAT:
        return (double)((const float *)t->data)[i];
    case SL_DT_DOUBLE:
        return ((const double *)t->data)[i];
    case SL_DT_HALF:
        return (double)sl_half_to_float(((const uint16_t *)t->data)[i]);
    default:
        return (double)sl_bf16_to_float(((const uint16_t *)t->data)[i]);
    }
}

static void set(const sl_tensor *t, int64_t i, double v)
{
    switch (t->dtype) {
    case SL_DT_FLOAT:
        ((float *)t->data)[i] = (float)v;
        break;
    case SL_DT_DOUBLE:
        ((double *)t->data)[i] = v;
        break;
    case SL_DT_HALF:
        ((uint16_t *)t->data)[i] = sl_float_to_half((float)v);
        break;
    default:
        ((uint16_t *)t->data)[i] = sl_float_to_bf16((float)v);
        break;
    }
}

/* A row of `classes` logits, `step` apart (0: one for all): its largest and the sum of exp(x -
 * largest). */
static void look(const sl_tensor *logits, int64_t at, int64_t classes, int64_t step,
                 double *largest, double *sum)
{
    *largest = (double)-INFINITY;
    *sum = 0;
    for (int64_t k = 0; k < classes; k++) {
        double x = get(logits, at + k * step);
        *largest = x > *largest ? x : *largest;
    }
    for (int64_t k = 0; k < classes; k++)
        *sum += exp(get(logits, at + k * step) - *largest);
}

/* ---- labels as probabilities ---- */

static sl_code dense_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check_all(n, 2, LOSS_TYPES, st);
    if (!rc && n->n_out != 2)
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "%s has %d outputs", n->op->name, n->n_out);
    if (!rc)
        n->out_types[0] = n->out_types[1] = n->in_types[0];
    return rc;
}

static sl_code dense_shape(sl_op_call *c, sl_status *st)
{
    sl_shape_buf a, b;
    if (!sl_ops_broadcast(&c->in[0], &c->in[1], &c->out[1]))
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "logits and labels must be broadcastable: logits_size=%s labels_size=%s",
                       sl_ops_shape(&c->in[0], &a), sl_ops_shape(&c->in[1], &b));
    if (c->out[1].rank != 2)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "logits and labels must be either 2-dimensional, or broadcasted to be "
                       "2-dimensional");
    c->out[0].rank = 1;
    c->out[0].dims[0] = c->out[1].dims[0];
    return sl_ops_check_size(&c->out[1], st);
}

/* How far apart its rows and columns are when it is broadcast. */
static void steps(const sl_tensor *t, int64_t *row, int64_t *column)
{
    int64_t columns = t->rank ? t->dims[t->rank - 1] : 1;
    *column = columns != 1;
    *row = t->rank == 2 && t->dims[0] != 1 ? columns : 0;
}

static sl_code dense_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    const sl_tensor *logits = &c->in[0], *labels = &c->in[1], *backprop = &c->out[1];
    int64_t rows = backprop->dims[0], classes = backprop->dims[1];
    int64_t x_row, x_column, p_row, p_column;
    steps(logits, &x_row, &x_column);
    steps(labels, &p_row, &p_column);
    for (int64_t r = 0; r < rows; r++) {
        double largest, sum, loss = 0;
        look(logits, r * x_row, classes, x_column, &largest, &sum);
        for (int64_t k = 0; k < classes; k++) {
            double x = get(logits, r * x_row + k * x_column) - largest;
            double p = get(labels, r * p_row + k * p_column);
            loss += p * (log(sum) - x);
            set(backprop, r * classes + k, exp(x) / sum - p);
        }
        set(&c->out[0], r, loss);
    }
    return SL_OK;
}

/* ---- labels as numbers of classes ---- */

static sl_code sparse_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 2, LOSS_TYPES, st);
    if (!rc)
        rc = sl_ops_check_input(n, 1, SL_T_INDEX, st);
    if (!rc && n->n_out != 2)
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "%s has %d outputs", n->op->name, n->n_out);
    if (!rc)
        n->out_types[0] = n->out_types[1] = n->in_types[0];
    return rc;
}

static sl_code sparse_shape(sl_op_call *c, sl_status *st)
{
    const sl_tensor *logits = &c->in[0], *labels = &c->in[1];
    sl_shape_buf a, b;
    if (logits->rank != 2)
        return sl_fail(st, SL_INVALID_ARGUMENT, "logits must be 2-D, but got shape %s",
                       sl_ops_shape(logits, &a));
    if (labels->rank != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "labels must be 1-D, but got shape %s",
                       sl_ops_shape(labels, &a));
    if (logits->dims[0] != labels->dims[0])
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "logits and labels must have the same first dimension, got logits shape %s "
                       "and labels shape %s",
                       sl_ops_shape(logits, &a), sl_ops_shape(labels, &b));
    if (logits->dims[1] <= 0)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Must have at least one class, but got logits shape %s",
                       sl_ops_shape(logits, &a));
    sl_ops_same_shape(&c->out[0], labels);
    sl_ops_same_shape(&c->out[1], logits);
    return SL_OK;
}

/* All labels, or as many as the message has room for. */
static sl_code bad_label(const sl_tensor *labels, int64_t label, int64_t classes, sl_status *st)
{
    char text[800] = "";
    size_t at = 0;
    for (int64_t r = 0; r < labels->dims[0] && at < sizeof text - 32; r++)
        at += (size_t)snprintf(text + at, sizeof text - at, r ? " %lld" : "%lld",
                               (long long)sl_ops_int(labels, r));
    return sl_fail(st, SL_INVALID_ARGUMENT,
                   "Received a label value of %lld which is outside the valid range of [0, %lld).  "
                   "Label values: %s",
                   (long long)label, (long long)classes, text);
}

static sl_code sparse_run(sl_op_call *c, sl_status *st)
{
    const sl_tensor *logits = &c->in[0], *labels = &c->in[1];
    int64_t rows = logits->dims[0], classes = logits->dims[1];
    for (int64_t r = 0; r < rows; r++) {
        int64_t label = sl_ops_int(labels, r);
        if (label < 0 || label >= classes)
            return bad_label(labels, label, classes, st);
    }
    for (int64_t r = 0; r < rows; r++) {
        int64_t label = sl_ops_int(labels, r);
        double largest, sum;
        look(logits, r * classes, classes, 1, &largest, &sum);
        for (int64_t k = 0; k < classes; k++)
            set(&c->out[1], r * classes + k,
                exp(get(logits, r * classes + k) - largest) / sum - (k == label));
        set(&c->out[0], r, log(sum) - (get(logits, r * classes + label) - largest));
    }
    return SL_OK;
}

const sl_op sl_ops_loss[] = {
    {"SoftmaxCrossEntropyWithLogits", 0, 0, dense_configure, dense_shape, dense_run, NULL},
    {"SparseSoftmaxCrossEntropyWithLogits", 0, 0, sparse_configure, sparse_shape, sparse_run, NULL},
    {0},
};
