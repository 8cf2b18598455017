/* test_corners.c - what limits of zero mean, what fails, and replies out of the ordinary */
#include "unit/http/h2_client.h"

#define GET "GET /a HTTP/1.1\r\n\r\n"
#define HOLD "GET /hold HTTP/1.1\r\n\r\n"

/* ---- times ---- */

static void no_times(sl_http_limits *l)
{
    l->head_timeout_ns = l->idle_timeout_ns = l->min_rate = 0;
    l->max_connections = 0;
}

static void a_limit_of_zero_is_none(void **state)
{
    (void)state;
    fixture *f = fx_with(no_times);
    int idle = connect_client(f), head = connect_client(f), body = connect_client(f),
        tcp = connect_tcp(f), slow = connect_client(f), block = connect_client(f);
    client *c = h2_connect(f), *deaf = h2_connect(f);
    int id = h2_request_with(c, "POST", "/echo", "x", 1, true, NULL);
    h2_turn(c);
    deaf->deaf = true;
    nghttp2_submit_window_update(deaf->session, NGHTTP2_FLAG_NONE, 0, 1 << 24);
    int big = h2_request(deaf, "GET", "/big?60000", NULL, 0);
    h2_turn(deaf);
    send_text(f, head, "GET /a HT");
    send_text(f, body, "POST /echo HTTP/1.1\r\nContent-Length: 3\r\n\r\na");
    send_text(f, slow, "GET /big?2000000 HTTP/1.1\r\n\r\n");
    send_bytes(f, block, NGHTTP2_CLIENT_MAGIC "\0\0\0\4\0\0\0\0\0\0\0\3\1\0\0\0\0\1\x82\x84\x86",
               45);
    for (int i = 0; i < 10; i++)
        pass_time(f, 600 * SECOND);
    assert_int_equal(connections(f), 8);
    assert_true(begins(exchange_text(f, idle, GET), "HTTP/1.1 200 "));
    assert_true(begins(exchange_text(f, tcp, GET), "HTTP/1.1 200 "));
    assert_true(begins(exchange_text(f, head, "TP/1.1\r\n\r\n"), "HTTP/1.1 200 "));
    assert_true(begins(exchange_text(f, body, "bc"), "HTTP/1.1 200 "));
    receive(f, slow);
    assert_true(f->text_n > 2000000);
    h2_more(c, id, "y", 1, true);
    assert_string_equal(text_of(&h2_reply(c, id)->body), "xy");
    deaf->deaf = false;
    h2_turn(deaf);
    assert_int_equal(h2_reply(deaf, big)->body.n, 60000);
    h2_close(c);
    h2_close(deaf);
    close(idle), close(tcp), close(head), close(body), close(slow), close(block);
    fx_free(f);
}

static void a_call_is_not_given_up_for_the_slow_reply_before_it(void **state)
{
    fixture *f = *state;
    int fd = hold_behind_a_reply(f);
    receive(f, fd); /* at last */
    pass_time(f, 60 * SECOND);
    assert_int_equal(f->n_cancelled, 0);
    sl_http_reply(f->held[0]);
    assert_non_null(strstr(receive(f, fd), "HTTP/1.1 200 "));
    close(fd);
}

/* ---- what fails ---- */

static void a_socket_that_cannot_be_watched_is_closed(void **state)
{
    fixture *f = *state;
    struct sockaddr_storage peer = {.ss_family = AF_UNIX};
    FILE *file = tmpfile();
    int fd = dup(fileno(file));
    assert_int_equal(sl_shard_adopt(&f->server->shards[0], fd, &peer), SL_OK);
    assert_int_equal(connections(f), 0);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    fclose(file);
}

static void a_loop_that_cannot_listen_says_so_and_the_others_go_on(void **state)
{
    fixture *f = *state;
    sl_http_options o = f->server->opts;
    sl_http_server *v;
    FILE *file = tmpfile();
    assert_int_equal(sl_http_listen(&f->loop, 1, "127.0.0.1:0", &o, &v, NULL, NULL), SL_OK);
    dup2(fileno(file), v->shards[0].listener.fd);
    turn(f);
    int fd = connect_tcp(f);
    assert_true(begins(exchange_text(f, fd, GET), "HTTP/1.1 200 "));
    close(fd);
    sl_http_free(v);
    fclose(file);
    /* One that ends before its loop has turned does not begin. */
    assert_int_equal(sl_http_listen(&f->loop, 1, "127.0.0.1:0", &o, &v, NULL, NULL), SL_OK);
    v->shards[0].draining = true;
    turn(f);
    sl_http_drain(v, NULL, NULL);
    turn(f);
    assert_true(atomic_load(&v->drained));
    sl_http_free(v);
}

static void one_connection(sl_http_limits *l)
{
    l->max_connections = 1;
}

static void without_memory_a_refusal_is_a_close(void **state)
{
    (void)state;
    fixture *f = fx_with(one_connection);
    int held = connect_client(f), fd;
    send_text(f, held, HOLD);
    for (int nth = 1; nth <= 3; nth++) {
        sl_fault_arm(SL_FAULT_ALLOC, nth);
        fd = connect_client(f);
        sl_fault_arm(SL_FAULT_ALLOC, 0);
        receive(f, fd);
        assert_true(f->eof && f->text_n == 0);
        assert_int_equal(connections(f), 1);
        close(fd);
    }
    fd = connect_client(f);
    assert_true(begins(receive(f, fd), "HTTP/1.1 503 "));
    close(fd);
    sl_http_reply(f->held[0]);
    close(held);
    fx_free(f);
}

static void without_memory_who_connects_is_closed(void **state)
{
    fixture *f = *state;
    int fd = connect_tcp(f);
    sl_fault_arm(SL_FAULT_ALLOC, 1);
    turn(f);
    assert_int_equal(sl_fault_count(SL_FAULT_ALLOC), 1);
    sl_fault_arm(SL_FAULT_ALLOC, 0);
    receive(f, fd);
    assert_true(f->eof && f->text_n == 0);
    assert_int_equal(connections(f), 0);
    close(fd);
}

static void far_too_many_are_closed_without_a_word(void **state)
{
    (void)state;
    fixture *f = fx_with(one_connection);
    atomic_fetch_add(&f->server->family->n_conns, 1 + 256);
    int fd = connect_tcp(f);
    turn(f);
    receive(f, fd);
    assert_true(f->eof && f->text_n == 0);
    close(fd);
    atomic_fetch_sub(&f->server->family->n_conns, 1 + 256);
    fd = connect_tcp(f);
    assert_true(begins(exchange_text(f, fd, GET), "HTTP/1.1 200 "));
    close(fd);
    fx_free(f);
}

/* Batches: replies that leave with those behind them. */
static void a_batch_that_cannot_be_written_ends_the_connection(void **state)
{
    fixture *f = *state;
    sl_text batches[3] = {{0}};
    sl_text_puts(&batches[0], GET HOLD);
    sl_text_puts(&batches[1], GET "POST /echo HTTP/1.1\r\nContent-Length: 3\r\n"
                                  "Expect: 100-continue\r\n\r\n");
    for (int i = 0; i < 30; i++)
        sl_text_puts(&batches[2], "GET /big?4000 HTTP/1.1\r\n\r\n");
    for (int i = 0; i < 3; i++) {
        int fd = connect_client(f);
        sl_fault_arm(SL_FAULT_WRITE, 1);
        assert_int_equal(send(fd, batches[i].p, batches[i].n, 0), batches[i].n);
        turn(f);
        assert_int_equal(sl_fault_count(SL_FAULT_WRITE), 1);
        sl_fault_arm(SL_FAULT_WRITE, 0);
        if (i == 0) { /* the handler is waited for */
            assert_int_equal(connections(f), 1);
            sl_http_reply(f->held[0]);
            assert_true(f->last_given_up);
        }
        assert_int_equal(connections(f), 0);
        receive(f, fd);
        assert_true(f->eof && f->text_n == 0);
        close(fd);
        sl_text_fini(&batches[i]);
    }
    assert_int_equal(f->n_done, f->n_calls);
}

static void answer_the_held(fixture *f, sl_http_call *call)
{
    sl_chain_puts(&f->held[0]->reply, "for another");
    sl_http_reply(f->held[0]);
    sl_chain_puts(&call->reply, "second");
    sl_http_reply(call);
}

/* Between two others of its connection: replies of a batch that wait to leave together, or frames
 * that are being read. */
static void ask_for_three(fixture *f, bool http2)
{
    if (!http2) {
        int fd = connect_client(f);
        const char *text = exchange_text(f, fd, GET "GET /own HTTP/1.1\r\n\r\n" GET);
        const char *first = strstr(text, "\r\n\r\nGET /a"),
                   *second = strstr(text, "\r\n\r\nsecond");
        assert_true(first != NULL && second != NULL && first < second);
        assert_non_null(strstr(second, "\r\n\r\nGET /a"));
        close(fd);
        return;
    }
    client *c = h2_connect(f);
    int ids[3];
    for (int i = 0; i < 3; i++)
        ids[i] = h2_request(c, "GET", i == 1 ? "/own" : "/a", NULL, 0);
    h2_send_at_once(c);
    h2_turn(c);
    for (int i = 0; i < 3; i++)
        assert_string_equal(text_of(&h2_reply(c, ids[i])->body), i == 1 ? "second" : "GET /a");
    h2_close(c);
}

static void a_handler_may_answer_another_connections_call(void **state)
{
    fixture *f = *state;
    f->own = answer_the_held;
    for (int http2 = 0; http2 < 2; http2++) {
        f->n_held = 0;
        int fd = connect_client(f);
        send_text(f, fd, HOLD);
        ask_for_three(f, http2);
        const char *text = receive(f, fd);
        assert_true(begins(text, "HTTP/1.1 200 "));
        assert_null(strstr(text, "GET /a"));
        assert_non_null(strstr(text, "\r\n\r\nfor another"));
        close(fd);
        f->n_held = 0;
        client *c = h2_connect(f);
        int id = h2_request(c, "GET", "/hold", NULL, 0);
        h2_turn(c);
        ask_for_three(f, http2);
        h2_turn(c);
        assert_string_equal(text_of(&h2_reply(c, id)->body), "for another");
        assert_true(h2_reply(c, id)->closed);
        h2_close(c);
    }
    assert_int_equal(connections(f), 0);
}

static void ask_for_own(void *fd)
{
    static const char own[] = "GET /own HTTP/1.1\r\n\r\n";
    assert_int_equal(write(*(int *)fd, own, sizeof own - 1), sizeof own - 1);
}

/* Of two that are told of the drain, the first one's turn ends the second. */
static void who_is_drained_may_end_the_next_one(void **state)
{
    fixture *f = *state;
    f->own = answer_the_held;
    int second = connect_client(f);
    send_text(f, second, HOLD);
    int first = connect_client(f);
    exchange_text(f, first, GET);
    sl_post ask;
    sl_loop_post(f->loop, &ask, ask_for_own, &first); /* too late for the events of this turn */
    sl_http_drain(f->server, fx_drained, f);
    turn(f);
    assert_non_null(strstr(receive(f, first), "\r\n\r\nsecond"));
    assert_true(f->eof);
    assert_non_null(strstr(receive(f, second), "\r\n\r\nfor another"));
    assert_true(f->eof && f->drained);
    close(first);
    close(second);
}

/* ---- pools ---- */

static void only_so_many_exchanges_are_kept(void **state)
{
    enum { MANY = 80 };
    fixture *f = *state;
    int fds[MANY];
    for (int i = 0; i < MANY; i++) {
        fds[i] = connect_client(f);
        send_text(f, fds[i], "GET /a HTTP/1.1\r\n");
    }
    assert_int_equal(f->server->shards[0].n_pool, 0);
    for (int i = 0; i < MANY; i++) {
        assert_true(begins(exchange_text(f, fds[i], "\r\n"), "HTTP/1.1 200 "));
        close(fds[i]);
    }
    assert_int_equal(f->server->shards[0].n_pool, SL_POOLED_EXCHANGES);
}

static void many_fields(sl_http_limits *l)
{
    l->max_headers = 1000;
}

static void what_hundreds_of_fields_took_is_given_back(void **state)
{
    (void)state;
    fixture *f = fx_with(many_fields);
    int fd = connect_client(f);
    sl_text t = {0};
    sl_text_puts(&t, "GET /a HTTP/1.1\r\n");
    for (int i = 0; i < 600; i++)
        sl_text_puts(&t, "a: b\r\n");
    sl_text_puts(&t, "\r\n");
    send_bytes(f, fd, t.p, t.n);
    assert_true(begins(receive(f, fd), "HTTP/1.1 200 "));
    assert_int_equal(f->server->shards[0].n_pool, 0);
    assert_true(begins(exchange_text(f, fd, GET), "HTTP/1.1 200 "));
    assert_int_equal(f->server->shards[0].n_pool, 1);
    close(fd);
    client *c = h2_connect(f);
    nghttp2_nv nv[600];
    for (int i = 0; i < 600; i++)
        nv[i] = (nghttp2_nv){(uint8_t *)"a", (uint8_t *)"b", 1, 1, 0};
    nv[0] = (nghttp2_nv){(uint8_t *)":method", (uint8_t *)"GET", 7, 3, 0};
    nv[1] = (nghttp2_nv){(uint8_t *)":path", (uint8_t *)"/a", 5, 2, 0};
    nv[2] = (nghttp2_nv){(uint8_t *)":scheme", (uint8_t *)"http", 7, 4, 0};
    nv[3] = (nghttp2_nv){(uint8_t *)":authority", (uint8_t *)"here", 10, 4, 0};
    int id = nghttp2_submit_request(c->session, NULL, nv, 600, NULL, NULL);
    c->replies[c->n++] = (reply){.id = id};
    h2_turn(c);
    assert_int_equal(h2_reply(c, id)->status, 200);
    assert_int_equal(f->server->shards[0].n_streams, 0);
    h2_close(c);
    sl_text_fini(&t);
    fx_free(f);
}

/* ---- replies ---- */

static const char *answered(fixture *f, int fd, const char *request, int status,
                            void (*fill)(sl_http_call *))
{
    f->n_held = 0;
    send_text(f, fd, request);
    f->held[0]->status = status;
    if (fill != NULL)
        fill(f->held[0]);
    sl_http_reply(f->held[0]);
    return receive(f, fd);
}

static void large_head(sl_http_call *call)
{
    for (int i = 0; i < 400; i++)
        sl_chain_puts(&call->head,
                      "A: "
                      "0123456789012345678901234567890123456789012345678901234567890123456789"
                      "0123456789\r\n");
}

static void a_body(sl_http_call *call)
{
    for (int i = 0; i < 200; i++)
        sl_chain_puts(&call->reply, "0123456789");
}

static void replies_without_a_body_have_no_length(void **state)
{
    fixture *f = *state;
    int fd = connect_client(f);
    assert_string_equal(answered(f, fd, HOLD, 304, NULL),
                        "HTTP/1.1 304 Not Modified\r\nContent-Type: text/plain\r\n" DATE "\r\n");
    assert_string_equal(answered(f, fd, HOLD, 199, NULL),
                        "HTTP/1.1 199 Success\r\nContent-Type: text/plain\r\n" DATE "\r\n");
    f->server->opts.limits.compress_min = 100;
    assert_string_equal(
        answered(f, fd, "GET /hold HTTP/1.1\r\nAccept-Encoding: gzip\r\n\r\n", 204, a_body),
        "HTTP/1.1 204 No Content\r\nContent-Type: text/plain\r\n" DATE "\r\n");
    close(fd);
}

static void an_old_client_that_keeps_the_connection_is_told_its_end(void **state)
{
    fixture *f = *state;
    int fd = connect_client(f);
    const char *text =
        exchange_text(f, fd, "GET /close HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_string_equal(text, "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n"
                              "Content-Length: 10\r\nConnection: close\r\n\r\nGET /close");
    assert_true(f->eof);
    close(fd);
}

static void a_head_that_is_too_large_is_a_500(void **state)
{
    fixture *f = *state;
    int fd = connect_client(f);
    assert_true(begins(answered(f, fd, HOLD, 200, large_head), "HTTP/1.1 500 "));
    assert_true(begins(exchange_text(f, fd, GET), "HTTP/1.1 200 "));
    close(fd);
}

static int n_refused, last_refused;
static char last_target[40];

static void on_refused(const sl_http_call *call, int status, const char *message, void *arg)
{
    (void)arg;
    assert_true(*message != '\0');
    n_refused++;
    last_refused = status;
    snprintf(last_target, sizeof last_target, "%.*s", SL_STR_ARG(call->target));
}

static void what_is_refused_is_told_with_what_was_understood(void **state)
{
    fixture *f = *state;
    int fd = connect_client(f);
    client *c = h2_connect(f);
    const char *expects[] = {"expect", "x", NULL};
    f->server->opts.on_refused = on_refused;
    n_refused = 0;
    send_text(f, fd, "POST /b HTTP/1.1\r\nExpect: x\r\n\r\n");
    assert_int_equal(last_refused, 417);
    assert_string_equal(last_target, "/b");
    int id = h2_request_with(c, "POST", "/c", "1", 1, false, expects);
    h2_turn(c);
    assert_int_equal(h2_reply(c, id)->status, 417);
    assert_string_equal(last_target, "/c");
    assert_int_equal(n_refused, 2);
    h2_close(c);
    close(fd);
}

static void what_a_handler_holds_counts_against_the_budget(void **state)
{
    fixture *f = *state;
    int fd = connect_client(f);
    client *c = h2_connect(f);
    send_text(f, fd, HOLD);
    h2_request(c, "GET", "/hold", NULL, 0);
    h2_turn(c);
    sl_budget *b = f->server->shared;
    int64_t before = atomic_load(&b->used);
    atomic_store(&b->max, before + 1000);
    for (int i = 0; i < 2; i++) {
        assert_true(sl_http_charge(f->held[i], 600));
        assert_false(sl_http_charge(f->held[i], 600));
        assert_int_equal(atomic_load(&b->used), before + 600);
        sl_http_reply(f->held[i]);
        assert_int_equal(atomic_load(&b->used), before);
    }
    assert_int_equal(sl_http_unsent(f->held[0]), 0);
    h2_close(c);
    close(fd);
}

/* ---- a filter under the connection, as TLS is ---- */

static bool must_write;
static size_t in_filter;

static ssize_t filter_read(sl_io *io, void *p, size_t n)
{
    return sl_socket_read(io->fd, p, n);
}

static ssize_t filter_writev(sl_io *io, const struct iovec *v, int n)
{
    return sl_socket_writev(io->fd, v, n);
}

static void filter_shutdown(sl_io *io)
{
    sl_socket_shutdown(io->fd);
}

static size_t filter_buffered(sl_io *io)
{
    (void)io;
    size_t n = in_filter;
    in_filter = 0;
    return n;
}

static bool filter_wants_write(const sl_io *io)
{
    (void)io;
    return must_write;
}

static void filter_free(sl_io *io)
{
    (void)io;
}

static const sl_io_ops filter = {filter_read,     filter_writev,      filter_shutdown,
                                 filter_buffered, filter_wants_write, filter_free};

static void a_filter_that_has_to_write_before_it_can_read_is_woken_for_it(void **state)
{
    fixture *f = *state;
    int fd = connect_client(f);
    sl_conn *one = f->server->shards[0].conns;
    client *c = h2_connect(f);
    sl_conn *two = f->server->shards[0].conns;
    one->io.ops = two->io.ops = &filter;
    must_write = true;
    send_text(f, fd, "GET /a HT");
    assert_true(one->watch.events & EPOLLOUT);
    int id = h2_request_with(c, "POST", "/echo", "x", 1, true, NULL);
    h2_turn(c);
    assert_true(two->watch.events & EPOLLOUT);
    must_write = false;
    assert_non_null(strstr(exchange_text(f, fd, "TP/1.1\r\n\r\n"), "HTTP/1.1 200 "));
    assert_false(one->watch.events & EPOLLOUT);
    in_filter = 1; /* bytes of which the socket does not tell */
    h2_more(c, id, "y", 1, true);
    assert_string_equal(text_of(&h2_reply(c, id)->body), "xy");
    assert_false(two->watch.events & EPOLLOUT);
    in_filter = 1;
    two->watch.ready(&two->watch, EPOLLOUT);
    assert_int_equal(in_filter, 0);
    h2_close(c);
    close(fd);
}

int main(void)
{
#define T(t) cmocka_unit_test_setup_teardown(t, fx_set_up, fx_tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_limit_of_zero_is_none),
        T(a_call_is_not_given_up_for_the_slow_reply_before_it),
        T(a_socket_that_cannot_be_watched_is_closed),
        T(a_loop_that_cannot_listen_says_so_and_the_others_go_on),
        cmocka_unit_test(without_memory_a_refusal_is_a_close),
        T(without_memory_who_connects_is_closed),
        cmocka_unit_test(far_too_many_are_closed_without_a_word),
        T(a_batch_that_cannot_be_written_ends_the_connection),
        T(a_handler_may_answer_another_connections_call),
        T(who_is_drained_may_end_the_next_one),
        T(only_so_many_exchanges_are_kept),
        cmocka_unit_test(what_hundreds_of_fields_took_is_given_back),
        T(replies_without_a_body_have_no_length),
        T(an_old_client_that_keeps_the_connection_is_told_its_end),
        T(a_head_that_is_too_large_is_a_500),
        T(what_is_refused_is_told_with_what_was_understood),
        T(what_a_handler_holds_counts_against_the_budget),
        T(a_filter_that_has_to_write_before_it_can_read_is_woken_for_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
