/*
 * substr.c - Substr: pieces of strings, by bytes or by characters of UTF-8
 *
 * Position and length broadcast against the strings. A character begins at every byte that does not
 * continue one, so any bytes can be counted. A piece points into its string.
 */
#include "engine/native/ops/ops.h"

static sl_code substr_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 3, SL_T(STRING), st);
    if (!rc)
        rc = sl_ops_check_input(n, 1, SL_T_INDEX, st);
    if (!rc)
        rc = sl_ops_check_same(n, 1, 3, st);
    if (rc)
        return rc;
    sl_str unit = sl_node_str(n->source, "unit", "BYTE");
    bool *characters = sl_ops_config(n, sizeof *characters);
    *characters = sl_str_is(unit, "UTF8_CHAR");
    if (!*characters && !sl_str_is(unit, "BYTE"))
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Invalid unit \"%.*s\": Should be one of: BYTE, UTF8_CHAR",
                       SL_STR_ARG(unit));
    n->config = characters;
    n->out_types[0] = SL_DT_STRING;
    return SL_OK;
}

static bool same_shape(const sl_tensor *a, const sl_tensor *b)
{
    return a->rank == b->rank && memcmp(a->dims, b->dims, (size_t)a->rank * sizeof a->dims[0]) == 0;
}

static sl_code substr_shape(sl_op_call *c, sl_status *st)
{
    const sl_tensor *in = &c->in[0], *pos = &c->in[1], *len = &c->in[2];
    sl_tensor *out = &c->out[0];
    sl_shape_buf a, b;
    if (!same_shape(pos, len))
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "pos and len should have the same shape, got: %s vs. %s",
                       sl_ops_shape(pos, &a), sl_ops_shape(len, &b));
    if (pos->rank == 0 || same_shape(pos, in))
        return sl_ops_shape_like_first(c, st);
    if (!sl_ops_broadcast(in, pos, out))
        return sl_fail(st, SL_INVALID_ARGUMENT, "Incompatible shapes: %s vs. %s",
                       sl_ops_shape(in, &a), sl_ops_shape(pos, &b));
    if (out->rank > 2)
        return sl_fail(st, SL_UNIMPLEMENTED, "Substr broadcast not implemented for %d dimensions",
                       out->rank);
    return sl_ops_check_size(out, st);
}

static bool goes_on(sl_str s, int64_t at)
{
    return ((unsigned char)s.p[at] & 0xc0) == 0x80;
}

/* Moves *at by n characters towards the end; false if there are not so many. */
static bool forward(sl_str s, int64_t n, int64_t *at)
{
    int64_t size = (int64_t)s.n;
    for (; n > 0 && *at < size; n--)
        do
            ++*at;
        while (*at < size && goes_on(s, *at));
    return n == 0;
}

static bool back(sl_str s, int64_t n, int64_t *at)
{
    for (; n > 0 && *at > 0; n--)
        do
            --*at;
        while (goes_on(s, *at) && *at > 0);
    return n == 0;
}

/* Piece [*from, *to) of s, in bytes; false if the position is outside. */
static bool by_bytes(sl_str s, int64_t pos, int64_t len, int64_t *from, int64_t *to)
{
    int64_t size = (int64_t)s.n;
    *from = pos < 0 ? pos + size : pos;
    if (*from < 0 || *from > size)
        return false;
    *to = len < 0 || len > size - *from ? size
                                        : *from + len; /* a negative length: all that is left */
    return true;
}

static bool by_characters(sl_str s, int64_t pos, int64_t len, int64_t *from, int64_t *to)
{
    if (pos >= 0) {
        *from = 0;
        if (!forward(s, pos, from))
            return false;
        *to = *from;
        forward(s, len, to);
        return true;
    }
    int64_t behind = SL_MAX(-pos - len, (int64_t)0); /* characters behind the piece */
    *to = (int64_t)s.n;
    if (!back(s, behind, to))
        return false;
    *from = *to;
    return back(s, -pos - behind, from);
}

static sl_code out_of_range(bool characters, const sl_tensor *out, bool broadcast, int64_t pos,
                            sl_str s, int64_t i, sl_status *st)
{
    if (characters)
        return sl_fail(st, SL_INVALID_ARGUMENT, "pos %lld out of range for string at index %lld",
                       (long long)pos,
                       (long long)(broadcast && out->rank == 2 ? i / out->dims[1] : i));
    if (broadcast && out->rank == 2)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "pos %lld out of range for string b'%.*s' at index (%lld, %lld)",
                       (long long)pos, SL_STR_ARG(s), (long long)(i / out->dims[1]),
                       (long long)(i % out->dims[1]));
    return sl_fail(st, SL_INVALID_ARGUMENT,
                   "pos %lld out of range for string b'%.*s' at index %lld", (long long)pos,
                   SL_STR_ARG(s), (long long)i);
}

/* Element of t that stands at place i of `out`, which has at most two dimensions, or t's shape. */
static int64_t place_in(const sl_tensor *t, const sl_tensor *out, int64_t i)
{
    if (t->rank == 0 || same_shape(t, out))
        return t->rank ? i : 0;
    int64_t last = out->dims[out->rank - 1], row = i / last, column = i % last,
            width = t->dims[t->rank - 1];
    bool rows = t->rank == 2 && t->dims[0] > 1;
    return (rows ? row * width : 0) + (width > 1 ? column : 0);
}

static sl_code substr_run(sl_op_call *c, sl_status *st)
{
    bool characters = *(const bool *)c->node->config;
    const sl_tensor *in = &c->in[0], *out = &c->out[0];
    const int64_t far = INT64_C(1) << 60; /* further than any string; sums of two of them fit */
    for (int64_t i = 0, n = sl_tensor_count(out); i < n; i++) {
        sl_str s = ((const sl_str *)in->data)[place_in(in, out, i)];
        int64_t at = place_in(&c->in[1], out, i), from, to;
        int64_t given = sl_ops_int(&c->in[1], at);
        int64_t pos = SL_MAX(SL_MIN(given, far), -far);
        int64_t len = SL_MAX(SL_MIN(sl_ops_int(&c->in[2], at), far), -far);
        if (!(characters ? by_characters : by_bytes)(s, pos, len, &from, &to))
            return out_of_range(characters, out, c->in[1].rank && !same_shape(&c->in[1], in), given,
                                s, i, st);
        ((sl_str *)out->data)[i] = (sl_str){s.p ? s.p + from : NULL, (size_t)(to - from)};
    }
    return SL_OK;
}

const sl_op sl_ops_substr[] = {
    {"Substr", 0, 0, substr_configure, substr_shape, substr_run, NULL},
    {0},
};
