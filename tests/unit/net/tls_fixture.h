/*
 * tls_fixture.h - keys and certificates made for one test, and a client of TLS at the other end of
 * a socket
 *
 * Nothing here is kept: a key lives as long as its test.
 */
#ifndef UNIT_NET_TLS_FIXTURE_H
#define UNIT_NET_TLS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/tls.h"

typedef struct identity {
    X509 *cert;
    EVP_PKEY *key;
    char *cert_pem, *key_pem;
} identity;

typedef struct wish {
    const char *cn, *san;   /* san: "DNS:a,URI:b" or NULL */
    const identity *issuer; /* NULL: itself */
    bool ca;
    int from_days, to_days; /* from now on; both 0: yesterday to in ten days */
    int bits;               /* of an RSA key; 0: EC P-256 */
} wish;

static inline char *pem_of_bio(BIO *b)
{
    char *p, *out;
    long n = BIO_get_mem_data(b, &p);
    out = calloc(1, (size_t)n + 1);
    memcpy(out, p, (size_t)n);
    BIO_free(b);
    return out;
}

static inline void add_extension(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(e);
    X509_add_ext(x, e, -1);
    X509_EXTENSION_free(e);
}

static inline identity make_identity(wish w)
{
    static long serial = 1;
    identity id = {.cert = X509_new(),
                   .key = w.bits ? EVP_RSA_gen((unsigned)w.bits) : EVP_EC_gen("P-256")};
    long long now = sl_wall_us() / 1000000;
    time_t from = (time_t)(now + 86400ll * (w.from_days || w.to_days ? w.from_days : -1));
    time_t to = (time_t)(now + 86400ll * (w.from_days || w.to_days ? w.to_days : 10));
    X509 *issuer = w.issuer ? w.issuer->cert : id.cert;
    X509_set_version(id.cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(id.cert), serial++);
    ASN1_TIME_set(X509_getm_notBefore(id.cert), from);
    ASN1_TIME_set(X509_getm_notAfter(id.cert), to);
    X509_set_pubkey(id.cert, id.key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(id.cert), "CN", MBSTRING_UTF8,
                               (const unsigned char *)w.cn, -1, -1, 0);
    X509_set_issuer_name(id.cert, X509_get_subject_name(issuer));
    add_extension(id.cert, issuer, NID_basic_constraints, w.ca ? "critical,CA:TRUE" : "CA:FALSE");
    if (w.san != NULL)
        add_extension(id.cert, issuer, NID_subject_alt_name, w.san);
    X509_sign(id.cert, w.issuer ? w.issuer->key : id.key, EVP_sha256());
    BIO *c = BIO_new(BIO_s_mem()), *k = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(c, id.cert);
    PEM_write_bio_PrivateKey(k, id.key, NULL, NULL, 0, NULL, NULL);
    id.cert_pem = pem_of_bio(c);
    id.key_pem = pem_of_bio(k);
    return id;
}

static inline void free_identity(identity *id)
{
    X509_free(id->cert);
    EVP_PKEY_free(id->key);
    free(id->cert_pem);
    free(id->key_pem);
}

static inline sl_tls_pair pair_of(const identity *id)
{
    return (sl_tls_pair){sl_str_of(id->cert_pem), sl_str_of(id->key_pem), "cert.pem", "key.pem"};
}

/* ---- a client ---- */

static inline SSL_CTX *client_context(const identity *shown)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
    if (shown != NULL) {
        SSL_CTX_use_certificate(ctx, shown->cert);
        SSL_CTX_use_PrivateKey(ctx, shown->key);
    }
    return ctx;
}

static inline SSL *client_on(SSL_CTX *ctx, int fd)
{
    SSL *ssl = SSL_new(ctx);
    SSL_set_fd(ssl, fd);
    SSL_set_connect_state(ssl);
    SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return ssl;
}

static inline bool waits(SSL *ssl, int rc)
{
    int e = SSL_get_error(ssl, rc);
    return rc <= 0 && (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE);
}

static inline void socket_pair(int fd[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
}

#endif
