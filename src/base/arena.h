/*
 * arena.h - memory that goes all at once
 *
 * Everything that a request allocates for its bookkeeping comes from one arena and goes with it. An
 * arena hands out pieces of blocks; reset() gives every block but the first back and calls what was
 * registered with on_reset, last registered first.
 *
 * Not thread-safe: an arena belongs to whoever has the request.
 */
#ifndef SL_BASE_ARENA_H
#define SL_BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>

#include "sluice/tensor.h"

typedef struct sl_arena sl_arena;
struct sl_arena {
    char *at, *end;             /* what is left of the newest block */
    struct sl_arena_block *top; /* newest first; the last one is `first` and is kept */
    struct sl_arena_hook *hooks;
    size_t used;  /* bytes handed out since the last reset */
    size_t limit; /* try_alloc refuses to go beyond it; 0: none */
    size_t first; /* size of the first block */
};

/* Prepares an arena whose first block, of `reserve` bytes, is allocated here and kept until fini.
 * RESOURCE_EXHAUSTED when it cannot be had. reserve 0: 4096. */
sl_code sl_arena_init(sl_arena *a, size_t reserve) SL_MUST_CHECK;
void sl_arena_fini(sl_arena *a);

/* Never returns NULL: for the few small sizes that we choose, whose sum stays below the reserve of
 * the arena. Ends the process if neither the reserve nor the system has the memory. Aligned to
 * 16. */
void *sl_arena_alloc(sl_arena *a, size_t size);

/* Returns NULL when it cannot be had. For sizes that a client chooses; report
 * RESOURCE_EXHAUSTED. */
void *sl_arena_try_alloc(sl_arena *a, size_t size) SL_MUST_CHECK;

/* A terminated copy; NULL when it cannot be had. */
char *sl_arena_try_strndup(sl_arena *a, const char *s, size_t n) SL_MUST_CHECK;
/* A terminated text; NULL when it cannot be had. */
char *sl_arena_try_printf(sl_arena *a, const char *fmt, ...) SL_PRINTF(2, 3) SL_MUST_CHECK;

/* Calls fn(arg) when the arena is reset, last registered first: for handles, files, references. */
void sl_arena_on_reset(sl_arena *a, void (*fn)(void *), void *arg);

/* Runs the hooks and gives back all blocks but the first. */
void sl_arena_reset(sl_arena *a);

/* Like sl_fail, for a message that may be longer than st->msg: what does not fit goes into the
 * arena as st->more, and is dropped if that has no room. */
sl_code sl_fail_in(sl_arena *a, sl_status *st, sl_code code, const char *fmt, ...) SL_PRINTF(4, 5);
#define sl_fail_in(...) sl_failed(sl_fail_in(__VA_ARGS__))

#endif
