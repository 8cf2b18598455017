/*
 * tls.c - the encrypted sl_io: handshake, records, the end
 *
 * OpenSSL reads and writes through a BIO of ours that is nothing but the socket: no buffer, no
 * descriptor flags, and faults can be injected. Between two requests a connection has no record
 * buffers (SSL_MODE_RELEASE_BUFFERS); what is left is the SSL object.
 *
 * Reading ahead: one system call fetches as many records as there are, so OpenSSL may hold bytes of
 * which the socket will not tell. `more` says so; it is false again as soon as OpenSSL has asked
 * the socket in vain, also if it still holds half a record.
 *
 * Writing: one SSL_write is one record of at most 16 KiB. Small pieces are put together in a buffer
 * of the thread, large ones are encrypted from where they are. A record that the socket did not
 * take stays in OpenSSL, counts as not written, and must be asked for again with the same length:
 * `retry_n`.
 */
#include "net/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/mem.h"
#include "metrics/metrics.h"
#include "net/tls_internal.h"

enum {
    RECORD = SSL3_RT_MAX_PLAIN_LENGTH, /* 16 KiB */
    GATHERED = 32,                     /* pieces of one record: fewer than a caller's vectors */
    AT_ONCE = 256 * 1024,              /* read by one call, for others to have their turn */
};

typedef struct tls_conn {
    SSL *ssl;
    sl_tls *tls; /* for its ticket keys */
    sl_tls_set *set;
    int fd;
    int error;         /* errno of the socket's last failure */
    unsigned retry_n;  /* bytes of the record that waits for the socket; 0: none */
    bool established;  /* the handshake is over */
    bool tells_costly; /* ... is to stop before what costs most */
    bool more;         /* read() has something to do without the socket */
    bool wants_write;  /* ... waits to be writable, to go on reading */
    bool broken, shut; /* no further record may be written */
    bool eof;          /* the socket's */
    sl_tls_peer peer;
    sl_peer_names *names; /* what peer points to, or NULL */
} tls_conn;

/* ---- the BIO ---- */

static BIO_METHOD *method;
static sl_metric *handshakes, *failures;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Thread_local char failure[320];
static _Thread_local char gathered[RECORD];

static int bio_read(BIO *b, char *p, int n)
{
    tls_conn *t = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    ssize_t got = sl_socket_read(t->fd, p, (size_t)n);
    t->eof = got == 0;
    if (got < 0) {
        t->error = errno;
        if (errno == EAGAIN)
            BIO_set_retry_read(b);
    }
    return (int)got;
}

static int bio_write(BIO *b, const char *p, int n)
{
    tls_conn *t = BIO_get_data(b);
    struct iovec v = {(char *)p, (size_t)n};
    BIO_clear_retry_flags(b);
    ssize_t put = sl_socket_writev(t->fd, &v, 1);
    if (put < 0) {
        t->error = errno;
        if (errno == EAGAIN)
            BIO_set_retry_write(b);
    }
    return (int)put;
}

static long bio_ctrl(BIO *b, int what, long n, void *p)
{
    (void)n, (void)p;
    if (what == BIO_CTRL_EOF)
        return ((tls_conn *)BIO_get_data(b))->eof;
    return what == BIO_CTRL_FLUSH;
}

bool sl_tls_make_bio(void)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&lock);
    /* Without an index of its own, which only BIO_find_type would want. */
    BIO_METHOD *m = method ? method : BIO_meth_new(BIO_TYPE_SOURCE_SINK, "sluice socket");
    if (m != NULL && method == NULL) {
        BIO_meth_set_read(m, bio_read);
        BIO_meth_set_write(m, bio_write);
        BIO_meth_set_ctrl(m, bio_ctrl);
        method = m;
    }
    pthread_mutex_unlock(&lock);
    return m != NULL;
}

static void set_up(void)
{
    static const char *const by_version[] = {"version", "resumed", NULL};
    static const char *const by_reason[] = {"reason", NULL};
    handshakes = sl_metric_register("/sluice/tls/handshakes", SL_COUNTER, by_version, NULL, 0);
    failures = sl_metric_register("/sluice/tls/handshake_failures", SL_COUNTER, by_reason, NULL, 0);
}

static BIO *new_bio(tls_conn *t)
{
    BIO *b = BIO_new(method); /* which sl_tls_new has made */
    if (b == NULL)
        return NULL;
    BIO_set_data(b, t);
    BIO_set_init(b, 1);
    return b;
}

/* ---- reading and writing ---- */

/* What a call that did not succeed means: bytes as of read(2). */
static ssize_t not_now(tls_conn *t, int rc)
{
    int e = SSL_get_error(t->ssl, rc);
    t->more = false;
    t->wants_write = e == SSL_ERROR_WANT_WRITE;
    if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE) {
        errno = EAGAIN;
        return -1;
    }
    if (e == SSL_ERROR_ZERO_RETURN)
        return 0;
    t->broken = true;
    ERR_clear_error();
    errno = e == SSL_ERROR_SYSCALL && t->error ? t->error : EPROTO;
    return -1;
}

static ssize_t tls_read(sl_io *io, void *p, size_t n)
{
    tls_conn *t = io->state;
    size_t got = 0;
    if (t->shut) /* what comes is read over: it need not be decrypted */
        return sl_socket_read(io->fd, p, n);
    n = SL_MIN(n, (size_t)AT_ONCE);
    ERR_clear_error();
    while (got < n) {
        size_t k;
        t->error = 0; /* an error that is met again does not ask the socket again */
        int rc = SSL_read_ex(t->ssl, (char *)p + got, n - got, &k);
        if (rc != 1 && got == 0)
            return not_now(t, rc);
        if (rc != 1) {
            /* The next call meets the end or the error again. */
            bool waits = not_now(t, rc) < 0 && errno == EAGAIN;
            t->more = !waits;
            break;
        }
        t->wants_write = false;
        got += k;
        t->more = SSL_has_pending(t->ssl) == 1;
        if (!t->more && k < RECORD) /* after a full record there is probably another one */
            break;
    }
    return (ssize_t)got;
}

/* Where in the caller's vectors we are. */
typedef struct cursor {
    const struct iovec *v;
    int n;
    size_t at; /* in v[0] */
} cursor;

static void advance(cursor *c, size_t n)
{
    c->at += n;
    while (c->n > 0 && c->at >= c->v->iov_len) {
        c->at -= c->v->iov_len;
        c->v++;
        c->n--;
    }
}

static const char *gather(cursor c, size_t wanted, bool again, size_t *n)
{
    *n = 0;
    /* Cut in another way the same bytes may be more pieces. */
    for (int pieces = 0; c.n > 0 && *n < wanted && (again || pieces < GATHERED); pieces++) {
        size_t k = SL_MIN(c.v->iov_len - c.at, wanted - *n);
        memcpy(gathered + *n, (const char *)c.v->iov_base + c.at, k);
        *n += k;
        advance(&c, k);
    }
    return gathered;
}

/* The next record's bytes, in one piece, at least one; NULL: there are none. */
static const char *next_record(const tls_conn *t, const cursor *c, size_t *n)
{
    size_t wanted = t->retry_n ? t->retry_n : RECORD;
    if (c->n == 0)
        return NULL;
    size_t here = c->v->iov_len - c->at; /* > 0: see advance() */
    if (here < wanted && c->n > 1)
        return gather(*c, wanted, t->retry_n > 0, n);
    *n = SL_MIN(here, wanted);
    return (const char *)c->v->iov_base + c->at;
}

static ssize_t tls_writev(sl_io *io, const struct iovec *v, int n)
{
    tls_conn *t = io->state;
    cursor c = {v, n, 0};
    size_t done = 0, k, put;
    if (t->broken || t->shut) {
        errno = EPIPE;
        return -1;
    }
    ERR_clear_error();
    advance(&c, 0); /* over empty pieces */
    for (const char *p; (p = next_record(t, &c, &k)) != NULL;) {
        t->error = 0;
        int rc = SSL_write_ex(t->ssl, p, k, &put);
        if (rc != 1) {
            bool more = t->more, wants_write = t->wants_write;
            ssize_t r = not_now(t, rc);
            t->more = more; /* which is about reading */
            t->wants_write = wants_write;
            if (r == 0)
                errno = EPIPE;
            else if (errno == EAGAIN)
                t->retry_n = (unsigned)k;
            return done && errno == EAGAIN ? (ssize_t)done : -1;
        }
        t->retry_n = 0;
        done += put;
        advance(&c, put);
    }
    return (ssize_t)done;
}

static void say_goodbye(tls_conn *t)
{
    if (t->established && !t->broken && !t->shut && t->retry_n == 0) {
        ERR_clear_error();
        SSL_shutdown(t->ssl);
        ERR_clear_error();
    }
    t->shut = true;
}

static void tls_shutdown(sl_io *io)
{
    say_goodbye(io->state);
    sl_socket_shutdown(io->fd);
}

static size_t tls_buffered(sl_io *io)
{
    const tls_conn *t = io->state;
    return t->more && !t->shut;
}

static bool tls_wants_write(const sl_io *io)
{
    return ((const tls_conn *)io->state)->wants_write;
}

static void free_conn(tls_conn *t)
{
    SSL_free(t->ssl);
    sl_tls_set_release(t->set);
    sl_tls_release(t->tls);
    sl_peer_names_free(t->names);
    sl_free(t);
}

static void tls_free(sl_io *io)
{
    say_goodbye(io->state);
    free_conn(io->state);
    io->state = NULL;
}

static const sl_io_ops tls_ops = {
    .read = tls_read,
    .writev = tls_writev,
    .shutdown = tls_shutdown,
    .buffered = tls_buffered,
    .wants_write = tls_wants_write,
    .free = tls_free,
};

/* ---- beginning ---- */

bool sl_tls_open(sl_tls *tls, sl_io *io)
{
    pthread_once(&once, set_up);
    tls_conn *t = sl_try_calloc(1, sizeof *t);
    if (t == NULL)
        return false;
    t->fd = io->fd;
    t->tls = sl_tls_acquire(tls);
    t->set = sl_tls_set_acquire(tls);
    t->ssl = sl_fault_hit(SL_FAULT_ALLOC) ? NULL : SSL_new(t->set->ctx[0]);
    BIO *b = t->ssl && SSL_set_app_data(t->ssl, t) == 1 ? new_bio(t) : NULL;
    if (b == NULL) {
        ERR_clear_error();
        free_conn(t);
        return false;
    }
    SSL_set_bio(t->ssl, b, b);
    SSL_set_accept_state(t->ssl);
    io->ops = &tls_ops;
    io->state = t;
    return true;
}

bool sl_tls_looks_like(const char *p, size_t n)
{
    return p[0] == SSL3_RT_HANDSHAKE && (n < 2 || p[1] == 3);
}

/* ---- the handshake ---- */

void sl_tls_count_failure(const char *why)
{
    pthread_once(&once, set_up);
    sl_str label = sl_str_of(why);
    sl_cell_add(sl_metric_cell(failures, &label), 1);
}

static const char *reason_of(int ssl_error, unsigned long e)
{
    /* The end of the socket's bytes counts as a goodbye: SSL_OP_IGNORE_UNEXPECTED_EOF. */
    if (ssl_error == SSL_ERROR_ZERO_RETURN || ssl_error == SSL_ERROR_SYSCALL)
        return "closed";
    if (ERR_GET_LIB(e) != ERR_LIB_SSL)
        return "protocol";
    switch (ERR_GET_REASON(e)) {
    case SSL_R_HTTP_REQUEST:
        return "plain_http";
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTPS_PROXY_REQUEST:
        return "not_tls";
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_UNSUPPORTED_SSL_VERSION:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_NO_PROTOCOLS_AVAILABLE:
        return "version";
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SUITABLE_GROUPS:
        return "cipher";
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        return "no_client_certificate";
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
        return "client_certificate";
    }
    return ERR_GET_REASON(e) >= SSL_AD_REASON_OFFSET ? "refused_by_client" : "protocol";
}

static void describe(const tls_conn *t, const char *why, unsigned long e)
{
    const char *text = ERR_reason_error_string(e);
    long verify = SSL_get_verify_result(t->ssl);
    if (strcmp(why, "closed") == 0)
        snprintf(failure, sizeof failure, "the client closed the connection");
    else if (strcmp(why, "client_certificate") == 0)
        snprintf(failure, sizeof failure, "the client's certificate is refused: %s",
                 X509_verify_cert_error_string(verify));
    else if (strcmp(why, "no_client_certificate") == 0)
        snprintf(failure, sizeof failure, "the client sent no certificate");
    else if (strcmp(why, "refused_by_client") == 0)
        snprintf(failure, sizeof failure, "the client refused: %s", text ? text : "no reason");
    else
        snprintf(failure, sizeof failure, "%s", text ? text : "no reason");
}

const char *sl_tls_failure(void)
{
    return failure;
}

static sl_tls_step fail(tls_conn *t, const char *reason, const char **why)
{
    t->broken = true;
    t->more = false;
    sl_tls_count_failure(reason);
    if (why != NULL)
        *why = reason;
    return SL_TLS_FAILED;
}

/* A resumed session was verified when it began: has the certificate expired since? */
static bool client_expired(const tls_conn *t)
{
    X509 *x = SSL_session_reused(t->ssl) ? SSL_get0_peer_certificate(t->ssl) : NULL;
    return x != NULL && sl_tls_seconds(X509_get0_notAfter(x)) <= sl_wall_us() / 1000000;
}

static sl_tls_step established(tls_conn *t, const char **why)
{
    X509 *x = SSL_get0_peer_certificate(t->ssl);
    if (client_expired(t)) {
        snprintf(failure, sizeof failure, "the client's certificate has expired");
        return fail(t, "client_certificate", why);
    }
    if (x != NULL && !sl_peer_names_read(x, &t->peer, &t->names)) {
        snprintf(failure, sizeof failure, "no memory for the names in the client's certificate");
        return fail(t, "protocol", why);
    }
    t->established = true;
    t->wants_write = false;
    t->more = SSL_has_pending(t->ssl) == 1;
    t->peer.version = SSL_get_version(t->ssl);
    t->peer.cipher = SSL_get_cipher_name(t->ssl);
    t->peer.server_name = SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name);
    t->peer.resumed = SSL_session_reused(t->ssl);
    sl_str labels[] = {sl_str_of(t->peer.version), sl_str_of(t->peer.resumed ? "true" : "false")};
    sl_cell_add(sl_metric_cell(handshakes, labels), 1);
    return SL_TLS_DONE;
}

void sl_tls_tell_costly(sl_io *io)
{
    tls_conn *t = io->state;
    t->tells_costly = true;
}

int sl_tls_heard_hello(SSL *ssl, int *alert, void *unused)
{
    tls_conn *t = SSL_get_app_data(ssl);
    const unsigned char *p;
    size_t n;
    (void)alert;
    (void)unused;
    if (!t->tells_costly)
        return SSL_CLIENT_HELLO_SUCCESS;
    t->tells_costly = false;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_psk, &p, &n) == 1 ||
        (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_session_ticket, &p, &n) == 1 && n > 0))
        return SSL_CLIENT_HELLO_SUCCESS;
    return SSL_CLIENT_HELLO_RETRY;
}

sl_tls_step sl_tls_handshake(sl_io *io, const char **why)
{
    tls_conn *t = io->state;
    ERR_clear_error();
    int rc = SSL_accept(t->ssl);
    if (rc == 1)
        return established(t, why);
    int e = SSL_get_error(t->ssl, rc);
    t->wants_write = e == SSL_ERROR_WANT_WRITE;
    if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE)
        return SL_TLS_AGAIN;
    if (e == SSL_ERROR_WANT_CLIENT_HELLO_CB)
        return SL_TLS_COSTLY;
    unsigned long queued =
        ERR_peek_last_error(); /* what it means for TLS comes after what it was */
    const char *reason = reason_of(e, queued);
    describe(t, reason, queued);
    ERR_clear_error();
    return fail(t, reason, why);
}

const sl_tls_peer *sl_tls_peer_of(const sl_io *io)
{
    const tls_conn *t = io->ops == &tls_ops ? io->state : NULL;
    return t != NULL && t->established ? &t->peer : NULL;
}
