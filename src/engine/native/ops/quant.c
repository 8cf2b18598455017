/*
 * quant.c - FakeQuant: numbers rounded to what a few bits could hold, as training for quantized
 * inference leaves it in a graph
 *
 * min and max are moved a little so that zero is exactly one of the steps.
 */
#include <math.h>

#include "engine/native/ops/ops.h"

typedef struct quant_config {
    float low, high; /* ...Args: attributes */
    float first, last;
} quant_config;

typedef struct nudged {
    float low, high, step;
} nudged;

static sl_code quant_configure(sl_op_node *n, sl_status *st)
{
    bool args = strstr(n->op->name, "Args") != NULL;
    sl_code rc = sl_ops_check_all(n, args ? 1 : 3, SL_T(FLOAT), st);
    int64_t bits = sl_node_int(n->source, "num_bits", 8);
    if (!rc && (bits < 2 || bits > 16))
        rc = sl_fail(st, SL_INVALID_ARGUMENT,
                     "num_bits must be between 2 and 16, inclusive, not %lld", (long long)bits);
    if (rc)
        return rc;
    quant_config *cfg = sl_ops_config(n, sizeof *cfg);
    *cfg = (quant_config){.low = sl_node_float(n->source, "min", -6),
                          .high = sl_node_float(n->source, "max", 6),
                          .first = sl_node_bool(n->source, "narrow_range", false),
                          .last = (float)((1 << bits) - 1)};
    n->config = cfg;
    n->out_types[0] = SL_DT_FLOAT;
    return args && !(cfg->low < cfg->high)
               ? sl_fail(st, SL_INVALID_ARGUMENT, "min has to be smaller than max, was: %g >= %g",
                         (double)cfg->low, (double)cfg->high)
               : SL_OK;
}

static sl_code quant_shape(sl_op_call *c, sl_status *st)
{
    const sl_tensor *in = &c->in[0];
    bool channels = strstr(c->node->op->name, "PerChannel") != NULL;
    int64_t depth = in->rank ? in->dims[in->rank - 1] : 1;
    for (int i = 1; i < c->node->n_in; i++)
        if (channels ? c->in[i].rank != 1 || c->in[i].dims[0] != depth || in->rank == 0
                     : c->in[i].rank != 0)
            return sl_fail(st, SL_INVALID_ARGUMENT, "%s has incorrect size, expected %lld was %lld",
                           i == 1 ? "min" : "max", (long long)(channels ? depth : 1),
                           (long long)sl_tensor_count(&c->in[i]));
    return sl_ops_shape_like_first(c, st);
}

static nudged nudge(const quant_config *cfg, float low, float high)
{
    float step = (high - low) / (cfg->last - cfg->first), zero = cfg->first - low / step;
    float at = zero < cfg->first ? cfg->first : zero > cfg->last ? cfg->last : roundf(zero);
    return (nudged){(cfg->first - at) * step, (cfg->last - at) * step, step};
}

static float quantized(const nudged *q, float x)
{
    float inverse = 1 / q->step, zero = floorf(-q->low * inverse + 0.5f);
    float inside = fmaxf(fminf(x, q->high), q->low);
    return floorf((inside - q->low) * inverse - zero + 0.5f) * q->step;
}

static sl_code quant_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    const quant_config *cfg = c->node->config;
    const float *x = c->in[0].data;
    float *y = c->out[0].data;
    int64_t n = sl_tensor_count(&c->in[0]);
    int64_t ranges = c->node->n_in == 3 ? sl_tensor_count(&c->in[1]) : 1;
    for (int64_t r = 0; r < ranges; r++) {
        float low = c->node->n_in == 3 ? ((const float *)c->in[1].data)[r] : cfg->low;
        float high = c->node->n_in == 3 ? ((const float *)c->in[2].data)[r] : cfg->high;
        nudged q = nudge(cfg, low, high);
        bool none = low == 0 && high == 0;
        for (int64_t i = r; i < n; i += ranges)
            y[i] = none ? 0 : quantized(&q, x[i]);
    }
    return SL_OK;
}

const sl_op sl_ops_quant[] = {
    {"FakeQuantWithMinMaxArgs", SL_OP_IN_PLACE, 0, quant_configure, quant_shape, quant_run, NULL},
    {"FakeQuantWithMinMaxVars", 0, 0, quant_configure, quant_shape, quant_run, NULL},
    {"FakeQuantWithMinMaxVarsPerChannel", 0, 0, quant_configure, quant_shape, quant_run, NULL},
    {0},
};
