/*
 * frame.h - gRPC's messages in an HTTP body, and out of it
 *
 * A message is one byte that says whether it is compressed, four bytes of length (big-endian), and
 * the bytes themselves. A unary call's body is exactly one message.
 *
 * Source: grpc/doc/PROTOCOL-HTTP2.md; grpc.md 1.
 */
#ifndef SL_API_GRPC_FRAME_H
#define SL_API_GRPC_FRAME_H

#include "base/chain.h"
#include "base/str.h"
#include "http/body.h"

enum { SL_GRPC_PREFIX = 5 };

/* How messages are compressed. */
typedef enum sl_grpc_encoding {
    SL_GRPC_IDENTITY,
    SL_GRPC_DEFLATE,
    SL_GRPC_GZIP,
    SL_GRPC_ENCODINGS
} sl_grpc_encoding;
/* From a grpc-encoding header; false: none that we know. */
bool sl_grpc_encoding_parse(sl_str name, sl_grpc_encoding *out);
const char *sl_grpc_encoding_name(sl_grpc_encoding e);
/* Does a grpc-accept-encoding list have it? */
bool sl_grpc_encoding_accepted(sl_str list, sl_grpc_encoding e);

typedef struct sl_grpc_frame_limits {
    size_t max_message;      /* of a message as sent */
    size_t max_decompressed; /* of one that was compressed, afterwards; at least 1 */
    int64_t max_ratio;       /* how many times larger it may become; 0: any */
} sl_grpc_frame_limits;

/*
 * The one message of a unary call's body. *compressed: it still has to be unpacked.
 *   INTERNAL            no message, a cut one, more than one, a flag that is neither 0 nor 1
 *   RESOURCE_EXHAUSTED  Received message larger than max (<n> vs. <limit>)
 */
sl_code sl_grpc_unframe(sl_str body, const sl_grpc_frame_limits *l, bool *compressed, sl_str *out,
                        sl_status *st);

/* Unpacks a message: there is a buffer, also if it is empty. sl_body_reset gives it back.
 *   INTERNAL            damaged, or marked as compressed without a grpc-encoding
 *   RESOURCE_EXHAUSTED  no memory, or larger than the limits allow */
sl_code sl_grpc_decompress(sl_grpc_encoding e, sl_str message, const sl_grpc_frame_limits *l,
                           sl_body *out, sl_status *st);

/* A message that is written into a chain behind its prefix:
 *     f = sl_grpc_frame_begin(out);  ... add to out ...  rc = sl_grpc_frame_end(out, &f, st); */
typedef struct sl_grpc_frame {
    char *prefix; /* NULL: no memory; out->failed is set */
    size_t begin; /* size of the chain then */
} sl_grpc_frame;
sl_grpc_frame sl_grpc_frame_begin(sl_chain *out);
/* RESOURCE_EXHAUSTED: no memory, or the message has 4 GiB or more. */
sl_code sl_grpc_frame_end(sl_chain *out, const sl_grpc_frame *f, sl_status *st);
/* Appends a message that stands in a chain of its own, packed if that makes it smaller. */
sl_code sl_grpc_frame_join(sl_chain *out, sl_chain *message, sl_grpc_encoding e, sl_status *st);

/* Messages out of a stream's pieces. All zeros is an empty one; sl_text_fini(&d->bytes) ends it. */
typedef struct sl_grpc_deframer {
    sl_text bytes; /* what has arrived and is not used yet */
    size_t used;   /* of it, by the message that was handed out last */
} sl_grpc_deframer;
/* Takes what has arrived. RESOURCE_EXHAUSTED: no memory. */
sl_code sl_grpc_deframer_add(sl_grpc_deframer *d, sl_str piece, sl_status *st);
/* The next whole message, which lasts until the next call; false: not there yet, or *rc. Errors as
 * sl_grpc_unframe. */
bool sl_grpc_deframer_next(sl_grpc_deframer *d, const sl_grpc_frame_limits *l, bool *compressed,
                           sl_str *out, sl_code *rc, sl_status *st);
/* The stream has ended: INTERNAL if that was inside a message. */
sl_code sl_grpc_deframer_end(const sl_grpc_deframer *d, sl_status *st);

#endif
