/* table.c - see table.h */
#include "model/table.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/cpu.h"
#include "base/mem.h"
#include "model/readers.h"

enum { MAX_STRIPES = 16 };

/* 128 bytes: two lines, because processors fetch lines in pairs. */
typedef struct stripe {
    _Alignas(128) sl_version version; /* first: a handle is a pointer to it */
    atomic_long refs;
    sl_serving *serving;
    _Atomic uint64_t used_ns; /* last acquired, if the serving notes that */
} stripe;

struct sl_serving {
    void (*drained)(void *arg);
    void *arg;
    unsigned mask;
    bool notes_uses;
    atomic_int live;
    stripe stripes[];
};

struct sl_table {
    size_t mask, count;
    bool has_shadows; /* of any route: requests of the others need not look */
    sl_route *slots[];
};

static unsigned stripe_count(void)
{
    static atomic_uint cached;
    unsigned n = atomic_load_explicit(&cached, memory_order_relaxed);
    if (n == 0) {
        unsigned cpus = (unsigned)sl_cpu_count();
        for (n = 1; n < cpus && n < MAX_STRIPES;)
            n *= 2;
        atomic_store_explicit(&cached, n, memory_order_relaxed);
    }
    return n;
}

static unsigned own_stripe(void)
{
    static atomic_uint threads;
    static _Thread_local unsigned mine; /* 0: not yet given */
    if (mine == 0)
        mine = atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed) + 1;
    return mine;
}

sl_serving *sl_serving_new(const sl_version *v, void (*drained)(void *arg), void *arg)
{
    unsigned n = stripe_count();
    /* aligned_alloc is not base/mem's, but a session's counters are ours and small. */
    sl_serving *s = aligned_alloc(_Alignof(stripe), sizeof *s + n * sizeof s->stripes[0]);
    if (s == NULL)
        abort();
    s->drained = drained;
    s->arg = arg;
    s->mask = n - 1;
    s->notes_uses = false;
    atomic_init(&s->live, (int)n);
    for (unsigned i = 0; i < n; i++) {
        s->stripes[i].version = *v;
        s->stripes[i].serving = s;
        atomic_init(&s->stripes[i].refs, 1);
        atomic_init(&s->stripes[i].used_ns, 0);
    }
    return s;
}

void sl_serving_note_uses(sl_serving *s)
{
    s->notes_uses = true;
}

uint64_t sl_serving_last_use(const sl_serving *s)
{
    uint64_t last = 0;
    for (unsigned i = 0; i <= s->mask; i++) {
        uint64_t t = atomic_load_explicit(&s->stripes[i].used_ns, memory_order_relaxed);
        last = SL_MAX(last, t);
    }
    return last;
}

bool sl_serving_in_use(const sl_serving *s)
{
    for (unsigned i = 0; i <= s->mask; i++)
        if (atomic_load_explicit(&s->stripes[i].refs, memory_order_relaxed) > 1)
            return true;
    return false;
}

void sl_serving_free(sl_serving *s)
{
    free(s);
}

static void drop(stripe *p)
{
    if (atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1)
        return;
    sl_serving *s = p->serving;
    if (atomic_fetch_sub_explicit(&s->live, 1, memory_order_acq_rel) == 1)
        s->drained(s->arg);
}

void sl_serving_retire(sl_serving *s)
{
    /* The last drop may free `s` under our hands: count first. */
    for (unsigned i = 0, n = s->mask + 1; i < n; i++)
        drop(&s->stripes[i]);
}

void sl_version_release(const sl_version *v)
{
    drop((stripe *)((uintptr_t)v - offsetof(stripe, version)));
}

sl_route *sl_route_new(const char *model, sl_serving *const *versions, const int64_t *numbers,
                       int n_versions, const sl_label *labels, int n_labels)
{
    sl_route *r = sl_calloc(1, sizeof *r);
    size_t n = (size_t)n_versions, k = (size_t)n_labels;
    r->model = sl_strdup(model);
    r->model_len = strlen(model);
    r->hash = sl_hash(model, r->model_len);
    r->n_versions = n_versions;
    r->versions = sl_calloc(n, sizeof(sl_serving *));
    r->numbers = sl_calloc(n, sizeof *r->numbers);
    for (size_t i = 0; i < n; i++) {
        r->versions[i] = versions[i];
        r->numbers[i] = numbers[i];
    }
    r->n_labels = n_labels;
    r->labels = sl_calloc(k, sizeof *r->labels);
    for (size_t i = 0; i < k; i++)
        r->labels[i] = (sl_label){sl_strdup(labels[i].label), labels[i].version};
    return r;
}

void sl_route_set_waiting(sl_route *r, const int64_t *numbers, int count, bool latest)
{
    r->waiting = sl_calloc((size_t)count, sizeof *r->waiting);
    for (int i = 0; i < count; i++)
        r->waiting[i] = numbers[i];
    r->n_waiting = count;
    r->latest_waits = count > 0 && latest;
}

void sl_route_free(sl_route *r)
{
    if (r == NULL)
        return;
    sl_free(r->waiting);
    for (int i = 0; i < r->n_labels; i++)
        sl_free((char *)r->labels[i].label);
    sl_traffic_free(r->traffic);
    sl_free(r->labels);
    sl_free(r->versions);
    sl_free(r->numbers);
    sl_free(r->model);
    sl_free(r);
}

static void place(sl_table *t, sl_route *r)
{
    size_t i = r->hash & t->mask;
    while (t->slots[i] != NULL)
        i = (i + 1) & t->mask;
    t->slots[i] = r;
    t->count++;
    t->has_shadows |= sl_traffic_has_shadow(r->traffic);
}

static size_t capacity_for(size_t count)
{
    size_t cap = 8;
    while (cap < count * 2)
        cap *= 2;
    return cap;
}

sl_table *sl_table_copy(const sl_table *old, size_t more)
{
    size_t cap = capacity_for((old ? old->count : 0) + more);
    bool same = old != NULL && cap <= old->mask + 1;
    if (same)
        cap = old->mask + 1;
    sl_table *t = sl_calloc(1, sizeof *t + cap * sizeof t->slots[0]);
    t->mask = cap - 1;
    if (same) {
        memcpy(t->slots, old->slots, cap * sizeof t->slots[0]);
        t->count = old->count;
        t->has_shadows = old->has_shadows;
    }
    for (size_t i = 0; old != NULL && !same && i <= old->mask; i++)
        if (old->slots[i] != NULL)
            place(t, old->slots[i]);
    return t;
}

/* Closes the gap: whatever stood behind it because of it moves up. */
static void remove_slot(sl_table *t, size_t gap)
{
    t->slots[gap] = NULL;
    t->count--;
    for (size_t i = (gap + 1) & t->mask; t->slots[i] != NULL; i = (i + 1) & t->mask) {
        size_t home = t->slots[i]->hash & t->mask;
        /* Is the gap on its way from home to where it stands? */
        if (((i - home) & t->mask) >= ((i - gap) & t->mask)) {
            t->slots[gap] = t->slots[i];
            t->slots[i] = NULL;
            gap = i;
        }
    }
}

sl_route *sl_table_put(sl_table *t, const char *model, sl_route *route)
{
    size_t n = strlen(model);
    uint64_t hash = sl_hash(model, n);
    size_t i = hash & t->mask;
    while (t->slots[i] != NULL &&
           (t->slots[i]->hash != hash || strcmp(t->slots[i]->model, model) != 0))
        i = (i + 1) & t->mask;
    sl_route *gone = t->slots[i];
    t->has_shadows |= route != NULL && sl_traffic_has_shadow(route->traffic);
    if (gone != NULL && route != NULL)
        t->slots[i] = route;
    else if (gone != NULL)
        remove_slot(t, i);
    else if (route != NULL)
        place(t, route);
    return gone;
}

sl_table *sl_table_with(const sl_table *old, const char *model, sl_route *route, sl_route **gone)
{
    sl_table *t = sl_table_copy(old, 1);
    *gone = sl_table_put(t, model, route);
    return t;
}

void sl_table_free(sl_table *t)
{
    sl_free(t);
}

void sl_table_free_all(sl_table *t)
{
    for (size_t i = 0; t != NULL && i <= t->mask; i++)
        sl_route_free(t->slots[i]);
    sl_free(t);
}

static const sl_route *find(const sl_table *t, sl_str model)
{
    if (t == NULL)
        return NULL;
    uint64_t hash = sl_hash(model.p, model.n);
    for (size_t i = hash & t->mask; t->slots[i] != NULL; i = (i + 1) & t->mask) {
        const sl_route *r = t->slots[i];
        if (r->hash == hash && r->model_len == model.n && memcmp(r->model, model.p, model.n) == 0)
            return r;
    }
    return NULL;
}

static sl_serving *find_number(const sl_route *r, int64_t number)
{
    for (int lo = 0, hi = r->n_versions; lo < hi;) {
        int mid = lo + (hi - lo) / 2;
        if (r->numbers[mid] == number)
            return r->versions[mid];
        if (r->numbers[mid] < number)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

static bool find_label(const sl_route *r, sl_str label, int64_t *number)
{
    for (int i = 0; r != NULL && i < r->n_labels; i++)
        if (sl_str_is(label, r->labels[i].label)) {
            *number = r->labels[i].version;
            return true;
        }
    return false;
}

/* What a spec means. */
typedef struct choice {
    sl_serving *serving; /* NULL: none that is available */
    int64_t number;
    bool specific, unlabelled;
    bool waits; /* it is on demand */
} choice;

static bool is_waiting(const sl_route *r, int64_t number)
{
    for (int i = 0; i < r->n_waiting; i++)
        if (r->waiting[i] == number)
            return true;
    return false;
}

/* Inside enter and leave. `to_await`: it is only asked which version is to be loaded. */
static choice choose(const sl_route *r, const sl_model_spec *spec, bool to_await)
{
    int arm;
    choice c = {.number = spec->version, .specific = spec->has_version || spec->label.n > 0};
    c.unlabelled = spec->label.n > 0 && !find_label(r, spec->label, &c.number);
    if (r == NULL || c.unlabelled)
        return c;
    if (c.specific) {
        c.serving = find_number(r, c.number);
        c.waits = c.serving == NULL && is_waiting(r, c.number);
    } else if ((arm = sl_traffic_choose(r->traffic, spec, to_await, &c.number)) !=
               SL_TRAFFIC_NO_SPLIT) {
        c.serving = arm >= 0 ? r->versions[arm] : NULL;
        c.waits = arm == SL_TRAFFIC_WAITS;
    } else if (r->latest_waits) {
        c.number = r->waiting[r->n_waiting - 1];
        c.waits = true;
    } else if (r->n_versions) {
        c.serving = r->versions[r->n_versions - 1];
    }
    return c;
}

static sl_code refuse(const choice *c, const sl_model_spec *spec, sl_status *st)
{
    if (c->unlabelled)
        return sl_fail(st, SL_INVALID_ARGUMENT, "Unrecognized servable version label: %.*s",
                       SL_STR_ARG(spec->label));
    if (c->waits)
        return sl_fail(st, SL_UNAVAILABLE,
                       "Servable is loaded on demand and not available yet: %.*s version %lld",
                       SL_STR_ARG(spec->model), (long long)c->number);
    if (c->specific)
        return sl_fail(st, SL_NOT_FOUND, "Servable not found for request: Specific(%.*s, %lld)",
                       SL_STR_ARG(spec->model), (long long)c->number);
    return sl_fail(st, SL_NOT_FOUND, "Servable not found for request: Latest(%.*s)",
                   SL_STR_ARG(spec->model));
}

/* Inside enter and leave. */
static const sl_version *take(sl_serving *s)
{
    stripe *p = &s->stripes[own_stripe() & s->mask];
    atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
    if (s->notes_uses)
        atomic_store_explicit(&p->used_ns, sl_now_ns(), memory_order_relaxed);
    return &p->version;
}

bool sl_table_waits(_Atomic(sl_table *) *current, const sl_model_spec *spec, int64_t *number,
                    const sl_version **held)
{
    *held = NULL;
    if (spec->model.n == 0)
        return false;
    sl_reader *me = sl_readers_enter();
    choice c = choose(find(atomic_load(current), spec->model), spec, true);
    if (c.serving != NULL && c.serving->notes_uses)
        *held = take(c.serving);
    sl_readers_leave(me);
    *number = c.number;
    return c.waits;
}

const sl_version *sl_serving_hold(sl_serving *s)
{
    return take(s);
}

sl_code sl_table_acquire(_Atomic(sl_table *) *current, const sl_model_spec *spec,
                         const sl_version **out, sl_status *st)
{
    if (spec->model.n == 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "ModelSpec has no name specified.");
    sl_reader *me = sl_readers_enter();
    choice c = choose(find(atomic_load(current), spec->model), spec, false);
    sl_serving *s = c.serving;
    if (s != NULL)
        *out = take(s);
    sl_readers_leave(me);
    return s != NULL ? SL_OK : refuse(&c, spec, st);
}

bool sl_table_shadow(_Atomic(sl_table *) *current, const sl_version *answered,
                     sl_shadow_target *out)
{
    int at = -1;
    sl_reader *me = sl_readers_enter();
    const sl_table *t = atomic_load(current);
    const sl_route *r = t != NULL && t->has_shadows ? find(t, sl_str_of(answered->model)) : NULL;
    if (r != NULL)
        at = sl_traffic_shadow(r->traffic, answered->number, &out->rtol, &out->atol);
    if (at >= 0)
        out->version = take(r->versions[at]);
    sl_readers_leave(me);
    return at >= 0;
}
