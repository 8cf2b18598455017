/*
 * random.c - random numbers: RandomUniform, Multinomial, RandomShuffle ... and the Stateless ops
 *
 * All come from Philox 4x32 with ten rounds (Salmon, Moraes, Dror, Shaw: Parallel Random Numbers: As Easy
 * as 1, 2, 3), drawn in TensorFlow's order, so that the same seed gives the same numbers. A stateful op
 * with seeds goes on where its last run ended; one without takes a new key from the system for each
 * run. Stateful ops are never folded.
 */
#include <math.h>
#include <stdatomic.h>
#include <sys/random.h>

#include "engine/native/kernels/half.h"
#include "engine/native/ops/ops.h"

/* ---- the generator ---- */

typedef struct philox {
    uint32_t counter[4], key[2];
} philox;

static void skip(philox *g, uint64_t groups)
{
    uint64_t low = g->counter[0] | (uint64_t)g->counter[1] << 32;
    bool carry = __builtin_add_overflow(low, groups, &low);
    g->counter[0] = (uint32_t)low;
    g->counter[1] = (uint32_t)(low >> 32);
    if (carry && ++g->counter[2] == 0)
        ++g->counter[3];
}

/* The next four numbers. */
static void draw(philox *g, uint32_t out[4])
{
    uint32_t c[4], k[2] = {g->key[0], g->key[1]};
    memcpy(c, g->counter, sizeof c);
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xd2511f53 * c[0], b = (uint64_t)0xcd9e8d57 * c[2];
        uint32_t next[] = {(uint32_t)(b >> 32) ^ c[1] ^ k[0], (uint32_t)b,
                           (uint32_t)(a >> 32) ^ c[3] ^ k[1], (uint32_t)a};
        memcpy(c, next, sizeof c);
        k[0] += 0x9e3779b9;
        k[1] += 0xbb67ae85;
    }
    memcpy(out, c, sizeof c);
    skip(g, 1);
}

/* The same, one at a time. */
typedef struct singles {
    philox *g;
    uint32_t left[4];
    int used;
} singles;

static uint32_t draw_one(singles *s)
{
    if (s->used == 4) {
        draw(s->g, s->left);
        s->used = 0;
    }
    return s->left[s->used++];
}

/* ---- distributions ---- */

typedef enum distribution { UNIFORM, NORMAL, TRUNCATED, WHOLE, ALL_BITS } distribution;

typedef struct recipe {
    distribution kind;
    uint64_t low, range; /* of WHOLE */
} recipe;

static bool is_wide(sl_dtype t)
{
    return sl_dtype_size(t) == 8;
}

/* [0, 1), from as many bits as the dtype's mantissa has. */
static double unit(sl_dtype t, uint32_t a, uint32_t b)
{
    switch (t) {
    case SL_DT_DOUBLE:
        return (double)((uint64_t)(a & 0xfffff) << 32 | b) * 0x1p-52;
    case SL_DT_HALF:
        return (a & 0x3ff) * 0x1p-10;
    case SL_DT_BFLOAT16:
        return (a & 0x7f) * 0x1p-7;
    default:
        return (a & 0x7fffff) * 0x1p-23;
    }
}

static void put_real(const sl_tensor *t, int64_t i, double v)
{
    switch (t->dtype) {
    case SL_DT_DOUBLE:
        ((double *)t->data)[i] = v;
        break;
    case SL_DT_HALF:
        ((uint16_t *)t->data)[i] = sl_float_to_half((float)v);
        break;
    case SL_DT_BFLOAT16:
        ((uint16_t *)t->data)[i] = sl_float_to_bf16((float)v);
        break;
    default:
        ((float *)t->data)[i] = (float)v;
        break;
    }
}

/* Box and Muller: two normal numbers from two uniform ones. */
static void normal_pair(double u, double angle, double out[2])
{
    double r = sqrt(-2 * log(u < 1e-7 ? 1e-7 : u));
    out[0] = sin(angle) * r;
    out[1] = cos(angle) * r;
}

static void normal_from(sl_dtype t, const uint32_t *x, double *out)
{
    if (is_wide(t)) {
        normal_pair(unit(t, x[0], x[1]), 2 * M_PI * unit(t, x[2], x[3]), out);
    } else { /* in float for all others */
        float angle = (float)(2 * M_PI * unit(SL_DT_FLOAT, x[1], 0));
        normal_pair(unit(SL_DT_FLOAT, x[0], 0), (double)angle, out);
    }
}

/* Numbers that lie within two deviations. Each group has room in the sequence for 256 draws a number. */
static void truncated_group(sl_dtype t, philox g, int64_t group, int size, double out[4])
{
    singles s = {.g = &g, .used = 4};
    skip(&g, (uint64_t)group * (uint64_t)size * 64);
    for (int n = 0; n < size;) {
        uint32_t x[4] = {0};
        double pair[2];
        for (int i = 0; i < (is_wide(t) ? 4 : 2); i++)
            x[i] = draw_one(&s);
        normal_from(t, x, pair);
        for (int i = 0; i < 2 && n < size; i++)
            if (fabs(pair[i]) < 2)
                out[n++] = pair[i];
    }
}

static void real_group(sl_dtype t, distribution kind, philox *g, int size, double out[4])
{
    uint32_t x[4];
    draw(g, x);
    for (int i = 0; i < size; i++)
        out[i] = kind == UNIFORM ? unit(t, is_wide(t) ? x[2 * i] : x[i], x[2 * i % 4 + 1]) : 0;
    for (int i = 0; kind == NORMAL && i < size; i += 2)
        normal_from(t, x + i, out + i);
}

static void fill_reals(const sl_tensor *out, distribution kind, philox g, int64_t n)
{
    int size = is_wide(out->dtype) ? 2 : 4;
    for (int64_t at = 0; at < n; at += size) {
        double group[4];
        if (kind == TRUNCATED)
            truncated_group(out->dtype, g, at / size, size, group);
        else
            real_group(out->dtype, kind, &g, size, group);
        for (int i = 0; i < size && at + i < n; i++)
            put_real(out, at + i, group[i]);
    }
}

static void fill_integers(const sl_tensor *out, const recipe *r, philox g, int64_t n)
{
    int wide = is_wide(out->dtype), size = wide ? 2 : 4;
    for (int64_t at = 0; at < n; at += size) {
        uint32_t x[4];
        draw(&g, x);
        for (int i = 0; i < size && at + i < n; i++) {
            uint64_t v = wide ? x[2 * i] | (uint64_t)x[2 * i + 1] << 32 : x[i];
            if (r->kind == WHOLE)
                v = r->low + v % r->range;
            if (wide)
                ((uint64_t *)out->data)[at + i] = v;
            else
                ((uint32_t *)out->data)[at + i] = (uint32_t)v;
        }
    }
}

static void fill(const sl_tensor *out, const recipe *r, philox g)
{
    int64_t n = sl_tensor_count(out);
    if (r->kind == WHOLE || r->kind == ALL_BITS)
        fill_integers(out, r, g, n);
    else
        fill_reals(out, r->kind, g, n);
}

/* ---- where the numbers begin ---- */

typedef struct random_config {
    recipe recipe;
    int limits;  /* the input where minval and maxval are; 0: none */
    bool keyed;  /* inputs 1 to 3 are key, counter, algorithm; else input 1 is two seeds */
    bool seeded; /* a stateful op with seeds */
    uint64_t seeds[2];
    _Atomic uint64_t
        position; /* how far its runs have come, in groups: the one thing here that changes */
} random_config;

static random_config *stateful_config(sl_op_node *n, distribution kind)
{
    random_config *cfg = sl_ops_config(n, sizeof *cfg);
    cfg->recipe.kind = kind;
    cfg->seeds[0] = (uint64_t)sl_node_int(n->source, "seed", 0);
    cfg->seeds[1] = (uint64_t)sl_node_int(n->source, "seed2", 0);
    cfg->seeded = cfg->seeds[0] || cfg->seeds[1];
    n->config = cfg;
    return cfg;
}

/* The generator for one run that may take so many groups of four. */
static sl_code begin_stateful(const sl_op_call *c, uint64_t groups, philox *g, sl_status *st)
{
    random_config *cfg = c->node->config;
    if (!cfg->seeded) {
        if (getrandom(g, sizeof *g, 0) != (ssize_t)sizeof *g)
            return sl_fail(st, SL_INTERNAL, "the system has no random numbers");
        return SL_OK;
    }
    *g = (philox){.key = {(uint32_t)cfg->seeds[0], (uint32_t)(cfg->seeds[0] >> 32)},
                  .counter = {0, 0, (uint32_t)cfg->seeds[1], (uint32_t)(cfg->seeds[1] >> 32)}};
    skip(g, atomic_fetch_add(&cfg->position, groups));
    return SL_OK;
}

/* Two seeds are mixed, so that neither has to be a good one. */
static philox from_seeds(const sl_tensor *seeds)
{
    uint64_t a = (uint64_t)sl_ops_int(seeds, 0), b = (uint64_t)sl_ops_int(seeds, 1);
    uint32_t mixed[4];
    philox g = {.key = {0x3ec8f720, 0x02461e29},
                .counter = {(uint32_t)a, (uint32_t)(a >> 32), (uint32_t)b, (uint32_t)(b >> 32)}};
    draw(&g, mixed);
    return (philox){.key = {mixed[0], mixed[1]}, .counter = {0, 0, mixed[2], mixed[3]}};
}

static philox from_key(const uint64_t *key, const uint64_t *counter)
{
    return (philox){.key = {(uint32_t)*key, (uint32_t)(*key >> 32)},
                    .counter = {(uint32_t)counter[0], (uint32_t)(counter[0] >> 32),
                                (uint32_t)counter[1], (uint32_t)(counter[1] >> 32)}};
}

/* ---- shapes and limits ---- */

static sl_code random_shape(sl_op_call *c, sl_status *st)
{
    const sl_tensor *shape = &c->in[0];
    sl_tensor *out = &c->out[0];
    sl_shape_buf b;
    if (shape->rank != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "shape must be a vector of {int32,int64}, got shape %s",
                       sl_ops_shape(shape, &b));
    sl_code rc = SL_OK;
    out->rank = 0;
    for (int64_t i = 0; i < shape->dims[0] && !rc; i++) {
        int64_t d = sl_ops_int(shape, i);
        rc = d < 0 ? sl_fail(st, SL_INVALID_ARGUMENT, "Dimension %lld must be >= 0", (long long)d)
                   : sl_ops_push_dim(out, d, st);
    }
    return rc ? rc : sl_ops_check_size(out, st);
}

static sl_code check_seeds(const sl_tensor *seeds, sl_status *st)
{
    sl_shape_buf b;
    return seeds->rank == 1 && seeds->dims[0] == 2
               ? SL_OK
               : sl_fail(st, SL_INVALID_ARGUMENT, "seed must have shape [2], not %s",
                         sl_ops_shape(seeds, &b));
}

static sl_code check_key(const sl_op_call *c, sl_status *st)
{
    const sl_tensor *key = &c->in[1], *counter = &c->in[2], *alg = &c->in[3];
    sl_shape_buf b;
    if (alg->rank != 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "input 3 (0-based) must have shape [], not %s",
                       sl_ops_shape(alg, &b));
    if (key->rank != 1 || key->dims[0] != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "key must have shape [1], not %s. (Note that batched keys are not supported "
                       "yet.)",
                       sl_ops_shape(key, &b));
    if (counter->rank != 1 || counter->dims[0] < 2)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "counter must be a vector with length at least 2; got shape: %s. (Note that "
                       "batched counters are not supported yet.)",
                       sl_ops_shape(counter, &b));
    return SL_OK;
}

static sl_code read_limits(const sl_op_call *c, recipe *r, sl_status *st)
{
    int at = ((const random_config *)c->node->config)->limits;
    sl_shape_buf b;
    if (at == 0)
        return SL_OK;
    for (int i = 0; i < 2; i++)
        if (c->in[at + i].rank != 0)
            return sl_fail(st, SL_INVALID_ARGUMENT, "%s must be 0-D, got shape %s",
                           i ? "maxval" : "minval", sl_ops_shape(&c->in[at + i], &b));
    int64_t low = sl_ops_int(&c->in[at], 0), high = sl_ops_int(&c->in[at + 1], 0);
    if (low >= high)
        return sl_fail(st, SL_INVALID_ARGUMENT, "Need minval < maxval, got %lld >= %lld",
                       (long long)low, (long long)high);
    r->low = (uint64_t)low;
    r->range = (uint64_t)high - (uint64_t)low;
    return SL_OK;
}

/* ---- stateful ops that fill a shape ---- */

static sl_code fill_types(sl_op_node *n, distribution kind, int limits, sl_dtype t, sl_status *st)
{
    sl_types types = kind == WHOLE      ? SL_T(INT32) | SL_T(INT64)
                     : kind == ALL_BITS ? SL_T(INT32) | SL_T(INT64) | SL_T(UINT32) | SL_T(UINT64)
                                        : SL_T_FLOATS;
    sl_code rc = sl_ops_check_input(n, 0, SL_T_INDEX, st);
    if (!rc && limits)
        rc = sl_ops_check_same(n, limits, limits + 2, st);
    if (!rc && !sl_types_has(types, t))
        rc = sl_ops_unsupported(t, st);
    n->out_types[0] = t;
    return rc;
}

static distribution kind_of(const char *op)
{
    return strstr(op, "FullInt")     ? ALL_BITS
           : strstr(op, "Int")       ? WHOLE
           : strstr(op, "Truncated") ? TRUNCATED
           : strstr(op, "Normal")    ? NORMAL
                                     : UNIFORM;
}

static sl_code random_configure(sl_op_node *n, sl_status *st)
{
    distribution kind = kind_of(n->op->name);
    sl_code rc = sl_ops_check(n, kind == WHOLE ? 3 : 1, SL_T_INDEX, st);
    if (rc)
        return rc;
    stateful_config(n, kind)->limits = kind == WHOLE ? 1 : 0;
    sl_dtype t = kind == WHOLE ? n->in_types[1] : sl_node_type(n->source, "dtype", SL_DT_INVALID);
    return fill_types(n, kind, kind == WHOLE ? 1 : 0, t, st);
}

static sl_code random_run(sl_op_call *c, sl_status *st)
{
    recipe r = ((const random_config *)c->node->config)->recipe;
    philox g;
    sl_code rc = read_limits(c, &r, st);
    if (!rc)
        rc = begin_stateful(c, (uint64_t)sl_tensor_count(&c->out[0]) * 256, &g, st);
    if (!rc)
        fill(&c->out[0], &r, g);
    return rc;
}

static int64_t random_cost(const sl_op_call *c)
{
    return 500 + sl_ops_cost(&c->out[0], 25);
}

/* ---- stateless ops that fill a shape ---- */

static sl_code stateless_configure(sl_op_node *n, sl_status *st)
{
    const char *name = n->op->name;
    random_config *cfg = sl_ops_config(n, sizeof *cfg);
    cfg->recipe.kind = kind_of(name);
    cfg->keyed = strcmp(name + strlen(name) - 2, "V2") == 0;
    cfg->limits = cfg->recipe.kind == WHOLE ? (cfg->keyed ? 4 : 2) : 0;
    n->config = cfg;
    sl_code rc = sl_ops_check(n, (cfg->keyed ? 4 : 2) + (cfg->limits ? 2 : 0), SL_T_INDEX, st);
    if (!rc)
        rc = sl_ops_check_input(n, 1, cfg->keyed ? SL_T(UINT64) : SL_T_INDEX, st);
    if (!rc && cfg->keyed)
        rc = sl_ops_check_input(n, 2, SL_T(UINT64), st);
    if (!rc && cfg->keyed)
        rc = sl_ops_check_input(n, 3, SL_T(INT32), st);
    if (rc)
        return rc;
    sl_dtype otherwise = cfg->recipe.kind == ALL_BITS ? SL_DT_UINT64 : SL_DT_FLOAT;
    sl_dtype t =
        cfg->limits ? n->in_types[cfg->limits] : sl_node_type(n->source, "dtype", otherwise);
    return fill_types(n, cfg->recipe.kind, cfg->limits, t, st);
}

static sl_code stateless_shape(sl_op_call *c, sl_status *st)
{
    sl_code rc = ((const random_config *)c->node->config)->keyed ? check_key(c, st)
                                                                 : check_seeds(&c->in[1], st);
    return rc ? rc : random_shape(c, st);
}

static sl_code stateless_run(sl_op_call *c, sl_status *st)
{
    const random_config *cfg = c->node->config;
    recipe r = cfg->recipe;
    if (c->out[0].size == 0)
        return SL_OK;
    if (cfg->keyed) { /* Philox is 1; 3 leaves the choice to us */
        int alg = *(const int32_t *)c->in[3].data;
        if (alg != 1 && alg != 3)
            return sl_fail(st, SL_INVALID_ARGUMENT, "Unsupported algorithm id: %d", alg);
    }
    sl_code rc = read_limits(c, &r, st);
    if (!rc)
        fill(&c->out[0], &r,
             cfg->keyed ? from_key(c->in[1].data, c->in[2].data) : from_seeds(&c->in[1]));
    return rc;
}

/* ---- StatelessRandomGetKeyCounter, StatelessRandomGetKeyCounterAlg, StatelessRandomGetAlg ---- */

static sl_code key_configure(sl_op_node *n, sl_status *st)
{
    bool seeds = strcmp(n->op->name, "StatelessRandomGetAlg") != 0;
    sl_code rc = sl_ops_check(n, seeds, SL_T_INDEX, st);
    int want = !seeds ? 1 : strstr(n->op->name, "Alg") ? 3 : 2;
    if (!rc && n->n_out != want)
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "%s has %d outputs", n->op->name, n->n_out);
    for (int k = 0; k < want && !rc; k++)
        n->out_types[k] = seeds && k < 2 ? SL_DT_UINT64 : SL_DT_INT32;
    return rc;
}

static sl_code key_shape(sl_op_call *c, sl_status *st)
{
    for (int k = 0; k < c->node->n_out; k++) {
        bool alg = c->out[k].dtype == SL_DT_INT32;
        c->out[k].rank = alg ? 0 : 1;
        if (!alg)
            c->out[k].dims[0] = k + 1;
    }
    return c->node->n_in ? check_seeds(&c->in[0], st) : SL_OK;
}

static sl_code key_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    const sl_tensor *last = &c->out[c->node->n_out - 1];
    if (last->dtype == SL_DT_INT32)
        *(int32_t *)last->data = 1; /* Philox */
    if (c->node->n_in == 0)
        return SL_OK;
    philox g = from_seeds(&c->in[0]);
    uint64_t *counter = c->out[1].data;
    *(uint64_t *)c->out[0].data = g.key[0] | (uint64_t)g.key[1] << 32;
    for (int i = 0; i < 2; i++)
        counter[i] = g.counter[2 * i] | (uint64_t)g.counter[2 * i + 1] << 32;
    return SL_OK;
}

/* ---- Multinomial, StatelessMultinomial: classes by their logits ---- */

static sl_code classes_configure(sl_op_node *n, sl_status *st)
{
    bool stateless = n->op->name[0] == 'S';
    sl_code rc = sl_ops_check(n, stateless ? 3 : 2, SL_T_FLOATS, st);
    if (!rc)
        rc = sl_ops_check_input(n, 1, SL_T(INT32), st);
    if (!rc && stateless)
        rc = sl_ops_check_input(n, 2, SL_T_INDEX, st);
    if (rc)
        return rc;
    stateful_config(n, UNIFORM);
    n->out_types[0] = sl_node_type(n->source, "output_dtype", SL_DT_INT64);
    return sl_types_has(SL_T_INDEX, n->out_types[0]) ? SL_OK
                                                     : sl_ops_unsupported(n->out_types[0], st);
}

static sl_code classes_shape(sl_op_call *c, sl_status *st)
{
    const sl_tensor *logits = &c->in[0];
    sl_shape_buf b;
    if (logits->rank != 2)
        return sl_fail(st, SL_INVALID_ARGUMENT, "logits should be a matrix, got shape %s",
                       sl_ops_shape(logits, &b));
    if (c->in[1].rank != 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "num_samples should be a scalar, got shape %s",
                       sl_ops_shape(&c->in[1], &b));
    int64_t samples = sl_ops_int(&c->in[1], 0);
    if (samples < 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "num_samples should be non-negative, got %lld",
                       (long long)samples);
    if (logits->dims[1] <= 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "num_classes should be positive, got %lld",
                       (long long)logits->dims[1]);
    c->out[0].rank = 2;
    c->out[0].dims[0] = logits->dims[0];
    c->out[0].dims[1] = samples;
    int64_t sums = sl_shape_count(&logits->dims[1], 1, sizeof(double));
    if (sums < 0)
        return sl_ops_no_memory(st);
    c->scratch_size = sl_tensor_count(logits) ? (size_t)sums * sizeof(double) : 0;
    sl_code rc = c->node->n_in == 3 ? check_seeds(&c->in[2], st) : SL_OK;
    return rc ? rc : sl_ops_check_size(&c->out[0], st);
}

static double logit(const sl_tensor *t, int64_t i)
{
    switch (t->dtype) {
    case SL_DT_DOUBLE:
        return ((const double *)t->data)[i];
    case SL_DT_HALF:
        return (double)sl_half_to_float(((const uint16_t *)t->data)[i]);
    case SL_DT_BFLOAT16:
        return (double)sl_bf16_to_float(((const uint16_t *)t->data)[i]);
    default:
        return (double)((const float *)t->data)[i];
    }
}

/* sums[j]: the weights of classes 0 to j. Logits that are not finite weigh nothing. */
static void sum_weights(const sl_tensor *logits, int64_t row, double *sums)
{
    int64_t n = logits->dims[1];
    double most = -HUGE_VAL, sum = 0;
    for (int64_t j = 0; j < n; j++) {
        double v = logit(logits, row * n + j);
        most = isfinite(v) && v > most ? v : most;
    }
    for (int64_t j = 0; j < n; j++) {
        double v = logit(logits, row * n + j);
        sum += isfinite(v) ? exp(v - most) : 0;
        sums[j] = sum;
    }
}

/* The first class whose sum is above v; n if there is none. */
static int64_t class_of(const double *sums, int64_t n, double v)
{
    int64_t low = 0, high = n;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (v < sums[middle])
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static sl_code classes_run(sl_op_call *c, sl_status *st)
{
    const sl_tensor *logits = &c->in[0];
    int64_t rows = logits->dims[0], n = logits->dims[1], samples = c->out[0].dims[1];
    philox g;
    sl_code rc = SL_OK;
    if (c->out[0].size == 0)
        return SL_OK;
    if (c->node->n_in == 3)
        g = from_seeds(&c->in[2]);
    else
        rc = begin_stateful(c, (uint64_t)rows * (uint64_t)((samples + 3) / 4 * 4) * 256, &g, st);
    if (rc)
        return rc;
    singles s = {.g = &g, .used = 4};
    double *sums = c->scratch;
    for (int64_t r = 0; r < rows; r++) {
        sum_weights(logits, r, sums);
        for (int64_t i = 0; i < samples; i++) {
            uint32_t a = draw_one(&s), b = draw_one(&s);
            double v = unit(SL_DT_DOUBLE, a, b) * sums[n - 1];
            sl_ops_set_int(&c->out[0], r * samples + i, class_of(sums, n, v));
        }
    }
    return SL_OK;
}

static int64_t classes_cost(const sl_op_call *c)
{
    return 500 + sl_ops_cost(&c->in[0], 20) + sl_ops_cost(&c->out[0], 60);
}

/* ---- RandomShuffle: rows in another order ---- */

static sl_code shuffle_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 1, SL_T_PLAIN, st);
    if (rc)
        return rc;
    stateful_config(n, UNIFORM);
    n->out_types[0] = n->in_types[0];
    return SL_OK;
}

static sl_code shuffle_shape(sl_op_call *c, sl_status *st)
{
    const sl_tensor *in = &c->in[0];
    int64_t bytes = in->rank ? sl_shape_count(in->dims, 1, sizeof(int64_t)) : 0;
    if (sl_shape_count(in->dims, in->rank, 1) != 0) { /* else there is nothing to be moved */
        if (bytes < 0)
            return sl_ops_no_memory(st);
        c->scratch_size = (size_t)bytes * sizeof(int64_t);
    }
    return sl_ops_shape_like_first(c, st);
}

static sl_code shuffle_run(sl_op_call *c, sl_status *st)
{
    const sl_tensor *in = &c->in[0];
    int64_t n = in->rank ? in->dims[0] : 1, *order = c->scratch;
    philox g;
    if (n <= 1 || c->out[0].size == 0)
        return sl_ops_copy_first(c, st);
    sl_code rc = begin_stateful(c, ((uint64_t)n + 3) / 4, &g, st);
    if (rc)
        return rc;
    singles s = {.g = &g, .used = 4};
    for (int64_t i = 0; i < n; i++)
        order[i] = i;
    for (int64_t i = 0; i < n - 1; i++) {
        int64_t other = i + (int64_t)(draw_one(&s) % (uint64_t)(n - i)), was = order[i];
        order[i] = order[other];
        order[other] = was;
    }
    size_t row = c->out[0].size / (size_t)n;
    for (int64_t i = 0; i < n; i++)
        memcpy((char *)c->out[0].data + (size_t)i * row,
               (const char *)in->data + (size_t)order[i] * row, row);
    return SL_OK;
}

#define FILLS(name)                                                                           \
    {                                                                                         \
        name, SL_OP_STATEFUL, 1 << 0, random_configure, random_shape, random_run, random_cost \
    }
#define STATELESS(name)                                                                   \
    {                                                                                     \
        name, 0, 1 << 0, stateless_configure, stateless_shape, stateless_run, random_cost \
    }

const sl_op sl_ops_random[] = {
    FILLS("RandomUniform"),
    FILLS("RandomStandardNormal"),
    FILLS("TruncatedNormal"),
    FILLS("RandomUniformInt"),
    STATELESS("StatelessRandomUniform"),
    STATELESS("StatelessRandomNormal"),
    STATELESS("StatelessTruncatedNormal"),
    STATELESS("StatelessRandomUniformInt"),
    STATELESS("StatelessRandomUniformFullInt"),
    STATELESS("StatelessRandomUniformV2"),
    STATELESS("StatelessRandomNormalV2"),
    STATELESS("StatelessTruncatedNormalV2"),
    STATELESS("StatelessRandomUniformIntV2"),
    STATELESS("StatelessRandomUniformFullIntV2"),
    {"StatelessRandomGetKeyCounter", 0, 0, key_configure, key_shape, key_run, NULL},
    {"StatelessRandomGetKeyCounterAlg", 0, 0, key_configure, key_shape, key_run, NULL},
    {"StatelessRandomGetAlg", 0, 0, key_configure, key_shape, key_run, NULL},
    {"Multinomial", SL_OP_STATEFUL, 1 << 1, classes_configure, classes_shape, classes_run,
     classes_cost},
    {"StatelessMultinomial", 0, 1 << 1, classes_configure, classes_shape, classes_run,
     classes_cost},
    {"RandomShuffle", SL_OP_STATEFUL, 0, shuffle_configure, shuffle_shape, shuffle_run, NULL},
    {0},
};
