/*
 * head.h - the head of an HTTP/1.x request: request line and header lines
 *
 * The parser is fed the receive buffer as it grows and takes whole lines off it, so it sees each
 * byte about once however they arrive, and the result does not depend on how they do. What it finds
 * points into that buffer.
 *
 *     sl_head_reset(&h);
 *     switch (n = sl_head_parse(&h, data, size, &limits)) {
 *     case 0:   needs more: call again with the same data and more behind it
 *     case -1:  h.status, h.error say why this is no request that we answer
 *     default:  the head is data[0, n)
 *     }
 *
 * When the buffer moves in between, sl_head_move() tells.
 *
 * Stricter than the original where leniency lets two servers see two different requests in the same
 * bytes (RFC 9112 section 11.2): see frame_of_body() and parse_field() in head.c.
 */
#ifndef SL_HTTP_HEAD_H
#define SL_HTTP_HEAD_H

#include <sys/types.h>

#include "http/http.h"

typedef struct sl_head {
    /* ---- the result ---- */
    sl_http_method method;
    sl_str target, path;
    int version; /* 10 or 11; 20: set by the one who calls sl_head_field */
    sl_http_header *headers;
    int n_headers;
    uint64_t length; /* of the body, if has_length */
    bool has_length; /* Content-Length */
    bool chunked;    /* Transfer-Encoding: chunked */
    bool keep_alive; /* the connection may stay after the reply */
    bool asked_keep; /* Connection: keep-alive */
    bool
        asked_close; /* Connection: close, or an absolute target, after which the original closes */
    bool expects;    /* Expect: 100-continue */
    bool gzip;       /* the body is gzip */
    bool accepts_gzip; /* the reply may be */
    int status;        /* the error's */
    const char *error;

    /* ---- the parser's own ---- */
    size_t line, scanned; /* begin of the line that is not complete yet; no LF before scanned */
    bool have_request_line, unknown_method, bad_expect, has_coding;
    size_t cap; /* of headers; kept by reset */
} sl_head;

/* Ready for the next request; keeps the memory of `headers`. A head that is all zeros is ready too.
 */
void sl_head_reset(sl_head *h);
void sl_head_fini(sl_head *h);
ssize_t sl_head_parse(sl_head *h, const char *data, size_t n, const sl_http_limits *limits);
/* The bytes now lie `delta` further up. */
void sl_head_move(sl_head *h, ptrdiff_t delta);

/* The same result from fields that HTTP/2 has already taken apart and checked for their form; they
 * stay where they are. Each returns 0, or -1: h->status, h->error say why. */
int sl_head_method(sl_head *h, sl_str method);
int sl_head_target(sl_head *h, sl_str target);
int sl_head_field(sl_head *h, sl_str name, sl_str value, const sl_http_limits *limits);
int sl_head_end(sl_head *h);

#define SL_HTTP_TOO_MANY_CHUNKS "too many chunks"

/* The message of a refusal, with the limit that was exceeded (413, 431), where that helps the
 * client. From the arena, or `message` itself. */
const char *sl_head_with_limit(sl_arena *a, const sl_http_limits *l, int status,
                               const char *message);

#endif
