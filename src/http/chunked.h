/*
 * chunked.h - takes a chunked body out of its framing
 *
 * Fed as bytes arrive; what it finds is handed back piece by piece, in place or not:
 *
 *     while (p < end) {
 *         n = sl_chunked_next(&c, p, end - p, &data);   bytes taken; data: what of them is body
 *         p += n;
 *     }
 *
 * Strict, because framing is where requests are smuggled: lines end in CRLF and nothing else, sizes
 * are hex digits and nothing else, extensions and trailers are read over but bounded.
 * Source: RFC 9112 section 7.1.
 */
#ifndef SL_HTTP_CHUNKED_H
#define SL_HTTP_CHUNKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "sluice/tensor.h"

typedef struct sl_chunked {
    int state;
    uint64_t left;   /* data bytes of this chunk still to come */
    uint64_t total;  /* data bytes of all chunks announced so far */
    uint64_t chunks; /* how many those are */
    size_t overhead; /* bytes of extensions and trailers */
    int digits;      /* of the size so far */
    bool done;
    const char *error; /* why -1 was returned */
} sl_chunked;

/* All zeros is ready for a new body. Takes bytes from p until there is data to hand over, the body
 * is done or p is used up: returns how many, with *data what of them is body (perhaps nothing), or
 * -1. */
ssize_t sl_chunked_next(sl_chunked *c, const char *p, size_t n, sl_str *data);

/* Data bytes that come next, and nothing else: a large chunk can be read straight to its place. */
uint64_t sl_chunked_data_ahead(const sl_chunked *c);
/* n of them have been read. */
void sl_chunked_skip(sl_chunked *c, uint64_t n);

#endif
