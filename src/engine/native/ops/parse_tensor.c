/*
 * parse_tensor.c - ParseTensor: a tensor out of a serialized TensorProto
 */
#include "engine/native/ops/ops.h"
#include "tensorproto/tensorproto.h"

static sl_code parse_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 1, SL_T(STRING), st);
    if (rc)
        return rc;
    n->out_types[0] = sl_node_type(n->source, "out_type", SL_DT_INVALID);
    return sl_types_has(SL_T_PLAIN, n->out_types[0]) ? SL_OK
                                                     : sl_ops_unsupported(n->out_types[0], st);
}

static void release_buffer(void *buffer)
{
    sl_buffer_release(buffer);
}

/* A short list of values may stand for a large tensor: that counts as memory of the run. */
static size_t memory_left(const sl_arena *a)
{
    return a->limit == 0 ? (size_t)1 << 30 : a->limit > a->used ? a->limit - a->used : 0;
}

static sl_code parse_run(sl_op_call *c, sl_status *st)
{
    sl_shape_buf b;
    sl_tensor t, *out = &c->out[0];
    if (c->in[0].rank != 0)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Expected `serialized` to be a scalar, got shape: %s",
                       sl_ops_shape(&c->in[0], &b));
    sl_str wire = *(const sl_str *)c->in[0].data;
    sl_code rc = sl_tensorproto_decode(wire, memory_left(c->arena), &t, st);
    if (rc)
        return rc;
    if (t.dtype != out->dtype)
        rc = sl_fail(st, SL_INVALID_ARGUMENT,
                     "Type mismatch between parsed tensor (%s) and dtype (%s)",
                     sl_dtype_name(t.dtype), sl_dtype_name(out->dtype));
    sl_ops_same_shape(out, &t);
    if (!rc)
        rc = sl_ops_make(c, 0, st);
    if (!rc && t.size)
        memcpy(out->data, t.data, t.size);
    if (t.buffer != NULL && t.dtype == SL_DT_STRING) /* holds their bytes */
        sl_arena_on_reset(c->arena, release_buffer, t.buffer);
    else
        sl_tensor_release(&t);
    return rc;
}

const sl_op sl_ops_parse_tensor[] = {
    {"ParseTensor", SL_OP_MAKES, 0, parse_configure, NULL, parse_run, NULL},
    {0},
};
