/*
 * traffic.c - see traffic.h
 *
 * Weighted rendezvous hashing: arm i draws u from (0, 1) with a hash of the key and of its own
 * name, and scores weight / -ln(u). The arm with the highest score wins; its chance is its weight's
 * share. An arm's score depends on nothing but itself, which is why a change elsewhere moves a key
 * only to or from the arm that was changed. The hash is FNV-1a and a finaliser, without a seed.
 */
#include "model/traffic.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "metrics/metrics.h"
#include "model/labels.h"

typedef struct arm {
    int position; /* in the route's versions; -1: on demand */
    int64_t number;
    double weight;
    uint64_t seed; /* from model and target */
    sl_cell *chosen;
} arm;

struct sl_traffic {
    bool split; /* configured, though perhaps without an arm */
    char *header;
    double total, available; /* weights: of all arms, of those that are there */
    int n_available;
    int shadow; /* position, or -1 */
    int64_t shadow_number;
    double shadow_share; /* 0 to 1 */
    double rtol, atol;
    int n_arms;
    arm arms[];
};

/* ---- configuration ---- */

static sl_target keep_target(sl_target t)
{
    return (sl_target){t.label ? sl_strdup(t.label) : NULL, t.version};
}

sl_traffic_config *sl_traffic_keep(const sl_traffic_config *c)
{
    if (c == NULL)
        return NULL;
    sl_traffic_config *k = sl_malloc(sizeof *k);
    sl_split_arm *arms = sl_calloc((size_t)c->n_arms, sizeof *arms);
    *k = *c;
    for (int i = 0; i < c->n_arms; i++)
        arms[i] = (sl_split_arm){keep_target(c->arms[i].target), c->arms[i].weight};
    k->arms = arms;
    k->sticky_header = sl_strdup(c->sticky_header ? c->sticky_header : "");
    k->shadow = keep_target(c->shadow);
    return k;
}

void sl_traffic_config_free(sl_traffic_config *c)
{
    if (c == NULL)
        return;
    for (int i = 0; i < c->n_arms; i++)
        sl_free((char *)c->arms[i].target.label);
    sl_free((sl_split_arm *)c->arms);
    sl_free((char *)c->sticky_header);
    sl_free((char *)c->shadow.label);
    sl_free(c);
}

static void name_target(sl_target t, char *out, size_t size)
{
    if (t.label != NULL)
        snprintf(out, size, "label \"%s\"", t.label);
    else
        snprintf(out, size, "version %lld", (long long)t.version);
}

static bool same_target(sl_target a, sl_target b)
{
    if (a.label != NULL || b.label != NULL)
        return a.label != NULL && b.label != NULL && strcmp(a.label, b.label) == 0;
    return a.version == b.version;
}

/* Can the target ever be served with this configuration? */
static sl_code check_target(const sl_model_config *c, const char *what, sl_target t, sl_status *st)
{
    bool found = false;
    for (int i = 0; t.label != NULL && i < c->n_labels; i++)
        found |= strcmp(c->labels[i].label, t.label) == 0;
    if (t.label != NULL && !found)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "%s of model %s: version_labels does not have \"%s\"", what, c->name,
                       t.label);
    for (int i = 0; c->policy == SL_POLICY_SPECIFIC && i < c->n_versions; i++)
        found |= c->versions[i] == t.version;
    if (t.label == NULL && c->policy == SL_POLICY_SPECIFIC && !found)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "%s of model %s: version %lld is not one of those that "
                       "model_version_policy asks for",
                       what, c->name, (long long)t.version);
    return SL_OK;
}

static sl_code check_arm(const sl_model_config *c, int i, sl_status *st)
{
    const sl_split_arm *a = &c->traffic->arms[i];
    char name[200];
    name_target(a->target, name, sizeof name);
    if (!(a->weight >= 0 && a->weight <= 1e9))
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "traffic of model %s: the weight of %s is %g; it must be from 0 to 1e9",
                       c->name, name, a->weight);
    for (int k = 0; k < i; k++)
        if (same_target(a->target, c->traffic->arms[k].target))
            return sl_fail(st, SL_INVALID_ARGUMENT, "traffic of model %s: %s is there twice",
                           c->name, name);
    return check_target(c, "traffic", a->target, st);
}

static sl_code check_shadow(const sl_model_config *c, sl_status *st)
{
    const sl_traffic_config *t = c->traffic;
    if (!(t->shadow_percent >= 0 && t->shadow_percent <= 100))
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "shadow of model %s: percent is %g; it must be from 0 to 100", c->name,
                       t->shadow_percent);
    if (!(t->rtol >= 0) || !(t->atol >= 0))
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "shadow of model %s: rtol and atol must not be negative", c->name);
    return check_target(c, "shadow", t->shadow, st);
}

sl_code sl_traffic_check(const sl_model_config *c, sl_status *st)
{
    const sl_traffic_config *t = c->traffic;
    double total = 0;
    if (t == NULL)
        return SL_OK;
    for (int i = 0; i < t->n_arms; i++) {
        sl_code rc = check_arm(c, i, st);
        if (rc)
            return rc;
        total += t->arms[i].weight;
    }
    if (t->n_arms > 0 && total == 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "traffic of model %s: no arm has a weight",
                       c->name);
    if (t->n_arms == 0 && t->sticky_header != NULL && *t->sticky_header)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "traffic of model %s: a sticky_header without a split", c->name);
    return t->has_shadow ? check_shadow(c, st) : SL_OK;
}

/* ---- hashing and chance ---- */

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static uint64_t fnv1a(uint64_t h, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)p[i]) * 0x100000001b3u;
    return h;
}

enum { TARGET_TEXT = 32 };
static const uint64_t fnv_basis = 0xcbf29ce484222325u;

/* The arm's own name: that of the model is part of it, so that the canaries of two models do not
 * get the same users. */
static uint64_t seed_of(const char *model, sl_target t)
{
    char number[TARGET_TEXT];
    const char *name = t.label;
    if (name == NULL) {
        snprintf(number, sizeof number, "%lld", (long long)t.version);
        name = number;
    }
    uint64_t h = fnv1a(fnv_basis, model, strlen(model) + 1);
    h = fnv1a(h, t.label ? "l" : "v", 1);
    return mix(fnv1a(h, name, strlen(name)));
}

/* From (0, 1), both excluded. */
static double unit(uint64_t h)
{
    return ((double)(h >> 12) + 0.5) * 0x1p-52;
}

/* Chance need not be safe from being guessed, only fair: a counter, mixed. */
static double chance(void)
{
    static _Thread_local uint64_t state;
    if (state == 0) {
        uint64_t *here = &state;
        state = sl_hash(&here, sizeof here) | 1;
    }
    state += 0x9e3779b97f4a7c15u;
    return unit(mix(state));
}

/* ---- a route's traffic ---- */

bool sl_target_resolve(sl_target t, const sl_label *labels, int n_labels, int64_t *number)
{
    *number = t.version;
    for (int i = 0; t.label != NULL && i < n_labels; i++)
        if (strcmp(labels[i].label, t.label) == 0) {
            *number = labels[i].version;
            return true;
        }
    return t.label == NULL;
}

static int position_of(const sl_numbers *n, int64_t number)
{
    for (int i = 0; i < n->count; i++)
        if (n->list[i] == number)
            return i;
    return -1;
}

static sl_cell *chosen_cell(const char *model, int64_t number)
{
    static const char *const labels[] = {"model_name", "version", NULL};
    char text[TARGET_TEXT];
    int n = snprintf(text, sizeof text, "%lld", (long long)number);
    sl_str values[] = {sl_str_of(model), {text, (size_t)n}};
    return sl_metric_cell(
        sl_metric_register("/sluice/traffic/split_count", SL_COUNTER, labels, NULL, 0), values);
}

static void add_arm(sl_traffic *t, const char *model, const sl_split_arm *a, int64_t number,
                    const sl_numbers *available, const sl_numbers *waiting)
{
    int at = position_of(available, number);
    if (at < 0 && position_of(waiting, number) < 0)
        return;
    t->arms[t->n_arms++] =
        (arm){at, number, a->weight, seed_of(model, a->target), chosen_cell(model, number)};
    t->total += a->weight;
    if (at >= 0) {
        t->available += a->weight;
        t->n_available++;
    }
}

sl_traffic *sl_traffic_new(const char *model, const sl_traffic_config *c,
                           const sl_numbers *available, const sl_numbers *waiting,
                           const sl_label *labels, int n_labels)
{
    int64_t number;
    if (c == NULL || (c->n_arms == 0 && !c->has_shadow))
        return NULL;
    sl_traffic *t = sl_calloc(1, sizeof *t + (size_t)c->n_arms * sizeof t->arms[0]);
    t->split = c->n_arms > 0;
    t->header = sl_strdup(c->sticky_header ? c->sticky_header : "");
    t->shadow = -1;
    for (int i = 0; i < c->n_arms; i++)
        if (sl_target_resolve(c->arms[i].target, labels, n_labels, &number))
            add_arm(t, model, &c->arms[i], number, available, waiting);
    if (c->has_shadow && sl_target_resolve(c->shadow, labels, n_labels, &number)) {
        t->shadow = position_of(available, number);
        t->shadow_number = number;
        t->shadow_share = c->shadow_percent / 100;
        t->rtol = c->rtol;
        t->atol = c->atol;
    }
    return t;
}

void sl_traffic_free(sl_traffic *t)
{
    if (t == NULL)
        return;
    sl_free(t->header);
    sl_free(t);
}

/* May the arm be chosen? `all`: also if it is not there yet. */
static bool counts(const arm *a, bool all)
{
    return all || a->position >= 0;
}

static const arm *by_key(const sl_traffic *t, sl_str key, bool all)
{
    const arm *best = NULL;
    double score, highest = -1;
    uint64_t h = fnv1a(fnv_basis, key.p, key.n);
    for (int i = 0; i < t->n_arms; i++) {
        const arm *a = &t->arms[i];
        score = counts(a, all) ? a->weight / -log(unit(mix(h ^ a->seed))) : -2;
        if (score > highest) {
            highest = score;
            best = a;
        }
    }
    return best;
}

static const arm *by_chance(const sl_traffic *t, bool all)
{
    const arm *last = NULL;
    double x = chance() * (all ? t->total : t->available);
    for (int i = 0; i < t->n_arms; i++) {
        const arm *a = &t->arms[i];
        if (!counts(a, all))
            continue;
        x -= a->weight;
        if (x < 0)
            return a;
        last = a;
    }
    return last; /* rounding, or arms that have no weight while those with one are away */
}

int sl_traffic_choose(const sl_traffic *t, const sl_model_spec *spec, bool to_await,
                      int64_t *number)
{
    sl_str key = {"", 0};
    if (t == NULL || !t->split)
        return SL_TRAFFIC_NO_SPLIT;
    if (t->n_arms == 0)
        return SL_TRAFFIC_NO_ARM;
    if (t->header[0] && spec->header != NULL)
        key = spec->header(spec->header_arg, t->header);
    bool all = to_await || t->n_available == 0;
    const arm *a = key.n > 0 ? by_key(t, key, all) : by_chance(t, all);
    assert(a != NULL); /* one of them counts */
    *number = a->number;
    if (a->position < 0)
        return SL_TRAFFIC_WAITS;
    if (!to_await)
        sl_cell_add(a->chosen, 1);
    return a->position;
}

bool sl_traffic_has_shadow(const sl_traffic *t)
{
    return t != NULL && t->shadow >= 0 && t->shadow_share > 0;
}

int sl_traffic_shadow(const sl_traffic *t, int64_t answered, double *rtol, double *atol)
{
    if (!sl_traffic_has_shadow(t) || answered == t->shadow_number)
        return -1;
    if (t->shadow_share < 1 && chance() >= t->shadow_share)
        return -1;
    *rtol = t->rtol;
    *atol = t->atol;
    return t->shadow;
}
