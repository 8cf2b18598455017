/*
 * names.h - finding a name among many that are already in memory
 *
 * A table of positions: the names themselves stay where they are (in an array of structs), so an
 * index over 100,000 nodes is one block of 1 MB from the model's arena.
 */
#ifndef SL_SAVEDMODEL_NAMES_H
#define SL_SAVEDMODEL_NAMES_H

#include "base/arena.h"
#include "base/str.h"

typedef struct sl_names {
    const char *first;    /* the sl_str of element 0 */
    size_t stride;        /* bytes from one element to the next */
    const uint32_t *slot; /* 0: free; else position + 1 */
    size_t mask;
} sl_names;

/* Indexes `count` elements. *twice is the position of the first one whose name was there before, or
 * -1; a search gives the earlier one. False when memory cannot be had. */
bool sl_names_try_index(sl_names *names, sl_arena *arena, const void *elements, size_t name_offset,
                        size_t stride, int count, int *twice) SL_MUST_CHECK;
/* Position, or -1. An index that is all zeros is empty. */
int sl_names_find(const sl_names *names, sl_str name);

#endif
