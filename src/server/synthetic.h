/*
 * synthetic.h - warms up a version that brings no requests of its own
 *
 * One request for each signature, made from the declared dtypes and shapes: zeros, unknown
 * dimensions 1, an unknown rank as a vector of one element; and where the first dimension is
 * unknown, a second one with two rows. So the first request of a client finds plans made, code
 * loaded and variables read.
 *
 * Only for signatures that leave everything as it was (sl_engine.pure) and take no strings, whose
 * meaning nobody can guess. A signature that refuses zeros is no reason not to load the version:
 * the log says so and that is all.
 */
#ifndef SL_SERVER_SYNTHETIC_H
#define SL_SERVER_SYNTHETIC_H

#include "server/warmup.h"

/* How many signatures were run with success. Load thread; each run has a limit of ten minutes:
 * whoever is warmed up rests while others are busy, up to fifteen times as long as it works. */
int sl_warmup_synthetic(const sl_version *v, const sl_warmup_options *o);

#endif
