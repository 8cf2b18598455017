/*
 * tls_internal.h - what tls.c, tls_context.c, tls_pem.c and tls_ticket.c share
 */
#ifndef SL_NET_TLS_INTERNAL_H
#define SL_NET_TLS_INTERNAL_H

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "net/tls.h"

/* ---- tls_pem.c: PEM texts to checked objects ---- */

typedef struct sl_tls_identity {
    X509 *cert;
    STACK_OF(X509) * chain; /* may be empty */
    EVP_PKEY *key;
} sl_tls_identity;

/* INVALID_ARGUMENT, with the sentences of sl_tls_new. `now`: seconds since 1970. */
sl_code sl_tls_identity_read(const sl_tls_pair *p, int64_t now, sl_tls_identity *out,
                             sl_status *st);
void sl_tls_identity_fini(sl_tls_identity *id);
/* Certificates of authorities; at least one. */
sl_code sl_tls_authorities_read(sl_str pem, const char *name, STACK_OF(X509) * *out, sl_status *st);
/* Seconds since 1970. */
int64_t sl_tls_seconds(const ASN1_TIME *t);
/* The newest reason in OpenSSL's queue, in words; the queue is empty afterwards. */
const char *sl_tls_reason(char buf[256]);

/* ---- tls_ticket.c: keys of session tickets ---- */

enum { SL_TICKET_NAME = 16, SL_TICKET_KEY_SECONDS = 3600 };

typedef struct sl_ticket_key {
    unsigned char name[SL_TICKET_NAME], cipher[32], mac[32];
    int64_t made; /* 0: there is none */
} sl_ticket_key;

typedef struct sl_tickets {
    pthread_mutex_t lock;
    sl_ticket_key now, before; /* lock */
} sl_tickets;

void sl_tickets_init(sl_tickets *t);
void sl_tickets_fini(sl_tickets *t);
/* The context's tickets are sealed with these keys. False: no memory. */
bool sl_tickets_use(sl_tickets *t, SSL_CTX *ctx);
/* tls.c: OpenSSL's client_hello_cb of a connection's SSL. */
int sl_tls_heard_hello(SSL *ssl, int *alert, void *unused);

/* ---- tls_peer.c: the names in a client's certificate ---- */

typedef struct sl_peer_names sl_peer_names;
/* Fills subject and san of *peer; *out holds what they point to. False: no memory. */
bool sl_peer_names_read(X509 *x, sl_tls_peer *peer, sl_peer_names **out);
void sl_peer_names_free(sl_peer_names *names); /* accepts NULL */

/* ---- tls.c ---- */

/* Makes what connections reach their sockets by, once. False: no memory, ask again. */
bool sl_tls_make_bio(void) SL_MUST_CHECK;

/* ---- tls_context.c ---- */

/* One generation of certificates; immutable, counted. */
typedef struct sl_tls_set {
    atomic_int refs;
    int n;
    SSL_CTX *ctx[SL_TLS_MAX_PAIRS];
    X509 *cert[SL_TLS_MAX_PAIRS]; /* which ctx holds */
    int64_t not_after[SL_TLS_MAX_PAIRS];
    unsigned char alpn[64]; /* wire form */
    unsigned alpn_n;
} sl_tls_set;

struct sl_tls {
    atomic_int refs;
    pthread_mutex_t lock;
    sl_tls_set *set; /* lock */
    sl_tickets tickets;
};

sl_tls_set *sl_tls_set_acquire(sl_tls *t);
void sl_tls_set_release(sl_tls_set *s);

#endif
