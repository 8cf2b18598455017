/*
 * dump.h - the value that an error text quotes
 *
 * TensorFlow Serving's messages show the offending JSON value, written again by its own writer:
 * pretty, arrays on one line, cut at about 256 bytes, ended by a NaN. Ours is made from the source
 * text, and only when there is an error. Source: rest.md 6.3.
 */
#ifndef SL_CODEC_DUMP_H
#define SL_CODEC_DUMP_H

#include "base/str.h"

/* Appends the dump of the value at `at`. Stops at the first thing that is not valid JSON. */
void sl_json_dump(sl_text *out, const char *at, const char *end);

#endif
