/*
 * body.c - see body.h
 *
 * The bytes come from realloc, not from sl_buffer_try_new: for large blocks that is mremap, which
 * moves pages and copies nothing. Until the request is complete nobody else has the buffer, so it
 * may move.
 */
#include "http/body.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/discard.h"
#include "base/mem.h"

enum { FIRST = 64 * 1024 };

static void destroy(sl_buffer *b)
{
    sl_discard(b->data, b->size);
    sl_free(b);
}

bool sl_body_charge(sl_body *b, size_t more)
{
    sl_budget *g = b->budget;
    if (g == NULL)
        return true;
    int64_t before = atomic_fetch_add_explicit(&g->used, (int64_t)more, memory_order_relaxed);
    int64_t max = atomic_load_explicit(&g->max, memory_order_relaxed);
    if (max && before + (int64_t)more > max) {
        atomic_fetch_sub_explicit(&g->used, (int64_t)more, memory_order_relaxed);
        return false;
    }
    b->charged += more;
    return true;
}

static bool resize(sl_body *b, size_t size)
{
    void *data = sl_try_realloc(b->buffer ? b->buffer->data : NULL, size);
    if (data == NULL)
        return false;
    if (b->buffer == NULL && (b->buffer = sl_buffer_try_wrap(data, 0, destroy, NULL)) == NULL) {
        sl_free(data);
        return false;
    }
    b->buffer->data = data;
    b->buffer->size = size;
    return true;
}

bool sl_body_grow(sl_body *b, size_t limit)
{
    size_t now = b->buffer ? b->buffer->size : 0;
    if (now > b->n)
        return true;
    assert(now <= PTRDIFF_MAX); /* as every block: twice that is a size_t */
    size_t size = now < FIRST ? FIRST : now * 2;
    if (size > SL_OWN_PAGES / 4) /* from here on it grows without being copied */
        size = SL_MAX(size, (size_t)SL_OWN_PAGES);
    size = SL_MIN(size, limit);
    return sl_body_charge(b, size - now) && resize(b, size);
}

bool sl_body_add(sl_body *b, const char *p, size_t size, size_t limit)
{
    while (size > 0) {
        if (!sl_body_grow(b, limit))
            return false;
        size_t n = SL_MIN(size, sl_body_room(b));
        memcpy((char *)b->buffer->data + b->n, p, n);
        b->n += n;
        p += n;
        size -= n;
    }
    return true;
}

void sl_body_reset(sl_body *b)
{
    if (b->buffer == NULL && b->charged == 0)
        return;
    sl_buffer_release(b->buffer);
    if (b->budget != NULL)
        atomic_fetch_sub_explicit(&b->budget->used, (int64_t)b->charged, memory_order_relaxed);
    *b = (sl_body){.budget = b->budget};
}
