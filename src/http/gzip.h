/*
 * gzip.h - bodies unpacked and packed
 *
 * Memory grows with what comes out, never with what a header claims; deflate cannot expand more
 * than 1032-fold, so a short body cannot even ask for much.
 */
#ifndef SL_HTTP_GZIP_H
#define SL_HTTP_GZIP_H

#include "base/chain.h"
#include "http/body.h"

/* Unpacks exactly one gzip member that fills `in`. SL_DATA_LOSS: it is none, is cut, is followed by
 * something, or would become more than `max` bytes. SL_RESOURCE_EXHAUSTED: no memory, or no room in
 * the budget. On failure *out is empty. */
sl_code sl_gunzip(sl_str in, size_t max, sl_body *out);

/* Packs the chain in place. False if it did not shrink or memory could not be had: it is unchanged.
 */
bool sl_gzip_chain(sl_chain *c);

#endif
