/* cache.c - slots that readers may always touch; see cache.h for the protocol */
#include "engine/native/cache.h"

#include "base/mem.h"

void sl_cache_init(sl_cache *c, size_t limit)
{
    c->limit = limit;
}

static void empty_slot(sl_cache *c, sl_slot *s)
{
    for (int i = 0; i < SL_CACHE_CONTEXTS; i++) {
        sl_context *x = atomic_exchange(&s->contexts[i], NULL);
        if (x != NULL)
            atomic_fetch_sub(&c->pooled, x->bytes);
        sl_context_free(x);
    }
    if (s->plan != NULL)
        atomic_fetch_sub(&c->bytes, s->plan->bytes);
    sl_plan_free(s->plan);
    sl_free(s->key);
    s->plan = NULL;
    s->key = NULL;
}

void sl_cache_fini(sl_cache *c)
{
    for (int i = 0; i < SL_CACHE_SLOTS; i++)
        empty_slot(c, &c->slots[i]);
}

/* ---- keys ---- */

static int64_t tensor_word(int feed, const sl_tensor *t)
{
    return (int64_t)feed << 16 | (int64_t)t->dtype << 8 | t->rank;
}

static uint64_t mix(uint64_t h, int64_t word)
{
    h ^= (uint64_t)word;
    h *= 0x9e3779b97f4a7c15u;
    return h ^ h >> 29;
}

static uint64_t hash_of(const sl_request *r, int n_feeds)
{
    uint64_t h = (uint64_t)r->n_outs + 1;
    for (int i = 0; i < n_feeds; i++) {
        const sl_tensor *t = r->feeds[i];
        if (t == NULL)
            continue;
        h = mix(h, tensor_word(i, t));
        for (int d = 0; d < t->rank; d++)
            h = mix(h, t->dims[d]);
    }
    for (int i = 0; i < r->n_outs; i++)
        h = mix(h, r->outs ? r->outs[i] : i);
    return h ? h : 1;
}

static size_t key_words(const sl_request *r, int n_feeds)
{
    size_t n = (size_t)r->n_outs;
    for (int i = 0; i < n_feeds; i++)
        n += r->feeds[i] ? 1 + (size_t)r->feeds[i]->rank : 0;
    return n;
}

static void write_key(const sl_request *r, int n_feeds, int64_t *key)
{
    for (int i = 0; i < n_feeds; i++) {
        const sl_tensor *t = r->feeds[i];
        if (t == NULL)
            continue;
        *key++ = tensor_word(i, t);
        for (int d = 0; d < t->rank; d++)
            *key++ = t->dims[d];
    }
    for (int i = 0; i < r->n_outs; i++)
        *key++ = r->outs ? r->outs[i] : i;
}

static bool is_key(const int64_t *key, size_t n_key, const sl_request *r, int n_feeds)
{
    if (n_key != key_words(r, n_feeds))
        return false;
    for (int i = 0; i < n_feeds; i++) {
        const sl_tensor *t = r->feeds[i];
        if (t == NULL)
            continue;
        if (*key++ != tensor_word(i, t))
            return false;
        for (int d = 0; d < t->rank; d++)
            if (*key++ != t->dims[d])
                return false;
    }
    for (int i = 0; i < r->n_outs; i++)
        if (*key++ != (r->outs ? r->outs[i] : i))
            return false;
    return true;
}

/* ---- finding ---- */

static bool hold(sl_slot *s)
{
    int refs = atomic_load_explicit(&s->refs, memory_order_relaxed);
    while (refs >= 0)
        if (atomic_compare_exchange_weak_explicit(&s->refs, &refs, refs + 1, memory_order_acquire,
                                                  memory_order_relaxed))
            return true;
    return false;
}

void sl_cache_release(sl_slot *s)
{
    atomic_fetch_sub_explicit(&s->refs, 1, memory_order_release);
}

sl_slot *sl_cache_find(sl_cache *c, const sl_request *r, int n_feeds)
{
    uint64_t h = hash_of(r, n_feeds);
    for (size_t i = 0; i < SL_CACHE_SLOTS; i++) {
        sl_slot *s = &c->slots[(h + i) % SL_CACHE_SLOTS];
        if (atomic_load_explicit(&s->hash, memory_order_relaxed) != h || !hold(s))
            continue;
        if (s->plan != NULL && is_key(s->key, s->n_key, r, n_feeds)) {
            uint64_t now = atomic_load_explicit(&c->made, memory_order_relaxed);
            if (atomic_load_explicit(&s->used, memory_order_relaxed) != now)
                atomic_store_explicit(&s->used, now, memory_order_relaxed);
            return s;
        }
        sl_cache_release(s);
    }
    return NULL;
}

/* ---- putting ---- */

static bool seize(sl_slot *s)
{
    int free_now = 0;
    return atomic_compare_exchange_strong(&s->refs, &free_now, -1);
}

/* The empty slot nearest to where the search begins, or the one that was used longest ago. */
static sl_slot *seize_one(sl_cache *c, uint64_t h, bool only_full)
{
    sl_slot *oldest = NULL;
    for (size_t i = 0; i < SL_CACHE_SLOTS; i++) {
        sl_slot *s = &c->slots[(h + i) % SL_CACHE_SLOTS];
        bool empty = atomic_load(&s->hash) == 0;
        if (empty && !only_full && seize(s))
            return s;
        if (!empty && atomic_load(&s->refs) == 0 &&
            (oldest == NULL || atomic_load(&s->used) < atomic_load(&oldest->used)))
            oldest = s;
    }
    return oldest != NULL && seize(oldest) ? oldest : NULL;
}

static void evict_to(sl_cache *c, size_t limit)
{
    while (atomic_load(&c->bytes) > limit) {
        sl_slot *s = seize_one(c, 0, true);
        if (s == NULL)
            return;
        atomic_store(&s->hash, 0);
        empty_slot(c, s);
        atomic_store(&s->refs, 0);
    }
}

sl_slot *sl_cache_put(sl_cache *c, const sl_request *r, int n_feeds, sl_plan *plan)
{
    size_t n = key_words(r, n_feeds);
    int64_t *key = plan->bytes > c->limit ? NULL : sl_try_malloc(n * sizeof *key);
    if (key == NULL)
        return NULL;
    evict_to(c, c->limit - plan->bytes);
    uint64_t h = hash_of(r, n_feeds);
    sl_slot *s = seize_one(c, h, false);
    if (s == NULL) {
        sl_free(key);
        return NULL;
    }
    atomic_store(&s->hash, 0);
    empty_slot(c, s);
    write_key(r, n_feeds, key);
    s->plan = plan;
    s->key = key;
    s->n_key = n;
    atomic_fetch_add(&c->bytes, plan->bytes);
    atomic_store(&s->measured, 0);
    atomic_store(&s->used, atomic_fetch_add(&c->made, 1) + 1);
    atomic_store(&s->refs, 1);
    atomic_store(&s->hash, h);
    return s;
}

/* ---- contexts ---- */

/* Threads begin to look at different places, so that they rarely fight for one. */
static unsigned first_place(void)
{
    static atomic_uint threads;
    static _Thread_local unsigned mine;
    if (mine == 0)
        mine = atomic_fetch_add(&threads, 1) + 1;
    return mine;
}

sl_context *sl_cache_take(sl_cache *c, sl_slot *s)
{
    unsigned at = first_place();
    for (unsigned i = 0; i < SL_CACHE_CONTEXTS; i++) {
        _Atomic(sl_context *) *place = &s->contexts[(at + i) % SL_CACHE_CONTEXTS];
        if (atomic_load_explicit(place, memory_order_relaxed) == NULL)
            continue;
        sl_context *x = atomic_exchange_explicit(place, NULL, memory_order_acquire);
        if (x != NULL) {
            atomic_fetch_sub_explicit(&c->pooled, x->bytes, memory_order_relaxed);
            return x;
        }
    }
    return sl_context_new(s->plan);
}

void sl_cache_give(sl_cache *c, sl_slot *s, sl_context *x)
{
    unsigned at = first_place();
    size_t before = atomic_fetch_add_explicit(&c->pooled, x->bytes, memory_order_relaxed);
    if (before <= c->limit && x->bytes <= c->limit - before)
        for (unsigned i = 0; i < SL_CACHE_CONTEXTS; i++) {
            sl_context *none = NULL;
            if (atomic_compare_exchange_strong_explicit(&s->contexts[(at + i) % SL_CACHE_CONTEXTS],
                                                        &none, x, memory_order_release,
                                                        memory_order_relaxed))
                return;
        }
    atomic_fetch_sub_explicit(&c->pooled, x->bytes, memory_order_relaxed);
    sl_context_free(x);
}
