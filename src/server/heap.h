/*
 * heap.h - memory goes back to the system when the crowd has gone
 *
 * What requests used stays with the C library, which gives back only what lies at the end of its
 * heaps: after a rush hundreds of megabytes may stay that nobody uses. Giving them back holds up
 * whoever wants memory meanwhile, so it is done when next to nothing is asked of the server, and
 * only if there is much.
 */
#ifndef SL_SERVER_HEAP_H
#define SL_SERVER_HEAP_H

#include "base/thread.h"

/* All zeros to begin with. One thread. */
typedef struct sl_heap {
    sl_busy busy;
    uint64_t trimmed_ns; /* busy.answered_ns when it was last given back */
} sl_heap;

#define SL_HEAP_TEND_NS UINT64_C(5000000000)

/* Called before there are threads. Where another allocator stands in for the C library's (a sanitizer's),
 * this one is set up by whoever asks it first, and must not be by two at once. */
void sl_heap_begin(void);

/* Called every SL_HEAP_TEND_NS. */
void sl_heap_tend(sl_heap *h);

/* The rule, for its test: so many bytes are free, so much of the processors went into answering
 * since the last call, so long since memory was last given back. */
bool sl_heap_is_due(uint64_t free_bytes, unsigned busy_percent, uint64_t answered_ns);

#endif
