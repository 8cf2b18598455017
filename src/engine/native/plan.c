/*
 * plan.c - a draft becomes a plan, a plan becomes contexts
 *
 * The plan is laid out as the run reads it: one array of tensors, each step's inputs and outputs in
 * a row. Where a tensor's data is, is written down once as a place, and resolved once for each
 * context, so a run only has to patch what is different this time: the inputs and the output
 * buffers.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "engine/native/plan.h"

enum { ALIGN = 64, ARENA_FIRST = 4096, RUN_ARENA = 4096 };

static sl_code no_memory(sl_status *st)
{
    return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory while planning the run");
}

static sl_place place_of(const sl_draft *d, int v)
{
    return d->values[d->values[v].root].place;
}

/* ---- from draft to plan ---- */

static void put_tensor(sl_plan *p, const sl_draft *d, int v)
{
    sl_tensor *t = &p->tensors[p->n_tensors];
    *t = d->values[v].t;
    t->buffer = NULL;
    if (d->values[v].state != SL_V_KNOWN)
        t->data = NULL;
    p->places[p->n_tensors++] = place_of(d, v);
}

static void put_step(sl_plan *p, const sl_draft *d, const sl_draft_step *s)
{
    const sl_gnode *n = &d->g->nodes[s->node];
    p->steps[p->n_steps++] = (sl_plan_step){.node = &n->op,
                                            .graph_node = n,
                                            .mode = s->mode,
                                            .first = p->n_tensors,
                                            .n_in = s->n_in,
                                            .n_out = s->n_out,
                                            .scratch = s->scratch,
                                            .scratch_at = s->scratch_at,
                                            .cost = s->cost,
                                            .after = s->after};
    for (int k = 0; k < s->n_in; k++)
        put_tensor(p, d, s->in[k]);
    for (int k = 0; k < s->n_out; k++)
        put_tensor(p, d, s->out + k);
    p->n_fused += s->after.count;
    p->estimate += s->cost;
    p->may_block |= s->mode != SL_STEP_FIXED || (n->op.op && (n->op.op->flags & SL_OP_BLOCKS));
    p->locks |= n->stateful && d->g->mutates;
    p->locks |= s->mode == SL_STEP_READ;
}

static void put_outs(sl_plan *p, const sl_draft *d)
{
    const sl_request *r = d->request;
    for (int i = 0; i < r->n_outs; i++) {
        sl_edge e = d->g->outs[r->outs ? r->outs[i] : i].edge;
        int v = d->g->nodes[e.node].value + e.out;
        p->outs[i] = (sl_plan_out){d->values[v].t, place_of(d, v)};
        if (p->outs[i].place.kind == SL_AT_INPUT || p->outs[i].place.kind == SL_AT_OUTPUT)
            p->outs[i].t.data = NULL;
    }
}

static void put_patches(sl_plan *p)
{
    for (int i = 0; i < p->n_tensors; i++)
        if (p->places[i].kind == SL_AT_INPUT)
            p->feeds[p->n_feeds++] = (sl_patch){i, p->places[i].index};
        else if (p->places[i].kind == SL_AT_OUTPUT)
            p->outputs[p->n_outputs++] = (sl_patch){i, p->places[i].index};
}

/* The draft's constants change hands. */
static void take_constants(sl_plan *p, sl_draft *d)
{
    for (int v = 0; v < d->g->n_values; v++) {
        sl_value *x = &d->values[v];
        if (x->state != SL_V_KNOWN || x->t.buffer == NULL)
            continue;
        p->constants[p->n_constants++] = x->t;
        x->t.buffer = NULL;
    }
    size_t vectors = 0;
    for (size_t i = 0; i < d->n_made; i++) {
        p->constants[p->n_constants++] = (sl_tensor){.buffer = d->made[i]};
        vectors += d->made[i]->size;
    }
    d->n_made = 0;
    p->bytes = p->arena.used + d->folded + vectors;
}

static bool reserve(sl_plan *p, const sl_draft *d)
{
    size_t tensors = 0, steps = 0, constants = d->n_made, outs = (size_t)d->request->n_outs;
    for (int i = 0; i < d->n_steps; i++)
        if (d->steps[i].live) {
            steps++;
            tensors += (size_t)d->steps[i].n_in + (size_t)d->steps[i].n_out;
        }
    for (int v = 0; v < d->g->n_values; v++)
        constants += d->values[v].state == SL_V_KNOWN && d->values[v].t.buffer != NULL;
    sl_arena *a = &p->arena;
    p->steps = sl_arena_try_alloc(a, steps * sizeof *p->steps);
    p->tensors = sl_arena_try_alloc(a, tensors * sizeof *p->tensors);
    p->places = sl_arena_try_alloc(a, tensors * sizeof *p->places);
    p->feeds = sl_arena_try_alloc(a, tensors * sizeof *p->feeds);
    p->outputs = sl_arena_try_alloc(a, tensors * sizeof *p->outputs);
    p->outs = sl_arena_try_alloc(a, outs * sizeof *p->outs);
    p->buffers = sl_arena_try_alloc(a, outs * sizeof *p->buffers);
    p->constants = sl_arena_try_alloc(a, constants * sizeof *p->constants);
    return p->steps && p->tensors && p->places && p->feeds && p->outputs && p->outs && p->buffers &&
           p->constants;
}

sl_code sl_plan_make(sl_draft *d, sl_plan **out, sl_status *st)
{
    sl_plan *p = sl_try_calloc(1, sizeof *p);
    if (p == NULL || sl_arena_init(&p->arena, ARENA_FIRST) || !reserve(p, d)) {
        sl_plan_free(p);
        return no_memory(st);
    }
    for (int i = 0; i < d->n_steps; i++)
        if (d->steps[i].live)
            put_step(p, d, &d->steps[i]);
    put_outs(p, d);
    p->n_outs = d->request->n_outs;
    p->n_buffers = d->n_buffers;
    if (p->n_buffers)
        memcpy(p->buffers, d->buffers, (size_t)p->n_buffers * sizeof *p->buffers);
    p->n_late = d->n_late;
    p->block = d->block;
    p->late_limit = d->limits->block;
    put_patches(p);
    take_constants(p, d);
    *out = p;
    return SL_OK;
}

void sl_plan_free(sl_plan *p)
{
    if (p == NULL)
        return;
    for (int i = 0; i < p->n_constants; i++)
        sl_buffer_release(p->constants[i].buffer);
    sl_arena_fini(&p->arena);
    sl_free(p);
}

/* ---- contexts ---- */

static void aim_calls(sl_context *c)
{
    const sl_plan *p = c->plan;
    for (int i = 0; i < p->n_tensors; i++)
        if (p->places[i].kind == SL_AT_BLOCK)
            c->tensors[i].data = c->block + p->places[i].offset;
    for (int i = 0; i < p->n_steps; i++) {
        const sl_plan_step *s = &p->steps[i];
        c->calls[i] = (sl_op_call){.node = s->node,
                                   .in = &c->tensors[s->first],
                                   .out = &c->tensors[s->first + s->n_in],
                                   .scratch = s->scratch ? c->block + s->scratch_at : NULL,
                                   .scratch_size = s->scratch,
                                   .arena = &c->arena,
                                   .threads = 1};
    }
    c->threads = 1;
}

/* One allocation: the context, its arrays, then the block. */
sl_context *sl_context_new(const sl_plan *p)
{
    size_t tensors = (size_t)p->n_tensors * sizeof(sl_tensor);
    size_t calls = (size_t)p->n_steps * sizeof(sl_op_call);
    size_t late = (size_t)p->n_late * sizeof(sl_tensor);
    size_t buffers = (size_t)p->n_buffers * sizeof(sl_buffer *);
    size_t head = sizeof(sl_context) + tensors + calls + late + buffers + ALIGN, size;
    if (!sl_add_size(head, p->block, &size))
        return NULL;
    sl_context *c = sl_try_malloc(size);
    if (c == NULL)
        return NULL;
    memset(c, 0, head);
    if (sl_arena_init(&c->arena, RUN_ARENA)) {
        sl_free(c);
        return NULL;
    }
    char *at = (char *)(c + 1);
    c->plan = p;
    c->tensors = (sl_tensor *)at;
    c->late = (sl_tensor *)(at += tensors);
    c->calls = (sl_op_call *)(at += late);
    c->buffers = (sl_buffer **)(at += calls);
    at += buffers;
    c->block = (char *)(((uintptr_t)at + ALIGN - 1) & ~(uintptr_t)(ALIGN - 1));
    c->bytes = size + RUN_ARENA;
    if (tensors)
        memcpy(c->tensors, p->tensors, tensors);
    aim_calls(c);
    return c;
}

void sl_context_free(sl_context *c)
{
    if (c == NULL)
        return;
    sl_arena_fini(&c->arena);
    sl_free(c);
}
