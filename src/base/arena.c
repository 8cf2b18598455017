/*
 * arena.c - blocks in a list, a pointer that moves forward
 *
 * A request that stays within the first block costs no malloc at all. Later blocks double, so that
 * n bytes take O(log n) of them; a piece larger than the next block would be gets a block of its
 * own.
 */
#include "base/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/discard.h"
#include "base/fault.h"
#include "base/mem.h"

enum { ALIGN = 16, DEFAULT_RESERVE = 4096, LARGEST_STEP = 1 << 20 };

typedef struct sl_arena_block {
    struct sl_arena_block *next;
    size_t size; /* of the usable part */
    _Alignas(ALIGN) char data[];
} block;

typedef struct sl_arena_hook {
    struct sl_arena_hook *next;
    void (*fn)(void *);
    void *arg;
} hook;

static block *new_block(size_t size)
{
    size_t bytes;
    if (!sl_add_size(size, sizeof(block), &bytes))
        return NULL;
    block *b = sl_try_malloc(bytes);
    if (b != NULL) {
        b->next = NULL;
        b->size = size;
    }
    return b;
}

static void open_block(sl_arena *a, block *b)
{
    a->at = b->data;
    a->end = b->data + b->size;
}

sl_code sl_arena_init(sl_arena *a, size_t reserve)
{
    memset(a, 0, sizeof *a);
    a->first = reserve ? reserve : DEFAULT_RESERVE;
    a->top = new_block(a->first);
    if (a->top == NULL)
        return SL_RESOURCE_EXHAUSTED;
    open_block(a, a->top);
    return SL_OK;
}

void sl_arena_fini(sl_arena *a)
{
    if (a->top == NULL)
        return;
    sl_arena_reset(a);
    sl_free(a->top);
    memset(a, 0, sizeof *a);
}

static void *carve(sl_arena *a, size_t size)
{
    if (size > SIZE_MAX - ALIGN)
        return NULL;
    size = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (size > (size_t)(a->end - a->at)) {
        size_t wanted = a->top->size < LARGEST_STEP ? a->top->size * 2 : LARGEST_STEP;
        block *b = new_block(size > wanted ? size : wanted);
        if (b == NULL)
            return NULL;
        b->next = a->top;
        a->top = b;
        open_block(a, b);
    }
    void *p = a->at;
    a->at += size;
    a->used += size;
    return p;
}

void *sl_arena_try_alloc(sl_arena *a, size_t size)
{
    if (a->limit && (size > a->limit || a->used > a->limit - size))
        return NULL;
#ifdef SLUICE_FAULTS /* an arena mostly has room: without this its failures could not be tested */
    if (sl_fault_hit(SL_FAULT_ARENA))
        return NULL;
#endif
    return carve(a, size);
}

void *sl_arena_alloc(sl_arena *a, size_t size)
{
    void *p = carve(a, size);
    if (p == NULL) {
        fprintf(stderr, "sluice: out of memory (%zu bytes for a request)\n", size);
        abort();
    }
    return p;
}

char *sl_arena_try_strndup(sl_arena *a, const char *s, size_t n)
{
    if (n == SIZE_MAX)
        return NULL;
    char *copy = sl_arena_try_alloc(a, n + 1);
    if (copy == NULL)
        return NULL;
    if (n)
        memcpy(copy, s, n);
    copy[n] = '\0';
    return copy;
}

static char *vprintf_in(sl_arena *a, const char *fmt, va_list ap, size_t *len)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    char *text = n < 0 ? NULL : sl_arena_try_alloc(a, (size_t)n + 1);
    if (text != NULL)
        vsnprintf(text, (size_t)n + 1, fmt, again);
    va_end(again);
    *len = text ? (size_t)n : 0;
    return text;
}

char *sl_arena_try_printf(sl_arena *a, const char *fmt, ...)
{
    va_list ap;
    size_t len;
    va_start(ap, fmt);
    char *text = vprintf_in(a, fmt, ap, &len);
    va_end(ap);
    return text;
}

void sl_arena_on_reset(sl_arena *a, void (*fn)(void *), void *arg)
{
    hook *h = sl_arena_alloc(a, sizeof *h);
    *h = (hook){a->hooks, fn, arg};
    a->hooks = h;
}

void sl_arena_reset(sl_arena *a)
{
    while (a->hooks != NULL) {
        hook *h = a->hooks;
        a->hooks = h->next;
        h->fn(h->arg);
    }
    while (a->top->next != NULL) {
        block *b = a->top;
        a->top = b->next;
        sl_discard(b, b->size);
    }
    open_block(a, a->top);
    a->used = 0;
}

sl_code(sl_fail_in)(sl_arena *a, sl_status *st, sl_code code, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    code = sl_vfail(st, code, fmt, ap);
    va_end(ap);
    if (st != NULL && strlen(st->msg) == sizeof st->msg - 1) {
        size_t len;
        char *whole = vprintf_in(a, fmt, again, &len);
        if (whole != NULL && len > sizeof st->msg - 1)
            st->more = whole + sizeof st->msg - 1;
    }
    va_end(again);
    return code;
}
