/*
 * listing.h - what the library knows, found out by a process of its own
 *
 * Both questions may make TensorFlow start threads, which the host must not have. The version is
 * known at once, for it is needed with HELLO; the ops take longer, and who asks for them meanwhile
 * is answered when they are known. A library of custom ops may hang in that: after a while the
 * process is killed, and nobody waits for it any more.
 */
#ifndef SL_TF_HOST_LISTING_H
#define SL_TF_HOST_LISTING_H

#include <stdint.h>

#include "base/clock.h"

/* `value`: how many bytes were written to the file; UINT64_MAX: the library could not be asked. */
typedef void tf_listing_answer(uint64_t id, uint64_t value);

/* Starts the process. The library's GraphDef version; 0: it cannot be found out. */
uint64_t tf_listing_begin(tf_listing_answer *answer);

/* Strikes out of the names in `file`, one a line, those of ops that the library has; closes it and
 * answers, now or later. */
void tf_listing_ask(uint64_t id, int file);

/* A child has ended: perhaps that one. */
void tf_listing_reap(void);

/* Ends it if it has had its time since it was asked first; when to call again, or UINT64_MAX. */
uint64_t tf_listing_keep(uint64_t now_ns);

#endif
