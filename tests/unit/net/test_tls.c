/* test_tls.c - the encrypted sl_io against OpenSSL's own client, over a socket pair */
#include "unit/net/tls_fixture.h"

#include "base/fault.h"
#include "base/mem.h"
#include "support/calls.h"

#define HOUR 3600000000000ull

/* One connection: our side and the client's. */
typedef struct link {
    sl_io io;
    SSL *ssl;
    int fd;
    sl_tls_step step;
    const char *why;
} link_;

typedef struct fixture {
    identity own;
    sl_tls_pair pair;
    sl_tls_options options;
    sl_tls *tls;
    SSL_CTX *client;
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    f->own = make_identity((wish){.cn = "localhost", .san = "DNS:localhost"});
    f->pair = pair_of(&f->own);
    f->options = (sl_tls_options){.pairs = &f->pair, .n_pairs = 1, .alpn = "h2 http/1.1"};
    assert_int_equal(sl_tls_new(&f->options, &f->tls, NULL), SL_OK);
    f->client = client_context(NULL);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    sl_tls_release(f->tls);
    SSL_CTX_free(f->client);
    free_identity(&f->own);
    free(f);
    sl_clock_fake(0);
    fail_call(NULL, 0, 0);
    return 0;
}

static void open_link(link_ *l, sl_tls *tls, SSL_CTX *ctx)
{
    int fd[2];
    socket_pair(fd);
    *l = (link_){.io.fd = fd[1], .fd = fd[0], .step = SL_TLS_AGAIN, .why = ""};
    assert_true(sl_tls_open(tls, &l->io));
    l->ssl = client_on(ctx, l->fd);
}

/* Turns both sides until ours is through. */
static sl_tls_step shake(link_ *l)
{
    for (int i = 0; i < 20 && l->step == SL_TLS_AGAIN; i++) {
        SSL_do_handshake(l->ssl);
        l->step = sl_tls_handshake(&l->io, &l->why);
    }
    char byte;
    SSL_read(l->ssl, &byte, 1); /* the ticket, or the alert */
    ERR_clear_error();
    return l->step;
}

static void close_link(link_ *l)
{
    SSL_set_shutdown(l->ssl, SSL_SENT_SHUTDOWN); /* else OpenSSL forgets the session */
    sl_io_close(&l->io);
    SSL_free(l->ssl);
    close(l->fd);
}

static void connect_link(fixture *f, link_ *l)
{
    open_link(l, f->tls, f->client);
    assert_int_equal(shake(l), SL_TLS_DONE);
}

/* ---- bytes ---- */

static void what_is_written_on_one_side_is_read_on_the_other(void **state)
{
    link_ l;
    char text[32];
    connect_link(*state, &l);
    struct iovec v[] = {{"one ", 4}, {"", 0}, {"two", 3}};
    assert_int_equal(sl_io_writev(&l.io, v, 3), 7);
    assert_int_equal(SSL_read(l.ssl, text, sizeof text), 7);
    assert_memory_equal(text, "one two", 7);
    assert_int_equal(SSL_write(l.ssl, "three", 5), 5);
    assert_int_equal(sl_io_read(&l.io, text, sizeof text), 5);
    assert_memory_equal(text, "three", 5);
    assert_int_equal(sl_io_read(&l.io, text, sizeof text), -1);
    assert_int_equal(errno, EAGAIN);
    assert_false(sl_io_buffered(&l.io));
    close_link(&l);
}

/* Records in what the socket holds, by their headers. */
static int count_records(int fd)
{
    static unsigned char p[1 << 20];
    ssize_t n = recv(fd, p, sizeof p, 0);
    int records = 0;
    for (ssize_t at = 0; at + 5 <= n; records++)
        at += 5 + p[at + 3] * 256 + p[at + 4];
    return records;
}

static void small_pieces_leave_in_one_record(void **state)
{
    link_ l;
    static char large[40000];
    connect_link(*state, &l);
    struct iovec v[] = {{"head", 4}, {"of", 2}, {"some", 4}, {"reply", 5}};
    assert_int_equal(sl_io_writev(&l.io, v, 4), 15);
    assert_int_equal(count_records(l.fd), 1);
    struct iovec w[] = {{"head", 4}, {large, sizeof large}};
    assert_int_equal(sl_io_writev(&l.io, w, 2), 4 + sizeof large);
    assert_int_equal(count_records(l.fd), 3);
    close_link(&l);
}

/* A reply of n bytes in pieces of changing sizes, to a client that reads a little now and then. */
static void a_full_socket_loses_and_doubles_nothing(void **state)
{
    enum { ALL = 3000000 };
    link_ l;
    int small = 8192;
    char *sent = malloc(ALL), *got = malloc(ALL + 1);
    size_t n_sent = 0, n_got = 0;
    unsigned dice = 1;
    connect_link(*state, &l);
    setsockopt(l.io.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    for (int i = 0; i < ALL; i++)
        sent[i] = (char)(i * 7 + i / 251);
    int refused = 0;
    while (n_got < ALL) {
        struct iovec v[64];
        int n = 0;
        /* Cut anew each time: what was refused comes again in other pieces. */
        for (size_t at = n_sent; at < ALL && n < 64; n++) {
            dice = dice * 1103515245u + 12345u;
            size_t size = dice >> 30 ? dice >> 23 : dice >> 12;
            v[n] = (struct iovec){sent + at, SL_MIN(size, ALL - at)};
            at += v[n].iov_len;
        }
        ssize_t put = n ? sl_io_writev(&l.io, v, n) : 0;
        assert_true(put >= 0 || errno == EAGAIN);
        refused += put < 0;
        n_sent += put > 0 ? (size_t)put : 0;
        ERR_clear_error();
        int k =
            SSL_read(l.ssl, got + n_got, (int)SL_MIN(ALL + 1 - n_got, (size_t)(dice >> 16) + 1));
        assert_true(k > 0 || waits(l.ssl, k));
        n_got += k > 0 ? (size_t)k : 0;
    }
    assert_true(refused > 0);
    assert_int_equal(n_got, ALL);
    assert_memory_equal(sent, got, ALL);
    free(sent);
    free(got);
    close_link(&l);
}

static void what_was_read_ahead_is_told(void **state)
{
    link_ l;
    char text[8];
    connect_link(*state, &l);
    SSL_write(l.ssl, "abcdefghijklmnop", 16);
    SSL_write(l.ssl, "q", 1);
    assert_int_equal(sl_io_read(&l.io, text, 8), 8);
    assert_true(sl_io_buffered(&l.io));
    assert_int_equal(sl_io_read(&l.io, text, 8), 8);
    assert_true(sl_io_buffered(&l.io));
    assert_int_equal(sl_io_read(&l.io, text, 8), 1);
    assert_int_equal(text[0], 'q');
    assert_false(sl_io_buffered(&l.io));
    close_link(&l);
}

static void half_a_record_is_not_told(void **state)
{
    link_ l;
    char record[64], text[8];
    int raw[2];
    connect_link(*state, &l);
    /* The client's record is caught, and passed on in two halves. */
    socket_pair(raw);
    SSL_set_fd(l.ssl, raw[0]);
    assert_int_equal(SSL_write(l.ssl, "whole", 5), 5);
    ssize_t n = recv(raw[1], record, sizeof record, 0);
    assert_true(n > 20);
    assert_int_equal(send(l.fd, record, 12, 0), 12);
    assert_int_equal(sl_io_read(&l.io, text, 8), -1);
    assert_int_equal(errno, EAGAIN);
    assert_false(sl_io_buffered(&l.io));
    assert_int_equal(send(l.fd, record + 12, (size_t)n - 12, 0), n - 12);
    assert_int_equal(sl_io_read(&l.io, text, 8), 5);
    close(raw[0]);
    close(raw[1]);
    close_link(&l);
}

static void the_end_of_input_is_the_end_with_and_without_a_goodbye(void **state)
{
    link_ l;
    char text[8];
    for (int polite = 0; polite < 2; polite++) {
        connect_link(*state, &l);
        SSL_write(l.ssl, "x", 1);
        if (polite)
            SSL_shutdown(l.ssl);
        shutdown(l.fd, SHUT_WR);
        assert_int_equal(sl_io_read(&l.io, text, 8), 1);
        assert_int_equal(sl_io_read(&l.io, text, 8), 0);
        assert_int_equal(sl_io_read(&l.io, text, 8), 0);
        close_link(&l);
    }
}

static void a_shutdown_says_goodbye_and_reads_over_the_rest(void **state)
{
    link_ l;
    char text[8];
    connect_link(*state, &l);
    sl_io_shutdown(&l.io);
    assert_int_equal(SSL_read(l.ssl, text, 8), 0);
    assert_int_equal(SSL_get_error(l.ssl, 0), SSL_ERROR_ZERO_RETURN);
    SSL_write(l.ssl, "x", 1);
    assert_true(sl_io_read(&l.io, text, 8) > 0);
    struct iovec v = {"x", 1};
    assert_int_equal(sl_io_writev(&l.io, &v, 1), -1);
    close_link(&l);
}

static void damaged_records_end_the_connection(void **state)
{
    link_ l;
    char text[8];
    connect_link(*state, &l);
    assert_int_equal(send(l.fd, "\x17\x03\x03\x00\x20 this is not what it claims to be", 37, 0),
                     37);
    assert_int_equal(sl_io_read(&l.io, text, 8), -1);
    assert_int_not_equal(errno, EAGAIN);
    struct iovec v = {"x", 1};
    assert_int_equal(sl_io_writev(&l.io, &v, 1), -1);
    close_link(&l);
}

/* ---- what is agreed ---- */

static void the_best_of_both_is_agreed(void **state)
{
    fixture *f = *state;
    link_ l;
    const unsigned char *p;
    unsigned n;
    SSL_CTX_set_alpn_protos(f->client, (const unsigned char *)"\x08http/1.1\x02h2", 12);
    open_link(&l, f->tls, f->client);
    SSL_set_tlsext_host_name(l.ssl, "localhost");
    assert_null(sl_tls_peer_of(&l.io));
    assert_int_equal(shake(&l), SL_TLS_DONE);
    const sl_tls_peer *peer = sl_tls_peer_of(&l.io);
    assert_string_equal(peer->version, "TLSv1.3");
    assert_string_equal(peer->cipher, "TLS_AES_128_GCM_SHA256");
    assert_string_equal(peer->server_name, "localhost");
    assert_null(peer->subject);
    assert_int_equal(peer->n_san, 0);
    SSL_get0_alpn_selected(l.ssl, &p, &n);
    assert_int_equal(n, 2);
    assert_memory_equal(p, "h2", 2);
    close_link(&l);
}

static void nothing_in_common_in_alpn_is_an_error(void **state)
{
    fixture *f = *state;
    link_ l;
    SSL_CTX_set_alpn_protos(f->client, (const unsigned char *)"\x04spdy", 5);
    open_link(&l, f->tls, f->client);
    assert_int_equal(shake(&l), SL_TLS_FAILED);
    assert_string_equal(l.why, "protocol");
    close_link(&l);
}

static void old_versions_are_refused(void **state)
{
    fixture *f = *state;
    static const int versions[] = {TLS1_VERSION, TLS1_1_VERSION};
    for (size_t i = 0; i < SL_COUNTOF(versions); i++) {
        link_ l;
        SSL_CTX_set_min_proto_version(f->client, versions[i]);
        SSL_CTX_set_max_proto_version(f->client, versions[i]);
        SSL_CTX_set_cipher_list(f->client, "ALL:@SECLEVEL=0");
        open_link(&l, f->tls, f->client);
        assert_int_equal(shake(&l), SL_TLS_FAILED);
        assert_string_equal(l.why, "version");
        close_link(&l);
    }
}

static void ciphers_without_forward_secrecy_or_aead_are_refused(void **state)
{
    fixture *f = *state;
    static const char *const lists[] = {"AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA",
                                        "ECDHE-ECDSA-AES256-SHA384", "DHE-RSA-AES128-GCM-SHA256"};
    SSL_CTX_set_max_proto_version(f->client, TLS1_2_VERSION);
    for (size_t i = 0; i < SL_COUNTOF(lists); i++) {
        link_ l;
        assert_int_equal(SSL_CTX_set_cipher_list(f->client, lists[i]), 1);
        open_link(&l, f->tls, f->client);
        assert_int_equal(shake(&l), SL_TLS_FAILED);
        assert_string_equal(l.why, "cipher");
        close_link(&l);
    }
}

static void renegotiation_is_refused_and_the_connection_goes_on(void **state)
{
    fixture *f = *state;
    link_ l;
    char text[8];
    SSL_CTX_set_max_proto_version(f->client, TLS1_2_VERSION);
    connect_link(f, &l);
    assert_int_equal(SSL_renegotiate(l.ssl), 1);
    SSL_do_handshake(l.ssl);
    assert_int_equal(sl_io_read(&l.io, text, 8), -1);
    assert_int_equal(errno, EAGAIN);
    SSL_do_handshake(l.ssl);
    assert_int_equal(SSL_get_error(l.ssl, -1), SSL_ERROR_SSL);
    assert_int_equal(ERR_GET_REASON(ERR_peek_last_error()), SSL_R_NO_RENEGOTIATION);
    struct iovec v = {"x", 1};
    assert_int_equal(sl_io_writev(&l.io, &v, 1), 1);
    close_link(&l);
}

/* ---- certificates ---- */

static const char *shown_to(fixture *f, const char *name)
{
    static char cn[64];
    link_ l;
    open_link(&l, f->tls, f->client);
    if (name != NULL)
        SSL_set_tlsext_host_name(l.ssl, name);
    assert_int_equal(shake(&l), SL_TLS_DONE);
    X509 *x = SSL_get0_peer_certificate(l.ssl);
    X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, cn, sizeof cn);
    close_link(&l);
    return cn;
}

static void the_certificate_that_fits_the_name_is_shown(void **state)
{
    fixture *f = *state;
    identity other = make_identity((wish){.cn = "second", .san = "DNS:b.example,DNS:*.c.example"});
    sl_tls_pair pairs[] = {f->pair, pair_of(&other)};
    f->options.pairs = pairs;
    f->options.n_pairs = 2;
    assert_int_equal(sl_tls_replace(f->tls, &f->options, NULL), SL_OK);
    assert_string_equal(shown_to(f, NULL), "localhost");
    assert_string_equal(shown_to(f, "localhost"), "localhost");
    assert_string_equal(shown_to(f, "b.example"), "second");
    assert_string_equal(shown_to(f, "x.c.example"), "second");
    assert_string_equal(shown_to(f, "elsewhere"), "localhost");
    free_identity(&other);
}

static void a_replaced_certificate_is_for_new_connections(void **state)
{
    fixture *f = *state;
    identity next = make_identity((wish){.cn = "next"});
    sl_tls_pair pair = pair_of(&next);
    link_ old;
    char text[8];
    connect_link(f, &old);
    f->options.pairs = &pair;
    assert_int_equal(sl_tls_replace(f->tls, &f->options, NULL), SL_OK);
    assert_string_equal(shown_to(f, NULL), "next");
    SSL_write(old.ssl, "still", 5);
    assert_int_equal(sl_io_read(&old.io, text, 8), 5);
    close_link(&old);
    free_identity(&next);
}

static void a_certificate_that_cannot_be_used_replaces_nothing(void **state)
{
    fixture *f = *state;
    identity next = make_identity((wish){.cn = "next"});
    sl_tls_pair pair = {sl_str_of(next.cert_pem), f->pair.key, "next.pem", "key.pem"};
    sl_status st;
    f->options.pairs = &pair;
    assert_int_equal(sl_tls_replace(f->tls, &f->options, &st), SL_INVALID_ARGUMENT);
    assert_string_equal(shown_to(f, NULL), "localhost");
    free_identity(&next);
}

/* The sentence for a pair that is no good. */
static const char *refusal(const char *cert, const char *key)
{
    static sl_status st;
    sl_tls_pair pair = {sl_str_of(cert), sl_str_of(key), "c.pem", "k.pem"};
    sl_tls_options o = {.pairs = &pair, .n_pairs = 1};
    sl_tls *tls = NULL;
    assert_int_equal(sl_tls_new(&o, &tls, &st), SL_INVALID_ARGUMENT);
    assert_null(tls);
    return st.msg;
}

#define assert_says(text, part) assert_non_null(strstr(text, part))

static void each_mistake_has_its_sentence(void **state)
{
    fixture *f = *state;
    const char *cert = f->own.cert_pem, *key = f->own.key_pem;
    identity other = make_identity((wish){.cn = "other"});
    identity gone = make_identity((wish){.cn = "gone", .from_days = -20, .to_days = -2});
    identity soon = make_identity((wish){.cn = "soon", .from_days = 2, .to_days = 20});
    identity weak = make_identity((wish){.cn = "weak", .bits = 1024});
    char *two = malloc(strlen(cert) + strlen(other.cert_pem) + 1);
    char *cut = strndup(cert, strlen(cert) / 2);
    strcat(strcpy(two, cert), other.cert_pem);
    assert_says(refusal("", key), "c.pem: there is no certificate in it");
    assert_says(refusal("hello", key), "c.pem: there is no certificate in it");
    assert_says(refusal(key, key), "c.pem: there is no certificate in it");
    assert_says(refusal(cut, key), "c.pem: certificate 1 cannot be read");
    assert_says(refusal(cert, ""), "k.pem: there is no private key in it");
    assert_says(refusal(cert, cert), "k.pem: there is no private key in it");
    assert_says(refusal(cert, other.key_pem),
                "k.pem: the key does not belong to the certificate in "
                "c.pem");
    assert_says(refusal(gone.cert_pem, gone.key_pem), "c.pem: the certificate expired on 20");
    assert_says(refusal(soon.cert_pem, soon.key_pem),
                "c.pem: the certificate is valid only from 20");
    assert_says(refusal(weak.cert_pem, weak.key_pem), "c.pem: OpenSSL refuses the certificate: ");
    assert_says(refusal(two, key), "c.pem: certificate 2 in it did not issue certificate 1");
    free(two);
    free(cut);
    free_identity(&other);
    free_identity(&gone);
    free_identity(&soon);
    free_identity(&weak);
}

static void a_key_with_a_passphrase_is_refused_without_asking_for_it(void **state)
{
    fixture *f = *state;
    BIO *b = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(b, f->own.key, EVP_aes_128_cbc(), (unsigned char *)"secret", 6, NULL,
                             NULL);
    char *pem = pem_of_bio(b);
    assert_says(refusal(f->own.cert_pem, pem), "k.pem: the key is encrypted with a passphrase");
    free(pem);
}

static void the_end_of_each_certificate_is_known(void **state)
{
    fixture *f = *state;
    int64_t left = sl_tls_not_after(f->tls, 0) - sl_wall_us() / 1000000;
    assert_true(left > 9 * 86400 && left <= 10 * 86400);
    assert_int_equal(sl_tls_not_after(f->tls, 1), 0);
}

/* ---- resumption ---- */

/* A connection with the session of the one before; returns whether it was resumed. */
static bool resumes(fixture *f, sl_tls *tls, SSL_CTX *ctx, SSL_SESSION **session)
{
    link_ l;
    open_link(&l, tls, ctx);
    (void)f;
    if (*session != NULL)
        SSL_set_session(l.ssl, *session);
    assert_int_equal(shake(&l), SL_TLS_DONE);
    bool resumed = sl_tls_peer_of(&l.io)->resumed;
    assert_int_equal(resumed, SSL_session_reused(l.ssl));
    SSL_SESSION_free(*session);
    *session = SSL_get1_session(l.ssl);
    close_link(&l);
    return resumed;
}

static void sessions_are_resumed_with_both_versions(void **state)
{
    fixture *f = *state;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        SSL_SESSION *s = NULL;
        SSL_CTX_set_max_proto_version(f->client, version);
        assert_false(resumes(f, f->tls, f->client, &s));
        assert_true(resumes(f, f->tls, f->client, &s));
        assert_true(resumes(f, f->tls, f->client, &s));
        SSL_SESSION_free(s);
    }
}

static void a_session_outlives_the_certificate_it_began_with(void **state)
{
    fixture *f = *state;
    identity next = make_identity((wish){.cn = "next", .san = "DNS:localhost"});
    sl_tls_pair pair = pair_of(&next);
    SSL_SESSION *s = NULL;
    assert_false(resumes(f, f->tls, f->client, &s));
    f->options.pairs = &pair;
    assert_int_equal(sl_tls_replace(f->tls, &f->options, NULL), SL_OK);
    assert_true(resumes(f, f->tls, f->client, &s));
    SSL_SESSION_free(s);
    free_identity(&next);
}

static void another_server_does_not_know_the_session(void **state)
{
    fixture *f = *state;
    SSL_SESSION *s = NULL;
    sl_tls *other;
    assert_int_equal(sl_tls_new(&f->options, &other, NULL), SL_OK);
    assert_false(resumes(f, f->tls, f->client, &s));
    assert_false(resumes(f, other, f->client, &s));
    SSL_SESSION_free(s);
    sl_tls_release(other);
}

static void a_ticket_key_opens_for_two_hours_and_seals_for_one(void **state)
{
    fixture *f = *state;
    uint64_t now = (uint64_t)sl_wall_us() * 1000;
    SSL_SESSION *first = NULL, *later = NULL;
    SSL_CTX_set_max_proto_version(f->client, TLS1_2_VERSION); /* tickets are used again and again */
    sl_clock_fake(now);
    assert_false(resumes(f, f->tls, f->client, &first));
    SSL_SESSION_up_ref(first);
    later = first;
    sl_clock_fake(now + HOUR + HOUR / 2);
    assert_true(resumes(f, f->tls, f->client, &later)); /* and gets a ticket of the new key */
    sl_clock_fake(now + 2 * HOUR + HOUR / 2 + 1);
    assert_true(resumes(f, f->tls, f->client, &later));
    sl_clock_fake(now + 3 * HOUR + HOUR);
    assert_false(resumes(f, f->tls, f->client, &first));
    SSL_SESSION_free(first);
    SSL_SESSION_free(later);
}

/* ---- clients' certificates ---- */

typedef struct authority {
    identity ca, alice;
    SSL_CTX *client;
} authority;

static authority make_authority(const char *san)
{
    authority a;
    a.ca = make_identity((wish){.cn = "ca", .ca = true});
    a.alice = make_identity((wish){.cn = "alice", .san = san, .issuer = &a.ca});
    a.client = client_context(&a.alice);
    return a;
}

static void free_authority(authority *a)
{
    SSL_CTX_free(a->client);
    free_identity(&a->alice);
    free_identity(&a->ca);
}

static void demand(fixture *f, const authority *a, sl_tls_verify verify)
{
    f->options.client_ca = sl_str_of(a->ca.cert_pem);
    f->options.client_ca_name = "ca.pem";
    f->options.verify = verify;
    assert_int_equal(sl_tls_replace(f->tls, &f->options, NULL), SL_OK);
}

static void a_client_is_known_by_its_certificate(void **state)
{
    fixture *f = *state;
    authority a =
        make_authority("DNS:alice.example,URI:spiffe://x/alice,IP:10.1.2.3,IP:2001:db8::1,"
                       "email:alice@example.org,RID:1.2.3");
    link_ l;
    demand(f, &a, SL_TLS_VERIFY_REQUIRED);
    open_link(&l, f->tls, a.client);
    assert_int_equal(shake(&l), SL_TLS_DONE);
    const sl_tls_peer *p = sl_tls_peer_of(&l.io);
    assert_string_equal(p->subject, "CN=alice");
    assert_int_equal(p->n_san, 5);
    assert_string_equal(p->san[0], "DNS:alice.example");
    assert_string_equal(p->san[1], "URI:spiffe://x/alice");
    assert_string_equal(p->san[2], "IP:10.1.2.3");
    assert_string_equal(p->san[3], "IP:2001:db8::1");
    assert_string_equal(p->san[4], "email:alice@example.org");
    close_link(&l);
    free_authority(&a);
}

static void a_client_without_a_certificate_is_refused_or_let_in(void **state)
{
    fixture *f = *state;
    authority a = make_authority(NULL);
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        link_ l;
        SSL_CTX_set_max_proto_version(f->client, version);
        demand(f, &a, SL_TLS_VERIFY_REQUIRED);
        open_link(&l, f->tls, f->client);
        assert_int_equal(shake(&l), SL_TLS_FAILED);
        assert_string_equal(l.why, "no_client_certificate");
        close_link(&l);
        demand(f, &a, SL_TLS_VERIFY_OPTIONAL);
        open_link(&l, f->tls, f->client);
        assert_int_equal(shake(&l), SL_TLS_DONE);
        assert_null(sl_tls_peer_of(&l.io)->subject);
        close_link(&l);
    }
    free_authority(&a);
}

static void a_strangers_certificate_is_refused(void **state)
{
    fixture *f = *state;
    authority ours = make_authority(NULL), theirs = make_authority(NULL);
    for (int verify = SL_TLS_VERIFY_OPTIONAL; verify <= SL_TLS_VERIFY_REQUIRED; verify++) {
        link_ l;
        demand(f, &ours, (sl_tls_verify)verify);
        open_link(&l, f->tls, theirs.client);
        assert_int_equal(shake(&l), SL_TLS_FAILED);
        assert_string_equal(l.why, "client_certificate");
        assert_says(sl_tls_failure(), "the client's certificate is refused: ");
        close_link(&l);
    }
    free_authority(&ours);
    free_authority(&theirs);
}

static void an_expired_certificate_of_a_client_is_refused(void **state)
{
    fixture *f = *state;
    authority a = make_authority(NULL);
    identity old =
        make_identity((wish){.cn = "old", .issuer = &a.ca, .from_days = -20, .to_days = -1});
    SSL_CTX *client = client_context(&old);
    link_ l;
    demand(f, &a, SL_TLS_VERIFY_REQUIRED);
    open_link(&l, f->tls, client);
    assert_int_equal(shake(&l), SL_TLS_FAILED);
    assert_string_equal(sl_tls_failure(),
                        "the client's certificate is refused: certificate has expired");
    close_link(&l);
    SSL_CTX_free(client);
    free_identity(&old);
    free_authority(&a);
}

static void a_resumed_client_is_the_same_client(void **state)
{
    fixture *f = *state;
    authority a = make_authority("DNS:alice.example");
    SSL_SESSION *s = NULL;
    link_ l;
    demand(f, &a, SL_TLS_VERIFY_REQUIRED);
    assert_false(resumes(f, f->tls, a.client, &s));
    open_link(&l, f->tls, a.client);
    SSL_set_session(l.ssl, s);
    assert_int_equal(shake(&l), SL_TLS_DONE);
    assert_true(sl_tls_peer_of(&l.io)->resumed);
    assert_string_equal(sl_tls_peer_of(&l.io)->subject, "CN=alice");
    assert_string_equal(sl_tls_peer_of(&l.io)->san[0], "DNS:alice.example");
    close_link(&l);
    SSL_SESSION_free(s);
    free_authority(&a);
}

static void a_session_does_not_outlive_a_change_of_the_authority(void **state)
{
    fixture *f = *state;
    authority a = make_authority(NULL), b = make_authority(NULL);
    SSL_SESSION *s = NULL;
    link_ l;
    demand(f, &a, SL_TLS_VERIFY_REQUIRED);
    assert_false(resumes(f, f->tls, a.client, &s));
    demand(f, &b, SL_TLS_VERIFY_REQUIRED);
    open_link(&l, f->tls, a.client);
    SSL_set_session(l.ssl, s);
    assert_int_equal(shake(&l), SL_TLS_FAILED);
    close_link(&l);
    SSL_SESSION_free(s);
    free_authority(&a);
    free_authority(&b);
}

static void a_session_of_a_client_whose_certificate_expired_is_refused(void **state)
{
    fixture *f = *state;
    authority a = make_authority(NULL);
    SSL_SESSION *s = NULL;
    link_ l;
    demand(f, &a, SL_TLS_VERIFY_REQUIRED);
    assert_false(resumes(f, f->tls, a.client, &s));
    /* The ticket's key would be too old as well, but for one that was used in between. */
    uint64_t now = (uint64_t)sl_wall_us() * 1000;
    for (int hours = 1; hours < 11 * 24; hours++) {
        sl_clock_fake(now + (uint64_t)hours * HOUR);
        open_link(&l, f->tls, a.client);
        SSL_set_session(l.ssl, s);
        bool done = shake(&l) == SL_TLS_DONE;
        SSL_SESSION_free(s);
        s = SSL_get1_session(l.ssl);
        close_link(&l);
        if (done)
            continue;
        assert_true(hours >= 10 * 24);
        assert_string_equal(l.why, "client_certificate");
        SSL_SESSION_free(s);
        free_authority(&a);
        return;
    }
    fail_msg("it was never refused");
}

static void add_name(GENERAL_NAMES *names, int type, const char *p, int n)
{
    GENERAL_NAME *g = GENERAL_NAME_new();
    ASN1_STRING *s = type == GEN_IPADD ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
    ASN1_STRING_set(s, p, n);
    GENERAL_NAME_set0_value(g, type, s);
    sk_GENERAL_NAME_push(names, g);
}

/* Alice's certificate as the test has changed it, signed anew and shown: what the server says of
 * it. `names`, if there are any, go into it, and are freed. */
static const sl_tls_peer *show(fixture *f, authority *a, GENERAL_NAMES *names, link_ *l)
{
    X509 *x = a->alice.cert;
    if (names != NULL)
        X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, X509V3_ADD_REPLACE);
    GENERAL_NAMES_free(names);
    X509_sign(x, a->ca.key, EVP_sha256());
    SSL_CTX_free(a->client);
    a->client = client_context(&a->alice);
    demand(f, a, SL_TLS_VERIFY_REQUIRED);
    open_link(l, f->tls, a->client);
    assert_int_equal(shake(l), SL_TLS_DONE);
    return sl_tls_peer_of(&l->io);
}

static sl_code make_anew(void *arg, sl_status *st)
{
    const fixture *f = arg;
    sl_tls *tls = NULL;
    sl_code rc = sl_tls_new(&f->options, &tls, st);
    assert_int_equal(rc == SL_OK, tls != NULL);
    sl_tls_release(tls);
    return rc;
}

/* Two certificates to show, and two authorities. */
static void whatever_call_fails_it_is_all_or_nothing_and_said(void **state)
{
    static const struct {
        const char *call, *said;
        sl_code code;
    } cases[] = {
        {"BIO_new_mem_buf", "out of memory", SL_RESOURCE_EXHAUSTED},
        {"SSL_CTX_new", "OpenSSL cannot be set up: unknown reason", SL_INTERNAL},
        {"SSL_CTX_set_cipher_list", "OpenSSL cannot be set up: unknown reason", SL_INTERNAL},
        {"SSL_CTX_set_session_id_context", "OpenSSL cannot be set up: unknown reason", SL_INTERNAL},
        {"SSL_CTX_set_ex_data", "OpenSSL cannot be set up: unknown reason", SL_INTERNAL},
        {"EVP_Digest", "OpenSSL cannot be set up: unknown reason", SL_INTERNAL},
        {"X509_STORE_add_cert", "ca.pem: out of memory", SL_RESOURCE_EXHAUSTED},
        {"SSL_CTX_add_client_CA", "ca.pem: out of memory", SL_RESOURCE_EXHAUSTED},
    };
    fixture *f = *state;
    authority a = make_authority(NULL), b = make_authority(NULL);
    sl_tls_pair pairs[] = {f->pair, f->pair};
    char *both = malloc(strlen(a.ca.cert_pem) + strlen(b.ca.cert_pem) + 1);
    strcat(strcpy(both, a.ca.cert_pem), b.ca.cert_pem);
    demand(f, &a, SL_TLS_VERIFY_REQUIRED);
    f->options.client_ca = sl_str_of(both);
    f->options.pairs = pairs;
    f->options.n_pairs = 2;
    for (size_t i = 0; i < SL_COUNTOF(cases); i++) {
        sl_status st = {0};
        fail_call(cases[i].call, 1, 0);
        assert_int_equal(make_anew(f, &st), cases[i].code);
        assert_string_equal(st.msg, cases[i].said);
        assert_true(fail_each_call(cases[i].call, 0, make_anew, f) >= 2);
        ERR_clear_error();
    }
    free(both);
    free_authority(&a);
    free_authority(&b);
}

/* The list of certificates, behind those that the library makes of one. */
static void a_list_that_cannot_grow_is_no_list_that_is_too_long(void **state)
{
    fixture *f = *state;
    sl_status st = {0};
    fail_call("OPENSSL_sk_push", 1 << 30, 0);
    BIO *in = BIO_new_mem_buf(f->own.cert_pem, -1);
    X509_free(PEM_read_bio_X509(in, NULL, NULL, NULL));
    BIO_free(in);
    fail_call("OPENSSL_sk_push", calls_counted() + 1, 0);
    assert_int_equal(make_anew(f, &st), SL_RESOURCE_EXHAUSTED);
    assert_string_equal(st.msg, "out of memory");
}

static void a_failure_without_a_reason_is_told_as_that(void **state)
{
    fixture *f = *state;
    link_ l;
    SSL_CTX_set_alpn_protos(f->client, (const unsigned char *)"\x04spdy", 5);
    open_link(&l, f->tls, f->client);
    fail_call("ERR_reason_error_string", 1, 0);
    assert_int_equal(shake(&l), SL_TLS_FAILED);
    assert_string_equal(sl_tls_failure(), "no reason");
    close_link(&l);
}

static void names_that_could_deceive_do_not_count(void **state)
{
    fixture *f = *state;
    authority a = make_authority(NULL);
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    static const char *const bad[] = {"a.example\0.evil", "line\nbreak", "with blank"};
    static const int sizes[] = {15, 10, 10};
    link_ l;
    for (int i = 0; i < 3; i++)
        add_name(names, GEN_DNS, bad[i], sizes[i]);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(a.alice.cert), "O", MBSTRING_UTF8,
                               (const unsigned char *)"a\nb,c=d\xc3\xa9", -1, -1, 0);
    const sl_tls_peer *p = show(f, &a, names, &l);
    assert_int_equal(p->n_san, 0);
    assert_string_equal(p->subject, "O=a\\0Ab\\,c=d\\C3\\A9,CN=alice");
    close_link(&l);
    free_authority(&a);
}

/* ---- when things fail ---- */

static void a_client_that_leaves_or_is_not_one_fails_the_handshake(void **state)
{
    fixture *f = *state;
    static const struct {
        const char *bytes, *why;
    } cases[] = {{"", "closed"},
                 {"\x16\x03\x01", "closed"},
                 {"GET / HTTP/1.1\r\n\r\n", "plain_http"},
                 {"\x16\x03\x01\x00\x05\xff\xff\xff\xff\xff", "protocol"},
                 {"\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b", "not_tls"}};
    for (size_t i = 0; i < SL_COUNTOF(cases); i++) {
        link_ l;
        size_t n = i == 3 ? 10 : strlen(cases[i].bytes);
        open_link(&l, f->tls, f->client);
        send(l.fd, cases[i].bytes, n, 0);
        shutdown(l.fd, SHUT_WR);
        assert_int_equal(sl_tls_handshake(&l.io, &l.why), SL_TLS_FAILED);
        assert_string_equal(l.why, cases[i].why);
        close_link(&l);
    }
}

static void every_failing_read_write_and_allocation_is_survived(void **state)
{
    fixture *f = *state;
    static const sl_fault kinds[] = {SL_FAULT_READ, SL_FAULT_WRITE};
    for (size_t k = 0; k < SL_COUNTOF(kinds); k++) {
        bool failed = true;
        for (int nth = 1; failed; nth++) {
            link_ l;
            open_link(&l, f->tls, f->client);
            sl_fault_arm(kinds[k], nth);
            failed = shake(&l) == SL_TLS_FAILED;
            sl_fault_arm(kinds[k], 0);
            if (failed)
                assert_string_equal(l.why, "closed");
            close_link(&l);
        }
    }
    for (int nth = 1; nth <= 2; nth++) {
        sl_io io = {.fd = -1};
        sl_fault_arm(SL_FAULT_ALLOC, nth);
        assert_false(sl_tls_open(f->tls, &io));
        assert_null(io.ops);
    }
    sl_fault_arm(SL_FAULT_ALLOC, 0);
}

/* ---- bytes at their edges ---- */

static void many_small_pieces_are_more_than_one_record(void **state)
{
    link_ l;
    char text[128];
    struct iovec v[100];
    connect_link(*state, &l);
    for (int i = 0; i < 100; i++)
        v[i] = (struct iovec){"x", 1};
    assert_int_equal(sl_io_writev(&l.io, v, 100), 100);
    int got = 0;
    for (int n; (n = SSL_read(l.ssl, text, sizeof text)) > 0;)
        got += n;
    assert_int_equal(got, 100);
    struct iovec none[] = {{"", 0}, {"", 0}};
    assert_int_equal(sl_io_writev(&l.io, none, 2), 0);
    close_link(&l);
}

static void what_came_before_damage_is_read_first(void **state)
{
    link_ l;
    char text[8];
    connect_link(*state, &l);
    SSL_write(l.ssl, "x", 1);
    assert_int_equal(send(l.fd, "\x17\x03\x03\x00\x04oops", 9, 0), 9);
    assert_int_equal(sl_io_read(&l.io, text, 8), 1);
    assert_true(sl_io_buffered(&l.io));
    assert_int_equal(sl_io_read(&l.io, text, 8), -1);
    assert_int_equal(errno, EPROTO);
    assert_int_equal(sl_io_read(&l.io, text, 8), -1);
    assert_int_equal(errno, EPROTO);
    close_link(&l);
}

static void a_client_that_has_gone_cannot_be_written_to(void **state)
{
    link_ l;
    char text[8];
    struct iovec v = {"x", 1};
    connect_link(*state, &l);
    shutdown(l.fd, SHUT_WR);
    assert_int_equal(sl_io_read(&l.io, text, 8), 0);
    close(l.fd);
    l.fd = -1;
    assert_int_equal(sl_io_writev(&l.io, &v, 1), -1);
    assert_int_equal(errno, EPIPE);
    close_link(&l);
}

static void an_error_after_some_records_is_an_error(void **state)
{
    link_ l;
    static char large[40000];
    struct iovec v = {large, sizeof large};
    connect_link(*state, &l);
    sl_fault_arm(SL_FAULT_WRITE, 2);
    assert_int_equal(sl_io_writev(&l.io, &v, 1), -1);
    sl_fault_arm(SL_FAULT_WRITE, 0);
    assert_int_equal(errno, ECONNRESET);
    close_link(&l);
}

/* A goodbye behind half a record would be one in the middle of it. */
static void no_goodbye_is_said_while_a_record_waits(void **state)
{
    link_ l;
    static char large[4000000];
    char text[8];
    struct iovec v = {large, sizeof large};
    connect_link(*state, &l);
    assert_true(sl_io_writev(&l.io, &v, 1) > 0);
    assert_int_equal(sl_io_writev(&l.io, &v, 1), -1);
    assert_int_equal(errno, EAGAIN);
    SSL_write(l.ssl, "abcdefgh", 8);
    assert_int_equal(sl_io_read(&l.io, text, 4), 4);
    assert_true(sl_io_buffered(&l.io));
    sl_io_shutdown(&l.io);
    assert_false(sl_io_buffered(&l.io)); /* what comes now is read over */
    static char got[65536];
    while (SSL_read(l.ssl, got, sizeof got) > 0)
        ;
    assert_int_equal(SSL_get_shutdown(l.ssl) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN);
    close_link(&l);
}

static void a_handshake_waits_for_a_full_socket(void **state)
{
    fixture *f = *state;
    enum { NAMES = 3000 };
    char *san = malloc(NAMES * 20);
    int n = 0, small = 1;
    for (int i = 0; i < NAMES; i++)
        n += sprintf(san + n, "%sDNS:n%04d.example", i ? "," : "", i);
    identity big = make_identity((wish){.cn = "localhost", .san = san});
    sl_tls_pair pair = pair_of(&big);
    link_ l;
    f->options.pairs = &pair;
    assert_int_equal(sl_tls_replace(f->tls, &f->options, NULL), SL_OK);
    open_link(&l, f->tls, f->client);
    setsockopt(l.io.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    SSL_do_handshake(l.ssl);
    assert_int_equal(sl_tls_handshake(&l.io, &l.why), SL_TLS_AGAIN);
    assert_true(sl_io_wants_write(&l.io));
    for (int i = 0; i < 1000 && l.step == SL_TLS_AGAIN; i++) {
        SSL_do_handshake(l.ssl);
        l.step = sl_tls_handshake(&l.io, &l.why);
    }
    assert_int_equal(l.step, SL_TLS_DONE);
    assert_false(sl_io_wants_write(&l.io));
    close_link(&l);
    free_identity(&big);
    free(san);
}

/* ---- options ---- */

static void options_are_held_to_their_bounds(void **state)
{
    fixture *f = *state;
    sl_tls *tls = NULL;
    sl_status st;
    sl_tls_pair pairs[SL_TLS_MAX_PAIRS + 1];
    for (int i = 0; i <= SL_TLS_MAX_PAIRS; i++)
        pairs[i] = f->pair;
    sl_tls_options o = {.pairs = pairs};
    assert_int_equal(sl_tls_new(&o, &tls, &st), SL_INVALID_ARGUMENT);
    assert_says(st.msg, "TLS needs 1 to 16 certificates, not 0");
    o.n_pairs = SL_TLS_MAX_PAIRS + 1;
    assert_int_equal(sl_tls_new(&o, &tls, &st), SL_INVALID_ARGUMENT);
    /* Names of protocols that do not fit, or are none, end the list. */
    static const char *const alpn[] = {
        "h2  http/1.1", "h2 0123456789012345678901234567890123456789012345678901234567890123456789",
        ""};
    o.n_pairs = 1;
    for (size_t i = 0; i < SL_COUNTOF(alpn); i++) {
        o.alpn = alpn[i];
        link_ l;
        const unsigned char *p;
        unsigned n;
        assert_int_equal(sl_tls_new(&o, &tls, &st), SL_OK);
        SSL_CTX_set_alpn_protos(f->client, (const unsigned char *)"\x02h2", 3);
        open_link(&l, tls, f->client);
        assert_int_equal(shake(&l), SL_TLS_DONE);
        SSL_get0_alpn_selected(l.ssl, &p, &n);
        assert_int_equal(n, alpn[i][0] ? 2 : 0);
        close_link(&l);
        sl_tls_release(tls);
    }
    assert_null(sl_tls_acquire(NULL));
}

static void only_tls_1_3_refuses_1_2(void **state)
{
    fixture *f = *state;
    link_ l;
    f->options.only_13 = true;
    assert_int_equal(sl_tls_replace(f->tls, &f->options, NULL), SL_OK);
    connect_link(f, &l);
    close_link(&l);
    SSL_CTX_set_max_proto_version(f->client, TLS1_2_VERSION);
    open_link(&l, f->tls, f->client);
    assert_int_equal(shake(&l), SL_TLS_FAILED);
    assert_string_equal(l.why, "version");
    close_link(&l);
}

static void without_a_file_the_systems_authorities_judge_clients(void **state)
{
    fixture *f = *state;
    authority a = make_authority(NULL);
    link_ l;
    f->options.verify = SL_TLS_VERIFY_OPTIONAL;
    assert_int_equal(sl_tls_replace(f->tls, &f->options, NULL), SL_OK);
    open_link(&l, f->tls, a.client);
    assert_int_equal(shake(&l), SL_TLS_FAILED);
    assert_string_equal(l.why, "client_certificate");
    close_link(&l);
    connect_link(f, &l);
    close_link(&l);
    free_authority(&a);
}

static void certificates_are_bounded_and_may_be_a_chain(void **state)
{
    fixture *f = *state;
    authority a = make_authority(NULL);
    size_t n = strlen(a.alice.cert_pem) + strlen(a.ca.cert_pem) + 1;
    char *chain = calloc(1, 20 * n);
    strcat(strcpy(chain, a.alice.cert_pem), a.ca.cert_pem);
    sl_tls_pair pair = {sl_str_of(chain), sl_str_of(a.alice.key_pem), "c.pem", "k.pem"};
    f->options.pairs = &pair;
    assert_int_equal(sl_tls_replace(f->tls, &f->options, NULL), SL_OK);
    for (int i = 0; i < 15; i++)
        strcat(chain, a.ca.cert_pem);
    assert_says(refusal(chain, a.alice.key_pem), "c.pem: more than 16 certificates");
    /* No text is larger than 2 GB; its bytes are not looked at. */
    sl_status st;
    pair.cert.n = (size_t)INT32_MAX + 1;
    assert_int_equal(sl_tls_replace(f->tls, &f->options, &st), SL_RESOURCE_EXHAUSTED);
    free(chain);
    free_authority(&a);
}

static void a_date_that_is_none_is_long_ago(void **state)
{
    fixture *f = *state;
    ASN1_STRING_set(X509_getm_notAfter(f->own.cert), "never", 5);
    X509_sign(f->own.cert, f->own.key, EVP_sha256());
    BIO *b = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(b, f->own.cert);
    char *pem = pem_of_bio(b);
    assert_says(refusal(pem, f->own.key_pem), "c.pem: ");
    free(pem);
}

/* ---- names ---- */

typedef struct named {
    int type; /* of the common name: V_ASN1_... */
    const char *cn;
    int cn_n; /* -1: strlen */
    bool twice;
    const char *shown;
} named;

/* The common name of a client whose subject is made so; "-": it has none that counts. */
static void common_name_is(fixture *f, const named *w)
{
    authority a = make_authority(NULL);
    X509_NAME *subject = X509_get_subject_name(a.alice.cert);
    link_ l;
    X509_NAME_ENTRY_free(X509_NAME_delete_entry(subject, 0));
    for (int i = 0; w->cn != NULL && i <= w->twice; i++)
        X509_NAME_add_entry_by_NID(subject, NID_commonName, w->type, (const unsigned char *)w->cn,
                                   w->cn_n, -1, 0);
    const char *got = show(f, &a, NULL, &l)->common_name;
    assert_string_equal(got ? got : "-", w->shown);
    close_link(&l);
    free_authority(&a);
}

static void a_common_name_counts_if_it_is_one_and_plain(void **state)
{
    static char endless[1100];
    memset(endless, 'n', sizeof endless - 1);
    const named list[] = {
        {V_ASN1_UTF8STRING, "al ice", -1, false, "al ice"},
        {V_ASN1_PRINTABLESTRING, "alice", -1, false, "alice"},
        {V_ASN1_IA5STRING, "alice", -1, false, "alice"},
        {V_ASN1_BMPSTRING, "\0a\0b", 4, false, "-"},
        {V_ASN1_UTF8STRING, "alice", -1, true, "-"},
        {V_ASN1_UTF8STRING, "al\xc3\xa9", -1, false, "-"},
        {V_ASN1_UTF8STRING, "", 0, false, "-"},
        {V_ASN1_UTF8STRING, endless, -1, false, "-"},
        {0, NULL, 0, false, "-"},
    };
    for (size_t i = 0; i < SL_COUNTOF(list); i++)
        common_name_is(*state, &list[i]);
}

static void names_are_bounded_in_length_and_number(void **state)
{
    fixture *f = *state;
    authority a = make_authority(NULL);
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    static char endless[1100];
    memset(endless, 'n', sizeof endless);
    add_name(names, GEN_DNS, endless, sizeof endless);
    add_name(names, GEN_DNS, "", 0);
    add_name(names, GEN_DNS, "caf\xe9", 4);
    add_name(names, GEN_IPADD, "12345", 5);
    for (int i = 0; i < 70; i++)
        add_name(names, GEN_DNS, "a.example", 9);
    for (int i = 0; i < 20; i++) /* and a subject of more than 1024 bytes */
        X509_NAME_add_entry_by_txt(X509_get_subject_name(a.alice.cert), "OU", MBSTRING_UTF8,
                                   (const unsigned char *)endless, 60, -1, 0);
    link_ l;
    const sl_tls_peer *p = show(f, &a, names, &l);
    assert_int_equal(p->n_san, 64);
    assert_string_equal(p->san[0], "DNS:a.example");
    assert_string_equal(p->san[63], "DNS:a.example");
    assert_string_equal(p->subject, ""); /* all of it, or none */
    close_link(&l);
    free_authority(&a);
}

/* ---- what a client refuses ---- */

static void a_client_that_refuses_is_told_from_one_that_leaves(void **state)
{
    fixture *f = *state;
    link_ l;
    SSL_CTX_set_verify(f->client, SSL_VERIFY_PEER, NULL);
    open_link(&l, f->tls, f->client);
    assert_int_equal(shake(&l), SL_TLS_FAILED);
    assert_string_equal(l.why, "refused_by_client");
    assert_string_equal(sl_tls_failure(), "the client refused: tlsv1 alert unknown ca");
    close_link(&l);
    /* An alert that nobody knows, and nobody who asks why. */
    SSL_CTX_set_max_proto_version(f->client, TLS1_2_VERSION);
    open_link(&l, f->tls, f->client);
    SSL_do_handshake(l.ssl);
    assert_int_equal(sl_tls_handshake(&l.io, NULL), SL_TLS_AGAIN);
    assert_int_equal(send(l.fd, "\x15\x03\x03\0\2\2\xc8", 7, 0), 7);
    assert_int_equal(sl_tls_handshake(&l.io, NULL), SL_TLS_FAILED);
    assert_string_equal(sl_tls_failure(), "the client refused: no reason");
    close_link(&l);
}

static void the_beginning_of_tls_is_known_by_two_bytes(void **state)
{
    (void)state;
    assert_true(sl_tls_looks_like("\x16", 1));
    assert_true(sl_tls_looks_like("\x16\x03\x01", 3));
    assert_false(sl_tls_looks_like("\x16\x04", 2));
    assert_false(sl_tls_looks_like("GET", 3));
    sl_io bare = {.fd = -1};
    assert_null(sl_tls_peer_of(&bare));
}

static void a_clock_that_goes_back_makes_a_new_ticket_key(void **state)
{
    fixture *f = *state;
    uint64_t now = (uint64_t)sl_wall_us() * 1000;
    SSL_SESSION *s = NULL;
    sl_clock_fake(now);
    assert_false(resumes(f, f->tls, f->client, &s));
    sl_clock_fake(now - HOUR);
    assert_true(resumes(f, f->tls, f->client, &s)); /* the key before still opens */
    sl_clock_fake(now - HOUR / 2);
    assert_true(resumes(f, f->tls, f->client, &s));
    SSL_SESSION_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        T(what_is_written_on_one_side_is_read_on_the_other),
        T(small_pieces_leave_in_one_record),
        T(a_full_socket_loses_and_doubles_nothing),
        T(what_was_read_ahead_is_told),
        T(half_a_record_is_not_told),
        T(the_end_of_input_is_the_end_with_and_without_a_goodbye),
        T(a_shutdown_says_goodbye_and_reads_over_the_rest),
        T(damaged_records_end_the_connection),
        T(the_best_of_both_is_agreed),
        T(nothing_in_common_in_alpn_is_an_error),
        T(old_versions_are_refused),
        T(ciphers_without_forward_secrecy_or_aead_are_refused),
        T(renegotiation_is_refused_and_the_connection_goes_on),
        T(the_certificate_that_fits_the_name_is_shown),
        T(a_replaced_certificate_is_for_new_connections),
        T(a_certificate_that_cannot_be_used_replaces_nothing),
        T(each_mistake_has_its_sentence),
        T(a_key_with_a_passphrase_is_refused_without_asking_for_it),
        T(the_end_of_each_certificate_is_known),
        T(sessions_are_resumed_with_both_versions),
        T(a_session_outlives_the_certificate_it_began_with),
        T(another_server_does_not_know_the_session),
        T(a_ticket_key_opens_for_two_hours_and_seals_for_one),
        T(a_client_is_known_by_its_certificate),
        T(a_client_without_a_certificate_is_refused_or_let_in),
        T(a_strangers_certificate_is_refused),
        T(an_expired_certificate_of_a_client_is_refused),
        T(a_resumed_client_is_the_same_client),
        T(a_session_does_not_outlive_a_change_of_the_authority),
        T(a_session_of_a_client_whose_certificate_expired_is_refused),
        T(whatever_call_fails_it_is_all_or_nothing_and_said),
        T(a_list_that_cannot_grow_is_no_list_that_is_too_long),
        T(a_failure_without_a_reason_is_told_as_that),
        T(names_that_could_deceive_do_not_count),
        T(a_client_that_leaves_or_is_not_one_fails_the_handshake),
        T(every_failing_read_write_and_allocation_is_survived),
        T(many_small_pieces_are_more_than_one_record),
        T(what_came_before_damage_is_read_first),
        T(a_client_that_has_gone_cannot_be_written_to),
        T(an_error_after_some_records_is_an_error),
        T(no_goodbye_is_said_while_a_record_waits),
        T(a_handshake_waits_for_a_full_socket),
        T(options_are_held_to_their_bounds),
        T(only_tls_1_3_refuses_1_2),
        T(without_a_file_the_systems_authorities_judge_clients),
        T(certificates_are_bounded_and_may_be_a_chain),
        T(a_date_that_is_none_is_long_ago),
        T(a_common_name_counts_if_it_is_one_and_plain),
        T(names_are_bounded_in_length_and_number),
        T(a_client_that_refuses_is_told_from_one_that_leaves),
        T(the_beginning_of_tls_is_known_by_two_bytes),
        T(a_clock_that_goes_back_makes_a_new_ticket_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
