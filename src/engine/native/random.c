/*
 * random.c - RandomUniform in init ops: initial values of variables that no checkpoint fills
 *
 * Some exporters make the initialisers of all variables part of the init op. The numbers follow no
 * sequence of TensorFlow's: where the seeds are zero there is none to follow, and where they are
 * not, initial values that matter come from the checkpoint. So it is offered to init ops only.
 */
#include <stdatomic.h>

#include "base/clock.h"
#include "base/mem.h"
#include "engine/native/init.h"

typedef struct random_config {
    uint64_t seed;
} random_config;

static sl_code uniform_configure(sl_op_node *n, sl_status *st)
{
    random_config *r = sl_arena_try_alloc(n->arena, sizeof *r);
    if (r == NULL)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory while reading the graph");
    r->seed = (uint64_t)sl_node_int(n->source, "seed", 0) << 32 ^
              (uint64_t)sl_node_int(n->source, "seed2", 0);
    n->config = r;
    if (n->n_in != 1 || (n->in_types[0] != SL_DT_INT32 && n->in_types[0] != SL_DT_INT64))
        return sl_fail(st, SL_INVALID_ARGUMENT, "RandomUniform takes one shape");
    if (n->out_types[0] != SL_DT_FLOAT)
        return sl_fail(st, SL_FAILED_PRECONDITION, "dtype %s is not supported",
                       sl_dtype_name(n->out_types[0]));
    return SL_OK;
}

static sl_code uniform_shape(sl_op_call *c, sl_status *st)
{
    const sl_tensor *shape = &c->in[0];
    if (shape->rank != 1 || shape->dims[0] > SL_MAX_RANK)
        return sl_fail(st, SL_INVALID_ARGUMENT, "shape must be a vector of at most %d dimensions",
                       SL_MAX_RANK);
    c->out[0].rank = (int)shape->dims[0];
    for (int i = 0; i < c->out[0].rank; i++)
        c->out[0].dims[i] = shape->dtype == SL_DT_INT32 ? ((const int32_t *)shape->data)[i]
                                                        : ((const int64_t *)shape->data)[i];
    return SL_OK;
}

/* splitmix64 */
static uint64_t next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static sl_code uniform_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    static _Atomic uint64_t calls;
    uint64_t seed = ((const random_config *)c->node->config)->seed;
    uint64_t state = seed ? seed : sl_now_ns() ^ atomic_fetch_add(&calls, 1) << 48;
    float *y = c->out[0].data;
    for (size_t i = 0; i < c->out[0].size / sizeof *y; i++)
        y[i] = (float)(next(&state) >> 40) * 0x1p-24f; /* [0, 1) */
    return SL_OK;
}

const sl_op sl_op_random_uniform = {"RandomUniform", SL_OP_STATEFUL, 1,   uniform_configure,
                                    uniform_shape,   uniform_run,    NULL};
