/*
 * readers.h - reading what somebody may be replacing, without a lock
 *
 * A reader marks in a slot of its own thread that it is looking. A writer first publishes the new
 * pointer, then waits until everybody who was looking at that moment has looked away; after that
 * nobody can hold the old one, and it may be freed. Looking takes nanoseconds (a request does not
 * hold it while it runs: it takes a reference and looks away), so the writer's wait is short.
 *
 *     reader: sl_readers_enter(); p = atomic_load(&current); ... sl_readers_leave();
 *     writer: old = atomic_exchange(&current, fresh); sl_readers_wait(); free(old);
 *
 * Between enter and leave: no lock, no allocation, nothing that blocks, no second enter.
 */
#ifndef SL_MODEL_READERS_H
#define SL_MODEL_READERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct sl_reader {
    _Alignas(64) atomic_uint looking; /* odd: between enter and leave */
    atomic_bool owned;                /* by a living thread */
    struct sl_reader *next;
} sl_reader;

extern _Thread_local sl_reader *sl_reader_mine;
sl_reader *sl_reader_register(void);

static inline sl_reader *sl_readers_enter(void)
{
    sl_reader *r = sl_reader_mine;
    if (__builtin_expect(r == NULL, 0))
        r = sl_reader_register();
    /* Sequentially consistent, like the writer's side: either the writer sees this mark, or this
     * reader sees the writer's new pointer. */
    atomic_exchange(&r->looking, atomic_load_explicit(&r->looking, memory_order_relaxed) + 1);
    return r;
}

static inline void sl_readers_leave(sl_reader *r)
{
    atomic_store_explicit(&r->looking, atomic_load_explicit(&r->looking, memory_order_relaxed) + 1,
                          memory_order_release);
}

/* Returns when every reader that was looking has looked away at least once. Not from a reader. */
void sl_readers_wait(void);

#endif
