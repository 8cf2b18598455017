/*
 * listing.h - what the library knows, found out by a process of its own
 *
 * Its GraphDef version and its ops: either question may make TensorFlow start threads, which the
 * host must not have. Who asks before they are known is answered when they are. A library of custom
 * ops may hang in that: after a while the process is killed, and nobody waits for it any more.
 */
#ifndef SL_TF_HOST_LISTING_H
#define SL_TF_HOST_LISTING_H

#include <stdint.h>

#include "base/clock.h"

/* `bytes`: how many were written to the file; UINT64_MAX: the library could not be asked. `version`:
 * of the GraphDef; 0: it cannot be found out. */
typedef void tf_listing_answer(uint64_t id, uint64_t bytes, uint64_t version);

/* Starts the process. */
void tf_listing_begin(tf_listing_answer *answer);

/* Strikes out of the names in `file`, one a line, those of ops that the library has; closes it and
 * answers, now or later. */
void tf_listing_ask(uint64_t id, int file);

/* A child has ended: perhaps that one. */
void tf_listing_reap(void);

/* Ends it if it has had its time since it was asked first; when to call again, or UINT64_MAX. */
uint64_t tf_listing_keep(uint64_t now_ns);

#endif
