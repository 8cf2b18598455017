/* test_tls.c - HTTP inside TLS, and clients that speak the wrong one of the two */
#include "support/calls.h"
#include "unit/http/fixture.h"
#include "unit/net/tls_fixture.h"

#include <signal.h>

typedef struct secure {
    fixture *http; /* first: tests that need nothing else take it from here */
    identity own;
    sl_tls *tls;
    SSL_CTX *client;
} secure;

static const sl_tls_peer *last_peer; /* of the last call */

static void see_peer(sl_http_call *call, void *arg)
{
    last_peer = call->tls;
    fx_call(call, arg);
}

static secure *make(void (*change)(sl_http_limits *))
{
    secure *s = calloc(1, sizeof *s);
    fixture *f = s->http = calloc(1, sizeof *f);
    sl_http_options o = {.on_call = see_peer,
                         .on_head = fx_head,
                         .on_error = fx_error,
                         .on_done = fx_done,
                         .arg = f};
    sl_clock_fake(f->now = START);
    s->own = make_identity((wish){.cn = "localhost"});
    sl_tls_pair pair = pair_of(&s->own);
    sl_tls_options t = {.pairs = &pair, .n_pairs = 1, .alpn = "http/1.1"};
    assert_int_equal(sl_tls_new(&t, &s->tls, NULL), SL_OK);
    s->client = client_context(NULL);
    sl_http_limits_default(&o.limits);
    if (change != NULL)
        change(&o.limits);
    o.tls = s->tls;
    assert_int_equal(sl_loop_new(&f->loop, NULL), SL_OK);
    assert_int_equal(sl_http_listen(&f->loop, 1, "127.0.0.1:0", &o, &f->server, &f->port, NULL),
                     SL_OK);
    sl_loop_turn(f->loop, false);
    return s;
}

static void unmake(secure *s)
{
    fx_free(s->http);
    sl_tls_release(s->tls);
    SSL_CTX_free(s->client);
    free_identity(&s->own);
    free(s);
}

static int set_up(void **state)
{
    *state = make(NULL);
    return 0;
}

static int tear_down(void **state)
{
    unmake(*state);
    return 0;
}

/* ---- a client ---- */

typedef struct client {
    fixture *f;
    int fd;
    SSL *ssl;
    char *text;
    size_t n;
    bool eof;
} client;

static client dial(secure *s)
{
    client c = {.f = s->http, .fd = connect_client(s->http)};
    c.ssl = client_on(s->client, c.fd);
    return c;
}

static void hang_up(client *c)
{
    SSL_free(c->ssl);
    close(c->fd);
    free(c->text);
    turn(c->f);
}

static bool shake(client *c)
{
    int rc = 0;
    for (int i = 0; i < 5 && rc != 1; i++) {
        rc = SSL_do_handshake(c->ssl);
        turn(c->f);
    }
    return rc == 1;
}

/* Sends all of it, reading what comes meanwhile. */
static void collect(client *c)
{
    for (int idle = 0; idle < 2;) {
        c->text = realloc(c->text, c->n + 20000);
        ERR_clear_error();
        int k = SSL_read(c->ssl, c->text + c->n, 19999);
        c->eof = k <= 0 && !waits(c->ssl, k);
        if (c->eof)
            break;
        idle = k > 0 ? 0 : idle + 1;
        c->n += k > 0 ? (size_t)k : 0;
        turn(c->f);
    }
    c->text[c->n] = '\0';
}

static const char *ask(client *c, const char *p, size_t n)
{
    c->n = 0;
    for (size_t sent = 0; sent < n;) {
        ERR_clear_error();
        int k = SSL_write(c->ssl, p + sent, (int)(n - sent));
        sent += k > 0 ? (size_t)k : 0;
        turn(c->f);
        if (k > 0)
            continue;
        if (!waits(c->ssl, k))
            break;
        collect(c);
    }
    collect(c);
    return c->text;
}

static const char *ask_text(client *c, const char *text)
{
    return ask(c, text, strlen(text));
}

#define GET "GET /a HTTP/1.1\r\n\r\n"

/* ---- requests ---- */

static void requests_are_served_on_one_connection(void **state)
{
    client c = dial(*state);
    for (int i = 0; i < 3; i++) {
        assert_non_null(strstr(ask_text(&c, GET), "\r\n\r\nGET /a"));
        assert_false(c.eof);
    }
    assert_string_equal(last_peer->version, "TLSv1.3");
    hang_up(&c);
}

static int answered(client *c, int n)
{
    int count = 0;
    char byte;
    for (int i = 0; i < n; i++)
        count += recv(c[i].fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
    return count;
}

/* Requests of others are looked at in between. */
static void of_many_handshakes_a_turn_has_one_step(void **state)
{
    enum { N = 5 };
    secure *s = *state;
    client c[N];
    for (int i = 0; i < N; i++)
        c[i] = dial(s);
    for (int i = 0; i < N; i++)
        assert_int_equal(SSL_do_handshake(c[i].ssl), -1);
    for (int turns = 1; turns <= N; turns++) {
        sl_loop_turn(s->http->loop, false);
        assert_int_equal(answered(c, N), turns);
    }
    for (int i = 0; i < N; i++) {
        assert_true(shake(&c[i]));
        assert_non_null(strstr(ask_text(&c[i], GET), "\r\n\r\nGET /a"));
        hang_up(&c[i]);
    }
}

/* ---- handshakes elsewhere ---- */

static sl_http_work *taken[8];
static int n_taken, most_taken;

static bool take(sl_http_work *work, void *arg)
{
    (void)arg;
    if (n_taken == most_taken)
        return false;
    taken[n_taken++] = work;
    return true;
}

static void run_taken(void)
{
    for (int i = 0; i < n_taken; i++)
        taken[i]->run(taken[i]);
    n_taken = 0;
}

static secure *make_with_others(void (*change)(sl_http_limits *))
{
    secure *s = make(change);
    s->http->server->opts.elsewhere = take;
    n_taken = 0;
    most_taken = 8;
    return s;
}

static void the_first_step_is_made_where_there_is_time(void **state)
{
    (void)state;
    enum { N = 3 };
    secure *s = make_with_others(NULL);
    client c[N];
    most_taken = 2;
    for (int i = 0; i < N; i++) {
        c[i] = dial(s);
        assert_int_equal(SSL_do_handshake(c[i].ssl), -1);
        turn(s->http);
    }
    assert_int_equal(n_taken, 2);
    assert_int_equal(answered(c, N), 1); /* the third, for nobody was free */
    run_taken();
    assert_int_equal(answered(c, N), N);
    most_taken = 0;
    for (int i = 0; i < N; i++) {
        assert_true(shake(&c[i]));
        assert_non_null(strstr(ask_text(&c[i], GET), "\r\n\r\nGET /a"));
        hang_up(&c[i]);
    }
    unmake(s);
}

static void without_memory_to_send_it_away_it_is_made_here(void **state)
{
    (void)state;
    secure *s = make_with_others(NULL);
    int here = 0;
    for (int nth = 1, hit = 1; hit; nth++) {
        client c = dial(s);
        SSL_do_handshake(c.ssl);
        sl_fault_arm(SL_FAULT_ALLOC, nth);
        turn(s->http);
        hit = sl_fault_count(SL_FAULT_ALLOC) >= nth;
        sl_fault_arm(SL_FAULT_ALLOC, 0);
        bool away = n_taken > 0;
        run_taken();
        bool done = shake(&c);
        assert_true(done || (hit && !away)); /* no memory for TLS: the connection has ended */
        here += done && !away;
        hang_up(&c);
        assert_true(nth < 100);
    }
    assert_int_equal(here, 1);
    unmake(s);
}

static void one_handshake(sl_http_limits *l)
{
    l->max_handshakes = 1;
}

/* Resuming costs little, with either version. */
static void who_resumes_stays(void **state)
{
    (void)state;
    secure *s = make_with_others(NULL);
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        client c = dial(s);
        SSL_set_max_proto_version(c.ssl, version);
        SSL_do_handshake(c.ssl);
        turn(s->http);
        assert_int_equal(n_taken, 1);
        run_taken();
        assert_true(shake(&c));
        ask_text(&c, GET);
        SSL_SESSION *session = SSL_SESSION_dup(SSL_get_session(c.ssl)); /* the end spoils its own */
        hang_up(&c);
        c = dial(s);
        SSL_set_max_proto_version(c.ssl, version);
        SSL_set_session(c.ssl, session);
        assert_true(shake(&c));
        assert_int_equal(n_taken, 0);
        assert_int_equal(SSL_session_reused(c.ssl), 1);
        SSL_SESSION_free(session);
        hang_up(&c);
    }
    unmake(s);
}

/* Nobody looks at it while it is away. */
static void who_is_away_is_neither_cut_nor_closed(void **state)
{
    (void)state;
    secure *s = make_with_others(one_handshake);
    sl_http_server *v = s->http->server;
    client c = dial(s);
    SSL_do_handshake(c.ssl);
    turn(s->http);
    assert_int_equal(n_taken, 1);
    client other = dial(s); /* would cut it, if it were there */
    SSL_do_handshake(other.ssl);
    turn(s->http);
    v->opts.limits.max_connections = 1;
    assert_false(sl_crowd_make_room(&v->shards[0])); /* both are away */
    pass_time(s->http, 3600 * SECOND);
    assert_int_equal(atomic_load(&v->n_conns), 2);
    assert_int_equal(n_taken, 2);
    run_taken();
    turn(s->http);
    pass_time(s->http, SECOND); /* now its time is over */
    assert_int_equal(atomic_load(&v->n_conns), 0);
    hang_up(&c);
    hang_up(&other);
    unmake(s);
}

static void what_goes_wrong_there_is_told_here(void **state)
{
    (void)state;
    secure *s = make_with_others(NULL);
    sl_http_server *v = s->http->server;
    int fd = connect_client(s->http);
    send_bytes(s->http, fd, "\x16\x03\x01\x00\x05hello", 10);
    receive(s->http, fd);
    assert_true(s->http->text_n > 0); /* an alert; none of it was costly */
    assert_int_equal(n_taken, 0);
    close(fd);
    turn(s->http);
    client c = dial(s);
    SSL_set_ciphersuites(c.ssl, "TLS_AES_128_CCM_SHA256"); /* which nobody here speaks */
    SSL_do_handshake(c.ssl);
    turn(s->http);
    assert_int_equal(n_taken, 1);
    run_taken();
    turn(s->http);
    assert_false(shake(&c));
    hang_up(&c);
    assert_int_equal(atomic_load(&v->n_conns), 0);
    c = dial(s); /* leaves meanwhile */
    SSL_do_handshake(c.ssl);
    turn(s->http);
    hang_up(&c);
    assert_int_equal(atomic_load(&v->n_conns), 1);
    run_taken();
    turn(s->http);
    assert_int_equal(atomic_load(&v->n_conns), 0);
    c = dial(s); /* comes back when the loop cannot watch it */
    SSL_do_handshake(c.ssl);
    turn(s->http);
    fail_call("epoll_ctl", 1, ENOMEM);
    run_taken();
    turn(s->http);
    fail_call(NULL, 0, 0);
    assert_int_equal(atomic_load(&v->n_conns), 0);
    hang_up(&c);
    unmake(s);
}

static void a_drain_waits_for_who_is_away(void **state)
{
    (void)state;
    secure *s = make_with_others(NULL);
    client c = dial(s);
    SSL_do_handshake(c.ssl);
    turn(s->http);
    sl_http_drain(s->http->server, fx_drained, s->http);
    turn(s->http);
    assert_false(s->http->drained);
    run_taken();
    turn(s->http);
    assert_true(shake(&c)); /* its request may be on its way already */
    assert_non_null(strstr(ask_text(&c, GET), "\r\n\r\nGET /a"));
    assert_true(s->http->drained);
    hang_up(&c);
    unmake(s);
}

static void at_the_end_who_is_away_is_forgotten(void **state)
{
    (void)state;
    secure *s = make_with_others(NULL);
    client c = dial(s);
    SSL_do_handshake(c.ssl);
    turn(s->http);
    SSL_free(c.ssl);
    close(c.fd);
    run_taken(); /* nobody turns the loop any more */
    unmake(s);
}

static void requests_sent_ahead_are_answered_in_their_order(void **state)
{
    client c = dial(*state);
    char all[100 * 40] = "", wanted[16];
    for (int i = 0; i < 100; i++)
        sprintf(all + strlen(all), "GET /n%02d HTTP/1.1\r\n\r\n", i);
    const char *p = ask_text(&c, all);
    for (int i = 0; i < 100; i++) {
        sprintf(wanted, "GET /n%02d", i);
        p = strstr(p, wanted);
        assert_non_null(p);
    }
    hang_up(&c);
}

static void large_bodies_go_both_ways(void **state)
{
    enum { SIZE = 5000000 };
    client c = dial(*state);
    char *request = malloc(SIZE + 200);
    int head = sprintf(request, "POST /echo HTTP/1.1\r\nContent-Length: %d\r\n\r\n", SIZE);
    for (int i = 0; i < SIZE; i++)
        request[head + i] = (char)('a' + i % 23 + i / 100000 % 3);
    const char *reply = ask(&c, request, (size_t)head + SIZE);
    const char *body = strstr(reply, "\r\n\r\n") + 4;
    assert_int_equal(reply + c.n - body, SIZE);
    assert_memory_equal(body, request + head, SIZE);
    assert_non_null(strstr(ask_text(&c, GET), "\r\n\r\nGET /a"));
    free(request);
    hang_up(&c);
}

static void a_request_in_single_bytes_is_served(void **state)
{
    client c = dial(*state);
    const char *text = "POST /echo HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";
    for (size_t i = 0; i + 1 < strlen(text); i++) {
        ask(&c, text + i, 1);
        assert_int_equal(c.n, 0);
    }
    assert_non_null(strstr(ask_text(&c, "c"), "\r\n\r\nabc"));
    hang_up(&c);
}

static void a_reply_that_comes_later_is_sent(void **state)
{
    secure *s = *state;
    client c = dial(s);
    ask_text(&c, "GET /hold HTTP/1.1\r\n\r\n");
    assert_int_equal(s->http->n_held, 1);
    sl_chain_puts(&s->http->held[0]->reply, "at last");
    sl_http_reply(s->http->held[0]);
    collect(&c);
    assert_non_null(strstr(c.text, "\r\n\r\nat last"));
    hang_up(&c);
}

static void the_last_reply_is_followed_by_a_goodbye(void **state)
{
    client c = dial(*state);
    assert_non_null(strstr(ask_text(&c, "GET /close HTTP/1.1\r\n\r\n"), "Connection: close"));
    assert_true(c.eof);
    assert_int_equal(SSL_get_shutdown(c.ssl), SSL_RECEIVED_SHUTDOWN);
    hang_up(&c);
}

/* ---- the wrong protocol ---- */

static void plain_http_to_a_tls_port_is_told_so(void **state)
{
    fixture *f = ((secure *)*state)->http;
    int fd = connect_client(f);
    const char *reply = exchange_text(f, fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(strncmp(reply, "HTTP/1.1 400 Bad Request\r\n", 26), 0);
    assert_non_null(strstr(reply, "this port speaks HTTPS: use https://"));
    assert_true(f->eof);
    assert_int_equal(f->n_calls, 0);
    close(fd);
}

static void tls_to_a_plain_port_is_told_so(void **state)
{
    fixture *f = *state;
    SSL_CTX *ctx = client_context(NULL);
    int fd = connect_client(f);
    SSL *ssl = client_on(ctx, fd);
    SSL_do_handshake(ssl);
    const char *reply = receive(f, fd);
    turn(f);
    reply = f->text_n ? reply : receive(f, fd);
    assert_int_equal(strncmp(reply, "HTTP/1.1 400 Bad Request\r\n", 26), 0);
    assert_non_null(strstr(reply, "this port speaks plain HTTP, not TLS: use http://"));
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    close(fd);
}

static void noise_is_closed_without_an_answer(void **state)
{
    static const char *const noises[] = {"\x01\x02\x03\x04", "get / http/1.1\r\n\r\n", "\xff"};
    fixture *f = ((secure *)*state)->http;
    for (size_t i = 0; i < SL_COUNTOF(noises); i++) {
        int fd = connect_client(f);
        assert_string_equal(exchange_text(f, fd, noises[i]), "");
        assert_true(f->eof);
        close(fd);
    }
}

static void a_first_look_that_finds_nothing_is_not_the_end(void **state)
{
    static const struct {
        int error;
        bool stays;
    } cases[] = {{EAGAIN, true}, {EINTR, true}, {ECONNRESET, false}};
    secure *s = *state;
    for (size_t i = 0; i < SL_COUNTOF(cases); i++) {
        client c = dial(s);
        SSL_do_handshake(c.ssl);
        fail_call("recv", 1, cases[i].error);
        turn(s->http);
        fail_call(NULL, 0, 0);
        assert_int_equal(connections(s->http), cases[i].stays);
        if (cases[i].stays)
            assert_non_null(strstr(ask_text(&c, GET), "\r\n\r\nGET /a"));
        hang_up(&c);
    }
}

static void an_alert_arrives_though_the_client_went_on_sending(void **state)
{
    secure *s = *state;
    char text[8];
    SSL_CTX_set_max_proto_version(s->client, TLS1_2_VERSION);
    SSL_CTX_set_cipher_list(s->client, "AES128-SHA");
    client c = dial(s);
    SSL_do_handshake(c.ssl);
    assert_int_equal(send(c.fd, "and so on", 9, MSG_NOSIGNAL), 9);
    turn(c.f);
    assert_int_equal(SSL_do_handshake(c.ssl), -1);
    assert_int_equal(ERR_GET_REASON(ERR_peek_last_error()), SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE);
    assert_int_equal(recv(c.fd, text, sizeof text, 0), 0);
    hang_up(&c);
}

/* ---- handshakes that do not come to an end ---- */

static void who_says_nothing_is_closed_in_time(void **state)
{
    fixture *f = ((secure *)*state)->http;
    int fd = connect_client(f);
    pass_time(f, 9 * SECOND);
    assert_int_equal(connections(f), 1);
    pass_time(f, 2 * SECOND);
    assert_int_equal(connections(f), 0);
    close(fd);
}

static void a_handshake_that_stalls_is_cut_in_time(void **state)
{
    secure *s = *state;
    client c = dial(s);
    SSL_do_handshake(c.ssl);
    for (int i = 0; i < 9; i++)
        pass_time(s->http, SECOND);
    assert_int_equal(connections(s->http), 1);
    pass_time(s->http, 2 * SECOND);
    assert_int_equal(connections(s->http), 0);
    hang_up(&c);
}

static void a_finished_handshake_may_be_idle(void **state)
{
    secure *s = *state;
    client c = dial(s);
    assert_true(shake(&c));
    pass_time(s->http, 100 * SECOND);
    assert_non_null(strstr(ask_text(&c, GET), "\r\n\r\nGET /a"));
    hang_up(&c);
}

static void few(sl_http_limits *l)
{
    l->max_handshakes = 3;
}

static void a_crowd_of_stalled_handshakes_keeps_nobody_out(void **state)
{
    (void)state;
    enum { CROWD = 8 };
    secure *s = make(few);
    client crowd[CROWD];
    for (int i = 0; i < CROWD; i++) {
        crowd[i] = dial(s);
        SSL_do_handshake(crowd[i].ssl);
        turn(s->http);
    }
    assert_int_equal(s->http->server->shards[0].n_shakes, 3);
    client honest = dial(s);
    assert_non_null(strstr(ask_text(&honest, GET), "\r\n\r\nGET /a"));
    /* Those that were not cut may still come to their end. */
    assert_true(shake(&crowd[CROWD - 1]));
    assert_false(shake(&crowd[0]));
    for (int i = 0; i < CROWD; i++)
        hang_up(&crowd[i]);
    hang_up(&honest);
    assert_int_equal(s->http->server->shards[0].n_shakes, 0);
    unmake(s);
}

static void who_says_nothing_costs_no_tls(void **state)
{
    fixture *f = ((secure *)*state)->http;
    int fd = connect_client(f);
    turn(f);
    assert_null(f->server->shards[0].conns->io.ops);
    close(fd);
    turn(f);
    assert_int_equal(connections(f), 0);
}

/* ---- the end ---- */

static void a_drain_lets_a_request_follow_its_handshake(void **state)
{
    secure *s = *state;
    fixture *f = s->http;
    client c = dial(s), idle = dial(s), mute = dial(s);
    assert_true(shake(&idle));
    ask_text(&idle, GET);
    SSL_do_handshake(c.ssl);
    turn(f);
    sl_http_drain(f->server, fx_drained, f);
    turn(f);
    collect(&idle);
    assert_true(idle.eof);
    assert_true(shake(&c));
    const char *reply = ask_text(&c, GET);
    assert_non_null(strstr(reply, "Connection: close"));
    assert_true(c.eof);
    assert_false(f->drained);
    pass_time(f, 2 * SECOND); /* who has not begun by then will not */
    assert_true(f->drained);
    hang_up(&c);
    hang_up(&idle);
    hang_up(&mute);
}

static void one_connection(sl_http_limits *l)
{
    l->max_connections = 1;
}

static void one_too_many_is_not_worth_a_handshake(void **state)
{
    (void)state;
    secure *s = make(one_connection);
    client held = dial(s);
    ask_text(&held, "GET /hold HTTP/1.1\r\n\r\n");
    int fd = connect_client(s->http);
    receive(s->http, fd);
    assert_true(s->http->eof && s->http->text_n == 0);
    assert_int_equal(connections(s->http), 1);
    close(fd);
    sl_http_reply(s->http->held[0]);
    collect(&held);
    assert_non_null(strstr(held.text, "HTTP/1.1 200 "));
    hang_up(&held);
    unmake(s);
}

/* The first request's body is kept by its handler and fills the receive buffer: the next one,
 * which TLS has read already, needs another. */
static void without_memory_for_the_next_request_it_is_a_503(void **state)
{
    enum { SIZE = SL_RECV_SIZE };
    static char first[SIZE];
    secure *s = *state;
    int refused = 0;
    memset(first, 'x', sizeof first);
    enum { HEAD = 46 };
    assert_int_equal(
        sprintf(first, "POST /keep HTTP/1.1\r\nContent-Length: %d\r\n\r\n", SIZE - HEAD), HEAD);
    first[HEAD] = 'x';
    for (int nth = 1, hit = 1; hit; nth++) {
        client c = dial(s);
        assert_non_null(strstr(ask_text(&c, GET), "\r\n\r\nGET /a")); /* pools */
        assert_int_equal(SSL_write(c.ssl, first, SIZE), SIZE);
        assert_int_equal(SSL_write(c.ssl, GET, strlen(GET)), strlen(GET));
        sl_fault_arm(SL_FAULT_ALLOC, nth);
        turn(s->http);
        hit = sl_fault_count(SL_FAULT_ALLOC) >= nth;
        sl_fault_arm(SL_FAULT_ALLOC, 0);
        c.n = 0;
        collect(&c);
        const char *second = strstr(c.text, "\r\n\r\nPOST /keep");
        if (second != NULL && strstr(second, "HTTP/1.1 503 ") != NULL) {
            assert_non_null(strstr(second, "Retry-After: 1\r\n"));
            assert_true(c.eof);
            refused++;
        } else {
            assert_true(hit || (second != NULL && strstr(second, "\r\n\r\nGET /a") != NULL));
        }
        hang_up(&c);
        assert_int_equal(connections(s->http), 0);
        assert_true(nth < 100);
    }
    assert_true(refused > 0);
}

static void every_failing_call_of_a_connection_is_survived(void **state)
{
    secure *s = *state;
    static const sl_fault kinds[] = {SL_FAULT_ALLOC, SL_FAULT_READ, SL_FAULT_WRITE};
    for (size_t k = 0; k < SL_COUNTOF(kinds); k++)
        for (int nth = 1, ended = 0; ended < 2; nth++) {
            sl_fault_arm(kinds[k], nth);
            client c = dial(s);
            const char *reply = ask_text(&c, "POST /echo HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc");
            ended += strstr(reply, "\r\n\r\nabc") != NULL;
            sl_fault_arm(kinds[k], 0);
            hang_up(&c);
            assert_int_equal(connections(s->http), 0);
        }
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN); /* of OpenSSL's own sockets, at the clients' end */
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        T(requests_are_served_on_one_connection),
        T(of_many_handshakes_a_turn_has_one_step),
        cmocka_unit_test(the_first_step_is_made_where_there_is_time),
        cmocka_unit_test(without_memory_to_send_it_away_it_is_made_here),
        cmocka_unit_test(who_resumes_stays),
        cmocka_unit_test(who_is_away_is_neither_cut_nor_closed),
        cmocka_unit_test(what_goes_wrong_there_is_told_here),
        cmocka_unit_test(a_drain_waits_for_who_is_away),
        cmocka_unit_test(at_the_end_who_is_away_is_forgotten),
        T(requests_sent_ahead_are_answered_in_their_order),
        T(large_bodies_go_both_ways),
        T(a_request_in_single_bytes_is_served),
        T(a_reply_that_comes_later_is_sent),
        T(the_last_reply_is_followed_by_a_goodbye),
        T(plain_http_to_a_tls_port_is_told_so),
        cmocka_unit_test_setup_teardown(tls_to_a_plain_port_is_told_so, fx_set_up, fx_tear_down),
        T(noise_is_closed_without_an_answer),
        T(a_first_look_that_finds_nothing_is_not_the_end),
        T(an_alert_arrives_though_the_client_went_on_sending),
        T(who_says_nothing_is_closed_in_time),
        T(a_handshake_that_stalls_is_cut_in_time),
        T(a_finished_handshake_may_be_idle),
        cmocka_unit_test(a_crowd_of_stalled_handshakes_keeps_nobody_out),
        T(who_says_nothing_costs_no_tls),
        T(a_drain_lets_a_request_follow_its_handshake),
        cmocka_unit_test(one_too_many_is_not_worth_a_handshake),
        T(without_memory_for_the_next_request_it_is_a_503),
        T(every_failing_call_of_a_connection_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
