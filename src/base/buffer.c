/*
 * buffer.c - counted memory (sluice/tensor.h)
 *
 * A buffer from sl_buffer_try_new is one block: up to 63 bytes that are lost to alignment, 64 bytes
 * of header, then the data, aligned to 64. A tensor costs one allocation.
 */
#include "base/discard.h"
#include "base/mem.h"
#include "sluice/tensor.h"

enum { ALIGN = 64 };
_Static_assert(sizeof(sl_buffer) <= ALIGN, "the header fits in front of the data");

static void free_block(sl_buffer *b)
{
    sl_discard(b->owner, b->size);
}

sl_buffer *sl_buffer_try_new(size_t size)
{
    size_t bytes;
    if (!sl_add_size(size, 2 * ALIGN, &bytes))
        return NULL;
    /* malloc and a little arithmetic: aligned_alloc does not use malloc's per-thread cache, and a
     * small tensor is made for every request. */
    char *block = sl_try_malloc(bytes);
    if (block == NULL)
        return NULL;
    sl_buffer *b = (sl_buffer *)(((uintptr_t)block + ALIGN - 1) & ~(uintptr_t)(ALIGN - 1));
    *b = (sl_buffer){
        .refs = 1, .size = size, .data = (char *)b + ALIGN, .destroy = free_block, .owner = block};
    return b;
}

sl_buffer *sl_buffer_try_wrap(void *data, size_t size, void (*destroy)(sl_buffer *b), void *owner)
{
    sl_buffer *b = sl_try_malloc(sizeof *b);
    if (b != NULL)
        *b = (sl_buffer){.refs = 1, .size = size, .data = data, .destroy = destroy, .owner = owner};
    return b;
}

sl_buffer *sl_buffer_acquire(sl_buffer *b)
{
    if (b != NULL)
        __atomic_fetch_add(&b->refs, 1, __ATOMIC_RELAXED);
    return b;
}

void sl_buffer_release(sl_buffer *b)
{
    if (b != NULL && __atomic_fetch_sub(&b->refs, 1, __ATOMIC_ACQ_REL) == 1)
        b->destroy(b);
}
