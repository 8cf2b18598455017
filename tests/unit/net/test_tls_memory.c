/*
 * test_tls_memory.c - TLS when memory ends, inside of OpenSSL as well
 *
 * OpenSSL takes its memory through functions of ours, so that any of its allocations can be the one
 * that fails.
 */
#define OPENSSL_API_COMPAT 10101 /* for another source of randomness */
#include "unit/net/tls_fixture.h"

#include <openssl/rand.h>

#include "base/fault.h"
#include "base/mem.h"
#include "net/tls_client.h"

static bool spared; /* what is done now is the other side's */

static void *take(size_t n, const char *file, int line)
{
    (void)file, (void)line;
    return !spared && sl_fault_hit(SL_FAULT_ALLOC) ? NULL : malloc(n ? n : 1);
}

static void *take_more(void *p, size_t n, const char *file, int line)
{
    (void)file, (void)line;
    return !spared && sl_fault_hit(SL_FAULT_ALLOC) ? NULL : realloc(p, n ? n : 1);
}

static void give(void *p, const char *file, int line)
{
    (void)file, (void)line;
    free(p);
}

typedef struct fixture {
    identity ca, own, alice;
    sl_tls_pair pair;
    sl_tls_options options;
    sl_tls *tls;
    SSL_CTX *client;
    const char *host;
    char ca_file[32];
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    f->ca = make_identity((wish){.cn = "ca", .ca = true});
    f->own = make_identity((wish){.cn = "localhost", .san = "DNS:localhost", .issuer = &f->ca});
    f->pair = pair_of(&f->own);
    f->options = (sl_tls_options){.pairs = &f->pair,
                                  .n_pairs = 1,
                                  .alpn = "h2 http/1.1",
                                  .client_ca = sl_str_of(f->ca.cert_pem),
                                  .client_ca_name = "ca.pem",
                                  .verify = SL_TLS_VERIFY_REQUIRED};
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    free_identity(&f->own);
    free_identity(&f->ca);
    free(f);
    return 0;
}

/* Calls fn with the nth allocation failing; returns how many there were. */
static int with_failure(int nth, void (*fn)(fixture *f), fixture *f)
{
    sl_fault_arm(SL_FAULT_ALLOC, nth);
    fn(f);
    int calls = sl_fault_count(SL_FAULT_ALLOC);
    sl_fault_arm(SL_FAULT_ALLOC, 0);
    ERR_clear_error();
    return calls;
}

static void make_context(fixture *f)
{
    sl_tls *tls = NULL;
    sl_status st = {0};
    sl_code rc = sl_tls_new(&f->options, &tls, &st);
    assert_int_equal(rc == SL_OK, tls != NULL);
    assert_true(rc == SL_OK || st.msg[0]);
    sl_tls_release(tls);
}

/* Each of the first and last `near` allocations fails once, and every `step`-th between them. */
static void fail_each(void (*fn)(fixture *f), fixture *f, int near, int step)
{
    with_failure(1 << 30, fn, f); /* what OpenSSL loads once is loaded */
    int calls = with_failure(1 << 30, fn, f);
    assert_true(calls > 1);
    for (int nth = 1; nth <= calls; nth += nth < near || nth > calls - near ? 1 : step)
        with_failure(nth, fn, f);
}

/* Thousands of them try one decoder of keys after the other. */
static void a_context_is_made_whole_or_not_at_all(void **state)
{
    fixture *f = *state;
    fail_each(make_context, f, 120, 1499);
    f->options.verify = SL_TLS_VERIFY_NONE; /* after the key there is the context alone */
    fail_each(make_context, f, 350, 1499);
}

/* ---- connections ---- */

static void open_and_close(fixture *f)
{
    sl_io io = {.fd = -1};
    if (!sl_tls_open(f->tls, &io))
        assert_null(io.ops);
    sl_io_close(&io);
}

/* One handshake with a client's certificate. Whoever runs out of memory, nobody waits for ever. */
static void shake_hands(fixture *f)
{
    int fd[2];
    sl_tls_step step = SL_TLS_AGAIN;
    socket_pair(fd);
    sl_io io = {.fd = fd[1]};
    if (!sl_tls_open(f->tls, &io)) {
        close(fd[0]);
        close(fd[1]);
        return;
    }
    spared = true;
    SSL *ssl = client_on(f->client, fd[0]);
    for (int i = 0; i < 20 && step == SL_TLS_AGAIN; i++) {
        SSL_do_handshake(ssl);
        spared = false;
        step = sl_tls_handshake(&io, NULL);
        spared = true;
    }
    const sl_tls_peer *p = sl_tls_peer_of(&io);
    assert_int_equal(step == SL_TLS_DONE, p != NULL);
    if (p != NULL) {
        assert_string_equal(p->subject, "CN=alice");
        assert_string_equal(p->san[0], "DNS:alice.example");
    } else {
        assert_true(sl_tls_failure()[0] != '\0');
    }
    SSL_free(ssl);
    spared = false;
    sl_io_close(&io);
    close(fd[0]);
}

static void a_connection_ends_when_memory_does(void **state)
{
    fail_each(open_and_close, *state, 1000, 1);
    fail_each(shake_hands, *state, 80, 61);
}

/* ---- tickets ---- */

static int random_fails; /* the nth call from now on; 0: none */

static int random_bytes(unsigned char *p, int n)
{
    memset(p, 7, (size_t)n);
    return random_fails == 0 || --random_fails != 0;
}

/* Without randomness there is no ticket, or no handshake, but never one with a key of zeros. */
static void without_randomness_no_ticket_is_sealed(void **state)
{
    fixture *f = *state;
    const RAND_METHOD *before = RAND_get_rand_method();
    static const RAND_METHOD method = {.bytes = random_bytes, .pseudorand = random_bytes};
    RAND_set_rand_method(&method);
    for (int nth = 1; nth < 40; nth++) {
        sl_tls *tls = f->tls;
        assert_int_equal(sl_tls_new(&f->options, &f->tls, NULL), SL_OK); /* its keys are not made */
        random_fails = nth;
        shake_hands(f);
        random_fails = 0;
        sl_tls_release(f->tls);
        f->tls = tls;
        ERR_clear_error();
    }
    RAND_set_rand_method(before);
}

/* ---- the client ---- */

static void connect_to_nobody(fixture *f)
{
    int fd[2];
    sl_tls_fault fault;
    sl_status st = {0};
    const sl_tls_client_options o = {.host = f->host, .ca_file = f->ca_file};
    socket_pair(fd);
    shutdown(fd[1], SHUT_WR);
    sl_io io = {.fd = fd[0]};
    sl_code rc = sl_tls_connect(&io, &o, &fault, &st);
    assert_true(rc == SL_RESOURCE_EXHAUSTED || rc == SL_UNAVAILABLE || rc == SL_INVALID_ARGUMENT);
    assert_int_equal(fault, SL_TLS_OTHER);
    assert_true(st.msg[0] != '\0');
    assert_null(io.ops);
    close(fd[0]);
    close(fd[1]);
}

static void a_client_without_memory_says_so(void **state)
{
    fixture *f = *state;
    static const char *const hosts[] = {"localhost", "127.0.0.1"};
    for (size_t i = 0; i < SL_COUNTOF(hosts); i++) {
        f->host = hosts[i];
        fail_each(connect_to_nobody, f, 150, 11);
    }
}

/* ---- the very first ---- */

static void the_first_context_may_be_asked_for_again(void **state)
{
    fixture *f = *state;
    sl_tls *tls = NULL;
    sl_status st = {0};
    for (int nth = 1; nth <= 2; nth++) { /* how connections reach their sockets, and its name */
        sl_fault_arm(SL_FAULT_ALLOC, nth);
        assert_int_equal(sl_tls_new(&f->options, &tls, &st), SL_RESOURCE_EXHAUSTED);
        sl_fault_arm(SL_FAULT_ALLOC, 0);
        assert_null(tls);
    }
    assert_int_equal(sl_tls_new(&f->options, &tls, &st), SL_OK);
    sl_tls_release(tls);
}

static int prepare(void **state)
{
    fixture *f;
    set_up(state);
    f = *state;
    f->alice = make_identity((wish){.cn = "alice", .san = "DNS:alice.example", .issuer = &f->ca});
    f->client = client_context(&f->alice);
    strcpy(f->ca_file, "/tmp/sluice-tls-XXXXXX");
    int fd = mkstemp(f->ca_file);
    assert_int_equal(write(fd, f->ca.cert_pem, strlen(f->ca.cert_pem)), strlen(f->ca.cert_pem));
    close(fd);
    return sl_tls_new(&f->options, &f->tls, NULL);
}

static int clean(void **state)
{
    fixture *f = *state;
    unlink(f->ca_file);
    sl_tls_release(f->tls);
    SSL_CTX_free(f->client);
    free_identity(&f->alice);
    return tear_down(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, prepare, clean)
        cmocka_unit_test_setup_teardown(the_first_context_may_be_asked_for_again, set_up,
                                        tear_down),
        T(a_context_is_made_whole_or_not_at_all),
        T(a_connection_ends_when_memory_does),
        T(without_randomness_no_ticket_is_sealed),
        T(a_client_without_memory_says_so),
    };
    if (CRYPTO_set_mem_functions(take, take_more, give) != 1)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
