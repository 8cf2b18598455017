/* names.c - open addressing, linear probing, at most half full */
#include "savedmodel/names.h"

static sl_str name_at(const sl_names *names, int i)
{
    sl_str s;
    memcpy(&s, names->first + (size_t)i * names->stride, sizeof s);
    return s;
}

static size_t find_slot(const sl_names *names, sl_str name)
{
    size_t i = sl_hash(name.p, name.n) & names->mask;
    while (names->slot[i] && !sl_str_eq(name_at(names, (int)names->slot[i] - 1), name))
        i = (i + 1) & names->mask;
    return i;
}

bool sl_names_try_index(sl_names *names, sl_arena *arena, const void *elements, size_t name_offset,
                        size_t stride, int count, int *twice)
{
    size_t slots = 4;
    while (slots < (size_t)count * 2)
        slots *= 2;
    uint32_t *slot = sl_arena_try_alloc(arena, slots * sizeof *slot);
    *twice = -1;
    if (slot == NULL)
        return false;
    memset(slot, 0, slots * sizeof *slot);
    *names = (sl_names){.first = count ? (const char *)elements + name_offset : NULL,
                        .stride = stride,
                        .slot = slot,
                        .mask = slots - 1};
    for (int i = 0; i < count; i++) {
        size_t at = find_slot(names, name_at(names, i));
        if (slot[at] == 0)
            slot[at] = (uint32_t)i + 1;
        else if (*twice < 0)
            *twice = i;
    }
    return true;
}

int sl_names_find(const sl_names *names, sl_str name)
{
    return names->slot ? (int)names->slot[find_slot(names, name)] - 1 : -1;
}
