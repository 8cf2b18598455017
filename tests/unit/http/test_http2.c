/* test_http2.c - HTTP/2 on the same listener: requests, replies, streams, trailers, cancelling */
#include "unit/http/h2_client.h"

static void a_connection_that_begins_with_the_preface_speaks_http2(void **state)
{
    client *c = h2_connect(*state);
    int id = h2_request(c, "GET", "/a?b=c", NULL, 0);
    h2_turn(c);
    reply *r = h2_reply(c, id);
    assert_int_equal(r->status, 200);
    assert_string_equal(text_of(&r->head), "content-type: text/plain\n"
                                           "date: Sun, 06 Nov 1994 08:49:37 GMT\n"
                                           "content-length: 10\n");
    assert_string_equal(text_of(&r->body), "GET /a?b=c");
    assert_true(r->closed);
    assert_int_equal(r->error, 0);
    assert_int_equal(c->f->n_done, 1);
    assert_false(c->f->last_given_up);
    h2_close(c);
}

static void the_preface_may_come_byte_by_byte(void **state)
{
    fixture *f = *state;
    const char *preface = NGHTTP2_CLIENT_MAGIC "\0\0\0\4\0\0\0\0\0";
    int fd = connect_client(f);
    for (int i = 0; i < 33; i++)
        send_bytes(f, fd, preface + i, 1);
    receive(f, fd);
    assert_true(f->text_n > 18 && f->text[3] == NGHTTP2_SETTINGS);
    close(fd);
}

static void what_only_begins_like_the_preface_is_http1(void **state)
{
    fixture *f = *state;
    int fd = connect_client(f);
    assert_true(strstr(exchange_text(f, fd, "PRI * HTTP/2.0\r\n\r\nXX"), "HTTP/1.1 400 ") != NULL);
    close(fd);
    fd = connect_client(f);
    send_text(f, fd, "P");
    assert_true(strstr(exchange_text(f, fd, "OST /echo HTTP/1.1\r\nContent-Length: 1\r\n\r\nx"),
                       "HTTP/1.1 200 ") != NULL);
    close(fd);
}

static void a_body_comes_as_one_piece_whatever_its_size(void **state)
{
    const size_t sizes[] = {0, 1, 4095, 4096, 4097, 16384, 65536, 65537, 1000000, 9000000};
    char *body = malloc(9000000);
    for (size_t i = 0; i < 9000000; i++)
        body[i] = (char)('a' + i % 23);
    for (size_t i = 0; i < SL_COUNTOF(sizes); i++) {
        client *c = h2_connect(*state);
        int id = h2_request(c, "POST", "/echo", body, sizes[i]);
        h2_turn(c);
        reply *r = h2_reply(c, id);
        assert_int_equal(r->status, 200);
        assert_int_equal(c->f->last_body, sizes[i]);
        assert_int_equal(r->body.n, sizes[i]);
        assert_true(sizes[i] == 0 || memcmp(r->body.p, body, sizes[i]) == 0);
        assert_int_equal(atomic_load(&c->f->server->budget.used),
                         atomic_load(&c->f->server->budget.sessions));
        h2_close(c);
    }
    free(body);
}

static void calls_of_one_connection_are_answered_in_any_order(void **state)
{
    fixture *f = *state;
    client *c = h2_connect(f);
    int first = h2_request(c, "POST", "/hold", "1", 1),
        second = h2_request(c, "GET", "/b", NULL, 0);
    int third = h2_request(c, "POST", "/hold", "3", 1);
    h2_turn(c);
    assert_int_equal(f->n_held, 2);
    assert_true(h2_reply(c, second)->closed);
    sl_chain_puts(&f->held[1]->reply, "three");
    sl_http_reply(f->held[1]);
    h2_turn(c);
    assert_string_equal(text_of(&h2_reply(c, third)->body), "three");
    assert_false(h2_reply(c, first)->closed);
    sl_chain_puts(&f->held[0]->reply, "one");
    sl_http_reply_posted(f->held[0]);
    h2_turn(c);
    assert_string_equal(text_of(&h2_reply(c, first)->body), "one");
    h2_close(c);
}

static void a_client_that_takes_large_frames_gets_them(void **state)
{
    static const struct {
        uint32_t most;
        int frames; /* of 655360 bytes */
    } cases[] = {{16384, 40}, {40000, 17}, {1 << 20, 10}};
    for (size_t i = 0; i < SL_COUNTOF(cases); i++) {
        client *c = h2_connect_wide(*state, 1 << 24, cases[i].most);
        int id = h2_request(c, "GET", "/big?655360", NULL, 0);
        h2_turn(c);
        assert_int_equal(h2_reply(c, id)->body.n, 655360);
        assert_int_equal(c->data, cases[i].frames);
        assert_int_equal(simple(c), 200); /* and small replies are no larger for it */
        h2_close(c);
    }
}

/* Hundreds of pieces, some of them empty, are more than a batch has vectors. */
static void a_body_of_many_pieces_is_sent_whole(void **state)
{
    fixture *f = *state;
    client *c = h2_connect(f);
    int id = h2_request(c, "GET", "/hold", NULL, 0);
    h2_turn(c);
    sl_buffer *b = sl_buffer_try_new(20000);
    memset(b->data, 'x', 20000);
    for (int i = 0; i < 20000; i += 20)
        sl_chain_lend(&f->held[0]->reply, b, (char *)b->data + i, 20);
    sl_buffer_release(b);
    sl_http_reply(f->held[0]);
    h2_turn(c);
    reply *r = h2_reply(c, id);
    assert_int_equal(r->body.n, 20000);
    for (size_t i = 0; i < r->body.n; i++)
        assert_int_equal(r->body.p[i], 'x');
    h2_close(c);
}

static void trailers_follow_the_body(void **state)
{
    client *c = h2_connect(*state);
    int id = h2_request(c, "POST", "/trailers", "x", 1);
    h2_turn(c);
    reply *r = h2_reply(c, id);
    assert_string_equal(text_of(&r->head), "content-type: text/plain\n");
    assert_string_equal(text_of(&r->body), "POST /trailers");
    assert_string_equal(text_of(&r->trailers), "grpc-status: 0\ngrpc-message: fine\n");
    assert_true(r->closed);
    h2_close(c);
}

static void without_a_body_trailers_are_in_the_head(void **state)
{
    client *c = h2_connect(*state);
    int id = h2_request(c, "POST", "/only", "x", 1);
    h2_turn(c);
    reply *r = h2_reply(c, id);
    assert_string_equal(text_of(&r->head),
                        "content-type: text/plain\ngrpc-status: 0\ngrpc-message: fine\n");
    assert_string_equal(text_of(&r->trailers), "");
    assert_int_equal(r->body.n, 0);
    assert_true(r->closed);
    h2_close(c);
}

static void a_stream_goes_both_ways_piece_by_piece(void **state)
{
    fixture *f = *state;
    client *c = h2_connect(f);
    int id = h2_request_with(c, "POST", "/stream", "one", 3, true, NULL);
    h2_turn(c);
    reply *r = h2_reply(c, id);
    assert_int_equal(r->status, 200);
    assert_string_equal(text_of(&r->body), "one");
    h2_more(c, id, "two", 3, false);
    assert_string_equal(text_of(&r->body), "onetwo");
    assert_int_equal(f->unsent, 3); /* at that moment */
    assert_false(r->closed);
    h2_more(c, id, "three", 5, true);
    assert_string_equal(text_of(&r->body), "onetwothree");
    assert_string_equal(text_of(&r->trailers), "x-end: yes\n");
    assert_true(r->closed);
    assert_int_equal(f->n_calls, 1);
    assert_int_equal(f->n_done, 1);
    assert_int_equal(f->n_pieces, 3);
    h2_close(c);
}

static void a_reset_stream_cancels_its_call_and_no_other(void **state)
{
    fixture *f = *state;
    client *c = h2_connect(f);
    int first = h2_request(c, "GET", "/hold", NULL, 0);
    int second = h2_request(c, "GET", "/hold", NULL, 0);
    h2_turn(c);
    nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, first, NGHTTP2_CANCEL);
    h2_turn(c);
    assert_int_equal(f->n_cancelled, 1);
    assert_true(atomic_load(&f->held[0]->cancelled));
    assert_false(atomic_load(&f->held[1]->cancelled));
    assert_int_equal(f->n_done, 0);
    sl_http_reply(f->held[0]);
    assert_int_equal(f->n_done, 1);
    assert_true(f->last_given_up);
    sl_http_reply(f->held[1]);
    h2_turn(c);
    assert_int_equal(h2_reply(c, second)->status, 200);
    h2_close(c);
}

static void a_client_that_leaves_cancels_all_its_calls(void **state)
{
    fixture *f = *state;
    client *c = h2_connect(f);
    h2_request(c, "POST", "/hold", "1", 1);
    h2_request(c, "GET", "/hold", NULL, 0);
    h2_turn(c);
    h2_close(c);
    assert_int_equal(f->n_cancelled, 2);
    assert_int_equal(atomic_load(&f->server->n_conns), 1);
    sl_http_reply(f->held[0]);
    assert_int_equal(atomic_load(&f->server->n_conns), 1);
    sl_http_reply(f->held[1]);
    assert_int_equal(atomic_load(&f->server->n_conns), 0);
    assert_int_equal(f->n_done, 2);
}

int main(void)
{
#define T(t) cmocka_unit_test_setup_teardown(t, fx_set_up, fx_tear_down)
    const struct CMUnitTest tests[] = {
        T(a_connection_that_begins_with_the_preface_speaks_http2),
        T(the_preface_may_come_byte_by_byte),
        T(what_only_begins_like_the_preface_is_http1),
        T(a_body_comes_as_one_piece_whatever_its_size),
        T(calls_of_one_connection_are_answered_in_any_order),
        T(a_client_that_takes_large_frames_gets_them),
        T(a_body_of_many_pieces_is_sent_whole),
        T(trailers_follow_the_body),
        T(without_a_body_trailers_are_in_the_head),
        T(a_stream_goes_both_ways_piece_by_piece),
        T(a_reset_stream_cancels_its_call_and_no_other),
        T(a_client_that_leaves_cancels_all_its_calls),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
