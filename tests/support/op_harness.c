/*
 * op_harness.c - one op, called as the engine calls it
 */
#include "op_harness.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void op_call_init(op_call *c, const sl_op *op, int n_out)
{
    memset(c, 0, sizeof *c);
    c->op = op;
    c->n_out = n_out;
    if (sl_arena_init(&c->arena, 1 << 16))
        abort();
}

void op_call_fini(op_call *c)
{
    for (int i = 0; i < c->n_made; i++)
        free(c->made[i]);
    sl_arena_fini(&c->arena);
}

void *op_call_memory(op_call *c, size_t size)
{
    void *p = NULL;
    if (c->n_made == 3 * OP_MAX || posix_memalign(&p, 64, size ? size : 1))
        abort();
    memset(p, 0xa5, size);
    return c->made[c->n_made++] = p;
}

/* The kind stands in the number of the AttrValue's only field. */
static sl_attr_kind kind_of(sl_str wire)
{
    static const sl_attr_kind kinds[] = {
        SL_ATTR_NONE, SL_ATTR_LIST,  SL_ATTR_S,      SL_ATTR_I,           SL_ATTR_F,   SL_ATTR_B,
        SL_ATTR_TYPE, SL_ATTR_SHAPE, SL_ATTR_TENSOR, SL_ATTR_PLACEHOLDER, SL_ATTR_FUNC};
    unsigned field = wire.n ? (unsigned char)wire.p[0] >> 3 : 0;
    return field < SL_COUNTOF(kinds) ? kinds[field] : SL_ATTR_NONE;
}

void op_call_attr(op_call *c, sl_str name, sl_str wire)
{
    if (c->n_attrs == OP_MAX)
        abort();
    c->attrs[c->n_attrs++] = (sl_attr){name, kind_of(wire), wire};
}

sl_tensor *op_call_input(op_call *c, sl_dtype t, const int64_t *dims, int rank)
{
    if (c->n_in == OP_MAX || rank > SL_MAX_RANK)
        abort();
    sl_tensor *in = &c->in[c->n_in++];
    *in = (sl_tensor){.dtype = t, .rank = rank};
    for (int i = 0; i < rank; i++)
        in->dims[i] = dims[i];
    in->size = (size_t)sl_shape_count(dims, rank, 1) * sl_dtype_size(t);
    in->data = op_call_memory(c, in->size);
    return in;
}

static bool needed_for_shape(const sl_op *op, int i, int n_in)
{
    return op->shape_reads >> SL_MIN(i, 31) & 1 || (op->flags & SL_OP_READS_LAST && i == n_in - 1);
}

/* shape() sees only the values that it asked for. */
void op_call_zeros(op_call *c, sl_dtype t, const int64_t *dims, int rank)
{
    sl_tensor *in = op_call_input(c, t, dims, rank);
    memset(in->data, 0, in->size);
}

static sl_code shapes(op_call *c, sl_op_call *call, sl_status *st)
{
    sl_tensor seen[OP_MAX];
    for (int i = 0; i < c->n_in; i++) {
        seen[i] = c->in[i];
        if (!needed_for_shape(c->op, i, c->n_in) && c->in[i].size > 0)
            seen[i].data = NULL;
    }
    call->in = seen;
    sl_code rc = c->op->shape(call, st);
    call->in = c->in;
    for (int k = 0; k < c->n_out && !rc; k++) {
        sl_tensor *t = &c->out[k];
        size_t element = t->dtype == SL_DT_RESOURCE ? sizeof(void *) : sl_dtype_size(t->dtype);
        int64_t count = sl_shape_count(t->dims, t->rank, element);
        if (count < 0)
            return sl_fail(st, SL_INTERNAL, "shape() let a size pass that does not fit");
        t->size = (size_t)count * element;
        t->data = op_call_memory(c, t->size);
    }
    return rc;
}

/* Lets the op check itself with attributes that are gone afterwards, as a loaded model's file is:
 * what the op keeps of them it must have copied. */
static sl_code configure(sl_op_node *node, sl_status *st)
{
    const sl_node *kept = node->source;
    sl_node passing = *kept;
    sl_attr attrs[OP_MAX];
    passing.attrs = attrs;
    for (int i = 0; i < kept->n_attrs; i++) {
        attrs[i] = kept->attrs[i];
        char *wire = sl_malloc(attrs[i].wire.n + 1);
        attrs[i].wire.p =
            attrs[i].wire.n ? memcpy(wire, kept->attrs[i].wire.p, attrs[i].wire.n) : wire;
    }
    node->source = &passing;
    sl_code rc = node->op->configure(node, st);
    node->source = kept;
    for (int i = 0; i < kept->n_attrs; i++)
        sl_free((void *)(uintptr_t)attrs[i].wire.p);
    return rc;
}

sl_code op_call_run(op_call *c, int in_place, sl_status *st)
{
    sl_dtype in_types[OP_MAX], out_types[OP_MAX] = {SL_DT_INVALID};
    sl_node source = {.name = {"op", 2},
                      .op = {c->op->name, strlen(c->op->name)},
                      .attrs = c->attrs,
                      .n_attrs = c->n_attrs};
    for (int i = 0; i < c->n_in; i++)
        in_types[i] = c->in[i].dtype;
    sl_op_node node = {.op = c->op,
                       .name = "op",
                       .source = &source,
                       .n_in = c->n_in,
                       .in_types = in_types,
                       .n_out = c->n_out,
                       .out_types = out_types,
                       .arena = &c->arena};
    sl_code rc = configure(&node, st);
    sl_attr attrs[OP_MAX]; /* without the large ones: sl_ngraph_detach leaves those behind */
    source.attrs = attrs;
    source.n_attrs = 0;
    for (int i = 0; i < c->n_attrs; i++)
        if (c->attrs[i].wire.n <= 4096)
            attrs[source.n_attrs++] = c->attrs[i];
    if (rc)
        return rc;
    sl_op_call call = {.node = &node, .in = c->in, .out = c->out, .arena = &c->arena, .threads = 1};
    for (int k = 0; k < c->n_out; k++)
        c->out[k] = (sl_tensor){.dtype = out_types[k]};
    if (!(c->op->flags & SL_OP_MAKES))
        rc = shapes(c, &call, st);
    if (rc)
        return rc;
    if (in_place >= 0) {
        memcpy(c->out[0].data, c->in[in_place].data, c->out[0].size);
        c->in[in_place].data = c->out[0].data;
    }
    call.scratch = op_call_memory(c, call.scratch_size);
    return c->op->run(&call, st);
}
