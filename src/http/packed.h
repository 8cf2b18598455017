/*
 * packed.h - Content-Encoding: gzip, of requests and of replies, whatever the version of HTTP
 *
 *     loop    arrived: little comes out? unpacked        else: call->body_packed
 *     worker                                             sl_http_unpack: the handler's part (http.h)
 *     any     sl_packed_reply, before the reply is posted or written
 */
#ifndef SL_HTTP_PACKED_H
#define SL_HTTP_PACKED_H

#include "http/body.h"
#include "http/http.h"

enum { SL_PACKED_AT_ONCE = 32 * 1024 /* bytes that come out: what a loop unpacks */ };

/* The request is complete, and call->body is its packed body, of which `received` holds what was not
 * read in place. Unpacks it into `decoded`, or leaves that for later, when both must still be there.
 * False: no memory, or no budget. Uses call->reserved[1..3]. */
bool sl_packed_arrived(sl_http_call *call, sl_body *received, sl_body *decoded,
                       const sl_http_limits *l) SL_MUST_CHECK;

/* Packs the reply if that is wanted (call->pack_min) and makes it smaller. Once; any thread that has
 * the call. */
void sl_packed_reply(sl_http_call *call);

#endif
