/*
 * regex.c - RegexReplace, RegexFullMatch, and their forms with a pattern that is an attribute
 *
 * What was built without libre2 does not have them.
 */
#include "engine/native/regex.h"

#include "engine/native/ops/ops.h"

#ifdef SLUICE_RE2

typedef struct regex_config {
    sl_regex *re; /* NULL: the pattern is an input */
    sl_str rewrite;
    bool all, match;
} regex_config;

static sl_code compile(sl_str pattern, sl_regex **out, sl_status *st)
{
    char why[400];
    *out = sl_regex_new(pattern, why, sizeof why);
    if (*out != NULL)
        return SL_OK;
    return why[0] ? sl_fail(st, SL_INVALID_ARGUMENT, "Invalid pattern: %.*s, error: %s",
                            SL_STR_ARG(pattern), why)
                  : sl_ops_no_memory(st);
}

static sl_code regex_configure(sl_op_node *n, sl_status *st)
{
    bool fixed = strncmp(n->op->name, "Static", 6) == 0;
    bool match = strstr(n->op->name, "FullMatch") != NULL;
    sl_code rc = sl_ops_check_all(n, fixed ? 1 : match ? 2 : 3, SL_T(STRING), st);
    if (rc)
        return rc;
    regex_config *cfg = sl_ops_config(n, sizeof *cfg);
    cfg->match = match;
    cfg->all = sl_node_bool(n->source, "replace_global", true);
    n->config = cfg;
    n->out_types[0] = match ? SL_DT_BOOL : SL_DT_STRING;
    if (!fixed)
        return SL_OK;
    if (!sl_ops_keep_text(n, "rewrite", &cfg->rewrite))
        return sl_ops_no_memory(st);
    rc = compile(sl_node_str(n->source, "pattern", ""), &cfg->re, st);
    if (rc == SL_OK)
        sl_arena_on_reset(n->arena, (void (*)(void *))sl_regex_free, cfg->re);
    return rc;
}

static sl_code regex_shape(sl_op_call *c, sl_status *st)
{
    static const char *const names[] = {"", "Pattern", "Rewrite"};
    sl_shape_buf b;
    for (int i = 1; i < SL_MIN(c->node->n_in, 3); i++)
        if (c->in[i].rank != 0)
            return sl_fail(st, SL_INVALID_ARGUMENT, "%s must be scalar, but received %s", names[i],
                           sl_ops_shape(&c->in[i], &b));
    sl_ops_same_shape(&c->out[0], &c->in[0]);
    return SL_OK;
}

typedef struct result {
    sl_arena *arena;
    sl_str *to;
} result;

static bool take(void *arg, sl_str s)
{
    result *r = arg;
    char *p = sl_arena_try_strndup(r->arena, s.p, s.n);
    *r->to = (sl_str){p, s.n};
    return p != NULL;
}

static sl_code run_all(sl_op_call *c, const sl_regex *re, sl_str rewrite, sl_status *st)
{
    const regex_config *cfg = c->node->config;
    const sl_str *in = c->in[0].data;
    for (int64_t i = 0, n = sl_tensor_count(&c->in[0]); i < n; i++) {
        if (cfg->match) {
            ((bool *)c->out[0].data)[i] = sl_regex_matches(re, in[i]);
            continue;
        }
        result r = {c->arena, (sl_str *)c->out[0].data + i};
        if (!sl_regex_replace(re, in[i], rewrite, cfg->all, take, &r))
            return sl_ops_no_memory(st);
    }
    return SL_OK;
}

static sl_code regex_run(sl_op_call *c, sl_status *st)
{
    const regex_config *cfg = c->node->config;
    if (cfg->re != NULL)
        return run_all(c, cfg->re, cfg->rewrite, st);
    sl_regex *re;
    sl_code rc = compile(*(const sl_str *)c->in[1].data, &re, st);
    if (rc)
        return rc;
    rc = run_all(c, re, cfg->match ? (sl_str){"", 0} : *(const sl_str *)c->in[2].data, st);
    sl_regex_free(re);
    return rc;
}

static int64_t regex_cost(const sl_op_call *c)
{
    return 20000 + 1000 * sl_tensor_count(&c->in[0]);
}
#endif

const sl_op sl_ops_regex[] = {
#ifdef SLUICE_RE2
    {"RegexReplace", 0, 0, regex_configure, regex_shape, regex_run, regex_cost},
    {"RegexFullMatch", 0, 0, regex_configure, regex_shape, regex_run, regex_cost},
    {"StaticRegexReplace", 0, 0, regex_configure, regex_shape, regex_run, regex_cost},
    {"StaticRegexFullMatch", 0, 0, regex_configure, regex_shape, regex_run, regex_cost},
#endif
    {0},
};
