/* test_tls_client.c - the shell's client of TLS, against servers that are right and others */
#include "unit/net/tls_fixture.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>

#include "base/mem.h"
#include "net/tls_client.h"
#include "support/calls.h"

/* ---- a server on a thread of its own ---- */

typedef struct server {
    const identity *own;
    X509 *above;           /* sent behind its own certificate */
    bool asks;             /* for a client's certificate */
    const identity *trust; /* ... that this one signed */
    bool only_h2;
    bool old;  /* speaks TLS 1.2 at most */
    bool deaf; /* reads nothing after the handshake, until the client leaves */
    int fd;
    pthread_t thread;
} server;

static int refuse_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                       const unsigned char *in, unsigned in_n, void *arg)
{
    (void)ssl, (void)out, (void)out_n, (void)in, (void)in_n, (void)arg;
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static SSL_CTX *server_context(const server *s)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_security_level(ctx, 0);
    SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_use_certificate(ctx, s->own->cert);
    SSL_CTX_use_PrivateKey(ctx, s->own->key);
    if (s->old)
        SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
    if (s->above != NULL)
        SSL_CTX_add1_chain_cert(ctx, s->above);
    if (s->asks)
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    if (s->trust != NULL)
        X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), s->trust->cert);
    if (s->only_h2)
        SSL_CTX_set_alpn_select_cb(ctx, refuse_alpn, NULL);
    return ctx;
}

/* Sends back what comes until the client's goodbye, and says it, too. */
static void *serve(void *arg)
{
    server *s = arg;
    char text[64];
    struct pollfd left = {.fd = s->fd};
    SSL_CTX *ctx = server_context(s);
    SSL *ssl = SSL_new(ctx);
    SSL_set_fd(ssl, s->fd);
    if (SSL_accept(ssl) == 1) {
        if (s->deaf)
            poll(&left, 1, -1); /* POLLHUP */
        for (int n; (n = SSL_read(ssl, text, sizeof text)) > 0;)
            SSL_write(ssl, text, n);
        SSL_shutdown(ssl);
    }
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    close(s->fd);
    OPENSSL_thread_stop();
    return NULL;
}

/* ---- the client ---- */

typedef struct fixture {
    identity ca, own;
    char ca_file[32];
} fixture;

static void write_pem(char *path, const char *pem)
{
    strcpy(path, "/tmp/sluice-tls-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, pem, strlen(pem)), strlen(pem));
    close(fd);
}

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    f->ca = make_identity((wish){.cn = "ca", .ca = true});
    f->own = make_identity(
        (wish){.cn = "localhost", .san = "DNS:localhost,IP:127.0.0.1,IP:::1", .issuer = &f->ca});
    write_pem(f->ca_file, f->ca.cert_pem);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    unlink(f->ca_file);
    free_identity(&f->own);
    free_identity(&f->ca);
    free(f);
    return 0;
}

/* Two ends of a socket that block, for `ms` at most. */
static void blocking_pair(int fd[2], int ms)
{
    struct timeval limit = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    for (int i = 0; i < 2; i++) {
        setsockopt(fd[i], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        setsockopt(fd[i], SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    }
}

static sl_code reach(server *s, const sl_tls_client_options *o, sl_io *io, sl_tls_fault *fault,
                     sl_status *st)
{
    int fd[2];
    blocking_pair(fd, 20000);
    s->fd = fd[1];
    *io = (sl_io){.fd = fd[0]};
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
    return sl_tls_connect(io, o, fault, st);
}

static void leave(server *s, sl_io *io)
{
    sl_io_close(io);
    pthread_join(s->thread, NULL);
}

/* The handshake fails, with this fault, and this part of a sentence. */
static void fails(server s, const sl_tls_client_options *o, sl_tls_fault want, const char *text)
{
    sl_tls_fault fault;
    sl_status st = {0};
    sl_io io;
    assert_int_equal(reach(&s, o, &io, &fault, &st), SL_UNAVAILABLE);
    if (fault != want || strstr(st.msg, text) == NULL)
        fail_msg("fault %d, \"%s\"", fault, st.msg);
    assert_null(io.ops);
    assert_int_equal(sl_tls_client_fault(&io, &st), SL_TLS_OK);
    leave(&s, &io);
}

/* ---- what goes well ---- */

static void a_server_that_is_who_it_should_be_is_spoken_to(void **state)
{
    fixture *f = *state;
    static const char *const hosts[] = {"localhost", "127.0.0.1", "::1"};
    for (size_t i = 0; i < SL_COUNTOF(hosts); i++) {
        server s = {.own = &f->own};
        const sl_tls_client_options o = {.host = hosts[i], .ca_file = f->ca_file};
        sl_tls_fault fault;
        sl_status st = {0};
        sl_io io;
        char text[8];
        if (reach(&s, &o, &io, &fault, &st))
            fail_msg("%s", st.msg);
        assert_int_equal(fault, SL_TLS_OK);
        assert_string_equal(sl_tls_client_version(&io), "TLSv1.3");
        struct iovec v[] = {{"hello", 5}, {"not this", 8}};
        assert_int_equal(sl_io_writev(&io, v, 2), 5);
        assert_int_equal(sl_io_read(&io, text, 2), 2);
        assert_int_equal(sl_io_buffered(&io), 3);
        assert_int_equal(sl_io_read(&io, text + 2, 6), 3);
        assert_memory_equal(text, "hello", 5);
        sl_io_shutdown(&io);
        assert_int_equal(sl_io_read(&io, text, 8), 0);
        assert_int_equal(sl_tls_client_fault(&io, &st), SL_TLS_OK);
        leave(&s, &io);
    }
}

static void a_client_shows_its_certificate(void **state)
{
    fixture *f = *state;
    identity me = make_identity((wish){.cn = "me", .issuer = &f->ca});
    char cert[32], key[32], both[32], *text = malloc(strlen(me.cert_pem) + strlen(me.key_pem) + 1);
    strcat(strcpy(text, me.cert_pem), me.key_pem);
    write_pem(cert, me.cert_pem);
    write_pem(key, me.key_pem);
    write_pem(both, text);
    for (int i = 0; i < 2; i++) {
        server s = {.own = &f->own, .asks = true, .trust = &f->ca};
        const sl_tls_client_options o = {.host = "localhost",
                                         .ca_file = f->ca_file,
                                         .cert_file = i ? both : cert,
                                         .key_file = i ? NULL : key};
        sl_tls_fault fault;
        sl_io io;
        char got[4];
        assert_int_equal(reach(&s, &o, &io, &fault, NULL), SL_OK);
        struct iovec v = {"x", 1};
        assert_int_equal(sl_io_writev(&io, &v, 1), 1);
        assert_int_equal(sl_io_read(&io, got, 4), 1);
        leave(&s, &io);
    }
    unlink(cert);
    unlink(key);
    unlink(both);
    free(text);
    free_identity(&me);
}

/* ---- certificates that are no good ---- */

static void each_fault_of_a_certificate_is_told_apart(void **state)
{
    fixture *f = *state;
    const sl_tls_client_options o = {.host = "localhost", .ca_file = f->ca_file};
    const sl_tls_client_options system = {.host = "localhost"};
    const sl_tls_client_options elsewhere = {.host = "elsewhere", .ca_file = f->ca_file};
    const sl_tls_client_options address = {.host = "127.0.0.2", .ca_file = f->ca_file};
    identity other_ca = make_identity((wish){.cn = "other", .ca = true});
    const struct {
        wish w;
        const sl_tls_client_options *o;
        X509 *above;
        sl_tls_fault fault;
        const char *text;
    } list[] = {
        {{.from_days = -20, .to_days = -2}, &o, NULL, SL_TLS_EXPIRED, "has expired"},
        {{.from_days = 2, .to_days = 20}, &o, NULL, SL_TLS_EXPIRED, "not yet valid"},
        {{0}, &elsewhere, NULL, SL_TLS_WRONG_NAME, "ostname mismatch"},
        {{0}, &address, NULL, SL_TLS_WRONG_NAME, "IP address mismatch"},
        {{0}, &system, NULL, SL_TLS_UNKNOWN_CA, "unable to get local issuer"},
        {{.issuer = &other_ca}, &o, other_ca.cert, SL_TLS_UNKNOWN_CA, "self-signed"},
    };
    for (size_t i = 0; i < SL_COUNTOF(list); i++) {
        wish w = list[i].w;
        w.cn = "localhost";
        w.san = "DNS:localhost,IP:127.0.0.1";
        w.issuer = w.issuer ? w.issuer : &f->ca;
        identity id = make_identity(w);
        fails((server){.own = &id, .above = list[i].above}, list[i].o, list[i].fault, list[i].text);
        free_identity(&id);
    }
    free_identity(&other_ca);
    /* One that is for clients alone. */
    identity id =
        make_identity((wish){.cn = "localhost", .san = "DNS:localhost", .issuer = &f->ca});
    add_extension(id.cert, f->ca.cert, NID_ext_key_usage, "clientAuth");
    X509_sign(id.cert, f->ca.key, EVP_sha256());
    fails((server){.own = &id}, &o, SL_TLS_OTHER, "certificate purpose");
    free_identity(&id);
}

/* ---- servers that want something else ---- */

static void a_server_that_speaks_http_2_only_is_told(void **state)
{
    fixture *f = *state;
    const sl_tls_client_options o = {.host = "localhost", .ca_file = f->ca_file};
    fails((server){.own = &f->own, .only_h2 = true}, &o, SL_TLS_NO_HTTP1, "alert no application");
}

/* With TLS 1.3 the handshake is over for the client when the server refuses it. */
static void a_server_that_wants_a_certificate_says_so_at_the_first_read(void **state)
{
    fixture *f = *state;
    server s = {.own = &f->own, .asks = true};
    const sl_tls_client_options o = {.host = "localhost", .ca_file = f->ca_file};
    sl_tls_fault fault;
    sl_status st = {0};
    sl_io io;
    char text[4];
    assert_int_equal(reach(&s, &o, &io, &fault, &st), SL_OK);
    assert_int_equal(sl_io_read(&io, text, 4), -1);
    assert_int_equal(errno, EPROTO);
    assert_int_equal(sl_tls_client_fault(&io, &st), SL_TLS_WANTS_CLIENT);
    assert_non_null(strstr(st.msg, "certificate required"));
    assert_int_equal(sl_tls_client_fault(&io, NULL), SL_TLS_WANTS_CLIENT);
    pthread_join(s.thread, NULL);
    struct iovec v = {"x", 1};
    assert_int_equal(sl_io_writev(&io, &v, 1), -1);
    sl_io_close(&io);
}

/* What the other side says is there before the client begins. */
static void answers(const char *bytes, size_t n, bool ends, sl_tls_fault want, const char *text)
{
    const sl_tls_client_options o = {.host = "localhost"};
    sl_tls_fault fault;
    sl_status st = {0};
    int fd[2];
    blocking_pair(fd, ends ? 20000 : 50);
    sl_io io = {.fd = fd[0]};
    assert_int_equal(send(fd[1], bytes, n, 0), n);
    if (ends)
        shutdown(fd[1], SHUT_WR);
    assert_int_equal(sl_tls_connect(&io, &o, &fault, &st), SL_UNAVAILABLE);
    if (fault != want || strcmp(st.msg, text) != 0)
        fail_msg("fault %d, \"%s\"", fault, st.msg);
    close(fd[0]);
    close(fd[1]);
}

static void what_speaks_something_else_or_nothing_is_told_apart(void **state)
{
    (void)state;
    static const char http[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
    answers(http, sizeof http - 1, true, SL_TLS_NOT_SPOKEN, "wrong version number");
    answers("", 0, true, SL_TLS_OTHER, "the server closed the connection");
    answers("\x15\x03\x03\0\2\1\0", 7, true, SL_TLS_OTHER, "the server closed the connection");
    answers("\x15\x03\x03\0\2\2\x46", 7, true, SL_TLS_OTHER, "tlsv1 alert protocol version");
    answers("\x15\x03\x03\0\2\2\xc8", 7, true, SL_TLS_OTHER, "unknown reason");
    answers("", 0, false, SL_TLS_OTHER, "no answer in time");
}

static void a_connection_that_is_reset_is_told_by_its_errno(void **state)
{
    (void)state;
    const sl_tls_client_options o = {.host = "localhost"};
    sl_tls_fault fault;
    sl_status st = {0};
    int fd[2];
    blocking_pair(fd, 20000);
    sl_io io = {.fd = fd[0]};
    close(fd[1]);
    assert_int_equal(sl_tls_connect(&io, &o, &fault, &st), SL_UNAVAILABLE);
    assert_int_equal(fault, SL_TLS_OTHER);
    assert_string_equal(st.msg, strerror(EPIPE));
    close(fd[0]);
}

static void a_reset_in_the_middle_is_told_by_its_errno(void **state)
{
    fixture *f = *state;
    server s = {.own = &f->own, .old = true, .deaf = true}; /* it reads nothing at the same time */
    const sl_tls_client_options o = {.host = "localhost", .ca_file = f->ca_file};
    sl_tls_fault fault;
    sl_status st = {0};
    sl_io io;
    char byte;
    assert_int_equal(reach(&s, &o, &io, &fault, &st), SL_OK);
    fail_call("read", 1, ECONNRESET);
    assert_int_equal(sl_io_read(&io, &byte, 1), -1);
    fail_call(NULL, 0, 0);
    assert_int_equal(errno, ECONNRESET);
    assert_int_equal(sl_tls_client_fault(&io, &st), SL_TLS_OTHER);
    assert_string_equal(st.msg, strerror(ECONNRESET));
    leave(&s, &io);
}

static void a_server_that_does_not_read_is_not_waited_for(void **state)
{
    fixture *f = *state;
    server s = {.own = &f->own, .deaf = true};
    const sl_tls_client_options o = {.host = "localhost", .ca_file = f->ca_file};
    const struct timeval soon = {.tv_usec = 50000};
    static char large[1 << 20];
    sl_tls_fault fault;
    sl_status st = {0};
    sl_io io;
    assert_int_equal(reach(&s, &o, &io, &fault, &st), SL_OK);
    setsockopt(io.fd, SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof soon);
    struct iovec v = {large, sizeof large};
    assert_int_equal(sl_io_writev(&io, &v, 1), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(sl_tls_client_fault(&io, &st), SL_TLS_OTHER);
    assert_string_equal(st.msg, "no answer in time");
    leave(&s, &io);
}

/* ---- files that are no good ---- */

static void a_file_that_cannot_be_read_is_named(void **state)
{
    fixture *f = *state;
    char cert[32];
    write_pem(cert, f->own.cert_pem);
    const struct {
        sl_tls_client_options o;
        const char *text;
    } list[] = {
        {{.ca_file = "/nowhere.pem"}, "/nowhere.pem: no certificates of authorities can be read"},
        {{.cert_file = "/nowhere.pem"}, "/nowhere.pem: no certificate can be read"},
        {{.cert_file = cert}, ": no private key of the certificate can be read"},
        {{.cert_file = cert, .key_file = "/key.pem"}, "/key.pem: no private key"},
    };
    for (size_t i = 0; i < SL_COUNTOF(list); i++) {
        sl_io io = {.fd = -1};
        sl_tls_fault fault;
        sl_status st = {0};
        assert_int_equal(sl_tls_connect(&io, &list[i].o, &fault, &st), SL_INVALID_ARGUMENT);
        assert_int_equal(fault, SL_TLS_OTHER);
        if (strstr(st.msg, list[i].text) == NULL)
            fail_msg("\"%s\" is not in \"%s\"", list[i].text, st.msg);
        assert_null(io.ops);
    }
    unlink(cert);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        T(a_server_that_is_who_it_should_be_is_spoken_to),
        T(a_client_shows_its_certificate),
        T(each_fault_of_a_certificate_is_told_apart),
        T(a_server_that_speaks_http_2_only_is_told),
        T(a_server_that_wants_a_certificate_says_so_at_the_first_read),
        T(what_speaks_something_else_or_nothing_is_told_apart),
        T(a_connection_that_is_reset_is_told_by_its_errno),
        T(a_reset_in_the_middle_is_told_by_its_errno),
        T(a_server_that_does_not_read_is_not_waited_for),
        T(a_file_that_cannot_be_read_is_named),
    };
    signal(SIGPIPE, SIG_IGN); /* as the commands do */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
