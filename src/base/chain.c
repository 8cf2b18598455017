/* chain.c - see chain.h */
#include "base/chain.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/discard.h"
#include "base/mem.h"

enum { FIRST = 1024, LARGEST = 256 * 1024 };

static void append(sl_chain *c, sl_piece *p)
{
    p->next = NULL;
    if (c->tail)
        c->tail->next = p;
    else
        c->head = p;
    c->tail = p;
}

static void drop(sl_piece *p)
{
    sl_buffer_release(p->lent);
    sl_discard(p, p->cap);
}

void sl_chain_reset(sl_chain *c)
{
    while (c->head != NULL) {
        sl_piece *p = c->head;
        c->head = p->next;
        drop(p);
    }
    *c = (sl_chain){0};
}

char *sl_chain_reserve_slow(sl_chain *c, size_t n)
{
    /* Blocks double up to 256 KiB: a reply of n bytes takes O(log n) of them, then n / 256 KiB. What is larger than
     * 4 MiB goes on in blocks of that size, which do not stay in the heap afterwards. */
    size_t cap = c->tail && c->tail->cap ? SL_MIN(c->tail->cap * 2, (size_t)LARGEST) : FIRST;
    size_t bytes;
    if (c->size >= SL_OWN_PAGES)
        cap = SL_OWN_PAGES;
    if (cap < n)
        cap = n;
    sl_piece *p = c->failed || !sl_add_size(sizeof *p, cap, &bytes) ? NULL : sl_try_malloc(bytes);
    if (p == NULL) {
        c->failed = true;
        return NULL;
    }
    *p = (sl_piece){.data = (char *)(p + 1), .cap = cap};
    append(c, p);
    return p->data;
}

void sl_chain_add(sl_chain *c, const void *p, size_t n)
{
    char *to = n ? sl_chain_reserve(c, n) : NULL;
    if (to == NULL)
        return;
    memcpy(to, p, n);
    sl_chain_commit(c, n);
}

void sl_chain_puts(sl_chain *c, const char *s)
{
    sl_chain_add(c, s, strlen(s));
}

void sl_chain_printf(sl_chain *c, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    char *to = n < 0 ? NULL : sl_chain_reserve(c, (size_t)n + 1);
    if (to != NULL) {
        vsnprintf(to, (size_t)n + 1, fmt, again);
        sl_chain_commit(c, (size_t)n);
    }
    va_end(again);
    va_end(ap);
}

void sl_chain_lend(sl_chain *c, sl_buffer *b, const void *data, size_t n)
{
    if (n == 0)
        return;
    sl_piece *p = c->failed ? NULL : sl_try_malloc(sizeof *p);
    if (p == NULL) {
        c->failed = true;
        return;
    }
    *p = (sl_piece){.data = (char *)data, .end = n, .lent = sl_buffer_acquire(b)};
    append(c, p);
    c->size += n;
}

void sl_chain_join(sl_chain *c, sl_chain *from)
{
    if (from->head != NULL) {
        if (c->tail)
            c->tail->next = from->head;
        else
            c->head = from->head;
        c->tail = from->tail;
        c->size += from->size;
    }
    c->failed |= from->failed;
    *from = (sl_chain){0};
}

int sl_chain_vectors(const sl_chain *c, struct iovec *v, int max)
{
    int n = 0;
    for (const sl_piece *p = c->head; p != NULL && n < max; p = p->next)
        if (p->end > p->begin)
            v[n++] = (struct iovec){p->data + p->begin, p->end - p->begin};
    return n;
}

void sl_chain_consume(sl_chain *c, size_t n)
{
    c->size -= n;
    while (c->head != NULL) {
        sl_piece *p = c->head;
        size_t here = p->end - p->begin;
        if (here > n) {
            p->begin += n;
            return;
        }
        n -= here;
        c->head = p->next;
        drop(p);
    }
    c->tail = NULL;
}

void sl_chain_copy(const sl_chain *c, char *out)
{
    for (const sl_piece *p = c->head; p != NULL; p = p->next) {
        memcpy(out, p->data + p->begin, p->end - p->begin);
        out += p->end - p->begin;
    }
}
