/* packed.c - see packed.h */
#include "http/packed.h"

#include "base/mem.h"
#include "http/conn.h"
#include "http/gzip.h"

enum { RECEIVED = 1, DECODED, LIMITS }; /* in call->reserved */

/* What gzip's last four bytes say will come out: true of honest bodies below 4 GiB. RFC 1952, 2.3.1. */
static size_t announced(sl_str gzip)
{
    const unsigned char *p = (const unsigned char *)gzip.p + gzip.n;
    return gzip.n < 4 ? 0 : p[-4] | p[-3] << 8 | p[-2] << 16 | (size_t)p[-1] << 24;
}

static sl_code unpack(sl_http_call *call, size_t max)
{
    sl_body *received = call->reserved[RECEIVED], *decoded = call->reserved[DECODED];
    sl_code rc = sl_gunzip(call->body, max, decoded);
    if (rc == SL_RESOURCE_EXHAUSTED || (rc == SL_OUT_OF_RANGE && call->body_packed))
        return rc;
    call->body_undecodable = rc != SL_OK;
    call->body_buffer = decoded->buffer;
    call->body = (sl_str){"", 0};
    if (decoded->n > 0)
        call->body = (sl_str){decoded->buffer->data, decoded->n};
    sl_body_reset(received);
    return SL_OK;
}

static size_t most(const sl_http_call *call)
{
    const sl_http_limits *l = call->reserved[LIMITS];
    return sl_unzip_max(call->body.n, l->max_decoded, l->max_ratio);
}

bool sl_packed_arrived(sl_http_call *call, sl_body *received, sl_body *decoded,
                       const sl_http_limits *l)
{
    call->reserved[RECEIVED] = received;
    call->reserved[DECODED] = decoded;
    call->reserved[LIMITS] = (void *)l;
    size_t max = most(call);
    call->body_packed = max > SL_PACKED_AT_ONCE;
    if (call->body_packed && announced(call->body) > SL_PACKED_AT_ONCE)
        return true;
    sl_code rc = unpack(call, SL_MIN(max, (size_t)SL_PACKED_AT_ONCE));
    call->body_packed = rc == SL_OUT_OF_RANGE;
    return rc != SL_RESOURCE_EXHAUSTED;
}

bool sl_http_unpack(sl_http_call *call)
{
    if (!call->body_packed)
        return true;
    call->body_packed = false;
    return unpack(call, most(call)) == SL_OK;
}

void sl_packed_reply(sl_http_call *call)
{
    size_t min = call->pack_min;
    call->pack_min = 0;
    if (min == 0 || call->reply.size < min || sl_reply_has_no_body(call->status))
        return;
    if (sl_gzip_chain(&call->reply))
        sl_chain_puts(&call->head, "Content-Encoding: gzip\r\nVary: Accept-Encoding\r\n");
}
