/*
 * body1.c - the body of an HTTP/1 request, from the receive buffer to its place
 *
 *   in place   It fits behind its head in the receive buffer, and stays there. Chunks are moved
 *              together over their framing.
 *   buffer     It does not. What has come with the head is copied once, the rest is read straight
 *              into the body's own buffer (of chunks: the large ones).
 *   drop       Of a GET: read over.
 *
 * In every case the bytes of recv from `raw` on are the next request's once the body is complete.
 */
#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "http/conn.h"
#include "http/packed.h"

enum {
    ENOUGH = 4096
}; /* room in the receive buffer that makes a read worth its while; with less, chunks
      leave it */

static const char no_memory[] = SL_HTTP_NO_ROOM;
static const char too_large[] = "request body too large";

static char *recv_at(const sl_exchange *x, size_t at)
{
    return (char *)x->recv->data + at;
}

/* Nobody else reads in it: a handler may have kept the body of an earlier request. */
static bool only_ours(sl_buffer *b)
{
    return __atomic_load_n(&b->refs, __ATOMIC_ACQUIRE) == 1;
}

static bool move_to_new(sl_exchange *x, size_t used, size_t wanted)
{
    size_t size = SL_RECV_SIZE;
    while (size < used + wanted)
        size *= 2;
    sl_buffer *b = sl_buffer_try_new(size);
    if (b == NULL)
        return false;
    memcpy(b->data, recv_at(x, x->start), used);
    sl_head_move(&x->head, (char *)b->data - recv_at(x, x->start));
    sl_buffer_release(x->recv);
    x->recv = b;
    return true;
}

bool sl_recv_room(sl_exchange *x, size_t wanted)
{
    size_t used = x->end - x->start;
    if (x->recv->size - x->end >= wanted)
        return true;
    if (x->recv->size - used >= wanted && only_ours(x->recv)) {
        memmove(x->recv->data, recv_at(x, x->start), used);
        sl_head_move(&x->head, -(ptrdiff_t)x->start);
    } else if (!move_to_new(x, used, wanted)) {
        return false;
    }
    x->start = 0;
    x->end = used;
    return true;
}

/* ---- begin ---- */

int sl_body1_begin(sl_exchange *x, size_t head_n, const sl_http_limits *l, const char **error)
{
    const sl_head *h = &x->head;
    *error = too_large;
    if (h->length > l->max_body)
        return 413;
    *error = no_memory;
    x->drop = h->method == SL_HTTP_GET || h->method == SL_HTTP_HEAD;
    bool fits = h->length <= x->recv->size; /* such bodies are not counted */
    if (!fits && !x->drop && !sl_body_could_hold(&x->body, h->length))
        return 503;
    if ((h->chunked || (x->drop && h->length > 0)) && x->recv->size - x->start - head_n < ENOUGH &&
        !sl_recv_room(x, ENOUGH))
        return 503;
    x->body_at = x->raw = x->start + head_n;
    x->in_place = !x->drop && (h->chunked || h->length <= x->recv->size - x->body_at);
    x->complete = !h->chunked && h->length == 0;
    x->call.wire_bytes = head_n;
    return 0;
}

/* ---- taking what has been received ---- */

/* Body bytes that lie in recv. Large sums cannot overflow: they are checked against max_body first.
 */
static bool take(sl_exchange *x, const char *p, size_t n, size_t limit)
{
    if (x->drop) {
        x->dropped += n;
        return true;
    }
    if (!x->in_place)
        return sl_body_add(&x->body, p, n, limit);
    memmove(recv_at(x, x->body_at + x->body_n), p, n);
    x->body_n += n;
    return true;
}

/* All of recv is used up: input goes on behind what is kept in place. */
static void rewind_recv(sl_exchange *x)
{
    if (x->complete)
        return;
    assert(x->raw == x->end); /* or there would have been more to take */
    x->raw = x->end = x->body_at + x->body_n;
}

static int feed_chunks(sl_exchange *x, const sl_http_limits *l, const char **error)
{
    while (x->raw < x->end && !x->chunked.done) {
        sl_str data;
        ssize_t n = sl_chunked_next(&x->chunked, recv_at(x, x->raw), x->end - x->raw, &data);
        *error = n < 0 ? x->chunked.error : too_large;
        if (n < 0)
            return 400;
        if (x->chunked.total > l->max_body)
            return 413;
        *error = SL_HTTP_TOO_MANY_CHUNKS;
        if (l->max_chunks > 0 && x->chunked.chunks > l->max_chunks)
            return 413;
        *error = no_memory;
        if (!take(x, data.p, data.n, l->max_body))
            return 503;
        x->raw += (size_t)n;
        x->call.wire_bytes += (uint64_t)n;
    }
    x->complete = x->chunked.done;
    rewind_recv(x);
    return 0;
}

/* Stays where it is. */
static void feed_in_place(sl_exchange *x)
{
    size_t here = SL_MIN(x->end - x->body_at, (size_t)x->head.length);
    x->complete = here == x->head.length;
    x->body_n = here;
    x->raw = x->body_at + here;
}

static int feed_length(sl_exchange *x, const char **error)
{
    uint64_t have = x->drop ? x->dropped : x->body.n;
    size_t n = x->end - x->raw;
    if (n > x->head.length - have)
        n = (size_t)(x->head.length - have);
    *error = no_memory;
    if (n > 0 && !take(x, recv_at(x, x->raw), n, (size_t)x->head.length))
        return 503;
    x->raw += n;
    x->complete = have + n == x->head.length;
    rewind_recv(x);
    return 0;
}

int sl_body1_feed(sl_exchange *x, const sl_http_limits *l, const char **error)
{
    if (x->complete)
        return 0;
    if (x->head.chunked)
        return feed_chunks(x, l, error);
    if (!x->in_place)
        return feed_length(x, error);
    feed_in_place(x);
    return 0;
}

/* ---- reading ---- */

/* Chunks that have outgrown the receive buffer. */
static bool leave_place(sl_exchange *x, size_t limit)
{
    if (!sl_body_add(&x->body, recv_at(x, x->body_at), x->body_n, limit))
        return false;
    x->in_place = false;
    x->body_n = 0;
    x->raw = x->end = x->body_at;
    return true;
}

static char *room_in_body(sl_exchange *x, uint64_t left, size_t limit, size_t *n)
{
    if (!sl_body_grow(&x->body, limit))
        return NULL;
    x->direct = true;
    *n = sl_body_room(&x->body);
    *n = *n > left ? (size_t)left : *n;
    return (char *)x->body.buffer->data + x->body.n;
}

char *sl_body1_room(sl_exchange *x, const sl_http_limits *l, size_t *n)
{
    const sl_head *h = &x->head;
    x->direct = false;
    if (!h->chunked && !x->in_place && !x->drop)
        return room_in_body(x, h->length - x->body.n, (size_t)h->length, n);
    if (h->chunked && x->in_place && x->recv->size - x->end < ENOUGH &&
        !leave_place(x, l->max_body))
        return NULL;
    uint64_t ahead = sl_chunked_data_ahead(&x->chunked);
    if (!x->in_place && !x->drop && ahead >= ENOUGH)
        return room_in_body(x, ahead, l->max_body, n);
    *n = x->recv->size - x->end;
    return recv_at(x, x->end);
}

void sl_body1_arrived(sl_exchange *x, size_t n)
{
    if (!x->direct) {
        x->end += n;
        return;
    }
    x->body.n += n;
    if (x->head.chunked) {
        sl_chunked_skip(&x->chunked, n);
        x->call.wire_bytes += n;
    }
}

/* ---- finish ---- */

int sl_body1_finish(sl_exchange *x, const sl_http_limits *l, const char **error)
{
    sl_http_call *call = &x->call;
    if (!x->head.chunked)
        call->wire_bytes += x->head.length;
    call->body = (sl_str){"", 0};
    if (x->drop)
        return 0;
    if (x->body_n > 0) {
        call->body = (sl_str){recv_at(x, x->body_at), x->body_n};
        call->body_buffer = x->recv;
    } else if (x->body.n > 0) {
        call->body = (sl_str){x->body.buffer->data, x->body.n};
        call->body_buffer = x->body.buffer;
    }
    *error = no_memory;
    return x->head.gzip && !sl_packed_arrived(call, &x->body, &x->decoded, l) ? 503 : 0;
}
