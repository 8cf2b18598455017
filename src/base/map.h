/*
 * map.h - from a name to a pointer
 *
 * Open addressing, keys copied, seeded hash. Not thread-safe; a map that is shared is immutable.
 */
#ifndef SL_BASE_MAP_H
#define SL_BASE_MAP_H

#include "base/str.h"

typedef struct sl_map_slot {
    char *key; /* NULL: free */
    size_t len;
    uint64_t hash;
    void *value;
} sl_map_slot;

typedef struct sl_map {
    sl_map_slot *slots;
    size_t cap, count;
} sl_map;

/* A map that is all zeros is empty and ready. */
void sl_map_fini(sl_map *m);
/* NULL if there is none. */
void *sl_map_get(const sl_map *m, sl_str key);
/* Sets or replaces. False when memory cannot be had. */
bool sl_map_try_set(sl_map *m, sl_str key, void *value) SL_MUST_CHECK;
/* The same for keys of our own making, few and small: ends the process as sl_malloc does. */
void sl_map_set(sl_map *m, sl_str key, void *value);
/* Removes; returns the value that was there, or NULL. */
void *sl_map_remove(sl_map *m, sl_str key);
/* Walks in no particular order: for (size_t i = 0; (s = sl_map_next(m, &i)) != NULL;) */
const sl_map_slot *sl_map_next(const sl_map *m, size_t *i);

#endif
