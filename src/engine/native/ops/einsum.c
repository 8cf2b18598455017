/*
 * einsum.c - Einsum of one or two operands
 *
 * The labels of two operands fall into batch (in both and in the result), contracted (in both, not
 * in the result) and free (in one and in the result). With the first operand as [batch, free,
 * contracted] and the second as [batch, contracted, free] it is a batch of matrix products, whose
 * result lies as [batch, free, free]. Operands are copied into that order only where no strides can
 * express it.
 *
 * An ellipsis stands for as many dimensions as an operand has beyond its labels. Each of them gets a label
 * when the shapes are known, a digit, counted from the right. Where such a dimension has one element and
 * is repeated, its operand goes without the label: a dimension of one does not change how memory lies.
 */
#include "engine/native/kernels/copy.h"
#include "engine/native/ops/matmul.h"
#include "engine/native/ops/ops.h"

typedef struct labels {
    int n;
    char at[SL_MAX_RANK];
} labels;

typedef struct einsum_config {
    int n_in;
    bool ellipsis;                /* in and out have one, and no groups are made yet */
    labels in[2], out;            /* an ellipsis is a '.' */
    labels batch, free[2], inner; /* inner: contracted; of one operand: summed over */
} einsum_config;

static bool has(const labels *l, char c)
{
    return memchr(l->at, c, (size_t)l->n) != NULL;
}

static void add(labels *l, char c)
{
    l->at[l->n++] = c;
}

static sl_code read_labels(sl_str *s, labels *l, sl_status *st)
{
    for (l->n = 0; s->n > 0; s->p++, s->n--) {
        char c = *s->p;
        if (c == ' ')
            continue;
        if (c == ',' || c == '-')
            return SL_OK;
        if (c == '.') {
            if (s->n < 3 || s->p[1] != '.' || s->p[2] != '.')
                return sl_fail(st, SL_INVALID_ARGUMENT, "an ellipsis has three points");
            s->p += 2;
            s->n -= 2;
        } else if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))) {
            return sl_fail(st, SL_INVALID_ARGUMENT, "Unknown character in the equation: '%c'", c);
        }
        if (has(l, c))
            return sl_fail(st, SL_FAILED_PRECONDITION,
                           "a repeated label in one operand is not supported");
        if (l->n == SL_MAX_RANK)
            return sl_fail(st, SL_FAILED_PRECONDITION, "an operand has too many labels");
        add(l, c);
    }
    return SL_OK;
}

static sl_code read_equation(sl_str s, einsum_config *cfg, sl_status *st)
{
    sl_code rc = SL_OK;
    for (int i = 0; i < cfg->n_in && !rc; i++) {
        rc = read_labels(&s, &cfg->in[i], st);
        if (!rc && i + 1 < cfg->n_in) {
            if (s.n == 0 || *s.p != ',')
                return sl_fail(st, SL_INVALID_ARGUMENT, "the equation has too few operands");
            s.p++;
            s.n--;
        }
    }
    if (rc)
        return rc;
    if (s.n < 2 || s.p[0] != '-' || s.p[1] != '>')
        return sl_fail(st, SL_INVALID_ARGUMENT, "the equation has no \"->\" behind its operands");
    s.p += 2;
    s.n -= 2;
    rc = read_labels(&s, &cfg->out, st);
    return rc || s.n == 0 ? rc : sl_fail(st, SL_INVALID_ARGUMENT, "the equation does not end");
}

/* Sorts the labels into their groups, each in the order of the operand where it comes first. */
static sl_code group_labels(einsum_config *cfg, sl_status *st)
{
    for (int i = 0; i < cfg->n_in; i++)
        for (int k = 0; k < cfg->in[i].n; k++) {
            char c = cfg->in[i].at[k];
            bool other = cfg->n_in == 2 && has(&cfg->in[1 - i], c), out = has(&cfg->out, c);
            if (other && i == 1)
                continue;
            if (other)
                add(out ? &cfg->batch : &cfg->inner, c);
            else if (out)
                add(&cfg->free[i], c);
            else if (cfg->n_in == 1)
                add(&cfg->inner, c);
            else
                return sl_fail(st, SL_FAILED_PRECONDITION,
                               "a sum over a label of one operand only is not supported");
        }
    for (int k = 0; k < cfg->out.n; k++)
        if (!has(&cfg->in[0], cfg->out.at[k]) &&
            !(cfg->n_in == 2 && has(&cfg->in[1], cfg->out.at[k])))
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "label '%c' of the result is not in the operands", cfg->out.at[k]);
    return SL_OK;
}

static void drop_ellipses(einsum_config *cfg)
{
    labels *all[] = {&cfg->in[0], &cfg->in[1], &cfg->out};
    for (int i = 0; i < 3; i++) {
        labels *l = all[i];
        char *at = memchr(l->at, '.', (size_t)l->n);
        if (at == NULL)
            continue;
        memmove(at, at + 1, (size_t)(l->at + l->n - at - 1));
        l->n--;
    }
}

static sl_code einsum_configure(sl_op_node *n, sl_status *st)
{
    if (n->n_in < 1 || n->n_in > 2)
        return sl_fail(st, SL_FAILED_PRECONDITION, "%d operands are not supported", n->n_in);
    sl_types types = n->n_in == 2 ? SL_T_FLOATS | SL_T(INT32) | SL_T(INT64) : SL_T_PLAIN;
    sl_code rc = sl_ops_check_all(n, n->n_in, types, st);
    if (rc)
        return rc;
    einsum_config *cfg = sl_ops_config(n, sizeof *cfg);
    cfg->n_in = n->n_in;
    rc = read_equation(sl_node_str(n->source, "equation", ""), cfg, st);
    cfg->ellipsis = has(&cfg->in[0], '.') || has(&cfg->in[1], '.') || has(&cfg->out, '.');
    if (!rc) { /* with an ellipsis this only says whether it can be done */
        einsum_config groups = *cfg;
        if (cfg->ellipsis)
            drop_ellipses(&groups);
        rc = group_labels(&groups, st);
        if (!rc && n->n_in == 1 && groups.inner.n > 0)
            rc = sl_fail(st, SL_FAILED_PRECONDITION, "a sum over one operand is not supported");
        if (!cfg->ellipsis)
            *cfg = groups;
    }
    n->config = cfg;
    n->out_types[0] = n->in_types[0];
    return rc;
}

/* ---- geometry ---- */

typedef struct extents {
    int64_t of[128]; /* by label */
} extents;

/* One named dimension of operand i. */
static sl_code note_extent(const sl_op_call *c, int i, int axis, char label, extents *e,
                           sl_status *st)
{
    sl_shape_buf b;
    int64_t *at = &e->of[(int)label];
    if (*at >= 0 && *at != c->in[i].dims[axis])
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Expected dimension %lld at axis %d of the input shaped %s but got "
                       "dimension %lld",
                       (long long)*at, axis, sl_ops_shape(&c->in[i], &b),
                       (long long)c->in[i].dims[axis]);
    *at = c->in[i].dims[axis];
    return SL_OK;
}

static sl_code find_extents(const sl_op_call *c, const einsum_config *cfg, extents *e,
                            sl_status *st)
{
    sl_code rc = SL_OK;
    memset(e, 0xff, sizeof *e);
    for (int i = 0; i < cfg->n_in; i++) {
        if (c->in[i].rank != cfg->in[i].n)
            return sl_fail(st, SL_INVALID_ARGUMENT, "Expected input %d to have rank %d but got: %d",
                           i, cfg->in[i].n, c->in[i].rank);
        for (int k = 0; k < cfg->in[i].n && !rc; k++)
            rc = note_extent(c, i, k, cfg->in[i].at[k], e, st);
        if (rc)
            return rc;
    }
    return SL_OK;
}

/* ---- an ellipsis, now that the ranks are known ---- */

/* Writes digits for the ellipsis of `from`: n of them, so that the last one is '0'. */
static sl_code expand(const labels *from, int n, labels *to, sl_status *st)
{
    to->n = 0;
    for (int k = 0; k < from->n; k++) {
        int count = from->at[k] == '.' ? n : 1;
        if (to->n + count > SL_MAX_RANK)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "a result of rank %d is not supported: at most %d", to->n + count,
                           SL_MAX_RANK);
        for (int d = count - 1; d >= 0; d--)
            add(to, from->at[k] == '.' ? (char)('0' + d) : from->at[k]);
    }
    return SL_OK;
}

/* The shape of operand i as TensorFlow multiplies it: what is broadcast, batch, free and contracted. */
static void product_shape(const sl_op_call *c, const labels in[2], const labels *out, int i,
                          sl_tensor *t)
{
    uint64_t free = 1, inner = 1; /* they wrap only where an operand is empty */
    bool free_last = true;
    *t = (sl_tensor){.rank = 0};
    for (int pass = 0; pass < 2; pass++)
        for (int k = 0; k < in[i].n; k++) {
            char label = in[i].at[k];
            bool digit = label <= '9', other = has(&in[1 - i], label);
            if (digit == (pass == 0) && (digit || (other && has(out, label))) &&
                t->rank < SL_MAX_RANK)
                t->dims[t->rank++] = c->in[i].dims[k];
            else if (pass == 1 && !digit && other) {
                inner *= (uint64_t)c->in[i].dims[k];
                free_last = false;
            } else if (pass == 1 && !digit) {
                free *= (uint64_t)c->in[i].dims[k];
                free_last = true;
            }
        }
    for (int k = 0; k < 2 && t->rank < SL_MAX_RANK; k++)
        t->dims[t->rank++] = (int64_t)((k == 1) == free_last ? free : inner);
}

static sl_code bad_broadcast(const sl_op_call *c, const labels in[2], const labels *out,
                             sl_status *st)
{
    sl_tensor a, b;
    sl_shape_buf ta, tb;
    product_shape(c, in, out, 0, &a);
    product_shape(c, in, out, 1, &b);
    return sl_fail(st, SL_INVALID_ARGUMENT, "Invalid broadcasting dimensions: %s vs. %s",
                   sl_ops_shape(&a, &ta), sl_ops_shape(&b, &tb));
}

static sl_code settle_ellipsis(const sl_op_call *c, einsum_config *cfg, extents *e, sl_status *st)
{
    const einsum_config *given = c->node->config;
    int most = 0;
    labels in[2] = {{.n = 0}, {.n = 0}};
    sl_code rc = SL_OK;
    *cfg = *given;
    memset(e, 0xff, sizeof *e);
    for (int i = 0; i < given->n_in; i++) {
        bool open = has(&given->in[i], '.');
        int named = given->in[i].n - open, more = c->in[i].rank - named;
        if (more < 0 || (more > 0 && !open))
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "Expected input %d to have rank %s%d but got: %d", i,
                           open ? "at least " : "", named, c->in[i].rank);
        rc = expand(&given->in[i], more, &in[i], st);
        for (int k = 0; k < in[i].n && !rc; k++)
            if (in[i].at[k] > '9')
                rc = note_extent(c, i, k, in[i].at[k], e, st);
        if (rc)
            return rc;
        most = SL_MAX(most, more);
    }
    if (most > 0 && !has(&given->out, '.'))
        return sl_fail(
            st, SL_INVALID_ARGUMENT,
            "Output contains %d broadcasting dimension(s) but no ellipsis (...) was found in "
            "the output subscripts.",
            most);
    rc = expand(&given->out, most, &cfg->out, st);
    for (int i = 0; i < given->n_in && !rc; i++)
        for (int k = 0; k < in[i].n && !rc; k++) {
            int64_t n = c->in[i].dims[k], *at = &e->of[(int)in[i].at[k]];
            if (in[i].at[k] > '9')
                continue;
            if (*at >= 0 && *at != n && *at != 1 && n != 1)
                rc = bad_broadcast(c, in, &cfg->out, st);
            *at = *at < 0 || *at == 1 ? n : *at;
        }
    for (int i = 0; i < given->n_in && !rc; i++) {
        cfg->in[i].n = 0;
        for (int k = 0; k < in[i].n; k++)
            if (in[i].at[k] > '9' || c->in[i].dims[k] == e->of[(int)in[i].at[k]])
                add(&cfg->in[i], in[i].at[k]);
    }
    return rc ? rc : group_labels(cfg, st);
}

static int64_t count_of(const labels *l, const extents *e)
{
    uint64_t n = 1; /* wraps only where an operand is empty */
    for (int i = 0; i < l->n; i++)
        n *= (uint64_t)e->of[(int)l->at[i]];
    return (int64_t)n;
}

static labels joined(const labels *a, const labels *b, const labels *c)
{
    labels l = *a;
    for (int i = 0; i < b->n && l.n < SL_MAX_RANK; i++)
        add(&l, b->at[i]);
    for (int i = 0; c && i < c->n && l.n < SL_MAX_RANK; i++)
        add(&l, c->at[i]);
    return l;
}

static bool same(const labels *a, const labels *b)
{
    return a->n == b->n && memcmp(a->at, b->at, (size_t)a->n) == 0;
}

/* Copies from the order `from` to the order `to`. */
static void reorder(void *out, const labels *to, const void *in, const labels *from,
                    const extents *e, size_t element)
{
    int64_t strides[128], s = 1;
    sl_copy_dim dims[SL_MAX_RANK];
    for (int i = from->n - 1; i >= 0; i--) {
        strides[(int)from->at[i]] = s;
        s *= e->of[(int)from->at[i]];
    }
    s = 1;
    for (int i = to->n - 1; i >= 0; i--) {
        int64_t n = e->of[(int)to->at[i]];
        dims[i] = (sl_copy_dim){n, s, strides[(int)to->at[i]]};
        s *= n;
    }
    sl_kernel_copy(out, in, dims, to->n, element);
}

/* How one call is computed: which operands need copying, and the product of one batch. */
typedef struct einsum_plan {
    einsum_config cfg; /* without an ellipsis */
    extents e;
    labels order[2], result;
    bool copy[2], copy_result;
    int64_t batch;
    sl_gemm g;
    size_t bytes[2], result_bytes, gemm_bytes;
} einsum_plan;

static size_t aligned(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

static sl_code make_plan(const sl_op_call *c, einsum_plan *p, sl_status *st)
{
    const einsum_config *given = c->node->config, *cfg = &p->cfg;
    sl_code rc = SL_OK;
    if (given->ellipsis) {
        rc = settle_ellipsis(c, &p->cfg, &p->e, st);
    } else {
        p->cfg = *given;
        rc = find_extents(c, cfg, &p->e, st);
    }
    if (rc || cfg->n_in == 1)
        return rc;
    if (cfg->batch.n + cfg->free[0].n + cfg->free[1].n > SL_MAX_RANK)
        return sl_fail(st, SL_INVALID_ARGUMENT, "the result has too many dimensions");
    size_t element = sl_dtype_size(c->in[0].dtype);
    int64_t m = count_of(&cfg->free[0], &p->e), n = count_of(&cfg->free[1], &p->e);
    int64_t k = count_of(&cfg->inner, &p->e);
    p->batch = count_of(&cfg->batch, &p->e);
    labels straight[2] = {joined(&cfg->batch, &cfg->free[0], &cfg->inner),
                          joined(&cfg->batch, &cfg->inner, &cfg->free[1])};
    labels swapped[2] = {joined(&cfg->batch, &cfg->inner, &cfg->free[0]),
                         joined(&cfg->batch, &cfg->free[1], &cfg->inner)};
    bool swap[2];
    for (int i = 0; i < 2; i++) {
        swap[i] = same(&cfg->in[i], &swapped[i]);
        p->copy[i] = !swap[i] && !same(&cfg->in[i], &straight[i]);
        p->order[i] = straight[i];
        p->bytes[i] = p->copy[i] ? aligned(c->in[i].size) : 0;
        if (p->copy[i]) {
            int64_t count = sl_shape_count(c->in[i].dims, c->in[i].rank, element);
            p->bytes[i] = aligned((size_t)count * element);
        }
    }
    p->result = joined(&cfg->batch, &cfg->free[0], &cfg->free[1]);
    p->copy_result = !same(&p->result, &cfg->out);
    p->g = (sl_gemm){.m = m,
                     .n = n,
                     .k = k,
                     .a_row = swap[0] ? 1 : k,
                     .a_col = swap[0] ? m : 1,
                     .b_row = swap[1] ? 1 : n,
                     .b_col = swap[1] ? k : 1,
                     .c_row = n};
    return sl_matmul_scratch(&p->g, c->in[0].dtype, &p->gemm_bytes, st);
}

static sl_code einsum_shape(sl_op_call *c, sl_status *st)
{
    sl_tensor *out = &c->out[0];
    einsum_plan p;
    const einsum_config *cfg = &p.cfg;
    sl_code rc = make_plan(c, &p, st);
    if (rc)
        return rc;
    out->rank = cfg->out.n;
    for (int i = 0; i < cfg->out.n; i++)
        out->dims[i] = p.e.of[(int)cfg->out.at[i]];
    rc = sl_ops_check_size(out, st);
    if (rc || cfg->n_in == 1)
        return rc;
    size_t element = sl_dtype_size(out->dtype);
    int64_t count = sl_shape_count(out->dims, out->rank, element);
    c->scratch_size = p.bytes[0] + p.bytes[1] + aligned(p.gemm_bytes);
    if (p.copy_result)
        c->scratch_size += aligned((size_t)count * element);
    return SL_OK;
}

static sl_code einsum_run(sl_op_call *c, sl_status *st)
{
    sl_tensor *out = &c->out[0];
    einsum_plan p;
    const einsum_config *cfg = &p.cfg;
    sl_code rc = make_plan(c, &p, st);
    if (rc || out->size == 0)
        return rc;
    size_t element = sl_dtype_size(out->dtype);
    if (cfg->n_in == 1) {
        reorder(out->data, &cfg->out, c->in[0].data, &cfg->in[0], &p.e, element);
        return SL_OK;
    }
    char *at = c->scratch;
    const char *operand[2];
    for (int i = 0; i < 2; i++) {
        operand[i] = c->in[i].data;
        if (p.copy[i]) {
            reorder(at, &p.order[i], c->in[i].data, &cfg->in[i], &p.e, element);
            operand[i] = at;
            at += p.bytes[i];
        }
    }
    char *result = p.copy_result ? at : out->data;
    at += p.copy_result ? aligned(out->size) : 0;
    size_t sa = (size_t)(p.g.m * p.g.k) * element, sb = (size_t)(p.g.k * p.g.n) * element;
    size_t sc = (size_t)(p.g.m * p.g.n) * element;
    for (int64_t b = 0; b < p.batch; b++)
        sl_matmul_run(&p.g, out->dtype, operand[0] + (size_t)b * sa, operand[1] + (size_t)b * sb,
                      result + (size_t)b * sc, at);
    if (p.copy_result)
        reorder(out->data, &cfg->out, result, &p.result, &p.e, element);
    return SL_OK;
}

const sl_op sl_ops_einsum[] = {
    {"Einsum", 0, 0, einsum_configure, einsum_shape, einsum_run, NULL},
    {0},
};
