/*
 * conn.h - a connection, what it borrows while it has a request, and the loop's share of a server
 *
 * An idle connection is an sl_conn and nothing else. With the first byte of a request it takes an
 * sl_exchange from its shard (receive buffer, parser, call, arena) and gives it back when the reply
 * is sent and no further byte is there. A shard is one loop's part of the server: nothing of it is
 * touched by another thread, but for the atomics.
 *
 *  [HANDSHAKE ->]
 *     HEAD --head complete--> BODY --complete--> CALL --reply--> HEAD | SEND --sent--> HEAD
 *       \______________ error: reply, then ______________________________________> LINGER -> gone
 *
 * Replies are written into the shard's scratch buffer and leave it before the connection's turn
 * ends; what the socket does not take is kept in conn->out, and nothing more is read until that is
 * gone.
 */
#ifndef SL_HTTP_CONN_H
#define SL_HTTP_CONN_H

#include "base/log.h"
#include "base/ring.h"
#include "http/body.h"
#include "http/chunked.h"
#include "http/head.h"
#include "http/http.h"
#include "net/io.h"
#include "net/listener.h"
#include "net/loop.h"
#include "net/tls.h"

enum {
    SL_RECV_SIZE = 16 * 1024,    /* of a pooled receive buffer */
    SL_SCRATCH_SIZE = 64 * 1024, /* of a shard's scratch buffer */
    SL_POOLED_EXCHANGES = 64,    /* kept by a shard for the next requests */
    SL_SPARE_PIECE = 2048,       /* room of the piece that call->reply begins with */
    SL_TURN_SIZE = 256 * 1024,   /* read or sent for a connection while others wait: 70 us */
    SL_LISTEN_EVENTS = EPOLLIN | EPOLLRDHUP
};

#define SL_RATE_WINDOW_NS 10000000000u /* over which the rate of a body or reply is averaged */

typedef enum sl_conn_state {
    SL_CONN_HEAD,   /* waits for a request's head, or for a request */
    SL_CONN_BODY,   /* waits for its body */
    SL_CONN_CALL,   /* the handler has it */
    SL_CONN_SEND,   /* its reply is being sent */
    SL_CONN_HTTP2,  /* not HTTP/1: http2.h */
    SL_CONN_LINGER, /* the last reply is out; input is read and dropped, so that the client sees it
                       */
    SL_CONN_PROXY,  /* waits for a proxy to say for whom it connects (conn_proxy.c) */
    SL_CONN_HANDSHAKE, /* waits for TLS (conn_tls.c) */
    SL_CONN_DEAD       /* to be freed when control leaves the connection */
} sl_conn_state;

typedef struct sl_shard sl_shard;
typedef struct sl_conn sl_conn;

typedef struct sl_exchange {
    sl_http_call call;
    sl_head head;
    sl_arena arena;
    sl_piece *spare; /* what the next call.reply begins with, or NULL */
    sl_conn *conn;
    struct sl_exchange *next; /* in the shard's pool */

    /* The receive buffer. The request begins at `start`; input fills up to `end`. */
    sl_buffer *recv;
    size_t start, end;

    /* The body (body1.c). */
    size_t body_at;   /* where the head ended, in recv */
    size_t body_n;    /* in place: bytes of body from there */
    size_t raw;       /* bytes of recv that belong to no body yet begin here */
    uint64_t dropped; /* bytes of a body that is read over */
    bool in_place, drop, direct, complete;
    sl_chunked chunked;
    sl_body body;    /* as received */
    sl_body decoded; /* gunzipped */

    bool replied;
    bool failed;   /* the reply is an error that HTTP itself found */
    bool rated;    /* the body did not come at once: its rate is watched */
    uint64_t sent; /* size of the reply, head and body */
} sl_exchange;

struct sl_conn {
    sl_watch watch;
    sl_timer timer; /* lazy: fires at or before due_ns, and is then started again */
    uint64_t due_ns;
    uint64_t opened_ns; /* since then something can come: accepted, or the handshake is over */
    sl_io io;
    sl_shard *shard;
    sl_conn *next, **prev; /* the shard's connections */
    sl_exchange *x;
    struct sl_h2 *h2;  /* or NULL: HTTP/1 */
    sl_chain out;      /* what the socket did not take; while anything is in it, x stays */
    uint32_t listens;  /* events awaited while the handler has a call */
    uint64_t moved;    /* bytes received or sent since the last look at the rate */
    sl_post handover;  /* from the loop that accepted */
    sl_ring shake;     /* among the shard's TLS handshakes, the oldest first */
    sl_ring crowd;     /* among those that wait for their clients (crowd.c) */
    uint64_t crowd_ns; /* since when */
    sl_ring debt;      /* among its debtors */
    uint64_t debt_ns;  /* when it moved last */
    size_t owes;       /* bytes held because the client is slow */
    size_t weighs;     /* bytes of its TLS and HTTP/2 sessions */
    sl_ring later;     /* among those whose reply came in the turn of another */
    sl_conn_state state;
    bool grace;           /* the first window of the rate */
    bool heavy;           /* has a TLS or HTTP/2 session: when it began to wait */
    bool known;           /* has sent the whole head of a request */
    bool moved_on;        /* more than a few bytes came or went since the debt was looked at */
    bool busy;            /* control is in here: a reply only marks itself */
    bool last;            /* end after what is being sent */
    bool unread;          /* ... and input was left unread: linger */
    bool fresh;           /* the handshake (or a proxy's header) is over, nothing else has come */
    bool refuse;          /* one connection too many */
    bool gone;            /* the peer cannot be written to any more */
    bool http1;           /* what came first was not HTTP/2's preface */
    void *held;           /* of options.on_connect */
    struct sl_away *away; /* another thread has its session (conn_tls.c); busy is set meanwhile */
    unsigned char peer_n;
    char peer[64];
};

struct sl_shard {
    sl_http_server *server;
    sl_loop *loop;
    sl_listener listener;
    sl_conn *conns;
    sl_exchange *pool;
    int n_pool;
    struct sl_h2_stream *streams; /* pool of HTTP/2's */
    int n_streams;
    struct sl_h2_batch *batch; /* or NULL: no HTTP/2 connection was there yet */
    struct sl_h2_reserve *reserve;
    sl_ring shakes;
    int n_shakes;
    uint64_t shake_turn;   /* of the loop, in which a handshake was gone on with last */
    sl_ring waiting[2][2]; /* [known][heavy]: connections that may be closed, by age (crowd.c) */
    sl_ring debtors;       /* the one that has not moved for longest first */
    uint64_t tell_ns;      /* when the next line about a client may be logged */
    unsigned untold;
    bool leaving; /* sl_http_leave: a drain will follow */
    bool draining;
    sl_conn *to_drain; /* the next one to be told of it */
    /* A turn of a connection has scratch and batch for itself, and handlers are called in it. */
    bool in_turn;
    sl_ring later;    /* connections for which there was a reply meanwhile: theirs come next */
    size_t scratch_n; /* bytes of the present connection's reply that wait in scratch */
    char *scratch;
    uint64_t date_until_ns;
    char date[40]; /* "Date: ...\r\n" */
    size_t date_n;
    sl_post start, leave, drain;
    sl_status failure;
    atomic_int n_conns;      /* also counts those on their way here */
    _Atomic int64_t n_calls; /* only this loop writes */
};

struct sl_http_server {
    sl_http_options opts;
    sl_address address;
    sl_budget budget;  /* used if the options bring none */
    sl_budget *shared; /* that, or the options' */
    sl_shard *shards;
    int n_shards;
    sl_http_family *family, alone; /* alone: if the options bring none */
    sl_http_server *elder;         /* the next one of the family */
    atomic_int n_conns, n_drained;
    atomic_bool drained, draining;
    void (*done)(void *);
    void *done_arg;
};

static inline const sl_http_options *sl_conn_options(const sl_conn *c)
{
    return &c->shard->server->opts;
}

static inline const sl_http_limits *sl_conn_limits(const sl_conn *c)
{
    return &sl_conn_options(c)->limits;
}

/* ---- server.c ---- */
/* Serves a connected socket on a loop of the server; the loop's thread. For tests, too. */
sl_code sl_shard_adopt(sl_shard *s, int fd, const struct sockaddr_storage *peer);
sl_exchange *sl_exchange_take(sl_shard *s); /* NULL: no memory */
void sl_exchange_give(sl_shard *s, sl_exchange *x);
/* A connection is gone: perhaps the last one. */
void sl_shard_left(sl_shard *s);

/* ---- conn.c ---- */
void sl_conn_open(sl_conn *c); /* it is in its shard's list */
/* When to look again, on whatever protocol the connection speaks; UINT64_MAX: never. The timer is
 * lazy: a later time only moves due_ns. */
void sl_conn_set_due(sl_conn *c, uint64_t due_ns);
/* For what the timer fires: the connection, or NULL while it is not due. */
sl_conn *sl_conn_due(sl_timer *t);
/* Who is at the other end is known: waits for TLS or for a request. */
void sl_conn_begin(sl_conn *c);
void sl_conn_drain(sl_conn *c);
void sl_conn_close(sl_conn *c); /* frees it */
/* A turn of one of the shard's connections begins, or ends. */
void sl_turn_begin(sl_shard *s);
void sl_turn_end(sl_shard *s);
/* There is a reply: the connection's turn, or when that of another is over. */
void sl_conn_go_on(sl_conn *c);
/* All has been sent: reads on for a while, so that the client sees it, and closes. */
void sl_conn_linger(sl_conn *c);
/* Answers with an error and ends the connection. c->busy is set; whoever set it goes on. */
void sl_conn_refuse(sl_conn *c, int status, const char *message);
/* Ends the output; the state is DEAD or, if c->unread, LINGER then. */
void sl_conn_end(sl_conn *c);
/* Nothing more can be done for the peer. While a call is with the handler the connection waits for
 * it. */
void sl_conn_give_up(sl_conn *c);
/* Begins to watch how fast a body comes or a reply goes: the first window is free. */
void sl_conn_watch_rate(sl_conn *c);
void sl_conn_return_exchange(sl_conn *c);

/* ---- http1.c ---- */
/* Does what the state allows; false: there is nothing to go on with. */
bool sl_http1_step(sl_conn *c);
/* An error that HTTP itself finds: the reply is ours, and the last one. */
void sl_http1_fail(sl_conn *c, int status, const char *message);
/* The same before anything has come. */
void sl_http1_refuse(sl_conn *c, int status, const char *message);
/* The reply has left, or leaves with those behind it. */
void sl_http1_reply_done(sl_conn *c);
/* For the access log. */
void sl_http1_report(sl_conn *c, bool given_up);

/* ---- conn_proxy.c: who is at the other end ---- */
/* May the peer connect? */
bool sl_conn_let_in(sl_conn *c);
void sl_conn_let_out(sl_conn *c);
/* Goes on with a proxy's header: when it is read, or there is none, sl_conn_begin follows. */
void sl_conn_proxy(sl_conn *c);

/* ---- conn_tls.c: before the first request of an encrypted connection ---- */
/* Goes on with the handshake: state HANDSHAKE becomes HEAD or DEAD, in time. c->busy is set. */
void sl_conn_handshake(sl_conn *c);
/* It did not end in time. */
void sl_conn_handshake_late(sl_conn *c);
/* The connection ends, and who was away will not come back. */
void sl_conn_handshake_forget(sl_conn *c);
/* The connection leaves its shard's list of handshakes, if it is there. */
void sl_conn_handshake_over(sl_conn *c);
/* A client speaks TLS to a plain port: says so in the log. */
void sl_conn_tell_tls_on_plain(sl_conn *c);
/* A line "peer: what why" in the log, of which there is at most one a second and loop. */
void sl_conn_tell(sl_conn *c, sl_log_level level, const char *what, const char *why);

/* ---- crowd.c: who goes when there are too many ---- */
void sl_crowd_init(sl_shard *s);
/* It waits for its client, and may be closed; its place among others is from when that began. */
void sl_crowd_wait(sl_conn *c);
/* It has sent the head of a request: it is left alone until it waits again. */
void sl_crowd_serve(sl_conn *c);
/* Closes one of those that wait, of this loop's share of any server of the family. False: there is
 * none. */
bool sl_crowd_make_room(sl_shard *s);
/* So many bytes are held because the client is slow, beside what the connection is; `moved`: not so
 * slow. Others may be cut for it, the connection itself is not. */
void sl_crowd_owe(sl_conn *c, size_t bytes, bool moved);
void sl_crowd_forgive(sl_conn *c);
/* conn.c, http2.c: the end for a connection in which control is not. */
void sl_conn_cut(sl_conn *c);
void sl_h2_cut(sl_conn *c);

/* ---- body1.c: the body of an HTTP/1 request ---- */
/* Prepares for the body of a request whose head, of head_n bytes, has been parsed. 0, or a status
 * and *error. After this the receive buffer does not move until the reply has been sent. */
int sl_body1_begin(sl_exchange *x, size_t head_n, const sl_http_limits *l, const char **error);
/* Takes what has been received: sets x->complete. 0, or a status and *error. */
int sl_body1_feed(sl_exchange *x, const sl_http_limits *l, const char **error);
/* Where to read to; *n: how much. NULL: no memory. */
char *sl_body1_room(sl_exchange *x, const sl_http_limits *l, size_t *n);
/* What was read there has arrived. */
void sl_body1_arrived(sl_exchange *x, size_t n);
/* It is complete: fills call.body. 0, or a status and *error. */
int sl_body1_finish(sl_exchange *x, const sl_http_limits *l, const char **error);
/* Makes room in the receive buffer for `wanted` more bytes; moves what points into it. */
bool sl_recv_room(sl_exchange *x, size_t wanted);

/* ---- reply.c ---- */
/* Writes the call's reply to scratch, sends what does not fit or is large. False: the peer is gone.
 */
bool sl_reply_write(sl_conn *c);
/* A few bytes as they are, behind what is in scratch: an interim reply. */
bool sl_reply_raw(sl_conn *c, const char *p, size_t n);
/* Sends scratch; what is not taken goes to c->out. False: the peer is gone. */
bool sl_reply_flush(sl_conn *c);
/* Sends more of c->out. */
bool sl_reply_resume(sl_conn *c);
/* No reply with this status has a body, or a length. */
static inline bool sl_reply_has_no_body(int status)
{
    return status == 204 || status == 304 || status < 200;
}
/* The value of the Date field, until the next call. */
sl_str sl_reply_date(sl_shard *s);

#endif
