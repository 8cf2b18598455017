/*
 * cache.h - the plans of one graph
 *
 * A plan is found by its key: which inputs are fed, their dtypes and shapes, which outputs are
 * wanted. Finding one takes no lock: slots stay where they are for the life of the cache, so a
 * reader may look at any of them, and counts itself in before it looks at what the slot holds.
 *
 *     find: hash equal? -> refs + 1 (unless a writer has it: refs < 0) -> key equal? -> it is ours
 *     put:  (one writer at a time) an empty slot, or the least recently used one that nobody runs:
 *           refs 0 -> -1, replace, refs -> 0
 *
 * "Recently" is measured in plans made since, so a hit writes nothing when no plan has been made.
 */
#ifndef SL_ENGINE_NATIVE_CACHE_H
#define SL_ENGINE_NATIVE_CACHE_H

#include "engine/native/plan.h"

enum { SL_CACHE_SLOTS = 32, SL_CACHE_CONTEXTS = 8 };

typedef struct sl_slot {
    _Atomic uint64_t hash; /* 0: empty */
    atomic_int refs;
    _Atomic uint64_t used;
    _Atomic int64_t measured; /* ns a run takes, moving average; 0: not measured */
    sl_plan *plan;            /* like key: written while refs < 0, read while refs > 0 */
    int64_t *key;
    size_t n_key;
    _Atomic(sl_context *) contexts[SL_CACHE_CONTEXTS];
} sl_slot;

typedef struct sl_cache {
    sl_slot slots[SL_CACHE_SLOTS];
    _Atomic uint64_t made; /* plans so far */
    atomic_size_t bytes;   /* of plans */
    atomic_size_t pooled;  /* of contexts that wait */
    size_t limit;          /* of bytes, and of pooled */
} sl_cache;

/* All zeros but the limit. */
void sl_cache_init(sl_cache *c, size_t limit);
/* Nobody holds a slot. */
void sl_cache_fini(sl_cache *c);

/* The slot of that request, held until sl_cache_release; NULL if there is none. Any thread. */
sl_slot *sl_cache_find(sl_cache *c, const sl_request *r, int n_feeds);
void sl_cache_release(sl_slot *s);

/* Puts a plan in and returns its slot, held. NULL: every slot is busy, or no memory; the plan then
 * still belongs to the caller. One thread at a time. */
sl_slot *sl_cache_put(sl_cache *c, const sl_request *r, int n_feeds, sl_plan *plan);

/* A context of the slot's plan. NULL: no memory. */
sl_context *sl_cache_take(sl_cache *c, sl_slot *s);
void sl_cache_give(sl_cache *c, sl_slot *s, sl_context *x);

#endif
