/*
 * mem.h - memory from the system, and arithmetic on sizes that somebody else chose
 *
 * Every allocation of the server goes through these functions, so that a test can make the n-th one
 * fail (base/fault.h). try_ functions return NULL when memory cannot be had: use them for sizes
 * that a client, a file or the network chose, and report RESOURCE_EXHAUSTED. The others are for the
 * small sizes that we choose at start and on load; they end the process with a line on stderr.
 */
#ifndef SL_BASE_MEM_H
#define SL_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sluice/status.h"

void *sl_try_malloc(size_t size) SL_MUST_CHECK;
void *sl_try_calloc(size_t count, size_t size) SL_MUST_CHECK;
void *sl_try_realloc(void *p, size_t size) SL_MUST_CHECK;
void *sl_malloc(size_t size);
void *sl_calloc(size_t count, size_t size);
void *sl_realloc(void *p, size_t size);
char *sl_strdup(const char *s);
char *sl_strndup(const char *s, size_t n);
/* Accepts NULL. */
void sl_free(void *p);
/*
 * For a process that serves, before it starts threads: what a request gave back stays for the next
 * one. MALLOC_ variables and GLIBC_TUNABLES in the environment have precedence.
 */
void sl_mem_keep(void);
/* ... but for blocks from this size on: they have pages of their own, which go back at once. */
enum { SL_OWN_PAGES = 4 << 20 };

/* *out = a + b (a * b); false and *out untouched if that does not fit. */
static inline bool sl_add_size(size_t a, size_t b, size_t *out)
{
    size_t r;
    if (__builtin_add_overflow(a, b, &r))
        return false;
    *out = r;
    return true;
}
static inline bool sl_mul_size(size_t a, size_t b, size_t *out)
{
    size_t r;
    if (__builtin_mul_overflow(a, b, &r))
        return false;
    *out = r;
    return true;
}

/* The same where a sum that does not fit needs no case of its own: it is SIZE_MAX, which no
 * allocation gets and no limit lets through. */
static inline size_t sl_add_capped(size_t a, size_t b)
{
    size_t r;
    return __builtin_add_overflow(a, b, &r) ? SIZE_MAX : r;
}
static inline size_t sl_mul_capped(size_t a, size_t b)
{
    size_t r;
    return __builtin_mul_overflow(a, b, &r) ? SIZE_MAX : r;
}

/*
 * Makes room for one more element in a growing array: returns the array, moved if need be, or NULL
 * when memory cannot be had (the old array is then still valid). `*cap` counts elements.
 *
 *     nodes = sl_grow(nodes, n, &cap, sizeof *nodes);
 */
void *sl_try_grow(void *array, size_t count, size_t *cap, size_t element) SL_MUST_CHECK;
void *sl_grow(void *array, size_t count, size_t *cap, size_t element);

#define SL_COUNTOF(a) (sizeof(a) / sizeof((a)[0]))
#define SL_MIN(a, b) ((a) < (b) ? (a) : (b))
#define SL_MAX(a, b) ((a) > (b) ? (a) : (b))

#endif
