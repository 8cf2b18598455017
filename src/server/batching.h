/*
 * batching.h - server-side batching as flags and files ask for it
 *
 * Which parameters a version gets: those of the platform, or with per-model parameters those of
 * batching_params.pbtxt in its directory; without that file it is not batched (batching.md 1).
 */
#ifndef SL_SERVER_BATCHING_H
#define SL_SERVER_BATCHING_H

#include "batch/scheduler.h"
#include "model/manager.h"
#include "server/config.h"

/* Makes the version's batcher, v->batcher, or leaves it NULL. `scheduler` NULL: no batching. The
 * version is loaded. Load thread. */
sl_code sl_batching_attach(sl_batch_scheduler *scheduler, const sl_platform *platform,
                           sl_version *v, sl_status *st);
/* Runs what waits and gives it back; accepts a version without. */
void sl_batching_detach(sl_version *v);

#endif
