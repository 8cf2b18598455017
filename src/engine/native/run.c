/*
 * run.c - walks the list
 *
 * Most steps are one call through a pointer with everything in place. Late steps are the exception:
 * their inputs are copied in from what earlier late steps left, their shape rule runs now, and
 * their memory comes from the context's arena, which is emptied at the end.
 *
 * Reading the clock costs as much as a small step, so the deadline is looked at only when enough
 * estimated work has gone by since it was last looked at; `cancelled` is looked at between all
 * steps.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "engine/native/control.h"
#include "engine/native/list.h"

enum { ALIGN = 64, POLL_NS = 20000, ASIDE_NS = 50000 };

static sl_code no_memory(sl_status *st)
{
    return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory while running the model");
}

void *sl_run_alloc(sl_arena *a, size_t size)
{
    size_t padded;
    char *p = sl_add_size(size, ALIGN - 1, &padded) ? sl_arena_try_alloc(a, padded) : NULL;
    return p ? (void *)(((uintptr_t)p + ALIGN - 1) & ~(uintptr_t)(ALIGN - 1)) : NULL;
}

/* ---- late steps ---- */

static void fetch_late(sl_context *c, const sl_plan_step *s)
{
    for (int k = 0; k < s->n_in; k++)
        if (c->plan->places[s->first + k].kind == SL_AT_LATE)
            c->tensors[s->first + k] = c->late[c->plan->places[s->first + k].index];
}

static void store_late(sl_context *c, const sl_plan_step *s)
{
    for (int k = 0; k < s->n_out; k++) {
        int at = s->first + s->n_in + k;
        c->late[c->plan->places[at].index] = c->tensors[at];
    }
}

static sl_code reserve_outputs(sl_context *c, sl_op_call *call, sl_status *st)
{
    for (int k = 0; k < call->node->n_out; k++) {
        sl_tensor *t = &call->out[k];
        bool pointer = t->dtype == SL_DT_RESOURCE || t->dtype == SL_DT_VARIANT;
        size_t element = pointer ? sizeof(void *) : sl_dtype_size(t->dtype);
        int64_t n = element ? sl_shape_count(t->dims, t->rank, element) : -1;
        t->size = n < 0 ? 0 : (size_t)n * element;
        t->data = n < 0 ? NULL : sl_run_alloc(&c->arena, t->size);
        if (t->data == NULL)
            return no_memory(st);
        if (t->dtype == SL_DT_STRING)
            memset(t->data, 0, t->size);
    }
    call->scratch = call->scratch_size ? sl_run_alloc(&c->arena, call->scratch_size) : NULL;
    return call->scratch_size && call->scratch == NULL ? no_memory(st) : SL_OK;
}

static sl_code run_view(sl_op_call *call, sl_status *st)
{
    const sl_op *op = call->node->op;
    sl_code rc = SL_OK;
    if (op->shape != NULL) {
        rc = op->shape(call, st);
    } else {
        call->out[0].rank = call->in[0].rank;
        memcpy(call->out[0].dims, call->in[0].dims, sizeof call->out[0].dims);
    }
    call->out[0].size = call->in[0].size;
    call->out[0].data = call->in[0].data;
    return rc;
}

/* A copy of the variable's value: the variable may change before the run is over. */
static sl_code run_read(sl_context *c, sl_op_call *call, sl_status *st)
{
    sl_resource *r = sl_resource_of(&call->in[0]);
    sl_tensor t = {0};
    if (r == NULL)
        return sl_fail(st, SL_INTERNAL, "a variable is read that is none");
    pthread_mutex_lock(&r->lock);
    if (r->value.dtype != SL_DT_INVALID)
        sl_tensor_share(&r->value, &t);
    pthread_mutex_unlock(&r->lock);
    if (t.dtype == SL_DT_INVALID)
        return sl_fail(st, SL_FAILED_PRECONDITION, "Attempting to use uninitialized value %s",
                       r->name);
    void *data = sl_run_alloc(&c->arena, t.size);
    if (data != NULL) {
        if (t.size)
            memcpy(data, t.data, t.size);
        /* A string's bytes belong to the buffer, so that is kept until the run is over. */
        if (t.dtype == SL_DT_STRING)
            sl_arena_on_reset(&c->arena, (void (*)(void *))sl_buffer_release,
                              sl_buffer_acquire(t.buffer));
        call->out[0] = t;
        call->out[0].data = data;
        call->out[0].buffer = NULL;
    }
    sl_tensor_release(&t);
    return data ? SL_OK : no_memory(st);
}

static sl_code run_late(sl_context *c, const sl_plan_step *s, sl_op_call *call,
                        const sl_run_args *args, sl_status *st)
{
    sl_code rc = SL_OK;
    fetch_late(c, s);
    for (int k = 0; k < s->n_out; k++)
        call->out[k] = (sl_tensor){.dtype = s->node->out_types[k]};
    call->scratch_size = 0;
    switch (s->mode) {
    case SL_STEP_VIEW:
        rc = run_view(call, st);
        break;
    case SL_STEP_READ:
        rc = run_read(c, call, st);
        break;
    case SL_STEP_FLOW:
        rc = sl_flow_run(c, s, call, args, st);
        break;
    case SL_STEP_MAKES:
        rc = s->node->op->run(call, st);
        break;
    default:
        if (s->node->op->shape != NULL)
            rc = s->node->op->shape(call, st);
        if (rc == SL_OK)
            rc = reserve_outputs(c, call, st);
        if (rc == SL_OK && s->node->op->run != NULL)
            rc = s->node->op->run(call, st);
    }
    if (rc == SL_OK)
        store_late(c, s);
    return rc;
}

/* ---- the list ---- */

static sl_code poll(const sl_run_args *args, int64_t *since, sl_status *st)
{
    if (args->cancelled != NULL && atomic_load_explicit(args->cancelled, memory_order_relaxed))
        return sl_fail(st, SL_CANCELLED, "the request was cancelled");
    if (args->deadline_ns != 0 && *since >= POLL_NS) {
        *since = 0;
        if (sl_now_ns() > args->deadline_ns)
            return sl_fail(st, SL_DEADLINE_EXCEEDED,
                           "the deadline passed while the model was running");
    }
    return SL_OK;
}

static sl_code run_steps(sl_context *c, const sl_run_args *args, sl_status *st)
{
    const sl_plan *p = c->plan;
    int64_t since = POLL_NS;         /* the first step looks at the clock */
    int64_t computed = 0;            /* about, since others were let go first */
    bool nice = sl_thread_is_nice(); /* the version is being warmed up */
    for (int i = 0; i < p->n_steps; i++) {
        const sl_plan_step *s = &p->steps[i];
        sl_op_call *call = &c->calls[i];
        sl_code rc = poll(args, &since, st);
        if (rc)
            return rc;
        int64_t cost = s->mode == SL_STEP_FIXED ? s->cost : POLL_NS;
        since += cost;
        computed += cost;
        if (s->mode != SL_STEP_FIXED)
            rc = run_late(c, s, call, args, st);
        else if (s->node->op->run != NULL)
            rc = s->node->op->run(call, st);
        if (rc)
            return sl_fail_at(st, s->node->name);
        if (s->after.count)
            sl_epilogue_run(&s->after, &call->out[0]);
        if (nice)
            sl_thread_rest();
        else if (computed >= ASIDE_NS) {
            computed = 0;
            sl_thread_step_aside();
        }
    }
    return SL_OK;
}

/* ---- inputs and outputs ---- */

static sl_code open_outputs(sl_context *c, sl_status *st)
{
    const sl_plan *p = c->plan;
    for (int i = 0; i < p->n_buffers; i++) {
        c->buffers[i] = sl_buffer_try_new(p->buffers[i]);
        if (c->buffers[i] == NULL)
            return no_memory(st);
    }
    for (int i = 0; i < p->n_outputs; i++)
        c->tensors[p->outputs[i].tensor].data = c->buffers[p->outputs[i].index]->data;
    return SL_OK;
}

static void aim_inputs(sl_context *c, const sl_run_args *args)
{
    const sl_plan *p = c->plan;
    for (int i = 0; i < p->n_feeds; i++)
        c->tensors[p->feeds[i].tensor].data = args->feeds[p->feeds[i].index]->data;
    if (c->threads == args->threads)
        return;
    for (int i = 0; i < p->n_steps; i++)
        c->calls[i].threads = args->threads < 1 ? 1 : args->threads;
    c->threads = args->threads;
}

static sl_code make_output(sl_context *c, const sl_plan_out *o, const sl_run_args *args,
                           sl_tensor *out, sl_status *st)
{
    sl_tensor t = o->t;
    switch (o->place.kind) {
    case SL_AT_CONST:
        if (t.buffer == NULL)
            return sl_list_keep(&t, out, st);
        sl_tensor_share(&t, out);
        return SL_OK;
    case SL_AT_INPUT: {
        const sl_tensor *in = args->feeds[o->place.index];
        t.data = in->data;
        t.buffer = in->buffer;
        if (t.buffer == NULL)
            return sl_list_keep(&t, out, st);
        sl_tensor_share(&t, out);
        return SL_OK;
    }
    case SL_AT_OUTPUT:
        t.buffer = c->buffers[o->place.index];
        t.data = t.buffer->data;
        sl_tensor_share(&t, out);
        return SL_OK;
    case SL_AT_BLOCK:
        t.data = c->block + o->place.offset;
        return sl_list_keep(&t, out, st);
    default:
        return sl_list_keep(&c->late[o->place.index], out, st);
    }
}

static sl_code make_outputs(sl_context *c, const sl_run_args *args, sl_status *st)
{
    sl_code rc = SL_OK;
    int made = 0;
    while (made < c->plan->n_outs && rc == SL_OK) {
        rc = make_output(c, &c->plan->outs[made], args, &args->outputs[made], st);
        made += rc == SL_OK;
    }
    while (rc && made > 0)
        sl_tensor_release(&args->outputs[--made]);
    return rc;
}

sl_code sl_context_run(sl_context *c, const sl_run_args *args, sl_status *st)
{
    c->arena.limit = c->plan->late_limit;
    sl_code rc = open_outputs(c, st);
    aim_inputs(c, args);
    if (rc == SL_OK)
        rc = run_steps(c, args, st);
    if (rc == SL_OK)
        rc = make_outputs(c, args, st);
    for (int i = 0; i < c->plan->n_buffers; i++) {
        sl_buffer_release(c->buffers[i]);
        c->buffers[i] = NULL;
    }
    if (rc && st != NULL)
        st->more = NULL; /* it may stand in the arena, which ends here */
    if (c->arena.used || c->arena.hooks)
        sl_arena_reset(&c->arena);
    return rc;
}
