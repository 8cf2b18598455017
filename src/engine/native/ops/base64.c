/*
 * base64.c - EncodeBase64, DecodeBase64: the alphabet of URLs, padding as the graph or nobody wants
 */
#include "engine/native/ops/ops.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

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
        char *p = s.n < SIZE_MAX / 2 ? sl_arena_try_alloc(c->arena, s.n / 3 * 4 + 4) : NULL;
        if (p == NULL)
            return sl_ops_no_memory(st);
        ((sl_str *)c->out[0].data)[i].p = p;
        for (size_t k = 0; k < s.n; k += 3) {
            size_t have = SL_MIN(s.n - k, (size_t)3);
            uint32_t bits = 0;
            for (size_t b = 0; b < 3; b++)
                bits = bits << 8 | (b < have ? (unsigned char)s.p[k + b] : 0u);
            for (size_t b = 0; b < 4; b++)
                if (b <= have)
                    *p++ = alphabet[bits >> (18 - 6 * b) & 63];
                else if (pad)
                    *p++ = '=';
        }
        ((sl_str *)c->out[0].data)[i].n = (size_t)(p - ((sl_str *)c->out[0].data)[i].p);
    }
    return SL_OK;
}

static sl_code decode(sl_arena *a, sl_str s, sl_str *out, sl_status *st)
{
    if (s.n && s.n % 4 == 0 && s.p[s.n - 1] == '=')
        s.n -= s.p[s.n - 2] == '=' ? 2 : 1;
    bool one_left = s.n % 4 == 1; /* said after what is wrong in front of it */
    s.n -= one_left;
    char *p = sl_arena_try_alloc(a, s.n / 4 * 3 + 3);
    if (p == NULL)
        return sl_ops_no_memory(st);
    out->p = p;
    uint32_t bits = 0;
    for (size_t k = 0; k < s.n; k++) {
        const char *at = s.p[k] ? strchr(alphabet, s.p[k]) : NULL;
        if (at == NULL)
            return sl_fail(st, SL_INVALID_ARGUMENT, "Invalid character found in base64.");
        bits = bits << 6 | (uint32_t)(at - alphabet);
        if (k % 4) /* the second to the fourth complete a byte each */
            *p++ = (char)(bits >> (6 - 2 * (k % 4)) & 0xff);
    }
    if (one_left)
        return sl_fail(st, SL_INVALID_ARGUMENT, "Base64 string length cannot be 1 modulo 4.");
    out->n = (size_t)(p - out->p);
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
