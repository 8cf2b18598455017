/*
 * unicode.c - UnicodeDecode, UnicodeDecodeWithOffsets and UnicodeEncode, for UTF-8
 */
#include "engine/native/ops/ops.h"
#include "format/utf8.h"

/* What becomes of bytes and numbers that are no characters. */
typedef struct unicode_config {
    bool strict, ignore, control;
    int32_t replacement;
} unicode_config;

static sl_code read_config(sl_op_node *n, const char *encoding, sl_status *st)
{
    sl_str name = sl_node_str(n->source, encoding, "");
    sl_str errors = sl_node_str(n->source, "errors", "replace");
    int64_t replacement = sl_node_int(n->source, "replacement_char", 0xfffd);
    if (!sl_str_eq_nocase(name, SL_STR("UTF-8")))
        return sl_fail(st, SL_FAILED_PRECONDITION, "%s \"%.*s\" is not supported", encoding,
                       SL_STR_ARG(name));
    unicode_config *cfg = sl_ops_config(n, sizeof *cfg);
    cfg->strict = sl_str_is(errors, "strict");
    cfg->ignore = sl_str_is(errors, "ignore");
    if (!cfg->strict && !cfg->ignore && !sl_str_is(errors, "replace"))
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "errors policy must be one of: 'strict', 'replace', or 'ignore'");
    if (replacement < 0 || replacement > 0x10ffff)
        return sl_fail(st, SL_INVALID_ARGUMENT, "replacement_char out of unicode codepoint range");
    cfg->replacement = (int32_t)replacement;
    cfg->control = sl_node_bool(n->source, "replace_control_characters", false);
    n->config = cfg;
    return SL_OK;
}

/* ---- UnicodeDecode ---- */

static sl_code decode_configure(sl_op_node *n, sl_status *st)
{
    bool offsets = strcmp(n->op->name, "UnicodeDecodeWithOffsets") == 0;
    sl_dtype splits = sl_node_type(n->source, "Tsplits", SL_DT_INT64);
    sl_code rc = sl_ops_check(n, 1, SL_T(STRING), st);
    if (!rc && n->n_out != (offsets ? 3 : 2))
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "%s has %d outputs", n->op->name, n->n_out);
    if (!rc && !sl_types_has(SL_T_INDEX, splits))
        rc = sl_ops_unsupported(splits, st);
    if (!rc)
        rc = read_config(n, "input_encoding", st);
    if (rc)
        return rc;
    n->out_types[0] = splits;
    n->out_types[1] = SL_DT_INT32;
    if (offsets)
        n->out_types[2] = SL_DT_INT64;
    return SL_OK;
}

/* The characters of s: stored from element *count on, or only counted where there is no memory yet. */
static sl_code decode_one(const sl_op_call *c, sl_str s, int64_t *count, sl_status *st)
{
    const unicode_config *cfg = c->node->config;
    int32_t *values = c->out[1].data, v;
    int64_t *starts = c->node->n_out == 3 ? c->out[2].data : NULL, start = 0;
    while (s.n) {
        size_t taken = sl_utf8_take(s, &v);
        int64_t at = start;
        s = (sl_str){s.p + taken, s.n - taken};
        start += (int64_t)taken;
        if (v < 0 && cfg->strict)
            return sl_fail(st, SL_INVALID_ARGUMENT, "Invalid formatting on input string");
        if (v < 0 || (cfg->control && v < 0x20)) {
            if (cfg->ignore)
                continue;
            v = cfg->replacement;
        }
        if (values != NULL)
            values[*count] = v;
        if (starts != NULL)
            starts[*count] = at;
        ++*count;
    }
    return SL_OK;
}

static sl_code decode_run(sl_op_call *c, sl_status *st)
{
    const sl_str *in = c->in[0].data;
    int64_t n = sl_tensor_count(&c->in[0]), count = 0;
    for (int k = 0; k < c->node->n_out; k++) {
        c->out[k].rank = 1;
        c->out[k].data = NULL;
    }
    c->out[0].dims[0] = n + 1;
    sl_code rc = sl_ops_make(c, 0, st);
    for (int64_t i = 0; i < n && !rc; i++) {
        sl_ops_set_int(&c->out[0], i, count);
        rc = decode_one(c, in[i], &count, st);
    }
    if (rc)
        return rc;
    sl_ops_set_int(&c->out[0], n, count);
    for (int k = 1; k < c->node->n_out && !rc; k++) {
        c->out[k].dims[0] = count;
        rc = sl_ops_make(c, k, st);
    }
    count = 0;
    for (int64_t i = 0; i < n && !rc; i++)
        rc = decode_one(c, in[i], &count, st);
    return rc;
}

/* ---- UnicodeEncode (characters, where each string begins) ---- */

static sl_code encode_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 2, SL_T(INT32), st);
    if (!rc)
        rc = sl_ops_check_input(n, 1, SL_T_INDEX, st);
    if (!rc)
        rc = read_config(n, "output_encoding", st);
    if (!rc)
        n->out_types[0] = SL_DT_STRING;
    return rc;
}

static sl_code encode_shape(sl_op_call *c, sl_status *st)
{
    const sl_tensor *splits = &c->in[1];
    sl_shape_buf b;
    if (splits->rank != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "input_splits must be a vector, got shape: %s",
                       sl_ops_shape(splits, &b));
    if (splits->dims[0] < 1)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Input_splits should contain elements, but given input_values has 0 "
                       "elements");
    c->out[0].rank = 1;
    c->out[0].dims[0] = splits->dims[0] - 1;
    return SL_OK;
}

static bool is_character(int32_t c)
{
    return c >= 0 && c <= 0x10ffff && !(c >= 0xd800 && c <= 0xdfff);
}

static sl_code encode_one(sl_op_call *c, const int32_t *values, int64_t n, sl_str *out,
                          sl_status *st)
{
    const unicode_config *cfg = c->node->config;
    char *p = NULL, bytes[4];
    size_t size = 0;
    for (int pass = 0; pass < 2; pass++) {
        size = 0;
        for (int64_t i = 0; i < n; i++) {
            int32_t v = values[i];
            if (!is_character(v) && cfg->strict)
                return sl_fail(st, SL_INVALID_ARGUMENT,
                               "Code point is out of range for Unicode, or is a surrogate.");
            if (!is_character(v) && !cfg->ignore)
                v = cfg->replacement;
            if (is_character(v))
                size += sl_utf8_put(v, p ? p + size : bytes);
        }
        if (pass == 0 && (p = sl_arena_try_alloc(c->arena, size + 1)) == NULL)
            return sl_ops_no_memory(st);
    }
    *out = (sl_str){p, size};
    return SL_OK;
}

static sl_code encode_run(sl_op_call *c, sl_status *st)
{
    const sl_tensor *splits = &c->in[1];
    int64_t n = sl_tensor_count(&c->in[0]), last = splits->dims[0] - 1;
    if (sl_ops_int(splits, 0) != 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "First value in input_splits must be zero.");
    if (sl_ops_int(splits, last) != n)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Last value in input_splits must be equal to length of input_tensor.");
    sl_code rc = SL_OK;
    for (int64_t i = 1; i <= last && !rc; i++) {
        int64_t from = sl_ops_int(splits, i - 1), to = sl_ops_int(splits, i);
        if (from > to)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "Values in input_splits must be equal or in ascending order.");
        if (to > n)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "Values in input_splits must be less than or equal to input_tensor "
                           "length.");
        if (from == to)
            ((sl_str *)c->out[0].data)[i - 1] = (sl_str){"", 0};
        else
            rc = encode_one(c, (const int32_t *)c->in[0].data + from, to - from,
                            (sl_str *)c->out[0].data + i - 1, st);
    }
    return rc;
}

const sl_op sl_ops_unicode[] = {
    {"UnicodeDecode", SL_OP_MAKES, 0, decode_configure, NULL, decode_run, NULL},
    {"UnicodeDecodeWithOffsets", SL_OP_MAKES, 0, decode_configure, NULL, decode_run, NULL},
    {"UnicodeEncode", 0, 0, encode_configure, encode_shape, encode_run, NULL},
    {0},
};
