/*
 * tls_context.c - certificates and wishes to OpenSSL contexts, and their replacement
 *
 * A set is one generation: a context for each certificate. It never changes; replacing swaps the
 * pointer, and a connection keeps the set that it began with. Taking a set is a lock held for a few
 * instructions, beside a handshake of at least 100 us.
 *
 * Resumption and client certificates: a ticket holds the client's certificate, which was verified
 * when the ticket was made. The session id context, part of the ticket, is a hash of the
 * authorities and the wish, so that no ticket outlives a change of either.
 */
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/tls_internal.h"

static const char ciphers_12[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                                 "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                                 "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
static const char ciphers_13[] =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";

/* ---- what a handshake asks ---- */

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                       const unsigned char *in, unsigned in_n, void *arg)
{
    const sl_tls_set *s = arg;
    (void)ssl;
    /* Ours goes first: h2 before http/1.1. Nothing in common is an error (RFC 7301, 3.2). */
    if (SSL_select_next_proto((unsigned char **)out, out_n, s->alpn, s->alpn_n, in, in_n) ==
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_OK;
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int choose_certificate(SSL *ssl, int *alert, void *arg)
{
    const sl_tls_set *s = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    (void)alert;
    if (name == NULL)
        return SSL_TLSEXT_ERR_NOACK;
    for (int i = 0; i < s->n; i++)
        if (X509_check_host(s->cert[i], name, 0, 0, NULL) == 1) {
            if (i > 0)
                SSL_set_SSL_CTX(ssl, s->ctx[i]);
            return SSL_TLSEXT_ERR_OK;
        }
    return SSL_TLSEXT_ERR_OK; /* the default: a client that does not like it says so */
}

/* ---- making a set ---- */

/* The authorities' hash, with the wish in place of its last byte. */
static bool set_id_context(SSL_CTX *ctx, const sl_tls_options *o)
{
    unsigned char id[EVP_MAX_MD_SIZE];
    unsigned n;
    if (EVP_Digest(o->client_ca.p, o->client_ca.n, id, &n, EVP_sha256(), NULL) != 1)
        return false;
    id[n - 1] = (unsigned char)o->verify;
    return SSL_CTX_set_session_id_context(ctx, id, n) == 1;
}

static bool set_rules(SSL_CTX *ctx, bool only_13)
{
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
                                 SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_read_ahead(ctx, 1);                          /* a record in one system call */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets only */
    SSL_CTX_set_timeout(ctx, SL_TICKET_KEY_SECONDS);
    SSL_CTX_set_num_tickets(ctx, 1);
    bool ok = SSL_CTX_set_min_proto_version(ctx, only_13 ? TLS1_3_VERSION : TLS1_2_VERSION) == 1;
    ok &= SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) == 1;
    ok &= SSL_CTX_set_cipher_list(ctx, ciphers_12) == 1;
    ok &= SSL_CTX_set_ciphersuites(ctx, ciphers_13) == 1;
    ok &= SSL_CTX_set1_groups_list(ctx, "X25519:P-256:P-384") == 1;
    return ok;
}

static sl_code set_authorities(SSL_CTX *ctx, const sl_tls_options *o, sl_status *st)
{
    STACK_OF(X509) *all = NULL;
    if (o->client_ca.n == 0) {
        SSL_CTX_set_default_verify_paths(ctx);
        return SL_OK;
    }
    sl_code rc = sl_tls_authorities_read(o->client_ca, o->client_ca_name, &all, st);
    for (int i = 0; rc == SL_OK && i < sk_X509_num(all); i++) {
        X509 *x = sk_X509_value(all, i);
        if (X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), x) != 1 ||
            SSL_CTX_add_client_CA(ctx, x) != 1)
            rc = sl_fail(st, SL_RESOURCE_EXHAUSTED, "%s: out of memory", o->client_ca_name);
    }
    sk_X509_pop_free(all, X509_free);
    return rc;
}

static sl_code set_verify(SSL_CTX *ctx, const sl_tls_options *o, sl_status *st)
{
    if (o->verify == SL_TLS_VERIFY_NONE)
        return SL_OK;
    SSL_CTX_set_verify(
        ctx,
        SSL_VERIFY_PEER |
            (o->verify == SL_TLS_VERIFY_REQUIRED ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
        NULL);
    return set_authorities(ctx, o, st);
}

static sl_code use_identity(SSL_CTX *ctx, const sl_tls_identity *id, const char *name,
                            sl_status *st)
{
    char why[256];
    if (SSL_CTX_use_cert_and_key(ctx, id->cert, id->key, id->chain, 1) == 1)
        return SL_OK;
    return sl_fail(st, SL_INVALID_ARGUMENT,
                   "%s: OpenSSL refuses the certificate: %s; expected is an RSA key of at least "
                   "2048 bits or an EC key, signed with SHA-256 or better",
                   name, sl_tls_reason(why));
}

static sl_code no_context(sl_status *st)
{
    char why[256];
    return sl_fail(st, SL_INTERNAL, "OpenSSL cannot be set up: %s", sl_tls_reason(why));
}

static sl_code new_context(sl_tls *t, sl_tls_set *s, int i, const sl_tls_options *o, sl_status *st)
{
    const sl_tls_pair *p = &o->pairs[i];
    sl_tls_identity id;
    sl_code rc = sl_tls_identity_read(p, sl_wall_us() / 1000000, &id, st);
    if (rc)
        return rc;
    SSL_CTX *ctx = s->ctx[i] = SSL_CTX_new(TLS_server_method());
    s->n = i + 1;
    if (ctx == NULL || !set_rules(ctx, o->only_13) || !set_id_context(ctx, o) ||
        !sl_tickets_use(&t->tickets, ctx))
        rc = no_context(st);
    if (rc == SL_OK)
        rc = use_identity(ctx, &id, p->cert_name, st);
    if (rc == SL_OK)
        rc = set_verify(ctx, o, st);
    if (rc == SL_OK) {
        if (s->alpn_n > 0)
            SSL_CTX_set_alpn_select_cb(ctx, choose_alpn, s);
        SSL_CTX_set_client_hello_cb(ctx, sl_tls_heard_hello, NULL);
        SSL_CTX_set_tlsext_servername_callback(ctx, choose_certificate);
        SSL_CTX_set_tlsext_servername_arg(ctx, s);
        s->cert[i] = SSL_CTX_get0_certificate(ctx);
        s->not_after[i] = sl_tls_seconds(X509_get0_notAfter(s->cert[i]));
    }
    sl_tls_identity_fini(&id);
    return rc;
}

/* "h2 http/1.1" -> \2 h2 \10 http/1.1 */
static void set_alpn(sl_tls_set *s, const char *names)
{
    while (names != NULL && *names != '\0') {
        size_t n = strcspn(names, " ");
        if (n == 0 || s->alpn_n + n + 1 > sizeof s->alpn)
            return;
        s->alpn[s->alpn_n++] = (unsigned char)n;
        memcpy(s->alpn + s->alpn_n, names, n);
        s->alpn_n += (unsigned)n;
        names += n + (names[n] == ' ');
    }
}

static sl_code new_set(sl_tls *t, const sl_tls_options *o, sl_tls_set **out, sl_status *st)
{
    sl_code rc = SL_OK;
    if (o->n_pairs < 1 || o->n_pairs > SL_TLS_MAX_PAIRS)
        return sl_fail(st, SL_INVALID_ARGUMENT, "TLS needs 1 to %d certificates, not %d",
                       SL_TLS_MAX_PAIRS, o->n_pairs);
    sl_tls_set *s = sl_try_calloc(1, sizeof *s);
    if (s == NULL)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory");
    atomic_init(&s->refs, 1);
    set_alpn(s, o->alpn);
    for (int i = 0; i < o->n_pairs && rc == SL_OK; i++)
        rc = new_context(t, s, i, o, st);
    if (rc == SL_OK)
        *out = s;
    else
        sl_tls_set_release(s);
    return rc;
}

void sl_tls_set_release(sl_tls_set *s)
{
    if (s == NULL || atomic_fetch_sub(&s->refs, 1) > 1)
        return;
    for (int i = 0; i < s->n; i++)
        SSL_CTX_free(s->ctx[i]);
    sl_free(s);
}

sl_tls_set *sl_tls_set_acquire(sl_tls *t)
{
    pthread_mutex_lock(&t->lock);
    sl_tls_set *s = t->set;
    atomic_fetch_add(&s->refs, 1);
    pthread_mutex_unlock(&t->lock);
    return s;
}

/* ---- the shared object ---- */

sl_code sl_tls_new(const sl_tls_options *o, sl_tls **out, sl_status *st)
{
    sl_tls *t = sl_tls_make_bio() ? sl_try_calloc(1, sizeof *t) : NULL;
    if (t == NULL)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory");
    atomic_init(&t->refs, 1);
    pthread_mutex_init(&t->lock, NULL);
    sl_tickets_init(&t->tickets);
    sl_code rc = new_set(t, o, &t->set, st);
    if (rc == SL_OK)
        *out = t;
    else
        sl_tls_release(t);
    return rc;
}

sl_code sl_tls_replace(sl_tls *t, const sl_tls_options *o, sl_status *st)
{
    sl_tls_set *s;
    sl_code rc = new_set(t, o, &s, st);
    if (rc)
        return rc;
    pthread_mutex_lock(&t->lock);
    sl_tls_set *old = t->set;
    t->set = s;
    pthread_mutex_unlock(&t->lock);
    sl_tls_set_release(old);
    return SL_OK;
}

sl_tls *sl_tls_acquire(sl_tls *t)
{
    if (t != NULL)
        atomic_fetch_add(&t->refs, 1);
    return t;
}

void sl_tls_release(sl_tls *t)
{
    if (t == NULL || atomic_fetch_sub(&t->refs, 1) > 1)
        return;
    sl_tls_set_release(t->set);
    sl_tickets_fini(&t->tickets);
    pthread_mutex_destroy(&t->lock);
    sl_free(t);
}

int64_t sl_tls_not_after(sl_tls *t, int i)
{
    sl_tls_set *s = sl_tls_set_acquire(t);
    int64_t seconds = i < s->n ? s->not_after[i] : 0;
    sl_tls_set_release(s);
    return seconds;
}
