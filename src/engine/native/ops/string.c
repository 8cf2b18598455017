/*
 * string.c - ops on strings, bytewise; what needs Unicode's tables is refused by configure()
 *
 * New bytes come from the run's arena; where a result is a piece of an operand it points into it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/native/farmhash.h"
#include "engine/native/ops/ops.h"

static sl_code string_to(sl_op_node *n, sl_dtype out, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 1, SL_T(STRING), st);
    if (!rc)
        n->out_types[0] = out;
    return rc;
}

static int64_t count_of(const sl_tensor *t)
{
    return sl_shape_count(t->dims, t->rank, 1);
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static sl_str stripped(sl_str s)
{
    while (s.n && is_blank(s.p[0]))
        s.p++, s.n--;
    while (s.n && is_blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

/* ---- StringLower, StringUpper, StringStrip, StringLength ---- */

static sl_code case_configure(sl_op_node *n, sl_status *st)
{
    sl_str encoding = sl_node_str(n->source, "encoding", "");
    if (encoding.n)
        return sl_fail(st, SL_FAILED_PRECONDITION, "encoding \"%.*s\" is not supported",
                       SL_STR_ARG(encoding));
    return string_to(n, SL_DT_STRING, st);
}

static sl_code case_run(sl_op_call *c, sl_status *st)
{
    char from = strcmp(c->node->op->name, "StringLower") == 0 ? 'A' : 'a';
    const sl_str *in = c->in[0].data;
    sl_str *out = c->out[0].data;
    for (int64_t i = 0, n = count_of(&c->in[0]); i < n; i++) {
        char *p = sl_arena_try_strndup(c->arena, in[i].p ? in[i].p : "", in[i].n);
        if (p == NULL)
            return sl_ops_no_memory(st);
        for (size_t k = 0; k < in[i].n; k++)
            if (p[k] >= from && p[k] <= from + 25)
                p[k] ^= 0x20;
        out[i] = (sl_str){p, in[i].n};
    }
    return SL_OK;
}

static sl_code strip_configure(sl_op_node *n, sl_status *st)
{
    return string_to(n, SL_DT_STRING, st);
}

static sl_code strip_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    for (int64_t i = 0, n = count_of(&c->in[0]); i < n; i++)
        ((sl_str *)c->out[0].data)[i] = stripped(((const sl_str *)c->in[0].data)[i]);
    return SL_OK;
}

static sl_code length_configure(sl_op_node *n, sl_status *st)
{
    bool *utf8 = sl_ops_config(n, sizeof *utf8);
    *utf8 = sl_str_is(sl_node_str(n->source, "unit", "BYTE"), "UTF8_CHAR");
    n->config = utf8;
    return string_to(n, SL_DT_INT32, st);
}

static sl_code length_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    bool utf8 = *(const bool *)c->node->config;
    for (int64_t i = 0, n = count_of(&c->in[0]); i < n; i++) {
        sl_str s = ((const sl_str *)c->in[0].data)[i];
        size_t length = s.n;
        for (size_t k = 0; utf8 && k < s.n; k++)
            length -= ((unsigned char)s.p[k] & 0xc0) == 0x80;
        ((int32_t *)c->out[0].data)[i] = (int32_t)length;
    }
    return SL_OK;
}

/* ---- StringJoin ---- */

static sl_code join_configure(sl_op_node *n, sl_status *st)
{
    if (n->n_in < 1)
        return sl_ops_check(n, 1, SL_T(STRING), st);
    sl_code rc = sl_ops_check_all(n, n->n_in, SL_T(STRING), st);
    if (rc)
        return rc;
    sl_str *separator = sl_ops_config(n, sizeof *separator);
    n->config = separator;
    n->out_types[0] = SL_DT_STRING;
    return sl_ops_keep_text(n, "separator", separator) ? SL_OK : sl_ops_no_memory(st);
}

static sl_code join_shape(sl_op_call *c, sl_status *st)
{
    int model = -1;
    sl_shape_buf a, b;
    for (int i = 0; i < c->node->n_in; i++) {
        if (c->in[i].rank == 0)
            continue;
        if (model < 0)
            model = i;
        else if (c->in[i].rank != c->in[model].rank ||
                 memcmp(c->in[i].dims, c->in[model].dims,
                        (size_t)c->in[i].rank * sizeof(int64_t)) != 0)
            return sl_fail(st, SL_INVALID_ARGUMENT, "Input shapes do not match: %s vs. %s",
                           sl_ops_shape(&c->in[model], &a), sl_ops_shape(&c->in[i], &b));
    }
    sl_ops_same_shape(&c->out[0], &c->in[model < 0 ? 0 : model]);
    return SL_OK;
}

static sl_code join_run(sl_op_call *c, sl_status *st)
{
    sl_str separator = *(const sl_str *)c->node->config;
    for (int64_t i = 0, n = count_of(&c->out[0]); i < n; i++) {
        size_t size = 0;
        bool fits = true;
        for (int k = 0; k < c->node->n_in; k++) {
            sl_str s = ((const sl_str *)c->in[k].data)[c->in[k].rank ? i : 0];
            fits &= sl_add_size(size, s.n + (k ? separator.n : 0), &size);
        }
        char *p = fits ? sl_arena_try_alloc(c->arena, size + 1) : NULL;
        if (p == NULL)
            return sl_ops_no_memory(st);
        ((sl_str *)c->out[0].data)[i] = (sl_str){p, size};
        for (int k = 0; k < c->node->n_in; k++) {
            sl_str s = ((const sl_str *)c->in[k].data)[c->in[k].rank ? i : 0];
            if (k && separator.n)
                p = (char *)memcpy(p, separator.p, separator.n) + separator.n;
            if (s.n)
                p = (char *)memcpy(p, s.p, s.n) + s.n;
        }
    }
    return SL_OK;
}

/* ---- AsString ---- */

typedef struct as_string_config {
    char format[32]; /* for printf: %lld, %llu or a form of %f */
} as_string_config;

static sl_code as_string_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 1, SL_T_INTS | SL_T(FLOAT) | SL_T(DOUBLE) | SL_T(BOOL), st);
    if (rc)
        return rc;
    as_string_config *cfg = sl_ops_config(n, sizeof *cfg);
    int64_t precision = sl_node_int(n->source, "precision", -1);
    int64_t width = sl_node_int(n->source, "width", -1);
    sl_str fill = sl_node_str(n->source, "fill", "");
    bool scientific = sl_node_bool(n->source, "scientific", false);
    bool shortest = sl_node_bool(n->source, "shortest", false);
    bool real = n->in_types[0] == SL_DT_FLOAT || n->in_types[0] == SL_DT_DOUBLE;
    if (scientific && shortest)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Cannot select both scientific and shortest notation");
    if (fill.n > 1 || (fill.n == 1 && strchr(" +-0#", fill.p[0]) == NULL))
        return sl_fail(st, SL_INVALID_ARGUMENT, "Fill argument not supported: \"%.*s\"",
                       SL_STR_ARG(fill));
    if (!real && (scientific || shortest || precision >= 0))
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "scientific and shortest format not supported for datatype %s",
                       sl_dtype_name(n->in_types[0]));
    if (precision > 64 || width > 256)
        return sl_fail(st, SL_FAILED_PRECONDITION, "width or precision is not supported");
    char *at = cfg->format;
    *at++ = '%';
    if (fill.n)
        *at++ = fill.p[0];
    if (width > -1)
        at += sprintf(at, "%d", (int)width);
    if (precision > -1)
        at += sprintf(at, ".%d", (int)precision);
    bool is_unsigned = sl_types_has(SL_T_UNSIGNED, n->in_types[0]);
    snprintf(at, (size_t)(cfg->format + sizeof cfg->format - at), "%s",
             real ? (shortest     ? "g"
                     : scientific ? "e"
                                  : "f")
                  : (is_unsigned ? "llu" : "lld"));
    n->config = cfg;
    n->out_types[0] = SL_DT_STRING;
    return SL_OK;
}

static sl_code as_string_run(sl_op_call *c, sl_status *st)
{
    const as_string_config *cfg = c->node->config;
    const sl_tensor *in = &c->in[0];
    char text[512];
    for (int64_t i = 0, n = count_of(in); i < n; i++) {
        int length;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        switch (in->dtype) {
        case SL_DT_BOOL:
            length =
                snprintf(text, sizeof text, "%s", ((const bool *)in->data)[i] ? "true" : "false");
            break;
        case SL_DT_FLOAT:
            length = snprintf(text, sizeof text, cfg->format, (double)((const float *)in->data)[i]);
            break;
        case SL_DT_DOUBLE:
            length = snprintf(text, sizeof text, cfg->format, ((const double *)in->data)[i]);
            break;
        case SL_DT_UINT32:
            length = snprintf(text, sizeof text, cfg->format,
                              (unsigned long long)((const uint32_t *)in->data)[i]);
            break;
        case SL_DT_UINT64:
            length = snprintf(text, sizeof text, cfg->format,
                              (unsigned long long)((const uint64_t *)in->data)[i]);
            break;
        default:
            length = snprintf(text, sizeof text, cfg->format, (long long)sl_ops_int(in, i));
            break;
        }
#pragma GCC diagnostic pop
        size_t size = (size_t)SL_MIN(SL_MAX(length, 0), (int)sizeof text - 1);
        char *p = sl_arena_try_strndup(c->arena, text, size);
        if (p == NULL)
            return sl_ops_no_memory(st);
        ((sl_str *)c->out[0].data)[i] = (sl_str){p, size};
    }
    return SL_OK;
}

/* ---- StringToNumber ---- */

static sl_code number_configure(sl_op_node *n, sl_status *st)
{
    sl_dtype t = sl_node_type(n->source, "out_type", SL_DT_FLOAT);
    if (!sl_types_has(SL_T(FLOAT) | SL_T(DOUBLE) | SL_T(INT32) | SL_T(INT64), t))
        return sl_ops_unsupported(t, st);
    return string_to(n, t, st);
}

static bool to_number(sl_str s, const sl_tensor *out, int64_t i)
{
    char text[256], *end;
    int64_t v;
    s = stripped(s);
    if (out->dtype == SL_DT_INT32 || out->dtype == SL_DT_INT64) {
        if (s.n && s.p[0] == '+')
            s.p++, s.n--;
        if (!sl_str_to_int64(s, &v) || (out->dtype == SL_DT_INT32 && v != (int32_t)v))
            return false;
        sl_ops_set_int(out, i, v);
        return true;
    }
    if (s.n == 0 || s.n >= sizeof text)
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    if (out->dtype == SL_DT_FLOAT)
        ((float *)out->data)[i] = strtof(text, &end);
    else
        ((double *)out->data)[i] = strtod(text, &end);
    return end == text + s.n;
}

static sl_code number_run(sl_op_call *c, sl_status *st)
{
    for (int64_t i = 0, n = count_of(&c->in[0]); i < n; i++) {
        sl_str s = ((const sl_str *)c->in[0].data)[i];
        if (!to_number(s, &c->out[0], i))
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "StringToNumberOp could not correctly convert string: %.*s",
                           SL_STR_ARG(s));
    }
    return SL_OK;
}

/* ---- DecodeRaw: the length of the first string decides the last dim ---- */

static sl_code raw_configure(sl_op_node *n, sl_status *st)
{
    sl_dtype t = sl_node_type(n->source, "out_type", SL_DT_INVALID);
    if (!sl_types_has(SL_T_NUMBERS | SL_T(BOOL), t))
        return sl_ops_unsupported(t, st);
    bool *swap = sl_ops_config(n, sizeof *swap);
    *swap = !sl_node_bool(n->source, "little_endian", true);
    n->config = swap;
    return string_to(n, t, st);
}

static sl_code raw_run(sl_op_call *c, sl_status *st)
{
    const sl_tensor *in = &c->in[0];
    const sl_str *s = in->data;
    sl_tensor *out = &c->out[0];
    size_t element = sl_dtype_size(out->dtype);
    int64_t n = count_of(in);
    sl_ops_same_shape(out, in);
    size_t size = n ? s[0].n : 0;
    for (int64_t i = 0; i < n; i++)
        if (s[i].n != size)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "DecodeRaw requires input strings to all be the same size, but element "
                           "%lld has size %zu != %zu",
                           (long long)i, size, s[i].n);
    if (size % element != 0)
        return sl_fail(
            st, SL_INVALID_ARGUMENT,
            "Input to DecodeRaw has length %zu that is not a multiple of %zu, the size of "
            "%s",
            size, element, sl_dtype_name(out->dtype));
    sl_code rc = sl_ops_push_dim(out, (int64_t)(size / element), st);
    if (!rc)
        rc = sl_ops_make(c, 0, st);
    if (rc || size == 0)
        return rc;
    unsigned char *to = out->data;
    for (int64_t i = 0; i < n; i++)
        memcpy(to + (size_t)i * size, s[i].p, size);
    if (*(const bool *)c->node->config)
        for (size_t i = 0; i < out->size; i += element)
            for (size_t k = 0; k < element / 2; k++) {
                unsigned char t = to[i + k];
                to[i + k] = to[i + element - 1 - k];
                to[i + element - 1 - k] = t;
            }
    return SL_OK;
}

/* ---- StringSplitV2 ---- */

static sl_code split_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check_all(n, 2, SL_T(STRING), st);
    if (rc || n->n_out != 3)
        return rc ? rc : sl_fail(st, SL_INVALID_ARGUMENT, "StringSplitV2 has %d outputs", n->n_out);
    n->out_types[0] = n->out_types[2] = SL_DT_INT64;
    n->out_types[1] = SL_DT_STRING;
    return SL_OK;
}

/* Takes the next piece of *s; false when there is none. An empty separator: runs of blanks. */
static bool next_piece(sl_str *s, bool *done, sl_str sep, int64_t *left, sl_str *piece)
{
    if (*done)
        return false;
    if (sep.n == 0) {
        while (s->n && is_blank(s->p[0]))
            s->p++, s->n--;
        if (s->n == 0)
            return false;
        size_t k = 0;
        if (*left == 0)
            k = s->n;
        while (k < s->n && !is_blank(s->p[k]))
            k++;
        *piece = (sl_str){s->p, k};
        *s = (sl_str){s->p + k, s->n - k};
        *left -= *left > 0;
        return true;
    }
    const char *at = s->n && *left != 0 ? memmem(s->p, s->n, sep.p, sep.n) : NULL;
    *left -= *left > 0;
    if (at == NULL) {
        *piece = *s;
        *done = true;
        return true;
    }
    *piece = (sl_str){s->p, (size_t)(at - s->p)};
    size_t gone = piece->n + sep.n;
    *s = (sl_str){s->p + gone, s->n - gone};
    return true;
}

static sl_code split_run(sl_op_call *c, sl_status *st)
{
    const sl_tensor *in = &c->in[0];
    const sl_str *s = in->data;
    int64_t total = 0, longest = 0, limit = sl_node_int(c->node->source, "maxsplit", -1);
    sl_shape_buf b;
    if (in->rank != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "input must be a vector, got shape: %s",
                       sl_ops_shape(in, &b));
    if (c->in[1].rank != 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "sep must be a scalar, got shape: %s",
                       sl_ops_shape(&c->in[1], &b));
    sl_str sep = *(const sl_str *)c->in[1].data, piece;
    sl_tensor *out = c->out;
    for (int pass = 0; pass < 2; pass++) {
        int64_t at = 0;
        for (int64_t i = 0; i < in->dims[0]; i++) {
            sl_str rest = s[i];
            bool done = false;
            int64_t k = 0, left = limit < 0 ? -1 : limit;
            for (; next_piece(&rest, &done, sep, &left, &piece); k++, at++)
                if (pass == 1) {
                    ((int64_t *)out[0].data)[2 * at] = i;
                    ((int64_t *)out[0].data)[2 * at + 1] = k;
                    ((sl_str *)out[1].data)[at] = piece;
                }
            longest = SL_MAX(longest, k);
        }
        total = at;
        if (pass == 1)
            break;
        out[0].rank = 2;
        out[0].dims[0] = total;
        out[0].dims[1] = 2;
        out[1].rank = out[2].rank = 1;
        out[1].dims[0] = total;
        out[2].dims[0] = 2;
        for (int k = 0; k < 3; k++) {
            sl_code rc = sl_ops_make(c, k, st);
            if (rc)
                return rc;
        }
    }
    ((int64_t *)out[2].data)[0] = in->dims[0];
    ((int64_t *)out[2].data)[1] = longest;
    return SL_OK;
}

/* ---- StringToHashBucketFast ---- */

#ifdef SLUICE_FARMHASH
static sl_code bucket_configure(sl_op_node *n, sl_status *st)
{
    int64_t *buckets = sl_ops_config(n, sizeof *buckets);
    *buckets = sl_node_int(n->source, "num_buckets", 0);
    if (*buckets < 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "num_buckets must be positive");
    n->config = buckets;
    return string_to(n, SL_DT_INT64, st);
}

static sl_code bucket_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    uint64_t buckets = (uint64_t) * (const int64_t *)c->node->config;
    for (int64_t i = 0, n = count_of(&c->in[0]); i < n; i++) {
        sl_str s = ((const sl_str *)c->in[0].data)[i];
        uint64_t hash = sl_farmhash64(s.n ? s.p : "", s.n);
        ((int64_t *)c->out[0].data)[i] = (int64_t)(hash % buckets);
    }
    return SL_OK;
}
#endif

#define LIKE(name, configure, run)                                \
    {                                                             \
        name, 0, 0, configure, sl_ops_shape_like_first, run, NULL \
    }

const sl_op sl_ops_string[] = {
    LIKE("StringLower", case_configure, case_run),
    LIKE("StringUpper", case_configure, case_run),
    LIKE("StringStrip", strip_configure, strip_run),
    LIKE("StringLength", length_configure, length_run),
    LIKE("AsString", as_string_configure, as_string_run),
    LIKE("StringToNumber", number_configure, number_run),
#ifdef SLUICE_FARMHASH
    LIKE("StringToHashBucketFast", bucket_configure, bucket_run),
#endif
    {"StringJoin", 0, 0, join_configure, join_shape, join_run, NULL},
    {"DecodeRaw", SL_OP_MAKES, 0, raw_configure, NULL, raw_run, NULL},
    {"StringSplitV2", SL_OP_MAKES, 0, split_configure, NULL, split_run, NULL},
    {0},
};
