/* heap.c - see heap.h */
#include "server/heap.h"

#include <malloc.h>

#include "base/log.h"

bool sl_heap_is_due(uint64_t free_bytes, unsigned busy_percent, uint64_t answered_ns)
{
    const uint64_t much = 32 << 20, some_work_ns = 50000000;
    return free_bytes >= much && busy_percent < 2 && answered_ns >= some_work_ns;
}

void sl_heap_begin(void)
{
    mallinfo2();
}

void sl_heap_tend(sl_heap *h)
{
    unsigned busy = sl_busy_percent(&h->busy);
    uint64_t answered = h->busy.answered_ns, since = answered - h->trimmed_ns;
    if (answered < h->trimmed_ns) /* a thread has ended */
        h->trimmed_ns = since = 0;
    size_t free_bytes = mallinfo2().fordblks;
    if (!sl_heap_is_due(free_bytes, busy, since))
        return;
    h->trimmed_ns = answered;
    malloc_trim(0);
    sl_log(SL_DEBUG, "gave memory back to the system: %zu MB of the heap were free",
           free_bytes >> 20);
}
