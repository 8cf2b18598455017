/*
 * fuse.c - a step takes over what the next steps would do to its output
 *
 * A pass over the draft's live steps: where the only reader of a step's output is an elementwise
 * step that the epilogue knows, the reader is dropped and the producer writes the reader's output
 * instead. Each rule looks at one reader and may be applied again and again, so MatMul, BiasAdd,
 * Relu become one step in two rounds. A new pattern is one more function in `rules`.
 */
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

/* y + b, b a constant vector along the last dimension. */
static bool take_bias(const sl_draft *d, const sl_draft_step *lead, const sl_draft_step *next,
                      sl_epilogue *e)
{
    if ((!is_op(d, next, "BiasAdd") && !is_op(d, next, "AddV2") && !is_op(d, next, "Add")) ||
        next->n_in != 2 || e->bias != NULL || e->act != SL_ACT_NONE || is_op(d, lead, "BiasAdd") ||
        is_op(d, lead, "AddV2"))
        return false;
    int side = d->values[next->in[0]].state == SL_V_KNOWN ? 0 : 1;
    const sl_value *b = &d->values[next->in[side]];
    const sl_tensor *y = &d->values[lead->out].t, *out = &d->values[next->out].t;
    const sl_gnode *n = &d->g->nodes[next->node];
    /* NCHW wants the bias elsewhere than last. */
    bool last = !is_op(d, next, "BiasAdd") || y->rank == 2 ||
                sl_str_is(sl_node_str(n->source, "data_format", "NHWC"), "NHWC");
    int64_t channels = y->rank > 0 ? y->dims[y->rank - 1] : 0;
    if (b->state != SL_V_KNOWN || b->t.dtype != SL_DT_FLOAT || !last || n->n_out != 1 ||
        channels == 0 || out->rank != y->rank || out->size != y->size ||
        b->t.size != (size_t)channels * sizeof(float) || b->t.rank < 1 ||
        b->t.dims[b->t.rank - 1] != channels)
        return false;
    e->bias = b->t.data;
    e->channels = channels;
    return true;
}

static bool take_activation(const sl_draft *d, const sl_draft_step *lead, const sl_draft_step *next,
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

typedef bool (*rule)(const sl_draft *, const sl_draft_step *, const sl_draft_step *, sl_epilogue *);
static const rule rules[] = {take_bias, take_activation};

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
    if (next == NULL || next->mode != SL_STEP_FIXED || next->n_out != 1 ||
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
