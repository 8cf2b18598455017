/*
 * gzip.h - bodies unpacked and packed
 *
 * Memory grows with what comes out, never with what a header claims; deflate cannot expand more
 * than 1032-fold, so a short body cannot even ask for much. Unpacking makes half a gigabyte a second:
 * a loop does it only where little comes out (packed.h).
 */
#ifndef SL_HTTP_GZIP_H
#define SL_HTTP_GZIP_H

#include "base/chain.h"
#include "http/body.h"

typedef enum sl_zip {
    SL_ZIP_GZIP,
    SL_ZIP_DEFLATE /* what HTTP and gRPC call so: zlib's form, RFC 1950 */
} sl_zip;

/* Unpacks exactly one gzip member, or zlib stream, that fills `in`. SL_DATA_LOSS: it is none, is
 * cut, or is followed by something. SL_OUT_OF_RANGE: it would become more than `max` bytes.
 * SL_RESOURCE_EXHAUSTED: no memory, or no room in the budget. On failure *out holds nothing. */
sl_code sl_unzip(sl_zip how, sl_str in, size_t max, sl_body *out);
/* What n bytes may become at most: `max`, or `ratio` (0: any) times n. */
static inline size_t sl_unzip_max(size_t n, size_t max, size_t ratio)
{
    return ratio > 0 && n < max / ratio ? n * ratio : max;
}
static inline sl_code sl_gunzip(sl_str in, size_t max, sl_body *out)
{
    return sl_unzip(SL_ZIP_GZIP, in, max, out);
}

/* Packs the chain in place. False if it did not shrink or memory could not be had: it is unchanged.
 */
bool sl_zip_chain(sl_zip how, sl_chain *c);
static inline bool sl_gzip_chain(sl_chain *c)
{
    return sl_zip_chain(SL_ZIP_GZIP, c);
}

#endif
