/*
 * native.h - the engine that runs a model by itself, without TensorFlow
 *
 * SavedModel in, plan out:
 *
 *     build      graph.c, inline.c   what a signature reaches, calls replaced by their bodies
 *     freeze     freeze.c            variables that nobody writes become constants
 *     fold       specialise.c        constants are computed once
 *     specialise specialise.c        for one set of input shapes: shapes, views, dead steps
 *     fuse       fuse.c              bias and activation into the step before
 *     memory     memory.c            one block a run, offsets by lifetime
 *     run        run.c               walks a flat list of steps
 *
 * cache.c keeps the plans of a signature, init.c does what must happen before the first request,
 * native.c is the engine's table of functions.
 */
#ifndef SL_ENGINE_NATIVE_NATIVE_H
#define SL_ENGINE_NATIVE_NATIVE_H

#include "sluice/engine.h"

/* `self` of its functions is not used: pass NULL. */
extern const sl_engine sl_engine_native;

#endif
