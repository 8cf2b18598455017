/*
 * tls.h - TLS on a listener's connections: certificates, handshake, the encrypted sl_io
 *
 *     sl_tls_new(&options, &tls, st);                 PEM texts in, checked; any thread
 *     if (sl_tls_open(tls, &io))                      on a connected socket
 *         while ((r = sl_tls_handshake(&io)) == SL_TLS_AGAIN)
 *             wait until readable (writable, if sl_io_wants_write(&io));
 *     sl_io_read, sl_io_writev ...                    as on a bare socket
 *     sl_tls_peer(&io)                                what was agreed, and who the client is
 *     sl_tls_replace(tls, &options, st);              new connections get the new certificates
 *
 * An sl_tls is shared by all loops and counted. Replacing what it holds does not touch connections
 * that are open. Session tickets are encrypted with keys of the sl_tls, not of a certificate: made
 * at start, changed every hour, accepted for one hour more, so a client may resume on any loop and
 * after a certificate was replaced. It may not after the client CA or the wish for a client
 * certificate was changed.
 *
 * What is spoken: TLS 1.2 and 1.3; forward secrecy and AEAD ciphers only, in the server's order; no
 * renegotiation, no compression, no early data.
 *
 * Source: RFC 8446, RFC 5246, RFC 7301, RFC 9325.
 */
#ifndef SL_NET_TLS_H
#define SL_NET_TLS_H

#include "base/str.h"
#include "net/io.h"
#include "net/tls_peer.h"

typedef struct sl_tls sl_tls;

/* ---- certificates ---- */

typedef enum sl_tls_verify {
    SL_TLS_VERIFY_NONE,     /* no client certificate is asked for */
    SL_TLS_VERIFY_OPTIONAL, /* asked for; one that is sent must be good */
    SL_TLS_VERIFY_REQUIRED
} sl_tls_verify;

/* PEM texts, with the names that messages call them by (file names). Only read during the call. */
typedef struct sl_tls_pair {
    sl_str cert, key; /* cert: the server's own first, then the intermediate ones */
    const char *cert_name, *key_name;
} sl_tls_pair;

enum { SL_TLS_MAX_PAIRS = 16 };

typedef struct sl_tls_options {
    /* The first is the default; of the others one is chosen whose names fit what the client asks
     * for (SNI). */
    const sl_tls_pair *pairs;
    int n_pairs;
    sl_str client_ca; /* PEM; n == 0 and verify != NONE: the system's roots */
    const char *client_ca_name;
    sl_tls_verify verify;
    const char *alpn; /* "h2 http/1.1": what is spoken, preferred first; NULL: no ALPN */
    bool only_13;     /* not TLS 1.2 */
} sl_tls_options;

/* INVALID_ARGUMENT with a sentence that names the file, what is wrong and what to do: no PEM, key
 * encrypted, key of another certificate, expired, not yet valid, too weak ... */
sl_code sl_tls_new(const sl_tls_options *o, sl_tls **out, sl_status *st);
/* The same for connections from now on; on failure all stays as it is. Any thread. */
sl_code sl_tls_replace(sl_tls *t, const sl_tls_options *o, sl_status *st);
sl_tls *sl_tls_acquire(sl_tls *t);
void sl_tls_release(sl_tls *t); /* accepts NULL */

/* When the i-th certificate expires, in seconds since 1970; 0: there is no such one. */
int64_t sl_tls_not_after(sl_tls *t, int i);

/* ---- connections; the connection's thread ---- */

/* Puts TLS on a socket. False: no memory; *io is as it was. */
bool sl_tls_open(sl_tls *t, sl_io *io) SL_MUST_CHECK;

typedef enum sl_tls_step {
    SL_TLS_FAILED = -1,
    SL_TLS_AGAIN,
    SL_TLS_DONE,
    SL_TLS_COSTLY /* only after sl_tls_tell_costly */
} sl_tls_step;
/* The handshake is to say so, once, before its key exchange and signature (0.15 ms and more): the
 * next call may be made on another thread. One that would resume a session does not stop. */
void sl_tls_tell_costly(sl_io *io);
/* Goes on with the handshake. FAILED: an alert has been sent where there is one; *why (may be NULL)
 * is one of a few words for counting (SL_TLS_REASONS). */
sl_tls_step sl_tls_handshake(sl_io *io, const char **why);
#define SL_TLS_REASONS                                                             \
    "closed", "timeout", "overload", "plain_http", "not_tls", "version", "cipher", \
        "no_client_certificate", "client_certificate", "refused_by_client", "protocol"
/* Counts a failure that only the caller can see: "timeout", "overload", "plain_http". FAILED has
 * been counted already. */
void sl_tls_count_failure(const char *why);
/* In a sentence what made the last handshake of this thread fail; for a log line. */
const char *sl_tls_failure(void);

/* Valid until the connection is closed. NULL if there is no TLS, or no end to the handshake yet. */
const sl_tls_peer *sl_tls_peer_of(const sl_io *io);

/* Does this look like the beginning of TLS (a handshake record)? n >= 1. */
bool sl_tls_looks_like(const char *p, size_t n);

#endif
