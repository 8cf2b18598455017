/*
 * rnn.c - LSTMBlockCell, BlockLSTM, BlockLSTMV2, GRUBlockCell: recurrent cells as one op
 *
 * A cell multiplies [x, h] by one matrix, whose columns are the gates side by side. Of a sequence
 * the x part is multiplied for all steps at once; each step then adds the h part:
 *
 *     gates [steps * batch, 4 cells] = x [steps * batch, inputs] w[: inputs]
 *     added [batch, 4 cells]         = h [batch, cells] w[inputs :]
 */
#include "engine/native/kernels/vmath.h"
#include "engine/native/ops/matmul.h"
#include "engine/native/ops/ops.h"

typedef struct lstm_config {
    bool sequence, peephole;
    int first; /* input x; the others follow */
    int ci, f; /* which of the four blocks of columns they are: i is 0, o is 3 */
    float forget_bias, clip;
} lstm_config;

enum { X, CS_PREV, H_PREV, W, WCI, WCF, WCO, BIAS };         /* inputs from `first` on */
enum { OUT_I, OUT_CS, OUT_F, OUT_O, OUT_CI, OUT_CO, OUT_H }; /* outputs */

static sl_code lstm_configure(sl_op_node *n, sl_status *st)
{
    bool sequence = n->op->name[0] == 'B', v2 = strstr(n->op->name, "V2") != NULL;
    int first = sequence;
    sl_code rc = sl_ops_check(n, 8 + first, sequence ? SL_T(INT64) : SL_T(FLOAT), st);
    for (int i = first; i < n->n_in && !rc; i++)
        rc = sl_ops_check_input(n, i, SL_T(FLOAT), st);
    if (!rc && n->n_out != 7)
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "%s has %d outputs", n->op->name, n->n_out);
    if (rc)
        return rc;
    lstm_config *cfg = sl_ops_config(n, sizeof *cfg);
    *cfg = (lstm_config){.sequence = sequence,
                         .peephole = sl_node_bool(n->source, "use_peephole", false),
                         .first = first,
                         .ci = v2 ? 2 : 1,
                         .f = v2 ? 1 : 2,
                         .forget_bias = v2 ? 0 : sl_node_float(n->source, "forget_bias", 1),
                         .clip = sl_node_float(n->source, "cell_clip", v2 ? 0 : 3)};
    n->config = cfg;
    for (int k = 0; k < 7; k++)
        n->out_types[k] = SL_DT_FLOAT;
    return SL_OK;
}

typedef struct lstm_sizes {
    int64_t steps, batch, inputs, cells;
    sl_gemm for_x, for_h;
    size_t gates, added, work; /* bytes of each piece of scratch */
} lstm_sizes;

/* Each of the three kernels has its own words. */
static sl_code want_rank(const sl_op_call *c, const sl_tensor *t, const char *name, int rank,
                         sl_status *st)
{
    if (t->rank == rank)
        return SL_OK;
    if (c->node->op->name[0] == 'G')
        return sl_fail(st, SL_INVALID_ARGUMENT, "Rank of %s must be %d, got %d", name, rank,
                       t->rank);
    if (c->node->op->name[0] == 'B')
        return sl_fail(st, SL_INVALID_ARGUMENT, "%s must be %dD", name, rank);
    return sl_fail(st, SL_INVALID_ARGUMENT, "%s_tensor must be rank %d but is rank %d.", name, rank,
                   t->rank);
}

static sl_code want_dim(const sl_tensor *t, const char *what, int d, int64_t n, sl_status *st)
{
    return t->dims[d] == n ? SL_OK
                           : sl_fail(st, SL_INVALID_ARGUMENT, "%s: %lld vs. %lld", what,
                                     (long long)t->dims[d], (long long)n);
}

static sl_code want_something(const sl_tensor *t, const char *name, sl_status *st)
{
    sl_shape_buf b;
    const char *shape = sl_ops_shape(t, &b);
    return sl_tensor_count(t)
               ? SL_OK
               : sl_fail(st, SL_INVALID_ARGUMENT, "%s_tensor is empty, has shape: (%.*s).", name,
                         (int)strlen(shape) - 2, shape + 1);
}

static sl_code check_lstm(const sl_op_call *c, lstm_sizes *s, sl_status *st)
{
    static const char *const names[] = {"x", "cs_prev", "h_prev", "w", "wci", "wcf", "wco", "b"};
    const lstm_config *cfg = c->node->config;
    const sl_tensor *in = c->in + cfg->first;
    sl_code rc = want_rank(c, &in[X], names[X], 2 + cfg->sequence, st);
    for (int i = CS_PREV; i < BIAS && !rc; i++)
        rc = want_rank(c, &in[i], names[i], i <= W ? 2 : 1, st);
    if (!rc && (cfg->sequence || in[BIAS].rank == 0))
        rc = want_rank(c, &in[BIAS], names[BIAS], 1, st);
    if (rc)
        return rc;
    const int64_t *x = in[X].dims + cfg->sequence;
    *s = (lstm_sizes){.steps = cfg->sequence ? in[X].dims[0] : 1,
                      .batch = x[0],
                      .inputs = x[1],
                      .cells = in[CS_PREV].dims[1]};
    int64_t both, four;
    if (__builtin_add_overflow(s->inputs, s->cells, &both) ||
        __builtin_mul_overflow(s->cells, (int64_t)4, &four))
        return sl_ops_no_memory(st);
    rc = want_dim(&in[CS_PREV], "cs_prev.dims(0) != batch_size", 0, s->batch, st);
    if (!rc)
        rc = want_dim(&in[H_PREV], "h_prev.dims(0) != batch_size", 0, s->batch, st);
    if (!rc)
        rc = want_dim(&in[H_PREV], "h_prev.dims(1) != cell_size", 1, s->cells, st);
    if (!rc)
        rc = want_dim(&in[W], "w.dim_size(0) != input_size + cell_size", 0, both, st);
    if (!rc)
        rc = want_dim(&in[W], "w.dim_size(1) != cell_size * 4", 1, four, st);
    static const char *const sizes[] = {"wci.dim_size(0) != cell_size",
                                        "wcf.dim_size(0) != cell_size",
                                        "wco.dim_size(0) != cell_size"};
    for (int i = WCI; i <= WCO && !rc && cfg->peephole; i++)
        rc = want_dim(&in[i], sizes[i - WCI], 0, s->cells, st);
    if (!rc)
        rc = want_dim(&in[BIAS], "b.dim_size(0) != cell_size * 4", 0, four, st);
    if (!rc)
        rc = want_rank(c, &in[BIAS], names[BIAS], 1, st);
    for (int i = CS_PREV; i <= BIAS && !rc && !cfg->sequence; i++)
        rc = want_something(&in[i], names[i], st);
    return rc;
}

static sl_code lstm_scratch(lstm_sizes *s, size_t *total, sl_status *st)
{
    *total = 0;
    if (s->steps == 0 || s->batch == 0 || s->cells == 0) /* the others may be of any size */
        return SL_OK;
    int64_t gates[] = {s->steps, s->batch, s->cells, 4};
    int64_t bytes = sl_shape_count(gates, 4, 4), added = sl_shape_count(gates + 1, 3, 4);
    if (bytes < 0 || added < 0)
        return sl_ops_no_memory(st);
    int64_t n = 4 * s->cells;
    s->for_x = (sl_gemm){s->steps * s->batch, n, s->inputs, s->inputs, 1, n, 1, n};
    s->for_h = (sl_gemm){s->batch, n, s->cells, s->cells, 1, n, 1, n};
    s->gates = ((size_t)bytes * 4 + 63) & ~(size_t)63;
    s->added = ((size_t)added * 4 + 63) & ~(size_t)63;
    size_t for_x, for_h;
    sl_code rc = sl_matmul_scratch(&s->for_x, SL_DT_FLOAT, &for_x, st);
    if (!rc)
        rc = sl_matmul_scratch(&s->for_h, SL_DT_FLOAT, &for_h, st);
    if (rc)
        return rc;
    s->work = SL_MAX(for_x, for_h);
    return sl_add_size(s->gates, s->added, total) && sl_add_size(*total, s->work, total)
               ? SL_OK
               : sl_ops_no_memory(st);
}

static sl_code lstm_shape(sl_op_call *c, sl_status *st)
{
    const lstm_config *cfg = c->node->config;
    lstm_sizes s;
    if (cfg->sequence && c->in[0].rank != 0)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "`seq_len_max_tensor` must be rank 0 but is rank %d", c->in[0].rank);
    sl_code rc = check_lstm(c, &s, st);
    for (int k = 0; k < 7 && !rc; k++) {
        int64_t *dims = c->out[k].dims;
        c->out[k].rank = 2 + cfg->sequence;
        if (cfg->sequence)
            *dims++ = s.steps;
        dims[0] = s.batch;
        dims[1] = s.cells;
        rc = sl_ops_check_size(&c->out[k], st);
    }
    return rc ? rc : lstm_scratch(&s, &c->scratch_size, st);
}

static int64_t cost_of(double products, double gates)
{
    return 100 + (int64_t)SL_MIN(products / 16 + gates * 2, 0x1p62);
}

static int64_t lstm_cost(const sl_op_call *c)
{
    const sl_tensor *w = &c->in[((const lstm_config *)c->node->config)->first + W];
    double rows = (double)sl_ops_product(c->out[0].dims, 0, c->out[0].rank - 1);
    return cost_of(rows * (double)w->dims[0] * (double)w->dims[1], rows * (double)w->dims[1]);
}

/* One row of a step: its gates are complete but for the bias. */
SL_CLONES static void lstm_row(const lstm_config *cfg, const sl_tensor *in, int64_t n,
                               const float *x_part, const float *h_part, const float *cs_prev,
                               float *const out[7])
{
    const float *bias = in[BIAS].data, *wci = in[WCI].data, *wcf = in[WCF].data;
    const float *wco = in[WCO].data, forget_bias = cfg->forget_bias, clip = cfg->clip;
    float *out_i = out[OUT_I], *out_cs = out[OUT_CS], *out_f = out[OUT_F], *out_o = out[OUT_O];
    float *out_ci = out[OUT_CI], *out_co = out[OUT_CO], *out_h = out[OUT_H];
    int64_t at_ci = cfg->ci * n, at_f = cfg->f * n, at_o = 3 * n;
    bool peephole = cfg->peephole;
    SL_IVDEP
    for (int64_t j = 0; j < n; j++) {
        float i = x_part[j] + h_part[j] + bias[j];
        float ci = x_part[at_ci + j] + h_part[at_ci + j] + bias[at_ci + j];
        float f = x_part[at_f + j] + h_part[at_f + j] + bias[at_f + j] + forget_bias;
        float o = x_part[at_o + j] + h_part[at_o + j] + bias[at_o + j];
        if (peephole) {
            i += cs_prev[j] * wci[j];
            f += cs_prev[j] * wcf[j];
        }
        i = sl_vsigmoid(i);
        f = sl_vsigmoid(f);
        ci = sl_vtanh(ci);
        float cs = ci * i + cs_prev[j] * f;
        if (clip > 0)
            cs = cs > clip ? clip : cs < -clip ? -clip : cs;
        if (peephole)
            o += cs * wco[j];
        o = sl_vsigmoid(o);
        float co = sl_vtanh(cs);
        out_i[j] = i;
        out_cs[j] = cs;
        out_f[j] = f;
        out_o[j] = o;
        out_ci[j] = ci;
        out_co[j] = co;
        out_h[j] = o * co;
    }
}

static sl_code lstm_run(sl_op_call *c, sl_status *st)
{
    const lstm_config *cfg = c->node->config;
    const sl_tensor *in = c->in + cfg->first;
    lstm_sizes s;
    size_t total;
    sl_code rc = check_lstm(c, &s, st);
    if (!rc)
        rc = lstm_scratch(&s, &total, st);
    int64_t used = rc ? 0 : cfg->sequence ? sl_ops_int(&c->in[0], 0) : 1;
    if (!rc && used > s.steps)
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "seq_len_max (%lld) > time_len (%lld)",
                     (long long)used, (long long)s.steps);
    if (rc || c->out[0].size == 0)
        return rc;
    used = SL_MAX(used, (int64_t)0);
    float *gates = c->scratch, *added = (float *)(void *)((char *)c->scratch + s.gates);
    void *work = (char *)added + s.added;
    int64_t n = s.cells, step = s.batch * n;
    s.for_x.m = used * s.batch;
    if (used)
        sl_matmul_run(&s.for_x, SL_DT_FLOAT, in[X].data, in[W].data, gates, work);
    const float *cs = in[CS_PREV].data, *h = in[H_PREV].data;
    for (int64_t t = 0; t < used; t++) {
        sl_matmul_run(&s.for_h, SL_DT_FLOAT, h, (const float *)in[W].data + s.inputs * 4 * n, added,
                      work);
        for (int64_t b = 0; b < s.batch; b++) {
            int64_t row = t * s.batch + b;
            float *out[7];
            for (int k = 0; k < 7; k++)
                out[k] = (float *)c->out[k].data + row * n;
            lstm_row(cfg, in, n, gates + row * 4 * n, added + b * 4 * n, cs + b * n, out);
        }
        cs = (const float *)c->out[OUT_CS].data + t * step;
        h = (const float *)c->out[OUT_H].data + t * step;
    }
    for (int k = 0; k < 7 && used < s.steps; k++) /* what lies beyond the longest sequence */
        memset((float *)c->out[k].data + used * step, 0,
               (size_t)((s.steps - used) * step) * sizeof(float));
    return SL_OK;
}

/* ---- GRUBlockCell (x, h_prev, w_ru, w_c, b_ru, b_c) -> r, u, c, h ---- */

enum { GRU_X, GRU_H, W_RU, W_C, B_RU, B_C };

typedef struct gru_sizes {
    int64_t batch, inputs, cells;
    sl_gemm for_ru, for_c;
    size_t joined, ru, work;
} gru_sizes;

static sl_code gru_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check_all(n, 6, SL_T(FLOAT), st);
    if (!rc && n->n_out != 4)
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "%s has %d outputs", n->op->name, n->n_out);
    for (int k = 0; k < 4 && !rc; k++)
        n->out_types[k] = SL_DT_FLOAT;
    return rc;
}

static sl_code size_gru(const sl_op_call *c, gru_sizes *s, size_t *total, sl_status *st)
{
    static const char *const names[] = {"x", "h_prev", "w_ru", "w_c", "b_ru", "b_c"};
    const sl_tensor *in = c->in;
    for (int i = 0; i < 6; i++) {
        sl_code rc = want_rank(c, &in[i], names[i], i <= W_C ? 2 : 1, st);
        if (rc)
            return rc;
    }
    *s = (gru_sizes){
        .batch = in[GRU_X].dims[0], .inputs = in[GRU_X].dims[1], .cells = in[GRU_H].dims[1]};
    int64_t both, two;
    if (__builtin_add_overflow(s->inputs, s->cells, &both) ||
        __builtin_mul_overflow(s->cells, (int64_t)2, &two))
        return sl_ops_no_memory(st);
    sl_code rc = want_dim(&in[GRU_H], "h_prev.dims(0) != batch_size", 0, s->batch, st);
    if (!rc)
        rc = want_dim(&in[W_RU], "w_ru.dim_size(0) != input_size + cell_size", 0, both, st);
    if (!rc)
        rc = want_dim(&in[W_RU], "w_ru.dim_size(1) != cell_size * 2", 1, two, st);
    if (!rc)
        rc = want_dim(&in[W_C], "w_c.dim_size(0) != input_size + cell_size", 0, both, st);
    if (!rc)
        rc = want_dim(&in[W_C], "w_c.dim_size(1) != cell_size", 1, s->cells, st);
    if (!rc)
        rc = want_dim(&in[B_RU], "b_ru.dim_size(0) != cell_size * 2", 0, two, st);
    if (!rc)
        rc = want_dim(&in[B_C], "b_c.dim_size(0) != cell_size", 0, s->cells, st);
    if (rc)
        return rc;
    *total = 0;
    if (s->batch == 0 || s->cells == 0)
        return SL_OK;
    int64_t joined[] = {s->batch, both}, ru[] = {s->batch, two};
    if (sl_shape_count(joined, 2, 8) < 0 || sl_shape_count(ru, 2, 8) < 0)
        return sl_ops_no_memory(st);
    s->for_ru = (sl_gemm){s->batch, two, both, both, 1, two, 1, two};
    s->for_c = (sl_gemm){s->batch, s->cells, both, both, 1, s->cells, 1, s->cells};
    s->joined = ((size_t)(s->batch * both) * sizeof(float) + 63) & ~(size_t)63;
    s->ru = ((size_t)(s->batch * two) * sizeof(float) + 63) & ~(size_t)63;
    size_t for_ru, for_c;
    rc = sl_matmul_scratch(&s->for_ru, SL_DT_FLOAT, &for_ru, st);
    if (!rc)
        rc = sl_matmul_scratch(&s->for_c, SL_DT_FLOAT, &for_c, st);
    if (rc)
        return rc;
    s->work = SL_MAX(for_ru, for_c);
    return sl_add_size(s->joined, s->ru, total) && sl_add_size(*total, s->work, total)
               ? SL_OK
               : sl_ops_no_memory(st);
}

static sl_code gru_shape(sl_op_call *c, sl_status *st)
{
    gru_sizes s;
    sl_code rc = size_gru(c, &s, &c->scratch_size, st);
    for (int k = 0; k < 4 && !rc; k++) {
        c->out[k].rank = 2;
        c->out[k].dims[0] = s.batch;
        c->out[k].dims[1] = s.cells;
    }
    return rc;
}

static sl_code gru_run(sl_op_call *c, sl_status *st)
{
    gru_sizes s;
    size_t total;
    sl_code rc = size_gru(c, &s, &total, st);
    if (rc || c->out[0].size == 0)
        return rc;
    const float *x = c->in[GRU_X].data, *h_prev = c->in[GRU_H].data;
    const float *b_ru = c->in[B_RU].data, *b_c = c->in[B_C].data;
    float *joined = c->scratch, *ru = (float *)(void *)((char *)c->scratch + s.joined);
    void *work = (char *)ru + s.ru;
    float *out_r = c->out[0].data, *out_u = c->out[1].data, *out_c = c->out[2].data;
    float *out_h = c->out[3].data;
    int64_t n = s.cells, both = s.inputs + n;
    for (int64_t b = 0; b < s.batch; b++) {
        if (s.inputs)
            memcpy(joined + b * both, x + b * s.inputs, (size_t)s.inputs * sizeof *x);
        memcpy(joined + b * both + s.inputs, h_prev + b * n, (size_t)n * sizeof *h_prev);
    }
    sl_matmul_run(&s.for_ru, SL_DT_FLOAT, joined, c->in[W_RU].data, ru, work);
    for (int64_t b = 0; b < s.batch; b++)
        for (int64_t j = 0; j < n; j++) {
            int64_t i = b * n + j;
            out_r[i] = sl_vsigmoid(ru[b * 2 * n + j] + b_ru[j]);
            out_u[i] = sl_vsigmoid(ru[b * 2 * n + n + j] + b_ru[n + j]);
            joined[b * both + s.inputs + j] = h_prev[i] * out_r[i];
        }
    sl_matmul_run(&s.for_c, SL_DT_FLOAT, joined, c->in[W_C].data, out_c, work);
    for (int64_t b = 0; b < s.batch; b++)
        for (int64_t j = 0; j < n; j++) {
            int64_t i = b * n + j;
            out_c[i] = sl_vtanh(out_c[i] + b_c[j]);
            out_h[i] = out_u[i] * (h_prev[i] - out_c[i]) + out_c[i];
        }
    return SL_OK;
}

static int64_t gru_cost(const sl_op_call *c)
{
    double rows = (double)c->in[GRU_X].dims[0], cells = (double)c->in[GRU_H].dims[1];
    return cost_of(rows * (double)c->in[W_RU].dims[0] * cells * 3, rows * cells * 3);
}

const sl_op sl_ops_rnn[] = {
    {"LSTMBlockCell", 0, 0, lstm_configure, lstm_shape, lstm_run, lstm_cost},
    {"BlockLSTM", 0, 0, lstm_configure, lstm_shape, lstm_run, lstm_cost},
    {"BlockLSTMV2", 0, 0, lstm_configure, lstm_shape, lstm_run, lstm_cost},
    {"GRUBlockCell", 0, 0, gru_configure, gru_shape, gru_run, gru_cost},
    {0},
};
