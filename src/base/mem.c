/* mem.c - allocation with a way to make it fail */
#include "base/mem.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"

static atomic_int armed[SL_FAULT_KINDS]; /* calls left until one fails; 0: never */
static atomic_int counted[SL_FAULT_KINDS];
static atomic_bool lasts[SL_FAULT_KINDS]; /* all that follow fail, too */
static atomic_bool any_armed;

static void arm(sl_fault kind, int nth, bool all)
{
    atomic_store(&counted[kind], 0);
    atomic_store(&lasts[kind], all);
    atomic_store(&armed[kind], nth);
    atomic_store(&any_armed, true);
}

void sl_fault_arm(sl_fault kind, int nth)
{
    arm(kind, nth, false);
}

void sl_fault_arm_from(sl_fault kind, int nth)
{
    arm(kind, nth, true);
}

bool sl_fault_hit(sl_fault kind)
{
    if (!atomic_load_explicit(&any_armed, memory_order_relaxed))
        return false;
    atomic_fetch_add(&counted[kind], 1);
    int left = atomic_load(&armed[kind]);
    while (left > 0)
        if ((left == 1 && atomic_load(&lasts[kind])) ||
            atomic_compare_exchange_weak(&armed[kind], &left, left - 1))
            return left == 1;
    return false;
}

int sl_fault_count(sl_fault kind)
{
    return atomic_load(&counted[kind]);
}

/*
 * By itself glibc gives the top of a heap back as soon as twice its largest block is free there,
 * and a few requests of some hundred KB are that: each of them then waits for fresh pages, 130
 * faults for 600 KB each way, half of its time in the kernel (bench/grpc.py large). Blocks from 4
 * MB on still have pages of their own: what a large model or body held is the system's again at
 * once, and realloc moves pages instead of bytes.
 */
void sl_mem_keep(void)
{
    if (getenv("GLIBC_TUNABLES") != NULL || getenv("MALLOC_TRIM_THRESHOLD_") != NULL ||
        getenv("MALLOC_MMAP_THRESHOLD_") != NULL)
        return;
    mallopt(M_MMAP_THRESHOLD, SL_OWN_PAGES);
    mallopt(M_TRIM_THRESHOLD, 16 << 20);
}

static void *or_die(void *p, size_t size)
{
    if (p == NULL) {
        fprintf(stderr, "sluice: out of memory (%zu bytes wanted)\n", size);
        abort();
    }
    return p;
}

void *sl_try_malloc(size_t size)
{
    return sl_fault_hit(SL_FAULT_ALLOC) ? NULL : malloc(size ? size : 1);
}

void *sl_try_calloc(size_t count, size_t size)
{
    return sl_fault_hit(SL_FAULT_ALLOC) ? NULL : calloc(count ? count : 1, size ? size : 1);
}

void *sl_try_realloc(void *p, size_t size)
{
    return sl_fault_hit(SL_FAULT_ALLOC) ? NULL : realloc(p, size ? size : 1);
}

void *sl_malloc(size_t size)
{
    return or_die(malloc(size ? size : 1), size);
}

void *sl_calloc(size_t count, size_t size)
{
    return or_die(calloc(count ? count : 1, size ? size : 1), size);
}

void *sl_realloc(void *p, size_t size)
{
    return or_die(realloc(p, size ? size : 1), size);
}

char *sl_strndup(const char *s, size_t n)
{
    char *copy = sl_malloc(n + 1);
    if (n)
        memcpy(copy, s, n);
    copy[n] = '\0';
    return copy;
}

char *sl_strdup(const char *s)
{
    return sl_strndup(s, strlen(s));
}

void sl_free(void *p)
{
    free(p);
}

void *sl_try_grow(void *array, size_t count, size_t *cap, size_t element)
{
    if (count < *cap)
        return array;
    size_t wanted = *cap < 8 ? 8 : *cap + *cap / 2, bytes;
    if (wanted < *cap || !sl_mul_size(wanted, element, &bytes))
        return NULL;
    void *moved = sl_try_realloc(array, bytes);
    if (moved != NULL)
        *cap = wanted;
    return moved;
}

void *sl_grow(void *array, size_t count, size_t *cap, size_t element)
{
    if (count < *cap)
        return array;
    size_t wanted = *cap < 8 ? 8 : *cap + *cap / 2, bytes;
    if (wanted < *cap || !sl_mul_size(wanted, element, &bytes))
        return or_die(NULL, SIZE_MAX);
    *cap = wanted;
    return sl_realloc(array, bytes);
}
