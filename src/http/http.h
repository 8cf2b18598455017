/*
 * http.h - requests in, replies out, whatever the version of HTTP
 *
 * The server side of HTTP as the layers above see it. A connection reads a request (http1.c, or
 * http2.c when it begins with HTTP/2's preface), checks it against the limits, and hands it to the
 * handler as an sl_http_call. The handler answers at once, or keeps the call and answers later,
 * from the same loop.
 *
 *     loop thread:  bytes -> connection -> on_call(call) -+-> sl_http_reply(call)      at once
 *                                                         +-> ... worker ... post back to the loop
 *                                                                 -> sl_http_reply(call)
 *
 * A call belongs to its connection's loop. While it is with the handler, an HTTP/1 connection reads
 * no further request (pipelined bytes wait); of an HTTP/2 connection many calls are with the
 * handler at once, and may be answered in any order. When the client leaves (HTTP/2: or resets the
 * stream), call->cancelled becomes true and on_cancel is called, and the call must still be replied
 * to (the reply is dropped). An HTTP/1 client that only ends its output looks the same; it gets the
 * reply if it is still there.
 *
 * Memory: call->arena is the request's; it is reset when the reply has been sent. Request head
 * fields point into memory that stays until then. The body is one contiguous counted buffer, so
 * that an engine may keep it.
 *
 * Streams (HTTP/2 only): a handler that sets call->on_data in on_head gets the body piece by piece
 * instead of as a whole, and may send its reply in pieces, too:
 *
 *     on_head(call) { call->on_data = piece; }  on_call(call) at once, without a body
 *     piece(call, bytes, end) ...               each DATA frame, on the loop
 *     sl_http_send(call) ...                    the head and call->reply; the call stays open
 *     sl_http_reply(call)                       the rest, the trailers, the end
 *
 * A reply that is sent in pieces or has trailers has neither Date nor Content-Length. One that has
 * trailers and no body, and of which nothing was sent before, is a single HEADERS frame with the
 * trailers behind the head (gRPC's "Trailers-Only"). What the client sends as trailers is dropped.
 * Answering before the request is complete is allowed: the client is told that the rest is of no
 * interest, and on_data is not called any more.
 *
 * Source: RFC 9110, RFC 9112, RFC 9113; rest.md section 2 of the contract.
 */
#ifndef SL_HTTP_HTTP_H
#define SL_HTTP_HTTP_H

#include <stdatomic.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "base/chain.h"
#include "base/str.h"
#include "net/tls_peer.h"

struct sl_loop;   /* net/loop.h */
struct sl_budget; /* http/body.h */
struct sl_tls;    /* net/tls.h */

typedef enum sl_http_method {
    SL_HTTP_GET,
    SL_HTTP_HEAD,
    SL_HTTP_POST,
    SL_HTTP_PUT,
    SL_HTTP_DELETE,
    SL_HTTP_OPTIONS,
    SL_HTTP_PATCH
} sl_http_method;

typedef struct sl_http_header {
    sl_str name, value; /* value trimmed */
} sl_http_header;

typedef struct sl_http_call {
    /* ---- the request; valid until the reply has been sent ---- */
    sl_http_method method;
    sl_str target; /* as received, absolute form reduced to its path: path[?query][#fragment] */
    sl_str path;   /* target without query and fragment, not percent-decoded */
    int version;   /* 10, 11, 20 */
    const sl_http_header *headers; /* HTTP/2: names in lower case; "host" is :authority; no other
                                      pseudo field; one "cookie" */
    int n_headers;
    sl_str body;            /* decoded (chunked, gzip); n == 0 if there is none */
    sl_buffer *body_buffer; /* holds body, or NULL; acquire it to keep the bytes */
    bool body_undecodable;  /* content-encoding was gzip and could not be undone: body is empty */
    bool
        body_packed; /* it is gzip and not undone yet, for that takes longer than a loop has: body is
                         as received. sl_http_unpack(call) comes before anybody looks into it */
    uint64_t wire_bytes;    /* of the request as received, head and body */
    uint64_t started_ns;    /* when its first byte was read */
    uint64_t complete_ns;   /* when its last byte was */
    sl_str peer;            /* "127.0.0.1:51234", "[::1]:51234", "unix" */
    int listener;           /* the options' */
    const sl_tls_peer *tls; /* what TLS agreed on, and the client's verified certificate; NULL:
                               the connection is not encrypted */
    struct sl_loop *loop;
    sl_arena *arena;
    atomic_bool cancelled;                    /* the client left */
    void (*on_cancel)(struct sl_http_call *); /* or NULL; set by the handler; loop thread */
    /* Set by the handler in on_head: takes the body as it comes (decoded by nobody). `end`: nothing
     * more follows; then `data` may be empty. Loop thread. Only looked at with HTTP/2. */
    void (*on_data)(struct sl_http_call *, sl_str data, bool end);

    /* ---- the reply, filled in by the handler ---- */
    int status;               /* 200 */
    const char *content_type; /* or NULL: no such header */
    sl_chain head;            /* further header lines, each "Name: value\r\n", or empty */
    sl_chain reply;           /* the body: add to it, or join a chain to it; never assign, it comes
                                 with a spare piece */
    sl_chain trailers; /* HTTP/2: sent behind the body, each "name: value\r\n"; HTTP/1: dropped */
    bool close;        /* end the connection after this reply; nothing with HTTP/2, where
                          others share it */

    size_t pack_min; /* the connection's own: the reply is packed if it has so many bytes; 0: not */
    void *user;      /* the handler's own */
    void *reserved[4]; /* the connection's own */
    void *post[3];     /* sl_http_reply_posted's own: room for an sl_post */
} sl_http_call;

/* The first header with that name (ASCII case ignored), or NULL. */
const sl_str *sl_http_header_find(const sl_http_call *call, const char *name);

/* Undoes call->body_packed, if it is set; any thread, before the reply. False: there is no memory or
 * no budget for it, and the answer should be 503, SL_HTTP_NO_ROOM. */
bool sl_http_unpack(sl_http_call *call) SL_MUST_CHECK;

/* Hands the reply to the connection. Exactly once per call, on the call's loop, another call's
 * handler (or on_done) included: then it leaves when that one's connection has had its turn. The
 * call must not be touched afterwards. Date, Content-Length, Connection are added here; a HEAD
 * reply sends no body. */
void sl_http_reply(sl_http_call *call);

/* The same from any thread: the reply is handed over on the call's loop (post.c). */
void sl_http_reply_posted(sl_http_call *call);

/* HTTP/2 only, between on_call and sl_http_reply, on the call's loop: sends the head, the first
 * time, and what call->reply holds by now, which is empty afterwards. The call stays open. */
void sl_http_send(sl_http_call *call);
/* Bytes given to sl_http_send that the client has not taken yet. While these are more than 256 KiB,
 * a client of on_data gets no new window: it cannot make us hold what it does not read. */
size_t sl_http_unsent(const sl_http_call *call);
/* on_data: while paused, the client gets no new window (4 MiB may be on their way). */
void sl_http_pause(sl_http_call *call, bool paused);
/* Counts bytes that the handler holds for this call (what it keeps of on_data, say) against
 * limits.max_inflight, until the call is over. False: more than that. The call's loop. */
bool sl_http_charge(sl_http_call *call, size_t bytes) SL_MUST_CHECK;

/* Tells that a handler has computed for so many nanoseconds; on another thread than the call's loop
 * it says nothing. */
void sl_http_spend(sl_http_call *call, uint64_t ns);
/* What the call's loop was told in its current round: whether it should hand work to somebody else.
 * Reading and writing do not count: of 64 connections they alone take half a millisecond a
 * round. */
uint64_t sl_http_spent_ns(const sl_http_call *call);

typedef struct sl_http_limits {
    size_t max_head;     /* bytes of request line and headers: 431; default 64 KiB */
    int max_headers;     /* number of header lines: 431; default 256 */
    size_t max_body;     /* as received: 413; default 1 GiB */
    uint64_t max_chunks; /* of a chunked body: 413; 0: any; default 16777216 */
    size_t max_decoded;  /* after gunzip: body counts as undecodable; default 100 MiB (inclusive) */
    size_t max_ratio;    /* a gzip body may become so many times larger; beyond it, it counts as
                            undecodable; 0: any (default) */
    size_t max_inflight; /* bytes of bodies held by all connections of the server together: 503 with
                            Retry-After; 0: none. Bodies that fit a receive buffer do not count */
    uint64_t head_timeout_ns; /* from first byte to end of head: 408; default 30 s */
    uint64_t idle_timeout_ns; /* keep-alive without a byte: closed; default 10 min */
    uint64_t min_rate; /* bytes a second, averaged over 10 s after the first 10 s, that a body
                          must arrive with (408) and a reply must be taken with (closed);
                          default 100 */
    uint64_t handshake_timeout_ns; /* from connecting to the end of the handshake; 10 s */
    int max_handshakes;            /* TLS handshakes at the same time; beyond it the oldest is cut;
                                      default 1024 */
    int max_connections; /* of this server, or its family; beyond it one that waits for its client
                            makes room (crowd.c), or, if there is none: 503 and close;
                            default 65536 */
    size_t compress_min; /* gzip replies of at least this many bytes for clients that accept it;
                            0: never (default) */
    /* HTTP/2, each for one connection. What exceeds the last two gets GOAWAY, ENHANCE_YOUR_CALM. */
    int max_streams;   /* calls at a time; the client waits with more; default 1000 */
    size_t max_unsent; /* bytes of replies that the client has not taken, beyond which its further
                          requests wait; default 64 MiB */
    int max_resets;    /* streams that the client ended before their reply, or that it made us end,
                          beyond those that were answered: at once, then in 10 s; default 1000 */
    int max_useless; /* frames that ask for nothing (PING, SETTINGS, empty DATA, WINDOW_UPDATE ...)
                        beyond those that our own frames give reason for, and HEADERS of streams
                        that are refused: the same; default 10000 */
} sl_http_limits;
void sl_http_limits_default(sl_http_limits *l);
/* What a client is told with 503 when its body has no place: memory or the budget has run out. */
#define SL_HTTP_NO_ROOM "no room for the request's body: the server holds too much for requests now"

/*
 * HTTP/2's life of a connection, in the terms of gRPC's channel arguments. In each time INT_MAX
 * means never, as there. The defaults are gRPC's.
 */
typedef struct sl_http_h2_options {
    int keepalive_time_ms;     /* a PING after so long without a byte; 2 h */
    int keepalive_timeout_ms;  /* closed if nothing is heard after it; 20 s */
    bool permit_without_calls; /* the same while no call is there, for both sides; false */
    int min_ping_interval_without_data_ms; /* that a client's PINGs must keep while we send nothing
                                              (2 h if there is no call and they are not permitted
                                              without); 5 min */
    int max_ping_strikes; /* PINGs sooner than that, before "too_many_pings"; 0: any number; 2 */
    int max_connection_age_ms; /* then the client is asked to open another one; (+-10 %); never */
    int max_connection_age_grace_ms; /* calls may go on for so long after it; never */
    int max_connection_idle_ms;      /* the same as max age after so long without a call; never */
} sl_http_h2_options;
void sl_http_h2_options_default(sl_http_h2_options *o);

/* Something to do on another thread; `room` is for whoever carries it there. */
typedef struct sl_http_work {
    void (*run)(struct sl_http_work *work);
    void *room[8];
} sl_http_work;

typedef struct sl_http_options {
    sl_http_limits limits;
    sl_http_h2_options h2; /* all zeros: the defaults, but any number of PINGs */
    bool share_port;       /* TCP: with other processes of this user that do so */
    unsigned unix_mode;    /* permissions of a unix socket's file, 0600; 0: as the umask says */
    /* Called on the loop for every complete request. Must lead to one sl_http_reply(). */
    void (*on_call)(sl_http_call *call, void *arg);
    /* (optional) The head is there, the body perhaps not; called for every request: return 0 to go
     * on, or a status with which to refuse before the body is read (the connection is closed after
     * it). `message` goes into the JSON error body. Also where Expect: 100-continue is answered. */
    int (*on_head)(sl_http_call *call, const char **message, void *arg);
    /* Writes the body of an error that HTTP itself finds (400, 408, 413, 431, 501, 503 ...): the
     * layer above decides on its form. */
    void (*on_error)(int status, const char *message, sl_chain *body, const char **content_type,
                     void *arg);
    /* (optional; HTTP/2) The same for a request of which at least a part of the head was understood
     * (a field that was not is missing): makes the whole reply (status, head, body, trailers) in
     * its own form, and returns true; false: on_error is asked. call->status is `status`. */
    bool (*on_call_error)(sl_http_call *call, int status, const char *message, void *arg);
    /* (optional) For the access log: such an error is about to be sent. Of the call only `peer`,
     * and as much of the head as was understood, is there. Loop thread. */
    void (*on_refused)(const sl_http_call *call, int status, const char *message, void *arg);
    /* (optional) For the access log: such an error was sent (call == NULL), or the reply to a call
     * was: `sent` bytes, head and body; 0: given up, the client is gone. The call is still valid,
     * but for its body. */
    void (*on_done)(sl_http_call *call, int status, uint64_t sent, void *arg);
    /* (optional) What bodies may hold, with other servers together, instead of
     * limits.max_inflight. */
    struct sl_budget *budget;
    /* (optional) The servers whose connections are counted together with this one's. */
    struct sl_http_family *family;
    /* (optional) Somebody has connected, or a trusted proxy has named him: may he? False: closed at
     * once. on_disconnect gets *held (NULL before) when the connection ends. Loop thread. */
    bool (*on_connect)(sl_str peer, int listener, void **held, void *arg);
    void (*on_disconnect)(void *held, void *arg);
    /* (optional) Is this peer a proxy that is believed when it says, in the PROXY protocol and in
     * front of everything else, for whom it connects? Loop thread. */
    bool (*is_proxy)(sl_str peer, void *arg);
    /* (optional) Sees to it that work->run(work) is called on another thread, soon and once. False:
     * nobody is free, and it is done here. Loop thread. Work that was taken must have been run
     * before sl_http_free. */
    bool (*elsewhere)(sl_http_work *work, void *arg);
    /* (optional) The address speaks TLS, with these certificates; sl_http_listen takes a
     * reference. */
    struct sl_tls *tls;
    int listener; /* which of its owner's addresses it is: handed on as it is */
    void *arg;
} sl_http_options;

typedef struct sl_http_server sl_http_server;

/* Servers on the same loops that share limits.max_connections: a crowd at one port keeps nobody out
 * of another. Zeros to begin with; outlives its servers, which one thread makes and frees. */
typedef struct sl_http_family {
    _Atomic(sl_http_server *) newest;
    atomic_int n_conns;
} sl_http_family;

/*
 * Serves HTTP on a listening address: with n_loops > 1 each loop gets its own SO_REUSEPORT socket
 * (TCP) or shares one (unix). `address` is "host:port": "0.0.0.0:8501", "[::]:8501" (dual-stack),
 * "127.0.0.1:0" (any free port), or "unix:/path". The loops need not run yet. `*port` (may be NULL)
 * gets the port.
 *   INVALID_ARGUMENT  malformed address     UNAVAILABLE  cannot bind: names address and errno
 */
sl_code sl_http_listen(struct sl_loop *const *loops, int n_loops, const char *address,
                       const sl_http_options *opts, sl_http_server **out, int *port, sl_status *st);

/*
 * The end is near, any thread: connections are still accepted, idle ones stay, but replies of
 * HTTP/1 say "Connection: close"; a port that is shared is left to the other process, if there is
 * one. Before sl_http_drain.
 */
void sl_http_leave(sl_http_server *s);
/*
 * Graceful end, any thread: listening stops, idle connections close (those that had no request yet,
 * a second later), each other one gets "Connection: close" with its reply. HTTP/2 connections get GOAWAY in two steps, so that no
 * request on its way is lost. `done(arg)` is called once, on a loop, when the last connection is
 * gone.
 */
void sl_http_drain(sl_http_server *s, void (*done)(void *), void *arg);
/* Cuts what is left. The loops no longer run. */
void sl_http_free(sl_http_server *s);

typedef struct sl_http_stats {
    int64_t connections, inflight_bytes, calls;
} sl_http_stats;
void sl_http_get_stats(const sl_http_server *s, sl_http_stats *out); /* any thread */

/* "Not Found"; as the original words it ("Gateway Time-out", "Client Error" for 429 and 499). */
const char *sl_http_reason(int status);

#endif
