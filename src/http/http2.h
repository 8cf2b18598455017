/*
 * http2.h - a connection that speaks HTTP/2: what its parts know of each other
 *
 * nghttp2 does the frames, HPACK, the states of streams and the windows; this is what it cannot
 * know: what a stream means to a handler, where bytes come from and go to, and how much of
 * anything is too much.
 *
 *     bytes read -> nghttp2_session_mem_recv -> callbacks of http2_request.c -> on_call
 *     sl_http_reply -> http2_reply.c: nghttp2_submit_response -> nghttp2_session_mem_send
 *                   -> http2_out.c: small bytes copied, large ones pointed at -> writev
 *
 * A stream is an sl_h2_stream from its HEADERS until three things are over: nghttp2 has closed it,
 * the handler has replied, and no byte of it waits to be written. All of it belongs to the loop.
 */
#ifndef SL_HTTP_HTTP2_H
#define SL_HTTP_HTTP2_H

#include <nghttp2/nghttp2.h>

#include "http/conn.h"

enum {
    SL_H2_SMALL = 4096,         /* bodies up to this come into the stream's own buffer */
    SL_H2_FRAME = 64 * 1024,    /* of DATA that we send, if the client takes frames so large */
    SL_H2_MAX_HEAD = 32 * 1024, /* of a reply, or its trailers: names and values */
    SL_H2_VECTORS = 256,        /* of a batch */
    SL_H2_OUT = 160 * 1024,     /* small bytes of a batch */
    SL_H2_POOLED = 256          /* streams kept by a shard for the next calls */
};

typedef struct sl_h2 sl_h2;
typedef struct sl_h2_stream sl_h2_stream;
typedef struct sl_h2_batch sl_h2_batch;
typedef struct sl_h2_reserve sl_h2_reserve;

struct sl_h2_stream {
    sl_http_call call; /* call.reserved[0] is the stream */
    sl_conn *conn;
    sl_h2_stream *next, **prev; /* of the connection, or the shard's pool */
    sl_h2_stream *wait_next;
    int32_t id;

    /* The request. */
    sl_head head;
    sl_arena arena;   /* fields, and what the handler allocates */
    size_t head_size; /* as SETTINGS_MAX_HEADER_LIST_SIZE counts */
    size_t received;  /* bytes of body */
    sl_buffer *small; /* where a small body comes */
    sl_body body, decoded;
    size_t unconsumed; /* bytes for which the client gets no new window yet */
    size_t owes;       /* of h->owed */

    /* The reply. */
    sl_piece *spare;    /* what the next call.reply begins with, or NULL */
    sl_chain out;       /* given to us and not written yet */
    size_t queued;      /* of it: in frames of the batch, waiting for the socket */
    const sl_piece *at; /* where in `out` the next frame begins, if queued > 0 */
    size_t at_begin;
    uint64_t sent;

    uint64_t moved_in, moved_out; /* since the last look at the rates */

    unsigned many_cookies : 1;
    unsigned authority : 1; /* :authority came, so Host is of no interest */
    unsigned head_done : 1;
    unsigned drop : 1;     /* what comes of the body is read over */
    unsigned end_in : 1;   /* the request is complete */
    unsigned handed : 1;   /* the handler has it */
    unsigned replied : 1;  /* ... and is done */
    unsigned failed : 1;   /* the reply is an error that HTTP itself found */
    unsigned busy : 1;     /* the handler is being called: a reply only marks itself */
    unsigned started : 1;  /* the reply's head is with nghttp2 */
    unsigned all : 1;      /* all of the reply is in `out` */
    unsigned closed : 1;   /* by nghttp2 */
    unsigned whole : 1;    /* END_STREAM has been sent */
    unsigned deferred : 1; /* nghttp2 waits for more of the body */
    unsigned waits : 1;    /* in the list of those whose turn comes when others are sent */
    unsigned paused : 1;   /* by the handler of on_data */
    unsigned old_in : 1, old_out : 1; /* was waited for at the last look at the rates already */
};

/* Counts what should be rare (http2_guard.c). */
typedef struct sl_h2_bucket {
    int64_t level;
    uint64_t since_ns; /* when it leaked last */
} sl_h2_bucket;

struct sl_h2 {
    nghttp2_session *session;
    sl_conn *conn;
    sl_h2_stream *streams;
    int n_streams; /* in the list, closed ones that the handler still has included */
    size_t owed;   /* what they hold (s->owes), but for those that a handler has */
    struct sl_h2_pending *pending;        /* what the socket did not take, or NULL */
    size_t unsent;                        /* bytes of replies that the client has not taken */
    sl_h2_stream *waiting, **waiting_end; /* complete requests, while that is too much */
    uint64_t opened_ns;
    uint64_t read_ns;   /* something was read */
    uint64_t active_ns; /* a stream was there */
    uint64_t rate_ns;   /* when to look at the rates next; UINT64_MAX */
    uint64_t moved_out; /* bytes written since the last look */

    /* http2_guard.c; 0 or, of what is due, UINT64_MAX: not now */
    sl_h2_bucket resets, useless;
    uint64_t block_ns; /* when the header block that is arriving began */
    size_t block_size;
    size_t list_size; /* of the block, unpacked, whether or not anybody wants it */
    int block_frames;
    int32_t last_id, last_reset;  /* the highest stream of all, and of those that we reset */
    int strikes;                  /* PINGs that came too early since we sent something */
    uint64_t pinged_ns;           /* the last PING that came */
    uint64_t probe_ns, probed_ns; /* the PING that we wait for was sent; the last one was */
    uint64_t goaway_ns;           /* when the second GOAWAY follows */
    uint64_t end_ns, kill_ns;     /* the connection's age, and the end of grace */

    size_t held;     /* at the end of the last turn, because the client is slow */
    bool moved_on;   /* more than a few bytes came in this turn */
    bool more;       /* nghttp2 has more to send; others had their turn */
    bool old_out;    /* output waited at the last look already */
    bool inside;     /* nghttp2 or the drive is at work: what is submitted goes out later */
    bool starved;    /* no memory for nghttp2: gone as soon as it returns */
    bool gone;       /* the peer cannot be reached any more */
    bool ending;     /* a GOAWAY is out or on its way */
    bool last_words; /* ... and when it is out, the connection ends, whatever goes on */
};

/* What one turn of a connection sends: vectors that point at small bytes gathered here and at large
 * pieces of streams. One for a shard; empty between turns. */
struct sl_h2_batch {
    struct iovec v[SL_H2_VECTORS];
    sl_h2_stream *owner[SL_H2_VECTORS]; /* whose piece it is, or NULL */
    int n;
    size_t size; /* of all vectors */
    size_t bytes_n;
    bool full;
    char bytes[SL_H2_OUT];
};

/* ---- http2.c ---- */
/* The connection's first bytes are HTTP/2's: goes on from here. False: no memory. */
bool sl_h2_begin(sl_conn *c, const char *p, size_t n);
/* Sends what is there to send, waits for what comes next, perhaps ends the connection. */
void sl_h2_advance(sl_conn *c);
void sl_h2_drain(sl_conn *c);
void sl_h2_free(sl_conn *c);

/* ---- http2_request.c ---- */
void sl_h2_request_callbacks(nghttp2_session_callbacks *cb);
/* Requests that waited for others' replies to be taken are handed over, if these have been. */
void sl_h2_streams_resume(sl_h2 *h);

/* ---- http2_stream.c ---- */
/* From the shard's pool, in the connection's list. NULL: no memory. */
sl_h2_stream *sl_h2_stream_open(sl_h2 *h, int32_t id);
/* nghttp2 knows it no more. What is in frames already still has to be written. */
void sl_h2_stream_closed(sl_h2_stream *s);
/* Its client is waited for, for the request or to take the reply: what the stream holds meanwhile
 * is a debt (crowd.c); not while a handler has it. */
void sl_h2_stream_owe(sl_h2_stream *s);
void sl_h2_stream_forgive(sl_h2_stream *s);
/* The handler, or we in its place, has said what there is to say: s->replied. */
void sl_h2_stream_finish(sl_h2_stream *s);
/* The client may send again what the handler of on_data has done with, unless it does not read. */
void sl_h2_stream_renew_window(sl_h2_stream *s);
/* The connection is gone: all that wait hear it. */
void sl_h2_streams_gone(sl_h2 *h);
/* Looks at how fast bodies come and replies go. */
void sl_h2_streams_rate(sl_h2 *h);
/* Frees the stream if nothing holds it any more. */
void sl_h2_stream_settle(sl_h2_stream *s);
/* An error that HTTP itself finds: the reply is ours. */
void sl_h2_stream_fail(sl_h2_stream *s, int status, const char *message);
void sl_h2_stream_free(sl_h2_stream *s);
/* A handler's reply. */
void sl_h2_reply(sl_http_call *call);
bool sl_h2_charge(sl_http_call *call, size_t bytes);
/* n bytes of its reply have left, or will not. */
void sl_h2_stream_sent(sl_h2_stream *s, size_t n);

/* ---- http2_reply.c ---- */
void sl_h2_reply_callbacks(nghttp2_session_callbacks *cb);
/* Takes what the call holds: its head at first, its body, and, if `last`, its trailers. */
void sl_h2_reply_submit(sl_h2_stream *s, bool last);
/* Submits "100 Continue". */
void sl_h2_reply_continue(sl_h2_stream *s);

/* ---- http2_mem.c ---- */
sl_h2_reserve *sl_h2_reserve_new(void); /* sl_free ends it; NULL: no memory */
nghttp2_mem sl_h2_mem(sl_h2 *h);

/* ---- http2_guard.c ---- */
void sl_h2_guard_callbacks(nghttp2_session_callbacks *cb);
void sl_h2_guard_begin(sl_h2 *h);
/* When to call check, if nothing happens until then. */
uint64_t sl_h2_guard_due(sl_h2 *h);
void sl_h2_guard_check(sl_h2 *h);
/* The client does too much of something: GOAWAY, and the end. */
void sl_h2_calm_down(sl_h2 *h, const char *why);
/* GOAWAY in two steps; the connection ends when its streams have. */
void sl_h2_goaway(sl_h2 *h);
void sl_h2_count_reset(sl_h2 *h);
void sl_h2_count_answer(sl_h2 *h);
void sl_h2_count_refused(sl_h2 *h); /* a stream, for there are as many as may be */
void sl_h2_frame_sent(sl_h2 *h);    /* HEADERS or DATA */
void sl_h2_goaway_sent(sl_h2 *h);
void sl_h2_ping_acked(sl_h2 *h, const uint8_t *data);

/* ---- http2_out.c ---- */
/* Sends what nghttp2 has to send until the socket is full. False: the peer is gone. */
bool sl_h2_out(sl_conn *c);
/* Sends more of what waits. */
bool sl_h2_out_resume(sl_conn *c);
void sl_h2_out_drop(sl_h2 *h);
/* A DATA frame of a stream: false: the batch is full. */
bool sl_h2_out_data(sl_h2_stream *s, const uint8_t *head, size_t n);

#endif
