/*
 * string_split.c - StringSplit of TensorFlow 1, and StringNGrams
 */
#include "engine/native/ops/ops.h"

/* ---- StringSplit (texts, separators): each byte of it is one; none: every byte is a piece ---- */

static sl_code split_v1_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check_all(n, 2, SL_T(STRING), st);
    if (!rc && n->n_out != 3)
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "StringSplit has %d outputs", n->n_out);
    if (rc)
        return rc;
    n->out_types[0] = n->out_types[2] = SL_DT_INT64;
    n->out_types[1] = SL_DT_STRING;
    return SL_OK;
}

/* The piece at the front of *s, which goes behind it; false when there is none. */
static bool take_piece(sl_str *s, bool *done, sl_str by, sl_str *piece)
{
    size_t n = 0;
    if (*done || (by.n == 0 && s->n == 0))
        return false;
    if (by.n == 0) {
        *piece = (sl_str){s->p, 1};
        *s = (sl_str){s->p + 1, s->n - 1};
        return true;
    }
    while (n < s->n && memchr(by.p, s->p[n], by.n) == NULL)
        n++;
    *piece = (sl_str){s->p, n};
    *done = n == s->n;
    if (!*done)
        *s = (sl_str){s->p + n + 1, s->n - n - 1};
    return true;
}

static sl_code split_v1_run(sl_op_call *c, sl_status *st)
{
    const sl_tensor *in = &c->in[0];
    bool skip = sl_node_bool(c->node->source, "skip_empty", true);
    int64_t longest = 0;
    sl_shape_buf b;
    if (in->rank != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "input must be a vector, got shape: %s",
                       sl_ops_shape(in, &b));
    if (c->in[1].rank != 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "delimiter must be a scalar, got shape: %s",
                       sl_ops_shape(&c->in[1], &b));
    sl_str by = *(const sl_str *)c->in[1].data, piece;
    for (int pass = 0; pass < 2; pass++) {
        int64_t at = 0;
        for (int64_t i = 0; i < in->dims[0]; i++) {
            sl_str rest = ((const sl_str *)in->data)[i];
            bool done = rest.n == 0;
            int64_t k = 0;
            while (take_piece(&rest, &done, by, &piece)) {
                if (skip && piece.n == 0)
                    continue;
                if (pass == 1) {
                    ((int64_t *)c->out[0].data)[2 * at] = i;
                    ((int64_t *)c->out[0].data)[2 * at + 1] = k;
                    ((sl_str *)c->out[1].data)[at] = piece;
                }
                k++, at++;
            }
            longest = SL_MAX(longest, k);
        }
        if (pass == 1)
            break;
        c->out[0].rank = 2;
        c->out[0].dims[0] = c->out[1].dims[0] = at;
        c->out[0].dims[1] = c->out[2].dims[0] = 2;
        c->out[1].rank = c->out[2].rank = 1;
        for (int k = 0; k < 3; k++) {
            sl_code rc = sl_ops_make(c, k, st);
            if (rc)
                return rc;
        }
    }
    ((int64_t *)c->out[2].data)[0] = in->dims[0];
    ((int64_t *)c->out[2].data)[1] = longest;
    return SL_OK;
}

/* ---- StringNGrams (words, where each row begins) ---- */

enum { MOST_WIDTHS = 32 };

typedef struct ngram_config {
    int64_t widths[MOST_WIDTHS];
    int n_widths;
    int64_t pad; /* -1: as wide as may be */
    bool keep_short;
    sl_str separator, left, right;
} ngram_config;

static sl_code ngram_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 2, SL_T(STRING), st);
    if (!rc)
        rc = sl_ops_check_input(n, 1, SL_T_INDEX, st);
    if (!rc && n->n_out != 2)
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "StringNGrams has %d outputs", n->n_out);
    if (rc)
        return rc;
    ngram_config *cfg = sl_ops_config(n, sizeof *cfg);
    cfg->n_widths = sl_node_list_count(n->source, "ngram_widths");
    if (cfg->n_widths < 0 || cfg->n_widths > MOST_WIDTHS)
        return sl_fail(st, SL_FAILED_PRECONDITION, "%d ngram_widths are not supported",
                       cfg->n_widths);
    for (int i = 0; i < cfg->n_widths; i++) {
        cfg->widths[i] = sl_node_list_int(n->source, "ngram_widths", i);
        if (cfg->widths[i] < 1 || cfg->widths[i] > 1 << 20)
            return sl_fail(st, SL_INVALID_ARGUMENT, "ngram_widths must be positive");
    }
    cfg->pad = sl_node_int(n->source, "pad_width", 0);
    cfg->keep_short = sl_node_bool(n->source, "preserve_short_sequences", false);
    if (cfg->pad > 1 << 20)
        return sl_fail(st, SL_FAILED_PRECONDITION, "a pad_width so large is not supported");
    n->config = cfg;
    n->out_types[0] = SL_DT_STRING;
    n->out_types[1] = n->in_types[1];
    return sl_ops_keep_text(n, "separator", &cfg->separator) &&
                   sl_ops_keep_text(n, "left_pad", &cfg->left) &&
                   sl_ops_keep_text(n, "right_pad", &cfg->right)
               ? SL_OK
               : sl_ops_no_memory(st);
}

static int64_t pad_of(const ngram_config *cfg, int64_t width)
{
    return SL_MIN(cfg->pad < 0 ? width - 1 : cfg->pad, width - 1);
}

/* How many ngrams of the width a row of `length` words has. */
static int64_t ngrams_of(const ngram_config *cfg, int64_t length, int64_t width)
{
    return SL_MAX(length + 2 * pad_of(cfg, width) - width + 1, 0);
}

static int64_t ngrams_of_row(const ngram_config *cfg, int64_t length)
{
    int64_t n = 0;
    for (int i = 0; i < cfg->n_widths; i++)
        n += ngrams_of(cfg, length, cfg->widths[i]);
    return n == 0 && cfg->keep_short && length > 0 ? 1 : n;
}

static sl_code check_splits(const sl_tensor *splits, int64_t words, sl_status *st)
{
    if (splits->rank != 1 || splits->dims[0] < 1)
        return words == 0 && splits->rank == 1
                   ? SL_OK
                   : sl_fail(st, SL_INVALID_ARGUMENT, "Invalid splits: they must be a vector");
    int64_t n = splits->dims[0], before = 0;
    if (sl_ops_int(splits, 0) != 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "First split value must be 0, got %lld",
                       (long long)sl_ops_int(splits, 0));
    for (int64_t i = 1; i < n; i++) {
        int64_t s = sl_ops_int(splits, i);
        if (s < before || s > words)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "Invalid split value %lld, must be in [%lld, %lld]", (long long)s,
                           (long long)before, (long long)words);
        before = s;
    }
    if (before != words)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Last split value must be data size. Expected %lld, got %lld",
                       (long long)words, (long long)before);
    return SL_OK;
}

typedef struct joiner {
    char *p; /* NULL: only measures */
    size_t n;
    sl_str separator;
    bool first;
} joiner;

static void join(joiner *j, sl_str s)
{
    sl_str parts[] = {j->first ? (sl_str){"", 0} : j->separator, s};
    for (int i = 0; i < 2; i++) {
        if (j->p != NULL && parts[i].n)
            memcpy(j->p + j->n, parts[i].p, parts[i].n);
        j->n += parts[i].n;
    }
    j->first = false;
}

/* `left` pads, the words, `right` pads. */
static sl_code join_ngram(sl_op_call *c, int64_t left, const sl_str *words, int64_t n,
                          int64_t right, sl_str *out, sl_status *st)
{
    const ngram_config *cfg = c->node->config;
    joiner j = {.separator = cfg->separator};
    for (int pass = 0; pass < 2; pass++) {
        j.n = 0;
        j.first = true;
        for (int64_t i = 0; i < left; i++)
            join(&j, cfg->left);
        for (int64_t i = 0; i < n; i++)
            join(&j, words[i]);
        for (int64_t i = 0; i < right; i++)
            join(&j, cfg->right);
        if (pass == 0 && (j.p = sl_arena_try_alloc(c->arena, j.n)) == NULL)
            return sl_ops_no_memory(st);
    }
    *out = (sl_str){j.p, j.n};
    return SL_OK;
}

static sl_code ngrams_of_width(sl_op_call *c, const sl_str *words, int64_t length, int64_t width,
                               sl_str **to, sl_status *st)
{
    int64_t pad = pad_of(c->node->config, width), n = ngrams_of(c->node->config, length, width);
    sl_code rc = SL_OK;
    for (int64_t i = 0; i < n && !rc; i++) {
        int64_t left = SL_MAX(pad - i, 0), right = SL_MAX(pad - (n - (i + 1)), 0);
        rc = join_ngram(c, left, words + (left > 0 ? 0 : i - pad), SL_MAX(width - left - right, 0),
                        right, (*to)++, st);
    }
    return rc;
}

static sl_code ngram_run(sl_op_call *c, sl_status *st)
{
    const ngram_config *cfg = c->node->config;
    const sl_str *words = c->in[0].data;
    const sl_tensor *splits = &c->in[1];
    sl_shape_buf b;
    if (c->in[0].rank != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "data must be a vector, got shape: %s",
                       sl_ops_shape(&c->in[0], &b));
    sl_code rc = check_splits(splits, c->in[0].dims[0], st);
    if (rc)
        return rc;
    int64_t rows = SL_MAX(splits->dims[0] - 1, 0), total = 0;
    c->out[1].rank = 1;
    c->out[1].dims[0] = splits->dims[0];
    rc = sl_ops_make(c, 1, st);
    if (!rc && splits->dims[0])
        sl_ops_set_int(&c->out[1], 0, 0);
    for (int64_t r = 0; r < rows && !rc; r++) {
        total += ngrams_of_row(cfg, sl_ops_int(splits, r + 1) - sl_ops_int(splits, r));
        sl_ops_set_int(&c->out[1], r + 1, total);
    }
    c->out[0].rank = 1;
    c->out[0].dims[0] = total;
    if (!rc)
        rc = sl_ops_make(c, 0, st);
    sl_str *to = c->out[0].data;
    for (int64_t r = 0; r < rows && !rc; r++) {
        const sl_str *row = words + sl_ops_int(splits, r), *before = to;
        int64_t length = sl_ops_int(splits, r + 1) - sl_ops_int(splits, r);
        for (int i = 0; i < cfg->n_widths && !rc; i++)
            rc = ngrams_of_width(c, row, length, cfg->widths[i], &to, st);
        int64_t pad = SL_MAX(cfg->pad, 0);
        if (!rc && to == before && cfg->keep_short && length > 0)
            rc = join_ngram(c, pad, row, length, pad, to++, st);
    }
    return rc;
}

const sl_op sl_ops_string_split[] = {
    {"StringSplit", SL_OP_MAKES, 0, split_v1_configure, NULL, split_v1_run, NULL},
    {"StringNGrams", SL_OP_MAKES, 0, ngram_configure, NULL, ngram_run, NULL},
    {0},
};
