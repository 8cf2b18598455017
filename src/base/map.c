/* map.c - linear probing, at most 3/4 full; removal shifts the run back, so there are no tombstones
 */
#include "base/map.h"

#include "base/mem.h"

void sl_map_fini(sl_map *m)
{
    for (size_t i = 0; i < m->cap; i++)
        sl_free(m->slots[i].key);
    sl_free(m->slots);
    *m = (sl_map){0};
}

static size_t find(const sl_map *m, sl_str key, uint64_t hash)
{
    size_t i = hash & (m->cap - 1);
    while (m->slots[i].key != NULL) {
        const sl_map_slot *s = &m->slots[i];
        if (s->hash == hash && s->len == key.n && memcmp(s->key, key.n ? key.p : "", key.n) == 0)
            break;
        i = (i + 1) & (m->cap - 1);
    }
    return i;
}

void *sl_map_get(const sl_map *m, sl_str key)
{
    if (m->count == 0)
        return NULL;
    const sl_map_slot *s = &m->slots[find(m, key, sl_hash(key.p, key.n))];
    return s->key ? s->value : NULL;
}

static bool widen(sl_map *m, void *(*get)(size_t, size_t))
{
    sl_map wider = {.cap = m->cap ? m->cap * 2 : 16, .count = m->count};
    wider.slots = get(wider.cap, sizeof *wider.slots);
    if (wider.slots == NULL)
        return false;
    for (size_t i = 0; i < m->cap; i++)
        if (m->slots[i].key != NULL)
            wider
                .slots[find(&wider, (sl_str){m->slots[i].key, m->slots[i].len}, m->slots[i].hash)] =
                m->slots[i];
    sl_free(m->slots);
    *m = wider;
    return true;
}

static bool set(sl_map *m, sl_str key, void *value, void *(*get)(size_t count, size_t size))
{
    uint64_t hash = sl_hash(key.p, key.n);
    if ((m->count + 1) * 4 > m->cap * 3 && !widen(m, get))
        return false;
    sl_map_slot *s = &m->slots[find(m, key, hash)];
    if (s->key == NULL) {
        char *copy = get(key.n + 1, 1);
        if (copy == NULL)
            return false;
        if (key.n)
            memcpy(copy, key.p, key.n);
        copy[key.n] = '\0';
        *s = (sl_map_slot){copy, key.n, hash, NULL};
        m->count++;
    }
    s->value = value;
    return true;
}

bool sl_map_try_set(sl_map *m, sl_str key, void *value)
{
    return set(m, key, value, sl_try_calloc);
}

void sl_map_set(sl_map *m, sl_str key, void *value)
{
    set(m, key, value, sl_calloc);
}

void *sl_map_remove(sl_map *m, sl_str key)
{
    if (m->count == 0)
        return NULL;
    size_t mask = m->cap - 1, hole = find(m, key, sl_hash(key.p, key.n));
    if (m->slots[hole].key == NULL)
        return NULL;
    void *value = m->slots[hole].value;
    sl_free(m->slots[hole].key);
    for (size_t i = (hole + 1) & mask; m->slots[i].key != NULL; i = (i + 1) & mask) {
        size_t home = m->slots[i].hash & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            m->slots[hole] = m->slots[i];
            hole = i;
        }
    }
    m->slots[hole] = (sl_map_slot){0};
    m->count--;
    return value;
}

const sl_map_slot *sl_map_next(const sl_map *m, size_t *i)
{
    while (*i < m->cap) {
        const sl_map_slot *s = &m->slots[(*i)++];
        if (s->key != NULL)
            return s;
    }
    return NULL;
}
