/*
 * state.c - variables that are written, and ops that are there for their effect
 *
 * Plain reads of variables never come here: the engine makes constants of variables that nobody
 * writes, and reads the others itself. A write replaces the variable's buffer whole, under its
 * lock, so whoever holds a reference to the old value keeps it.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/native/kernels/half.h"
#include "engine/native/ops/binary.h"
#include "engine/native/ops/gather.h"
#include "engine/native/ops/ops.h"
#include "engine/native/resource.h"

/* ---- nothing to compute ---- */

static sl_code none_configure(sl_op_node *n, sl_status *st)
{
    (void)st;
    for (int k = 0; k < n->n_out; k++)
        n->out_types[k] = n->n_in > k ? n->in_types[k] : SL_DT_INVALID;
    return SL_OK;
}

static sl_code none_run(sl_op_call *c, sl_status *st)
{
    (void)c;
    (void)st;
    return SL_OK;
}

/* ---- variables ---- */

static sl_code variable_of(const sl_op_call *c, sl_resource **r, sl_status *st)
{
    *r = sl_resource_of(&c->in[0]);
    if (*r == NULL || (*r)->kind != SL_RES_VARIABLE)
        return sl_fail(st, SL_INVALID_ARGUMENT, "input 0 of %s is not a variable",
                       c->node->op->name);
    return SL_OK;
}

static sl_code not_initialised(const sl_resource *r, sl_status *st)
{
    return sl_fail(
        st, SL_FAILED_PRECONDITION,
        "Could not find variable %s. This could mean that the variable has been deleted. "
        "In TF1, it can also mean the variable is uninitialized. Debug info: "
        "container=localhost, status error message=Resource "
        "localhost/%s/N10tensorflow3VarE does not exist.",
        r->name, r->name);
}

static sl_code assign_configure(sl_op_node *n, sl_status *st)
{
    if (n->n_in != 2)
        return sl_fail(st, SL_INVALID_ARGUMENT, "%s has %d inputs where 2 are expected",
                       n->op->name, n->n_in);
    sl_types types = strstr(n->op->name, "Add") || strstr(n->op->name, "Sub")
                         ? SL_T_INTS | SL_T(FLOAT) | SL_T(DOUBLE)
                         : SL_T_PLAIN;
    sl_code rc = sl_ops_check_input(n, 1, types, st);
    if (rc)
        return rc;
    if (n->n_out > 0) /* Assign's output is the variable itself */
        n->out_types[0] = n->in_types[0];
    return SL_OK;
}

/* The reference that TF1's Assign hands on is that of its input. */
static sl_code assign_shape(sl_op_call *c, sl_status *st)
{
    (void)st;
    for (int k = 0; k < c->node->n_out; k++)
        sl_ops_same_shape(&c->out[k], &c->in[0]);
    return SL_OK;
}

static void pass_reference(sl_op_call *c)
{
    if (c->node->n_out > 0 && c->out[0].size && c->out[0].data != c->in[0].data)
        memcpy(c->out[0].data, c->in[0].data, c->out[0].size);
}

/* A copy that owns its bytes. */
static sl_code own_copy(const sl_tensor *t, sl_tensor *out, sl_status *st)
{
    if (t->dtype == SL_DT_STRING)
        return sl_tensor_try_new_strings(t->data, t->dims, t->rank, out, st);
    sl_code rc = sl_tensor_try_new(t->dtype, t->dims, t->rank, out, st);
    if (!rc && out->size)
        memcpy(out->data, t->data, out->size);
    return rc;
}

static void replace(sl_resource *r, sl_tensor *fresh)
{
    sl_tensor old = r->value;
    r->value = *fresh;
    sl_tensor_release(&old);
}

static sl_code assign_run(sl_op_call *c, sl_status *st)
{
    sl_resource *r;
    sl_tensor fresh;
    sl_code rc = variable_of(c, &r, st);
    if (!rc)
        rc = own_copy(&c->in[1], &fresh, st);
    if (rc)
        return rc;
    pthread_mutex_lock(&r->lock);
    replace(r, &fresh);
    pthread_mutex_unlock(&r->lock);
    pass_reference(c);
    return SL_OK;
}

/* Variable += value or -= value; under the lock from the read to the write. */
static sl_code update_run(sl_op_call *c, sl_status *st)
{
    sl_resource *r;
    sl_shape_buf a, b;
    bool to_bool;
    const sl_tensor *delta = &c->in[1];
    sl_tensor fresh;
    sl_code rc = variable_of(c, &r, st);
    if (rc)
        return rc;
    sl_binary_fn fn = sl_binary_kernel(strstr(c->node->op->name, "Sub") ? "Sub" : "AddV2",
                                       delta->dtype, &to_bool);
    pthread_mutex_lock(&r->lock);
    const sl_tensor *old = &r->value;
    if (old->dtype == SL_DT_INVALID)
        rc = not_initialised(r, st);
    else if (old->dtype != delta->dtype || old->rank != delta->rank ||
             memcmp(old->dims, delta->dims, (size_t)old->rank * sizeof old->dims[0]) != 0)
        rc = sl_fail(
            st, SL_INVALID_ARGUMENT,
            "Cannot update variable with shape %s using a Tensor with shape %s, shapes must "
            "be equal.",
            sl_ops_shape(old, &a), sl_ops_shape(delta, &b));
    else
        rc = sl_tensor_try_new(old->dtype, old->dims, old->rank, &fresh, st);
    if (!rc) {
        fn(old->data, delta->data, fresh.data, sl_tensor_count(old), SL_BINARY_BOTH);
        replace(r, &fresh);
    }
    pthread_mutex_unlock(&r->lock);
    pass_reference(c);
    return rc;
}

static sl_code is_initialised_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 1, ~0ull, st);
    if (!rc)
        n->out_types[0] = SL_DT_BOOL;
    return rc;
}

static sl_code is_initialised_run(sl_op_call *c, sl_status *st)
{
    sl_resource *r;
    sl_code rc = variable_of(c, &r, st);
    if (rc)
        return rc;
    pthread_mutex_lock(&r->lock);
    *(bool *)c->out[0].data = r->value.dtype != SL_DT_INVALID;
    pthread_mutex_unlock(&r->lock);
    return SL_OK;
}

/* A reference to the value, which the arena gives back. */
static sl_code hold_value(sl_op_call *c, sl_tensor *value, sl_status *st)
{
    sl_resource *r;
    sl_code rc = variable_of(c, &r, st);
    if (rc)
        return rc;
    pthread_mutex_lock(&r->lock);
    bool there = r->value.dtype != SL_DT_INVALID;
    if (there)
        sl_tensor_share(&r->value, value);
    pthread_mutex_unlock(&r->lock);
    return there ? SL_OK : not_initialised(r, st);
}

static void release_buffer(void *buffer)
{
    sl_buffer_release(buffer);
}

static sl_code read_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 1, ~0ull, st);
    if (!rc)
        n->out_types[0] = sl_node_type(n->source, "dtype", SL_DT_INVALID);
    return rc;
}

static sl_code read_run(sl_op_call *c, sl_status *st)
{
    sl_tensor value;
    sl_code rc = hold_value(c, &value, st);
    if (rc)
        return rc;
    if (value.dtype != c->out[0].dtype) {
        sl_tensor_release(&value);
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Trying to read variable with wrong dtype. Expected %s got %s",
                       sl_dtype_name(c->out[0].dtype), sl_dtype_name(value.dtype));
    }
    if (value.buffer != NULL)
        sl_arena_on_reset(c->arena, release_buffer, value.buffer);
    sl_ops_same_shape(&c->out[0], &value);
    c->out[0].size = value.size;
    c->out[0].data = value.data;
    return SL_OK;
}

static sl_code variable_shape_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 1, ~0ull, st);
    if (rc)
        return rc;
    n->out_types[0] = sl_node_type(n->source, "out_type", SL_DT_INT32);
    return sl_types_has(SL_T_INDEX, n->out_types[0]) ? SL_OK
                                                     : sl_ops_unsupported(n->out_types[0], st);
}

static sl_code variable_shape_run(sl_op_call *c, sl_status *st)
{
    sl_tensor value;
    sl_code rc = hold_value(c, &value, st);
    if (rc)
        return rc;
    c->out[0].rank = 1;
    c->out[0].dims[0] = value.rank;
    rc = sl_ops_make(c, 0, st);
    for (int i = 0; !rc && i < value.rank; i++)
        sl_ops_set_int(&c->out[0], i, value.dims[i]);
    sl_tensor_release(&value);
    return rc;
}

/* ---- ResourceGather, ResourceGatherNd ---- */

static sl_code resource_gather_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 2, ~0ull, st);
    if (!rc)
        rc = sl_ops_check_input(n, 1, SL_T_INDEX, st);
    if (rc)
        return rc;
    int64_t *batch_dims = sl_ops_config(n, sizeof *batch_dims);
    *batch_dims = sl_node_int(n->source, "batch_dims", 0);
    n->config = batch_dims;
    n->out_types[0] = sl_node_type(n->source, "dtype", SL_DT_INVALID);
    return sl_types_has(SL_T_PLAIN, n->out_types[0]) ? SL_OK
                                                     : sl_ops_unsupported(n->out_types[0], st);
}

/* Takes shape and rows from one and the same value, even if somebody writes the variable meanwhile.
 */
static sl_code resource_gather_run(sl_op_call *c, sl_status *st)
{
    sl_tensor value;
    sl_gather g;
    int64_t batch_dims = *(const int64_t *)c->node->config;
    sl_code rc = hold_value(c, &value, st);
    if (rc)
        return rc;
    if (value.dtype != c->out[0].dtype)
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "the variable is of type %s, not %s",
                     sl_dtype_name(value.dtype), sl_dtype_name(c->out[0].dtype));
    if (!rc)
        rc = sl_gather_shape(&value, &c->in[1], batch_dims, batch_dims, &c->out[0], &g, st);
    if (!rc)
        rc = sl_ops_make(c, 0, st);
    if (!rc)
        rc = sl_gather_run(&value, &c->in[1], &g, c->out[0].data, st);
    if (value.buffer != NULL) /* strings point into it */
        sl_arena_on_reset(c->arena, release_buffer, value.buffer);
    return rc;
}

static sl_code resource_gather_nd_run(sl_op_call *c, sl_status *st)
{
    sl_tensor value;
    sl_code rc = hold_value(c, &value, st);
    if (rc)
        return rc;
    if (value.dtype != c->out[0].dtype)
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "the variable is of type %s, not %s",
                     sl_dtype_name(value.dtype), sl_dtype_name(c->out[0].dtype));
    if (!rc)
        rc = sl_gather_nd_shape(&value, &c->in[1], &c->out[0], st);
    if (!rc)
        rc = sl_ops_make(c, 0, st);
    if (!rc)
        rc = sl_gather_nd_run(c->node->name, &value, &c->in[1], c->out[0].data, st);
    if (value.buffer != NULL)
        sl_arena_on_reset(c->arena, release_buffer, value.buffer);
    return rc;
}

/* ---- Assert ---- */

static sl_code assert_configure(sl_op_node *n, sl_status *st)
{
    if (n->n_in < 1 || n->in_types[0] != SL_DT_BOOL)
        return sl_fail(st, SL_INVALID_ARGUMENT, "Assert has no condition");
    return SL_OK;
}

/* Six digits, or nine where another number has the same six. */
static void put_float(sl_text *t, float v)
{
    char text[32];
    snprintf(text, sizeof text, "%.6g", (double)v);
    if (isfinite(v) && strtof(text, NULL) != v)
        snprintf(text, sizeof text, "%.9g", (double)v);
    sl_text_puts(t, text);
}

static void put_double(sl_text *t, double v)
{
    char text[32];
    snprintf(text, sizeof text, "%.15g", v);
    if (isfinite(v) && strtod(text, NULL) != v)
        snprintf(text, sizeof text, "%.17g", v);
    sl_text_puts(t, text);
}

/* ASCII that cannot be printed is escaped as in C, in octal; other bytes stay. */
static void put_escaped(sl_text *t, sl_str s)
{
    static const char plain[] = "\n\r\t\"'\\", letters[] = "nrt\"'\\";
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        const char *at = c ? strchr(plain, c) : NULL;
        if (at != NULL) {
            sl_text_putc(t, '\\');
            sl_text_putc(t, letters[at - plain]);
        } else if (c < 0x20 || c == 0x7f) {
            sl_text_printf(t, "\\%03o", c);
        } else {
            sl_text_putc(t, (char)c);
        }
    }
}

void sl_ops_put_element(sl_text *t, const sl_tensor *v, int64_t i)
{
    switch (v->dtype) {
    case SL_DT_FLOAT:
        put_float(t, ((const float *)v->data)[i]);
        break;
    case SL_DT_DOUBLE:
        put_double(t, ((const double *)v->data)[i]);
        break;
    case SL_DT_HALF:
        put_float(t, sl_half_to_float(((const uint16_t *)v->data)[i]));
        break;
    case SL_DT_BFLOAT16:
        put_float(t, sl_bf16_to_float(((const uint16_t *)v->data)[i]));
        break;
    case SL_DT_BOOL:
        sl_text_putc(t, ((const bool *)v->data)[i] ? '1' : '0');
        break;
    case SL_DT_STRING:
        put_escaped(t, ((const sl_str *)v->data)[i]);
        break;
    case SL_DT_UINT32:
        sl_text_printf(t, "%u", ((const uint32_t *)v->data)[i]);
        break;
    case SL_DT_UINT64:
        sl_text_printf(t, "%llu", (unsigned long long)((const uint64_t *)v->data)[i]);
        break;
    default:
        sl_text_printf(t, "%lld", (long long)sl_ops_int(v, i));
        break;
    }
}

/* Dimension `d` of v; *at is the element to print next. As deep as the rank: at most SL_MAX_RANK.
 */
static void put_dim(sl_text *t, const sl_tensor *v, int d, int64_t limit, int64_t *at)
{
    for (int64_t i = 0; i < v->dims[d]; i++) {
        if (*at >= limit) {
            if (d == v->rank - 1 && d != 0)
                sl_text_puts(t, "...");
            return;
        }
        if (d == v->rank - 1) {
            if (i > 0)
                sl_text_putc(t, ' ');
            sl_ops_put_element(t, v, (*at)++);
        } else {
            sl_text_putc(t, '[');
            put_dim(t, v, d + 1, limit, at);
            sl_text_putc(t, ']');
        }
    }
}

/* As TensorFlow's Tensor::SummarizeValue: at most `limit` elements, "..." for those left out. */
static void put_summary(sl_text *t, const sl_tensor *v, int64_t limit)
{
    int64_t count = sl_shape_count(v->dims, v->rank, 1), at = 0;
    if (limit < 0 || limit > count)
        limit = count;
    if (v->rank == 0 && limit > 0)
        sl_ops_put_element(t, v, 0);
    else if (v->rank > 0)
        put_dim(t, v, 0, limit, &at);
    if (count > limit)
        sl_text_puts(t, "...");
}

static sl_code assert_run(sl_op_call *c, sl_status *st)
{
    const sl_op_node *n = c->node;
    sl_shape_buf b;
    if (c->in[0].rank != 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "In[0] should be a scalar: %s",
                       sl_ops_shape(&c->in[0], &b));
    if (*(const bool *)c->in[0].data)
        return SL_OK;
    sl_text t = {NULL, 0, 0, false};
    int64_t limit = sl_node_int(n->source, "summarize", 3);
    for (int i = 1; i < n->n_in; i++) {
        sl_text_puts(&t, i > 1 ? " [" : "[");
        if (sl_types_has(SL_T_NUMBERS | SL_T(BOOL) | SL_T(STRING), n->in_types[i]))
            put_summary(&t, &c->in[i], limit);
        sl_text_putc(&t, ']');
    }
    sl_code rc =
        sl_fail_in(c->arena, st, SL_INVALID_ARGUMENT, "assertion failed: %s", t.p ? t.p : "");
    sl_text_fini(&t);
    return rc;
}

enum { WRITES = SL_OP_STATEFUL };

const sl_op sl_ops_state[] = {
    {"NoOp", SL_OP_STATEFUL, 0, none_configure, sl_ops_shape_none, none_run, NULL},
    {"ControlTrigger", SL_OP_STATEFUL, 0, none_configure, sl_ops_shape_none, none_run, NULL},
    {"Assert", SL_OP_STATEFUL, 0, assert_configure, sl_ops_shape_none, assert_run, NULL},
    {"AssignVariableOp", WRITES, 0, assign_configure, sl_ops_shape_none, assign_run, NULL},
    {"AssignAddVariableOp", WRITES, 0, assign_configure, sl_ops_shape_none, update_run, NULL},
    {"AssignSubVariableOp", WRITES, 0, assign_configure, sl_ops_shape_none, update_run, NULL},
    {"Assign", WRITES, 0, assign_configure, assign_shape, assign_run, NULL},
    {"AssignAdd", WRITES, 0, assign_configure, assign_shape, update_run, NULL},
    {"AssignSub", WRITES, 0, assign_configure, assign_shape, update_run, NULL},
    {"ReadVariableOp", SL_OP_STATEFUL | SL_OP_MAKES, 0, read_configure, NULL, read_run, NULL},
    {"VariableShape", SL_OP_STATEFUL | SL_OP_MAKES, 0, variable_shape_configure, NULL,
     variable_shape_run, NULL},
    {"VarIsInitializedOp", SL_OP_STATEFUL, 0, is_initialised_configure, sl_ops_shape_scalar,
     is_initialised_run, NULL},
    {"IsVariableInitialized", SL_OP_STATEFUL, 0, is_initialised_configure, sl_ops_shape_scalar,
     is_initialised_run, NULL},
    {"ResourceGatherNd", SL_OP_STATEFUL | SL_OP_MAKES, 0, resource_gather_configure, NULL,
     resource_gather_nd_run, NULL},
    {"ResourceGather", SL_OP_STATEFUL | SL_OP_MAKES, 0, resource_gather_configure, NULL,
     resource_gather_run, NULL},
    {0},
};
