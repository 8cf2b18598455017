/*
 * http2_out.c - the way out: from frames and pieces of streams to writev
 *
 * A turn's frames are gathered in the shard's batch. Frames other than DATA and small DATA are
 * copied into its bytes, one behind the other; of large DATA only the frame's head is, and vectors
 * point at the stream's own pieces. What the socket does not take is kept in one block of exactly
 * the right size: the vectors, and a copy of the small bytes. The pieces stay in their stream until
 * they have been written, also if the client resets the stream meanwhile: the frame's head may be
 * out already.
 *
 * Invariant: between frames a batch that takes more has room for one frame that is not DATA. For
 * nghttp2 hands over one DATA frame after the other in one call, and behind them, without asking,
 * whatever comes next (trailers, RST_STREAM): DATA leaves that room.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "http/http2.h"

enum {
    COPIED = 4096, /* DATA up to this is copied */
    /* Any other frame: HEADERS, whose buffer in nghttp2 may be as large as SL_H2_FRAME. */
    LARGEST_OTHER = SL_H2_MAX_HEAD + 4096
};

struct sl_h2_pending {
    int n, at;
    struct iovec *v;
    sl_h2_stream **owner;
};

static sl_h2_batch *batch_of(const sl_conn *c)
{
    return c->shard->batch;
}

static void add_vector(sl_h2_batch *b, void *p, size_t n, sl_h2_stream *owner)
{
    assert(b->n < SL_H2_VECTORS);
    b->v[b->n] = (struct iovec){p, n};
    b->owner[b->n++] = owner;
    b->size += n;
}

/* Room for n bytes that are nobody's; they are in the batch already. The caller knows that there is
 * room. */
static char *add_bytes(sl_h2_batch *b, size_t n)
{
    char *p = b->bytes + b->bytes_n;
    assert(n <= SL_H2_OUT - b->bytes_n);
    struct iovec *last = b->n ? &b->v[b->n - 1] : NULL;
    b->bytes_n += n;
    if (last != NULL && b->owner[b->n - 1] == NULL) {
        assert((char *)last->iov_base + last->iov_len == p);
        last->iov_len += n;
        b->size += n;
    } else {
        add_vector(b, p, n, NULL);
    }
    return p;
}

/* Is there room for these, and behind them for another frame? */
static bool has_room(const sl_h2_batch *b, int vectors, size_t bytes)
{
    return vectors + 1 <= SL_H2_VECTORS - b->n && bytes + LARGEST_OTHER <= SL_H2_OUT - b->bytes_n;
}

/* ---- DATA ---- */

/* Copies the chain's first n bytes. */
static void copy_front(const sl_chain *c, size_t n, char *to)
{
    for (const sl_piece *p = c->head; n > 0; p = p->next) {
        size_t here = SL_MIN(p->end - p->begin, n);
        memcpy(to, p->data + p->begin, here);
        to += here;
        n -= here;
    }
}

/* The reply's first piece, used up, is what the next reply begins with. */
static void keep_spare(sl_h2_stream *s)
{
    sl_piece *p = s->out.head;
    if (s->spare != NULL || p == NULL || p->cap != SL_SPARE_PIECE)
        return;
    s->out.head = p->next;
    if (s->out.tail == p)
        s->out.tail = NULL;
    *p = (sl_piece){.data = (char *)(p + 1), .cap = SL_SPARE_PIECE};
    s->spare = p;
}

static bool copy_data(sl_h2_batch *b, sl_h2_stream *s, const uint8_t *head, size_t n)
{
    if (!has_room(b, 1, 9 + n))
        return false;
    char *p = add_bytes(b, 9 + n);
    memcpy(p, head, 9);
    copy_front(&s->out, n, p + 9);
    if (n == s->out.size) {
        keep_spare(s);
        sl_chain_reset(&s->out);
    } else {
        sl_chain_consume(&s->out, n);
    }
    sl_h2_stream_sent(s, n);
    return true;
}

/* Where the bytes begin that are in no frame yet. */
static void find_start(sl_h2_stream *s)
{
    if (s->at != NULL)
        return;
    const sl_piece *p = s->out.head;
    size_t skip = s->queued;
    while (p->end - p->begin <= skip) {
        skip -= p->end - p->begin;
        p = p->next;
    }
    s->at = p;
    s->at_begin = p->begin + skip;
}

/* How many pieces the next n bytes touch. */
static int count_pieces(const sl_h2_stream *s, size_t n)
{
    int count = 0;
    size_t begin = s->at_begin;
    for (const sl_piece *p = s->at; n > 0; p = p->next, begin = p ? p->begin : 0) {
        assert(p != NULL); /* n is what all of them hold, or less */
        size_t here = SL_MIN(p->end - begin, n);
        count += here > 0;
        n -= here;
    }
    return count;
}

/* Vectors for the next n bytes; or, with `to`, a copy of them. */
static void take_pieces(sl_h2_batch *b, sl_h2_stream *s, size_t n, char *to)
{
    const sl_piece *p = s->at;
    size_t begin = s->at_begin;
    while (n > 0) {
        assert(p != NULL);
        size_t here = SL_MIN(p->end - begin, n);
        assert(here > 0); /* neither find_start nor the loop below stops at an empty one */
        if (to != NULL)
            to = (char *)memcpy(to, p->data + begin, here) + here;
        else
            add_vector(b, p->data + begin, here, s);
        begin += here;
        n -= here;
        while (p != NULL && begin == p->end) {
            p = p->next;
            begin = p ? p->begin : 0;
        }
    }
    s->at = p;
    s->at_begin = begin;
}

static bool point_at_data(sl_h2_batch *b, sl_h2_stream *s, const uint8_t *head, size_t n)
{
    if (n > 0)
        find_start(s);
    int pieces = count_pieces(s, n);
    /* So many small ones that they would not even fit an empty batch: copied as one. */
    bool copy = pieces > SL_H2_VECTORS - 2;
    if (!has_room(b, copy ? 2 : pieces + 1, 9 + (copy ? n : 0)))
        return false;
    memcpy(add_bytes(b, 9), head, 9);
    char *to = b->bytes + b->bytes_n;
    take_pieces(b, s, n, copy ? to : NULL);
    if (copy) {
        b->bytes_n += n;
        add_vector(b, to, n, s);
    }
    s->queued += n;
    return true;
}

bool sl_h2_out_data(sl_h2_stream *s, const uint8_t *head, size_t n)
{
    sl_h2_batch *b = batch_of(s->conn);
    bool ok = b->size < SL_TURN_SIZE; /* nghttp2 would go on with DATA without end */
    if (ok && n <= COPIED && s->queued == 0)
        ok = copy_data(b, s, head, n);
    else if (ok)
        ok = point_at_data(b, s, head, n);
    b->full = !ok;
    if (ok)
        s->sent += 9 + n;
    return ok;
}

/* ---- writing ---- */

/* Bytes of a stream have left. */
static void written(sl_h2_stream *s, size_t n)
{
    sl_chain_consume(&s->out, n);
    s->queued -= n;
    sl_h2_stream_sent(s, n);
    if (s->queued == 0) {
        s->at = NULL;
        sl_h2_stream_settle(s);
    }
}

/* Writes v[*at ...n); false: the peer is gone. *at < n afterwards: the socket is full. */
static bool write_out(sl_conn *c, struct iovec *v, sl_h2_stream **owner, int n, int *at)
{
    ssize_t put = sl_io_writev(&c->io, v + *at, n - *at);
    if (put < 0)
        return errno == EAGAIN;
    size_t left = (size_t)put;
    c->h2->moved_out += left;
    while (*at < n && left >= v[*at].iov_len) {
        left -= v[*at].iov_len;
        if (owner[*at] != NULL)
            written(owner[*at], v[*at].iov_len);
        (*at)++;
    }
    if (left > 0) {
        if (owner[*at] != NULL)
            written(owner[*at], left);
        v[*at].iov_base = (char *)v[*at].iov_base + left;
        v[*at].iov_len -= left;
    }
    return true;
}

/* Keeps what the socket did not take. */
static bool keep(sl_conn *c, const sl_h2_batch *b, int at)
{
    size_t small = 0;
    int n = b->n - at;
    for (int i = at; i < b->n; i++)
        if ((const char *)b->v[i].iov_base >= b->bytes &&
            (const char *)b->v[i].iov_base < b->bytes + SL_H2_OUT)
            small += b->v[i].iov_len;
    struct sl_h2_pending *p = sl_try_malloc(
        sizeof *p + (size_t)n * (sizeof(struct iovec) + sizeof(sl_h2_stream *)) + small);
    if (p == NULL)
        return false;
    *p = (struct sl_h2_pending){.n = n, .v = (struct iovec *)(p + 1)};
    p->owner = (sl_h2_stream **)(p->v + n);
    char *bytes = (char *)(p->owner + n);
    for (int i = 0; i < n; i++) {
        struct iovec v = b->v[at + i];
        p->owner[i] = b->owner[at + i];
        if ((char *)v.iov_base >= b->bytes && (char *)v.iov_base < b->bytes + SL_H2_OUT) {
            memcpy(bytes, v.iov_base, v.iov_len);
            v.iov_base = bytes;
            bytes += v.iov_len;
        }
        p->v[i] = v;
    }
    c->h2->pending = p;
    return true;
}

/* What will not be written: streams need not wait for it. */
static void abandon(sl_h2_stream **owner, const struct iovec *v, int n)
{
    for (int i = 0; i < n; i++)
        if (owner[i] != NULL) {
            owner[i]->queued -= v[i].iov_len;
            owner[i]->at = NULL;
        }
}

/* The batch is empty again; what it has from `at` on will not be written. */
static void forget(sl_h2_batch *b, int at)
{
    abandon(b->owner + at, b->v + at, b->n - at);
    b->n = 0;
    b->size = b->bytes_n = 0;
}

/* Writes the batch, as far as that goes. */
static bool flush(sl_conn *c)
{
    sl_h2_batch *b = batch_of(c);
    int at = 0;
    bool ok = b->n == 0 || write_out(c, b->v, b->owner, b->n, &at);
    if (ok && at < b->n)
        ok = keep(c, b, at);
    forget(b, ok ? b->n : at);
    return ok;
}

/* Takes frames from nghttp2 while there is room, and it is not more than a turn's part. False: it cannot go on. */
static bool gather(sl_conn *c, bool *more)
{
    sl_h2_batch *b = batch_of(c);
    *more = true;
    while (has_room(b, 0, 0) && b->size < SL_TURN_SIZE) {
        const uint8_t *p;
        b->full = false;
        ssize_t n = nghttp2_session_mem_send(c->h2->session, &p);
        if (n < 0 || c->h2->starved)
            return false;
        if (n == 0) {
            *more = b->full;
            return true;
        }
        memcpy(add_bytes(b, (size_t)n), p, (size_t)n);
    }
    return true;
}

bool sl_h2_out(sl_conn *c)
{
    sl_h2 *h = c->h2;
    uint64_t until = h->moved_out + SL_TURN_SIZE;
    bool more = true;
    if (h->starved) /* by what was submitted */
        return false;
    while (more && h->pending == NULL && h->moved_out < until) {
        if (!gather(c, &more)) {
            forget(batch_of(c), 0);
            return false;
        }
        if (!flush(c))
            return false;
    }
    h->more = more;
    return true;
}

bool sl_h2_out_resume(sl_conn *c)
{
    struct sl_h2_pending *p = c->h2->pending;
    if (!write_out(c, p->v, p->owner, p->n, &p->at))
        return false;
    if (p->at < p->n)
        return true;
    c->h2->pending = NULL;
    sl_free(p);
    return true;
}

void sl_h2_out_drop(sl_h2 *h)
{
    struct sl_h2_pending *p = h->pending;
    if (p == NULL)
        return;
    abandon(p->owner + p->at, p->v + p->at, p->n - p->at);
    h->pending = NULL;
    sl_free(p);
}
