/*
 * pure.h - which signatures leave everything as it was
 *
 * A pure signature may be run though nobody asked: to warm a version up, or to compare versions
 * with a copy of a request. It writes no variable, table or other resource, and has no effect
 * outside the model. Random numbers are no obstacle, nor is reading what another signature writes.
 *
 * Judged from the graph: every op between the signature's outputs and what is fed, all ops of the
 * functions that are called on the way, must be known either to be stateless, or to read only. An
 * op that is not known, a custom one for example, is taken to write.
 */
#ifndef SL_ENGINE_PURE_H
#define SL_ENGINE_PURE_H

#include "savedmodel/savedmodel.h"

/* One for each signature, by position; freed with sl_free. NULL when memory cannot be had. Load
 * thread. */
bool *sl_pure_signatures(const sl_saved_model *m) SL_MUST_CHECK;

#endif
