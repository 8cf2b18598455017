/*
 * fuse.c - a step takes over what the next steps would do to its output
 *
 * A pass over the draft's live steps: where the only reader of a step's output is an elementwise
 * step that the epilogue knows, the reader is dropped and the producer writes the reader's output
 * instead. Each rule looks at one reader and may be applied again and again, so MatMul, BiasAdd,
 * Relu become one step in two rounds. A new pattern is one more function in `rules`.
 */
#include <math.h>

#include "base/mem.h"
#include "engine/native/plan.h"

typedef struct fuser {
    sl_draft *d;
    int *readers; /* for each step: how many inputs of live steps, and outputs, read its output */
    int *reader;  /* the last such step */
} fuser;

static const char *op_of(const sl_draft *d, const sl_draft_step *s)
{
    const sl_gnode *n = &d->g->nodes[s->node];
    return n->kind == SL_G_OP ? n->op.op->name : "";
}

static bool is_op(const sl_draft *d, const sl_draft_step *s, const char *name)
{
    return strcmp(op_of(d, s), name) == 0;
}

/* Steps whose kernel leaves a whole float output behind that is worth touching while warm. */
static bool may_lead(const sl_draft *d, const sl_draft_step *s)
{
    static const char *const names[] = {"MatMul",        "Conv2D",  "DepthwiseConv2dNative",
                                        "BatchMatMulV2", "BiasAdd", "AddV2"};
    if (s->mode != SL_STEP_FIXED || s->n_out != 1 || d->values[s->out].t.dtype != SL_DT_FLOAT)
        return false;
    for (size_t i = 0; i < SL_COUNTOF(names); i++)
        if (is_op(d, s, names[i]))
            return true;
    return false;
}

/* ---- y * s + t, one s and t for each element of the last dimension ---- */

typedef struct affine {
    const float *s, *t; /* NULL: 1 and 0 */
} affine;

/* `n` floats that live as long as the plan; NULL: no memory. */
static float *new_vector(sl_draft *d, int64_t n)
{
    sl_buffer **made = sl_try_grow(d->made, d->n_made, &d->cap_made, sizeof *made);
    if (made == NULL)
        return NULL;
    d->made = made;
    made[d->n_made] = sl_buffer_try_new((size_t)n * sizeof(float));
    return made[d->n_made] ? made[d->n_made++]->data : NULL;
}

/* The constant as a vector of `channels`: it is one, or a single number. NULL: it is neither. */
static const float *vector_of(sl_draft *d, int v, int64_t channels)
{
    const sl_value *x = &d->values[v];
    if (x->state != SL_V_KNOWN || x->t.dtype != SL_DT_FLOAT || channels == 0)
        return NULL;
    if (x->t.rank > 0 && x->t.dims[x->t.rank - 1] == channels &&
        x->t.size == (size_t)channels * sizeof(float))
        return x->t.data;
    float *filled = x->t.size == sizeof(float) ? new_vector(d, channels) : NULL;
    for (int64_t i = 0; i < channels && filled != NULL; i++)
        filled[i] = *(const float *)x->t.data;
    return filled;
}

/* The attribute's default is NHWC; NCHW wants its vector elsewhere than last. */
static bool is_last(const sl_draft *d, const sl_draft_step *next, int rank)
{
    const sl_gnode *n = &d->g->nodes[next->node];
    return rank == 2 || sl_str_is(sl_node_str(n->source, "data_format", "NHWC"), "NHWC");
}

static bool reads_more_than_y(const sl_draft *d, const sl_draft_step *norm)
{
    for (int i = 0; i < d->n_steps; i++)
        for (int k = 0; k < d->steps[i].n_in && d->steps[i].live; k++) {
            int root = d->values[d->steps[i].in[k]].root;
            if (root > norm->out && root < norm->out + norm->n_out)
                return true;
        }
    for (int i = 0; i < d->request->n_outs; i++) {
        sl_edge e = d->g->outs[d->request->outs ? d->request->outs[i] : i].edge;
        int root = d->values[d->g->nodes[e.node].value + e.out].root;
        if (root > norm->out && root < norm->out + norm->n_out)
            return true;
    }
    return false;
}

/* Inference: y = (x - mean) * gamma / sqrt(variance + epsilon) + beta. */
static bool batch_norm(sl_draft *d, const sl_draft_step *next, int64_t channels, affine *a)
{
    const sl_node *source = d->g->nodes[next->node].source;
    if (next->n_in != 5 || sl_node_bool(source, "is_training", true) || !is_last(d, next, 4) ||
        reads_more_than_y(d, next))
        return false;
    const float *in[4];
    for (int k = 0; k < 4; k++)
        if ((in[k] = vector_of(d, next->in[k + 1], channels)) == NULL)
            return false;
    float epsilon = sl_node_float(source, "epsilon", 1e-4f);
    float *s = new_vector(d, channels), *t = new_vector(d, channels);
    for (int64_t i = 0; i < channels && s != NULL && t != NULL; i++) {
        s[i] = in[0][i] / sqrtf(in[3][i] + epsilon);
        t[i] = in[1][i] - in[2][i] * s[i];
    }
    *a = (affine){s, t};
    return s != NULL && t != NULL;
}

static bool affine_of(sl_draft *d, const sl_draft_step *lead, const sl_draft_step *next, affine *a)
{
    const sl_tensor *y = &d->values[lead->out].t, *out = &d->values[next->out].t;
    int64_t channels = y->rank > 0 ? y->dims[y->rank - 1] : 0;
    *a = (affine){0};
    if (channels == 0 || out->rank != y->rank || out->size != y->size)
        return false;
    if (is_op(d, next, "FusedBatchNormV3"))
        return y->rank == 4 && d->values[next->in[0]].root == d->values[lead->out].root &&
               batch_norm(d, next, channels, a);
    if (next->n_in != 2)
        return false;
    int side = d->values[next->in[0]].state == SL_V_KNOWN ? 0 : 1;
    bool adds = is_op(d, next, "AddV2") || is_op(d, next, "Add") ||
                (is_op(d, next, "BiasAdd") && is_last(d, next, y->rank));
    if (adds)
        a->t = vector_of(d, next->in[side], channels);
    else if (is_op(d, next, "Mul"))
        a->s = vector_of(d, next->in[side], channels);
    return a->s != NULL || a->t != NULL;
}

/* (y * scale + bias) * s + t = y * (scale * s) + (bias * s + t) */
static bool take_affine(sl_draft *d, const sl_draft_step *lead, const sl_draft_step *next,
                        sl_epilogue *e)
{
    affine a;
    if (e->act != SL_ACT_NONE || !affine_of(d, lead, next, &a))
        return false;
    const sl_tensor *y = &d->values[lead->out].t;
    int64_t n = e->channels = y->dims[y->rank - 1];
    float *scale = a.s && e->scale ? new_vector(d, n) : NULL;
    float *bias = e->bias ? new_vector(d, n) : NULL;
    if ((a.s && e->scale && scale == NULL) || (e->bias && bias == NULL))
        return false;
    for (int64_t i = 0; i < n && scale != NULL; i++)
        scale[i] = e->scale[i] * a.s[i];
    for (int64_t i = 0; i < n && bias != NULL; i++)
        bias[i] = e->bias[i] * (a.s ? a.s[i] : 1) + (a.t ? a.t[i] : 0);
    e->scale = scale ? scale : a.s ? a.s : e->scale;
    e->bias = bias ? bias : a.t;
    return true;
}

static bool take_activation(sl_draft *d, const sl_draft_step *lead, const sl_draft_step *next,
                            sl_epilogue *e)
{
    (void)lead;
    if (e->act != SL_ACT_NONE || next->n_in != 1)
        return false;
    if (is_op(d, next, "Relu"))
        e->act = SL_ACT_RELU;
    else if (is_op(d, next, "Relu6"))
        e->act = SL_ACT_RELU6;
    return e->act != SL_ACT_NONE;
}

typedef bool (*rule)(sl_draft *, const sl_draft_step *, const sl_draft_step *, sl_epilogue *);
static const rule rules[] = {take_affine, take_activation};

static void count_reader(fuser *f, int v, int step)
{
    int made_by = f->d->values[v].step;
    if (f->d->values[v].state == SL_V_KNOWN || made_by < 0)
        return;
    f->readers[made_by]++;
    f->reader[made_by] = step;
}

static void count_readers(fuser *f)
{
    sl_draft *d = f->d;
    for (int i = 0; i < d->n_steps; i++)
        for (int k = 0; k < d->steps[i].n_in && d->steps[i].live; k++)
            count_reader(f, d->steps[i].in[k], i);
    for (int i = 0; i < d->request->n_outs; i++) {
        sl_edge e = d->g->outs[d->request->outs ? d->request->outs[i] : i].edge;
        count_reader(f, d->g->nodes[e.node].value + e.out, -1);
    }
}

static bool reads_directly(const sl_draft_step *next, int v)
{
    for (int k = 0; k < next->n_in; k++)
        if (next->in[k] == v)
            return true;
    return false;
}

/* Lets `lead` take its only reader over; false if there is nothing (more) to take. */
static bool fuse_next(fuser *f, int lead_at)
{
    sl_draft *d = f->d;
    sl_draft_step *lead = &d->steps[lead_at];
    int at = f->readers[lead_at] == 1 ? f->reader[lead_at] : -1;
    sl_draft_step *next = at >= 0 ? &d->steps[at] : NULL;
    if (next == NULL || next->mode != SL_STEP_FIXED || next->n_out < 1 ||
        !reads_directly(next, lead->out) || d->values[next->out].t.dtype != SL_DT_FLOAT)
        return false;
    for (size_t r = 0; r < SL_COUNTOF(rules); r++) {
        sl_epilogue e = lead->after;
        if (!rules[r](d, lead, next, &e))
            continue;
        e.count++;
        lead->after = e;
        lead->cost += next->cost / 4;
        lead->out = next->out;
        next->live = false;
        /* The step keeps its own place in the order: what it writes is only read later. */
        d->values[next->out].step = lead_at;
        f->readers[lead_at] = f->readers[at];
        f->reader[lead_at] = f->reader[at];
        return true;
    }
    return false;
}

/* Views of a fused output name its new producer. */
static void follow_views(sl_draft *d)
{
    for (int v = 0; v < d->g->n_values; v++)
        if (d->values[v].state == SL_V_SHAPED && d->values[v].step >= 0)
            d->values[v].step = d->values[d->values[v].root].step;
}

void sl_draft_fuse(sl_draft *d)
{
    fuser f = {.d = d};
    f.readers = sl_try_calloc((size_t)d->n_steps, sizeof *f.readers);
    f.reader = sl_try_calloc((size_t)d->n_steps, sizeof *f.reader);
    if (f.readers != NULL && f.reader != NULL) {
        count_readers(&f);
        for (int i = 0; i < d->n_steps; i++)
            while (d->steps[i].live && may_lead(d, &d->steps[i]) && fuse_next(&f, i))
                ;
        follow_views(d);
    }
    sl_free(f.readers);
    sl_free(f.reader);
}
