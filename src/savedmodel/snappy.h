/*
 * snappy.h - undoing snappy, which some writers compress an index with
 *
 * Source: github.com/google/snappy, format_description.txt.
 */
#ifndef SL_SAVEDMODEL_SNAPPY_H
#define SL_SAVEDMODEL_SNAPPY_H

#include "base/str.h"

/*
 * Appends what `packed` unpacks to. Returns NULL, or what is wrong: damaged, or of a length that
 * its bytes cannot give. No byte of it is trusted; memory is bounded by 32 times packed.n.
 */
const char *sl_snappy_unpack(sl_str packed, sl_text *out);

#endif
