/*
 * discard.h - large blocks go back to the system where that holds up nobody
 *
 * Giving 100 MB back takes the kernel three to five milliseconds, in which a loop answers nobody. So a thread that
 * answers requests only lays a large block aside; a thread for that gives it back in pieces, and
 * lets others go first in between.
 *
 *     loop, worker:  sl_discard(p, size) ---- size < 4 MB: sl_free(p)
 *                          \
 *     sl-discard:           `-> madvise ... madvise, sl_free(p)
 */
#ifndef SL_BASE_DISCARD_H
#define SL_BASE_DISCARD_H

#include <stddef.h>

#include "base/mem.h"

void sl_discard_large(void *p, size_t size);
/* Instead of sl_free(p), for a block that may be large and of which `size` bytes are known to be
 * there. Any thread: only those that are prompt (thread.h) lay something aside, and not while more
 * than 256 MB lie there. The contents are lost at once. Accepts NULL. */
static inline void sl_discard(void *p, size_t size)
{
    if (size < SL_OWN_PAGES)
        sl_free(p);
    else
        sl_discard_large(p, size);
}

/* Starts and ends the thread, for the process; without it, sl_discard is sl_free. At the end all
 * that was laid aside is given back. */
sl_code sl_discard_start(sl_status *st) SL_MUST_CHECK;
void sl_discard_end(void);

#endif
