/*
 * base64.c - EncodeBase64, DecodeBase64: the alphabet of URLs, padding as the graph or nobody wants
 */
#include "format/base64.h"
#include "engine/native/ops/ops.h"

static sl_code base64_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 1, SL_T(STRING), st);
    if (rc)
        return rc;
    bool *pad = sl_ops_config(n, sizeof *pad);
    *pad = sl_node_bool(n->source, "pad", false);
    n->config = pad;
    n->out_types[0] = SL_DT_STRING;
    return SL_OK;
}

static sl_code encode_run(sl_op_call *c, sl_status *st)
{
    bool pad = *(const bool *)c->node->config;
    for (int64_t i = 0, n = sl_tensor_count(&c->in[0]); i < n; i++) {
        sl_str s = ((const sl_str *)c->in[0].data)[i];
        size_t size = sl_base64_size(s.n);
        char *p = size < SIZE_MAX ? sl_arena_try_alloc(c->arena, size + 1) : NULL;
        if (p == NULL)
            return sl_ops_no_memory(st);
        size_t all = (size_t)(sl_base64_encode(s, p) - p);
        for (size_t k = 0; k < all; k++)
            p[k] = p[k] == '+' ? '-' : p[k] == '/' ? '_' : p[k];
        while (!pad && all && p[all - 1] == '=')
            all--;
        ((sl_str *)c->out[0].data)[i] = (sl_str){p, all};
    }
    return SL_OK;
}

/* The letter of the standard alphabet; 0: it is none of that of URLs. */
static char standard(char c)
{
    if (c == '-' || c == '_')
        return c == '-' ? '+' : '/';
    bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    return letter ? c : '\0';
}

static sl_code decode(sl_arena *a, sl_str s, sl_str *out, sl_status *st)
{
    if (s.n && s.n % 4 == 0 && s.p[s.n - 1] == '=')
        s.n -= s.p[s.n - 2] == '=' ? 2 : 1;
    bool one_left = s.n % 4 == 1; /* said after what is wrong in front of it */
    s.n -= one_left;
    char *p = sl_arena_try_alloc(a, s.n + 1);
    if (p == NULL)
        return sl_ops_no_memory(st);
    for (size_t k = 0; k < s.n; k++)
        if ((p[k] = standard(s.p[k])) == '\0')
            return sl_fail(st, SL_INVALID_ARGUMENT, "Invalid character found in base64.");
    if (one_left)
        return sl_fail(st, SL_INVALID_ARGUMENT, "Base64 string length cannot be 1 modulo 4.");
    *out = (sl_str){p, sl_base64_decode((sl_str){p, s.n}, p)};
    return SL_OK;
}

static sl_code decode_run(sl_op_call *c, sl_status *st)
{
    sl_code rc = SL_OK;
    for (int64_t i = 0, n = sl_tensor_count(&c->in[0]); i < n && !rc; i++)
        rc = decode(c->arena, ((const sl_str *)c->in[0].data)[i], (sl_str *)c->out[0].data + i, st);
    return rc;
}

const sl_op sl_ops_base64[] = {
    {"EncodeBase64", 0, 0, base64_configure, sl_ops_shape_like_first, encode_run, NULL},
    {"DecodeBase64", 0, 0, base64_configure, sl_ops_shape_like_first, decode_run, NULL},
    {0},
};
