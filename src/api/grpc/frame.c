/* frame.c - see frame.h */
#include "api/grpc/frame.h"

#include "base/mem.h"
#include "http/gzip.h"

static const char *const names[] = {"identity", "deflate", "gzip"};

bool sl_grpc_encoding_parse(sl_str name, sl_grpc_encoding *out)
{
    for (size_t i = 0; i < SL_COUNTOF(names); i++)
        if (sl_str_is(name, names[i])) {
            *out = (sl_grpc_encoding)i;
            return true;
        }
    return false;
}

const char *sl_grpc_encoding_name(sl_grpc_encoding e)
{
    return names[e];
}

bool sl_grpc_encoding_accepted(sl_str list, sl_grpc_encoding e)
{
    const char *p = list.p, *end = list.p + list.n;
    while (p < end) {
        const char *comma = memchr(p, ',', (size_t)(end - p));
        const char *to = comma != NULL ? comma : end;
        const char *begin = p, *stop = to;
        while (begin < stop && (*begin == ' ' || *begin == '\t'))
            begin++;
        while (stop > begin && (stop[-1] == ' ' || stop[-1] == '\t'))
            stop--;
        if (sl_str_is((sl_str){begin, (size_t)(stop - begin)}, names[e]))
            return true;
        p = comma != NULL ? comma + 1 : end;
    }
    return false;
}

/* ---- in ---- */

/* A prefix. False: it is not there yet, or *rc. */
static bool read_prefix(sl_str bytes, const sl_grpc_frame_limits *l, bool *compressed, size_t *n,
                        sl_code *rc, sl_status *st)
{
    *rc = SL_OK;
    if (bytes.n < SL_GRPC_PREFIX)
        return false;
    const unsigned char *p = (const unsigned char *)bytes.p;
    *n = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
    *compressed = p[0] == 1;
    if (p[0] > 1)
        *rc = sl_fail(st, SL_INTERNAL, "malformed frame: its first byte is %d, not 0 or 1", p[0]);
    else if (*n > l->max_message)
        *rc = sl_fail(st, SL_RESOURCE_EXHAUSTED, "Received message larger than max (%zu vs. %zu)",
                      *n, l->max_message);
    return *rc == SL_OK;
}

sl_code sl_grpc_unframe(sl_str body, const sl_grpc_frame_limits *l, bool *compressed, sl_str *out,
                        sl_status *st)
{
    size_t n;
    sl_code rc;
    if (body.n == 0)
        return sl_fail(st, SL_INTERNAL, "the call has no message");
    if (!read_prefix(body, l, compressed, &n, &rc, st))
        return rc ? rc : sl_fail(st, SL_INTERNAL, "the message is cut off");
    if (n > body.n - SL_GRPC_PREFIX)
        return sl_fail(st, SL_INTERNAL, "the message is cut off: %zu of %zu bytes",
                       body.n - SL_GRPC_PREFIX, n);
    if (n < body.n - SL_GRPC_PREFIX)
        return sl_fail(st, SL_INTERNAL, "a unary call has exactly one message");
    *out = (sl_str){body.p + SL_GRPC_PREFIX, n};
    return SL_OK;
}

static sl_code too_large(size_t max, sl_status *st)
{
    return sl_fail(st, SL_RESOURCE_EXHAUSTED,
                   "the message is damaged, or larger than %zu bytes when decompressed", max);
}

sl_code sl_grpc_decompress(sl_grpc_encoding e, sl_str message, const sl_grpc_frame_limits *l,
                           sl_body *out, sl_status *st)
{
    size_t max = l->max_decompressed, most;
    if (e == SL_GRPC_IDENTITY)
        return sl_fail(st, SL_INTERNAL,
                       "the message is marked as compressed, but there is no grpc-encoding");
    if (l->max_ratio > 0 && sl_mul_size(message.n, (size_t)l->max_ratio, &most))
        max = SL_MIN(max, most);
    switch (sl_unzip(e == SL_GRPC_GZIP ? SL_ZIP_GZIP : SL_ZIP_DEFLATE, message, max, out)) {
    case SL_OK:
        return SL_OK;
    case SL_DATA_LOSS:
    case SL_OUT_OF_RANGE:
        return too_large(max, st);
    default:
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory: a compressed message");
    }
}

sl_code sl_grpc_deframer_add(sl_grpc_deframer *d, sl_str piece, sl_status *st)
{
    if (d->used > 0) {
        d->bytes.n -= d->used;
        memmove(d->bytes.p, d->bytes.p + d->used, d->bytes.n);
        d->used = 0;
    }
    sl_text_add(&d->bytes, piece.p, piece.n);
    return d->bytes.failed ? sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory: a message") : SL_OK;
}

bool sl_grpc_deframer_next(sl_grpc_deframer *d, const sl_grpc_frame_limits *l, bool *compressed,
                           sl_str *out, sl_code *rc, sl_status *st)
{
    sl_str rest = {d->bytes.p + d->used, d->bytes.n - d->used};
    size_t n;
    if (!read_prefix(rest, l, compressed, &n, rc, st) || n > rest.n - SL_GRPC_PREFIX)
        return false;
    *out = (sl_str){rest.p + SL_GRPC_PREFIX, n};
    d->used += SL_GRPC_PREFIX + n;
    return true;
}

sl_code sl_grpc_deframer_end(const sl_grpc_deframer *d, sl_status *st)
{
    return d->used == d->bytes.n ? SL_OK : sl_fail(st, SL_INTERNAL, "the message is cut off");
}

/* ---- out ---- */

sl_grpc_frame sl_grpc_frame_begin(sl_chain *out)
{
    sl_grpc_frame f = {.prefix = sl_chain_reserve(out, SL_GRPC_PREFIX)};
    if (f.prefix != NULL) {
        memset(f.prefix, 0, SL_GRPC_PREFIX);
        sl_chain_commit(out, SL_GRPC_PREFIX);
    }
    f.begin = out->size;
    return f;
}

sl_code sl_grpc_frame_end(sl_chain *out, const sl_grpc_frame *f, sl_status *st)
{
    size_t n = out->size - f->begin;
    if (out->failed)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory: the reply does not fit");
    if (n > UINT32_MAX)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "the reply has %zu bytes: a message cannot", n);
    for (int i = 0; i < 4; i++)
        f->prefix[1 + i] = (char)(n >> (24 - 8 * i));
    return SL_OK;
}

sl_code sl_grpc_frame_join(sl_chain *out, sl_chain *message, sl_grpc_encoding e, sl_status *st)
{
    bool packed = !message->failed && e != SL_GRPC_IDENTITY && message->size > 0 &&
                  sl_zip_chain(e == SL_GRPC_GZIP ? SL_ZIP_GZIP : SL_ZIP_DEFLATE, message);
    sl_grpc_frame f = sl_grpc_frame_begin(out);
    sl_chain_join(out, message);
    sl_code rc = sl_grpc_frame_end(out, &f, st);
    if (rc == SL_OK)
        f.prefix[0] = packed;
    return rc;
}
