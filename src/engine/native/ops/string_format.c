/*
 * string_format.c - StringFormat: a text with tensors printed where its placeholders stand
 */
#include "engine/native/ops/ops.h"

typedef struct format_config {
    sl_str text, placeholder;
    int64_t summarize; /* elements at either end of a dimension; negative: all */
} format_config;

/* The piece of *text before its next placeholder; *text goes behind that. False: the last one. */
static bool take_piece(sl_str *text, sl_str placeholder, sl_str *piece)
{
    const char *at = text->n ? memmem(text->p, text->n, placeholder.p, placeholder.n) : NULL;
    *piece = *text;
    if (at == NULL)
        return false;
    piece->n = (size_t)(at - text->p);
    text->p = at + placeholder.n;
    text->n -= piece->n + placeholder.n;
    return true;
}

static bool keep(sl_op_node *n, const char *name, sl_str *out)
{
    sl_str s = sl_node_str(n->source, name, "%s");
    char *copy = sl_arena_try_strndup(n->arena, s.n ? s.p : "", s.n);
    *out = (sl_str){copy, s.n};
    return copy != NULL;
}

static sl_code format_configure(sl_op_node *n, sl_status *st)
{
    format_config *cfg = sl_ops_config(n, sizeof *cfg);
    sl_types types = SL_T_NUMBERS | SL_T(BOOL) | SL_T(STRING);
    sl_code rc = sl_ops_check(n, n->n_in, types, st);
    for (int i = 1; i < n->n_in && !rc; i++)
        rc = sl_ops_check_input(n, i, types, st);
    if (rc)
        return rc;
    if (!keep(n, "template", &cfg->text) || !keep(n, "placeholder", &cfg->placeholder))
        return sl_ops_no_memory(st);
    if (cfg->placeholder.n == 0)
        return sl_fail(st, SL_FAILED_PRECONDITION, "an empty placeholder is not supported");
    if (cfg->text.n && memchr(cfg->text.p, '\0', cfg->text.n) != NULL)
        return sl_fail(st, SL_FAILED_PRECONDITION, "a template with zero bytes is not supported");
    cfg->summarize = sl_node_int(n->source, "summarize", 3);
    sl_str rest = cfg->text, piece;
    int64_t holes = 0;
    while (take_piece(&rest, cfg->placeholder, &piece))
        holes++;
    if (holes != n->n_in)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "num placeholders in template and num inputs must match: %lld vs. %d",
                       (long long)holes, n->n_in);
    n->config = cfg;
    n->out_types[0] = SL_DT_STRING;
    return SL_OK;
}

static void put_one(sl_text *t, const sl_tensor *v, int64_t i)
{
    const char *quote = v->dtype == SL_DT_STRING ? "\"" : "";
    sl_text_puts(t, quote);
    sl_ops_put_element(t, v, i);
    sl_text_puts(t, quote);
}

/* Between two elements of dimension d: a blank, or for rows as many line ends as they have
 * dimensions. */
static void put_space(sl_text *t, int d, int rank)
{
    for (int k = 0; k < rank - d - 1; k++)
        sl_text_putc(t, '\n');
    for (int k = 0; k <= (d == rank - 1 ? 0 : d); k++)
        sl_text_putc(t, ' ');
}

/* As the second form of TensorFlow's Tensor::SummarizeValue: of each dimension the first and the
 * last elements, "..." for those between. */
static void put_summary(sl_text *t, const sl_tensor *v, int64_t ends)
{
    int64_t count = sl_tensor_count(v), at[SL_MAX_RANK], strides[SL_MAX_RANK];
    int d = 0;
    if (ends < 0 || ends > count)
        ends = count;
    if (v->rank == 0) {
        if (ends > 0)
            put_one(t, v, 0);
        else
            sl_text_puts(t, "...");
        return;
    }
    sl_ops_strides(v->dims, v->rank, strides);
    sl_text_putc(t, '[');
    at[0] = -1;
    while (d >= 0 && !t->failed) {
        int64_t n = v->dims[d], next = at[d] + 1;
        if (next == ends && n - ends > ends) {
            put_space(t, d, v->rank);
            sl_text_puts(t, "...");
            next = n - ends;
        }
        if (next >= n) {
            sl_text_putc(t, ']');
            d--;
            continue;
        }
        at[d] = next;
        if (next > 0)
            put_space(t, d, v->rank);
        if (d < v->rank - 1) {
            sl_text_putc(t, '[');
            at[++d] = -1;
            continue;
        }
        int64_t i = 0;
        for (int k = 0; k < v->rank; k++)
            i += at[k] * strides[k];
        put_one(t, v, i);
    }
}

static sl_code format_run(sl_op_call *c, sl_status *st)
{
    const format_config *cfg = c->node->config;
    sl_text t = {NULL, 0, 0, false};
    sl_str rest = cfg->text, piece;
    for (int i = 0; take_piece(&rest, cfg->placeholder, &piece); i++) {
        sl_text_add(&t, piece.p, piece.n);
        put_summary(&t, &c->in[i], cfg->summarize);
    }
    sl_text_add(&t, piece.p, piece.n);
    char *p = t.failed ? NULL : sl_arena_try_strndup(c->arena, t.n ? t.p : "", t.n);
    *(sl_str *)c->out[0].data = (sl_str){p, t.n};
    sl_text_fini(&t);
    return p != NULL ? SL_OK : sl_ops_no_memory(st);
}

const sl_op sl_ops_string_format[] = {
    {"StringFormat", 0, 0, format_configure, sl_ops_shape_scalar, format_run, NULL},
    {0},
};
