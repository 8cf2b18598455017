/* oip.c - see oip.h */
#include "codec/oip.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"

/* X(name, dtype); a dtype's first name is what it is called */
#define DATATYPES(X)    \
    X("BOOL", BOOL)     \
    X("UINT8", UINT8)   \
    X("UINT16", UINT16) \
    X("UINT32", UINT32) \
    X("UINT64", UINT64) \
    X("INT8", INT8)     \
    X("INT16", INT16)   \
    X("INT32", INT32)   \
    X("INT64", INT64)   \
    X("FP16", HALF)     \
    X("FP32", FLOAT)    \
    X("FP64", DOUBLE)   \
    X("BYTES", STRING)  \
    X("BF16", BFLOAT16)

const char *sl_oip_datatype(sl_dtype t)
{
    switch ((int)sl_dtype_base(t)) {
#define X(name, dtype)  \
    case SL_DT_##dtype: \
        return name;
        DATATYPES(X)
#undef X
    case SL_DT_QINT8:
        return "INT8";
    case SL_DT_QUINT8:
        return "UINT8";
    case SL_DT_QINT16:
        return "INT16";
    case SL_DT_QUINT16:
        return "UINT16";
    case SL_DT_QINT32:
        return "INT32";
    default:
        return NULL;
    }
}

sl_dtype sl_oip_dtype(sl_str s)
{
#define X(name, dtype)      \
    if (sl_str_is(s, name)) \
        return SL_DT_##dtype;
    DATATYPES(X)
#undef X
    return SL_DT_INVALID;
}

void sl_oip_request_release(sl_oip_request *r)
{
    for (size_t i = 0; i < r->n_inputs; i++)
        sl_tensor_release(&r->inputs[i].tensor);
    r->n_inputs = 0;
}

/* ---- from the request's order to the signature's ---- */

static sl_code unexpected(sl_arena *arena, const char *what, sl_str name, const sl_signature *sig,
                          bool inputs, sl_status *st)
{
    const sl_tensor_info *infos = inputs ? sig->inputs : sig->outputs;
    int n = inputs ? sig->n_inputs : sig->n_outputs;
    sl_text known = {0};
    for (int i = 0; i < n; i++)
        sl_text_printf(&known, "%s\"%s\"", i ? ", " : "", infos[i].key);
    sl_code rc = sl_fail_in(arena, st, SL_INVALID_ARGUMENT,
                            "unexpected inference %s \"%.*s\": signature \"%s\" has %s", what,
                            SL_STR_ARG(name), sig->key,
                            n == 0         ? "none"
                            : known.failed ? "others"
                                           : known.p);
    sl_text_fini(&known);
    return rc;
}

static sl_code twice(sl_arena *arena, const char *what, sl_str name, sl_status *st)
{
    return sl_fail_in(arena, st, SL_INVALID_ARGUMENT, "inference %s \"%.*s\" is given twice", what,
                      SL_STR_ARG(name));
}

static sl_code reserve(const sl_signature *sig, sl_arena *arena, sl_oip_run *out, sl_status *st)
{
    size_t in = (size_t)sig->n_inputs, n = (size_t)sig->n_outputs;
    *out = (sl_oip_run){.input_index = sl_arena_try_alloc(arena, in * sizeof *out->input_index),
                        .inputs = sl_arena_try_alloc(arena, in * sizeof *out->inputs),
                        .output_index = sl_arena_try_alloc(arena, n * sizeof *out->output_index),
                        .binary = sl_arena_try_alloc(arena, n * sizeof *out->binary)};
    if (out->input_index && out->inputs && out->output_index && out->binary) {
        memset(out->inputs, 0, in * sizeof *out->inputs);
        return SL_OK;
    }
    return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory: %zu inputs, %zu outputs", in, n);
}

static sl_code match_inputs(const sl_oip_request *r, const sl_signature *sig, sl_arena *arena,
                            sl_oip_run *out, sl_status *st)
{
    for (size_t i = 0; i < r->n_inputs; i++) {
        sl_str name = r->inputs[i].name;
        int at = sl_tensor_infos_find(sig->inputs, sig->n_inputs, name);
        if (at < 0)
            return unexpected(arena, "input", name, sig, true, st);
        if (out->inputs[at].dtype != SL_DT_INVALID)
            return twice(arena, "input", name, st);
        out->inputs[at] = r->inputs[i].tensor;
    }
    for (int i = 0; i < sig->n_inputs; i++) {
        out->input_index[i] = i;
        if (out->inputs[i].dtype != SL_DT_INVALID)
            continue;
        if (sig->defaults == NULL || sig->defaults[i].dtype == SL_DT_INVALID)
            return sl_fail_in(arena, st, SL_INVALID_ARGUMENT,
                              "missing inference input \"%s\" of signature \"%s\"",
                              sig->inputs[i].key, sig->key);
        out->inputs[i] = sig->defaults[i];
    }
    out->n_inputs = sig->n_inputs;
    return SL_OK;
}

sl_code sl_oip_match(const sl_oip_request *r, const sl_signature *sig, sl_arena *arena,
                     sl_oip_run *out, sl_status *st)
{
    sl_code rc = reserve(sig, arena, out, st);
    if (rc == SL_OK)
        rc = match_inputs(r, sig, arena, out, st);
    if (rc)
        return rc;
    for (size_t i = 0; i < r->n_outputs; i++) {
        sl_str name = r->outputs[i].name;
        int at = sl_tensor_infos_find(sig->outputs, sig->n_outputs, name);
        if (at < 0)
            return unexpected(arena, "output", name, sig, false, st);
        for (int k = 0; k < out->n_outputs; k++)
            if (out->output_index[k] == at)
                return twice(arena, "output", name, st);
        out->binary[out->n_outputs] = r->outputs[i].binary;
        out->output_index[out->n_outputs++] = at; /* all different: there is room */
    }
    while (r->n_outputs == 0 && out->n_outputs < sig->n_outputs) {
        out->binary[out->n_outputs] = r->binary;
        out->output_index[out->n_outputs] = out->n_outputs;
        out->n_outputs++;
    }
    return SL_OK;
}

sl_code sl_oip_check_answer(const sl_oip_answer *a, sl_status *st)
{
    for (int i = 0; i < a->n_outputs; i++)
        if (sl_oip_datatype(a->outputs[i].dtype) == NULL)
            return sl_fail(st, SL_UNIMPLEMENTED,
                           "output \"%s\" is of type %s, which the protocol has no datatype for",
                           a->signature->outputs[a->output_index[i]].key,
                           sl_dtype_name(a->outputs[i].dtype));
    return SL_OK;
}

/* ---- tensors as bytes ---- */

sl_code sl_oip_check_shape(sl_str name, sl_dtype dtype, const int64_t *dims, int rank,
                           size_t *count, sl_status *st)
{
    char text[256];
    int64_t n = sl_shape_count(dims, rank, sl_dtype_size(dtype));
    if (n < 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "input \"%.*s\": shape %s is out of range",
                       SL_STR_ARG(name), sl_shape_text(dims, rank, text, sizeof text));
    *count = (size_t)n;
    return SL_OK;
}

static sl_code wrong_size(sl_str name, sl_dtype dtype, const int64_t *dims, int rank, size_t size,
                          sl_status *st)
{
    char text[256];
    return sl_fail(st, SL_INVALID_ARGUMENT,
                   "input \"%.*s\": %zu bytes are not a %s tensor of shape %s", SL_STR_ARG(name),
                   size, sl_oip_datatype(dtype), sl_shape_text(dims, rank, text, sizeof text));
}

/* Reads the next element; false if its length goes beyond the end. */
static bool next_bytes(sl_str *rest, sl_str *out)
{
    uint32_t n;
    if (rest->n < sizeof n)
        return false;
    memcpy(&n, rest->p, sizeof n);
    if (n > rest->n - sizeof n)
        return false;
    *out = (sl_str){rest->p + sizeof n, n};
    *rest = (sl_str){out->p + n, rest->n - sizeof n - n};
    return true;
}

static sl_code raw_strings(sl_str name, const int64_t *dims, int rank, size_t count, sl_str bytes,
                           sl_buffer *lender, sl_tensor *out, sl_status *st)
{
    sl_str rest = bytes, s;
    size_t n = 0;
    while (n < count && next_bytes(&rest, &s))
        n++;
    if (n < count || rest.n)
        return wrong_size(name, SL_DT_STRING, dims, rank, bytes.n, st);
    /* Without a lender the copy is one more buffer, which the tensor then holds. */
    sl_buffer *b = lender ? sl_buffer_acquire(lender) : sl_buffer_try_new(bytes.n);
    if (b == NULL)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory: %zu bytes of strings", bytes.n);
    if (lender == NULL && bytes.n)
        rest = (sl_str){memcpy(b->data, bytes.p, bytes.n), bytes.n};
    else
        rest = bytes;
    sl_code rc = sl_tensor_try_lend_strings(b, dims, rank, out, st);
    sl_buffer_release(b);
    for (size_t i = 0; rc == SL_OK && i < count; i++)
        (void)next_bytes(&rest, (sl_str *)out->data + i);
    return rc;
}

sl_code sl_oip_raw(sl_str name, sl_dtype dtype, const int64_t *dims, int rank, sl_str bytes,
                   sl_buffer *lender, sl_tensor *out, sl_status *st)
{
    size_t count, element = sl_dtype_size(dtype);
    sl_code rc = sl_oip_check_shape(name, dtype, dims, rank, &count, st);
    if (rc)
        return rc;
    if (dtype == SL_DT_STRING)
        return raw_strings(name, dims, rank, count, bytes, lender, out, st);
    if (bytes.n != count * element)
        return wrong_size(name, dtype, dims, rank, bytes.n, st);
    unsigned char all = 0;
    for (size_t i = 0; dtype == SL_DT_BOOL && i < bytes.n; i++)
        all |= (unsigned char)bytes.p[i];
    if (all > 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "input \"%.*s\": a BOOL is 0 or 1",
                       SL_STR_ARG(name));
    if (lender != NULL && bytes.n && (uintptr_t)bytes.p % SL_MIN(element, (size_t)8) == 0) {
        *out = (sl_tensor){.dtype = dtype,
                           .rank = rank,
                           .size = bytes.n,
                           .data = (void *)bytes.p,
                           .buffer = sl_buffer_acquire(lender)};
        memcpy(out->dims, dims, (size_t)rank * sizeof *dims);
        return SL_OK;
    }
    rc = sl_tensor_try_new(dtype, dims, rank, out, st);
    if (rc == SL_OK && bytes.n)
        memcpy(out->data, bytes.p, bytes.n);
    return rc;
}

size_t sl_oip_raw_size(const sl_tensor *t)
{
    if (t->dtype != SL_DT_STRING)
        return t->size;
    size_t n = 0;
    for (size_t i = 0; i < t->size / sizeof(sl_str); i++)
        n = sl_add_capped(n, sl_add_capped(4, ((const sl_str *)t->data)[i].n));
    return n;
}

static void put_run(const sl_tensor *t, const void *p, size_t n, sl_chain *out)
{
    if (n >= 8192 && t->buffer != NULL)
        sl_chain_lend(out, t->buffer, p, n);
    else
        sl_chain_add(out, p, n);
}

void sl_oip_put_raw(const sl_tensor *t, sl_chain *out)
{
    if (t->dtype != SL_DT_STRING) {
        put_run(t, t->data, t->size, out);
        return;
    }
    for (size_t i = 0; i < t->size / sizeof(sl_str); i++) {
        sl_str s = ((const sl_str *)t->data)[i];
        uint32_t n = (uint32_t)s.n; /* the encoders have refused longer ones */
        sl_chain_add(out, &n, sizeof n);
        put_run(t, s.p, s.n, out);
    }
}
