/* tls_client.c - see tls_client.h */
#include "net/tls_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "base/mem.h"
#include "net/tls_internal.h"

typedef struct client {
    SSL_CTX *ctx;
    SSL *ssl;
    sl_tls_fault fault; /* of the last read or write */
    char reason[256];
} client;

/* ---- what went wrong ---- */

static sl_tls_fault fault_of_certificate(long verify)
{
    switch (verify) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return SL_TLS_EXPIRED;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return SL_TLS_WRONG_NAME;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
    case X509_V_ERR_CERT_UNTRUSTED:
        return SL_TLS_UNKNOWN_CA;
    }
    return SL_TLS_OTHER;
}

static sl_tls_fault fault_of_reason(unsigned long e)
{
    if (ERR_GET_LIB(e) != ERR_LIB_SSL)
        return SL_TLS_OTHER;
    switch (ERR_GET_REASON(e)) {
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
    case SSL_R_HTTP_REQUEST:
        return SL_TLS_NOT_SPOKEN;
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_SSLV3_ALERT_NO_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
    case SSL_R_TLSV1_ALERT_DECRYPT_ERROR:
        return SL_TLS_WANTS_CLIENT;
    case SSL_AD_REASON_OFFSET + TLS1_AD_NO_APPLICATION_PROTOCOL:
        return SL_TLS_NO_HTTP1;
    }
    return SL_TLS_OTHER;
}

/* Learns from OpenSSL's queue why something failed. */
static sl_tls_fault learn(client *c, int rc)
{
    int e = SSL_get_error(c->ssl, rc), number = errno;
    unsigned long queued = ERR_peek_last_error();
    long verify = SSL_get_verify_result(c->ssl);
    const char *text = ERR_reason_error_string(queued);
    if (verify != X509_V_OK) { /* which ends the handshake: SSL_VERIFY_PEER */
        snprintf(c->reason, sizeof c->reason, "%s", X509_verify_cert_error_string(verify));
        c->fault = fault_of_certificate(verify);
    } else if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE) {
        /* The socket blocks: its time was up. */
        snprintf(c->reason, sizeof c->reason, "no answer in time");
        c->fault = SL_TLS_OTHER;
    } else if (e == SSL_ERROR_SYSCALL || e == SSL_ERROR_ZERO_RETURN) {
        /* Its end counts as a goodbye: SSL_OP_IGNORE_UNEXPECTED_EOF. */
        snprintf(c->reason, sizeof c->reason, "%s",
                 number != 0 ? strerror(number) : "the server closed the connection");
        c->fault = SL_TLS_OTHER;
    } else {
        snprintf(c->reason, sizeof c->reason, "%s", text ? text : "unknown reason");
        c->fault = fault_of_reason(queued);
    }
    ERR_clear_error();
    return c->fault;
}

sl_tls_fault sl_tls_client_fault(const sl_io *io, sl_status *st)
{
    const client *c = io->state;
    if (c == NULL || c->fault == SL_TLS_OK)
        return SL_TLS_OK;
    sl_fail(st, SL_UNAVAILABLE, "%s", c->reason);
    return c->fault;
}

/* ---- the filter ---- */

static ssize_t client_read(sl_io *io, void *p, size_t n)
{
    client *c = io->state;
    size_t got;
    ERR_clear_error();
    errno = 0;
    int rc = SSL_read_ex(c->ssl, p, n, &got);
    if (rc == 1)
        return (ssize_t)got;
    if (SSL_get_error(c->ssl, rc) == SSL_ERROR_ZERO_RETURN)
        return 0;
    learn(c, rc);
    errno = errno ? errno : EPROTO;
    return -1;
}

static ssize_t client_writev(sl_io *io, const struct iovec *v, int n)
{
    client *c = io->state;
    size_t put;
    (void)n; /* the first piece: as much as write(2) promises */
    ERR_clear_error();
    errno = 0;
    int rc = SSL_write_ex(c->ssl, v->iov_base, v->iov_len, &put);
    if (rc == 1)
        return (ssize_t)put;
    learn(c, rc);
    errno = errno ? errno : EPROTO;
    return -1;
}

static void client_shutdown(sl_io *io)
{
    SSL_shutdown(((client *)io->state)->ssl);
    ERR_clear_error();
    sl_socket_shutdown(io->fd);
}

static size_t client_buffered(sl_io *io)
{
    return (size_t)SSL_pending(((client *)io->state)->ssl);
}

static void free_client(client *c)
{
    SSL_free(c->ssl);
    SSL_CTX_free(c->ctx);
    ERR_clear_error();
    sl_free(c);
}

static void client_free(sl_io *io)
{
    free_client(io->state);
    io->state = NULL;
}

static const sl_io_ops client_ops = {
    .read = client_read,
    .writev = client_writev,
    .shutdown = client_shutdown,
    .buffered = client_buffered,
    .free = client_free,
};

/* ---- connecting ---- */

static sl_code refuse_file(const char *path, const char *what, sl_status *st)
{
    char why[256];
    return sl_fail(st, SL_INVALID_ARGUMENT, "%s: %s: %s", path, what, sl_tls_reason(why));
}

static sl_code load_files(SSL_CTX *ctx, const sl_tls_client_options *o, sl_status *st)
{
    ERR_clear_error();
    if (o->ca_file == NULL)
        SSL_CTX_set_default_verify_paths(ctx);
    else if (SSL_CTX_load_verify_locations(ctx, o->ca_file, NULL) != 1)
        return refuse_file(o->ca_file, "no certificates of authorities can be read", st);
    if (o->cert_file == NULL)
        return SL_OK;
    const char *key = o->key_file ? o->key_file : o->cert_file;
    if (SSL_CTX_use_certificate_chain_file(ctx, o->cert_file) != 1)
        return refuse_file(o->cert_file, "no certificate can be read", st);
    if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
        return refuse_file(key, "no private key of the certificate can be read", st);
    return SL_OK;
}

static bool expect_host(SSL *ssl, const char *host)
{
    unsigned char address[16];
    X509_VERIFY_PARAM *p = SSL_get0_param(ssl);
    if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(p, host) == 1;
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

static client *new_client(void)
{
    client *c = sl_try_calloc(1, sizeof *c);
    if (c == NULL || (c->ctx = SSL_CTX_new(TLS_client_method())) == NULL) {
        sl_free(c);
        return NULL;
    }
    SSL_CTX_set_min_proto_version(c->ctx, TLS1_2_VERSION);
    SSL_CTX_set_verify(c->ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_alpn_protos(c->ctx, (const unsigned char *)"\x08http/1.1", 9);
    SSL_CTX_set_options(c->ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(c->ctx, SSL_MODE_AUTO_RETRY);
    return c;
}

sl_code sl_tls_connect(sl_io *io, const sl_tls_client_options *o, sl_tls_fault *fault,
                       sl_status *st)
{
    client *c = new_client();
    *fault = SL_TLS_OTHER;
    if (c == NULL)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory");
    sl_code rc = load_files(c->ctx, o, st);
    if (rc == SL_OK && ((c->ssl = SSL_new(c->ctx)) == NULL || SSL_set_fd(c->ssl, io->fd) != 1 ||
                        !expect_host(c->ssl, o->host)))
        rc = sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory");
    if (rc == SL_OK) {
        ERR_clear_error();
        errno = 0;
        int done = SSL_connect(c->ssl);
        if (done != 1) {
            *fault = learn(c, done);
            rc = sl_fail(st, SL_UNAVAILABLE, "%s", c->reason);
        }
    }
    if (rc) {
        free_client(c);
        return rc;
    }
    *fault = SL_TLS_OK;
    io->ops = &client_ops;
    io->state = c;
    return SL_OK;
}

const char *sl_tls_client_version(const sl_io *io)
{
    return SSL_get_version(((const client *)io->state)->ssl);
}
