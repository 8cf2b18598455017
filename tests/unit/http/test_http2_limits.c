/* test_http2_limits.c - HTTP/2: sizes, times, floods, clients that do not read, the end */
#include "unit/http/h2_client.h"

#include <limits.h>
#include <malloc.h>
#include <sys/resource.h>

/* ---- sizes ---- */

static void small_heads(sl_http_options *o)
{
    o->limits.max_head = 10000;
}

static void a_head_that_is_too_large_is_a_431_and_the_connection_goes_on(void **state)
{
    (void)state;
    client *c = h2_serve(small_heads);
    fixture *f = c->f;
    static char large[10000];
    memset(large, 'x', sizeof large - 1);
    const char *headers[] = {"a", large, NULL};
    int id = h2_request_with(c, "POST", "/echo", "body", 4, false, headers);
    h2_turn(c);
    assert_int_equal(h2_reply(c, id)->status, 431);
    assert_true(h2_reply(c, id)->closed);
    assert_int_equal(simple(c), 200);
    assert_int_equal(f->n_done_without_call, 1);
    h2_end(c);
}

static void few_fields(sl_http_options *o)
{
    o->limits.max_headers = 3;
}

static void more_fields_than_allowed_are_a_431(void **state)
{
    (void)state;
    client *c = h2_serve(few_fields);
    fixture *f = c->f;
    const char *headers[] = {"a", "1", "b", "2", "c", "3", NULL};
    int id = h2_request_with(c, "GET", "/a", NULL, 0, false, headers);
    h2_turn(c);
    assert_int_equal(h2_reply(c, id)->status, 431);
    assert_int_equal(f->n_calls, 0);
    h2_end(c);
}

static void small_bodies(sl_http_options *o)
{
    o->limits.max_body = 10000;
    o->limits.max_inflight = 8000;
}

static void a_body_over_the_limit_is_a_413_announced_or_not(void **state)
{
    (void)state;
    client *c = h2_serve(small_bodies);
    fixture *f = c->f;
    char body[20000];
    memset(body, 'x', sizeof body);
    const char *announced[] = {"content-length", "20000", NULL};
    int id = h2_request_with(c, "POST", "/echo", body, sizeof body, false, announced);
    h2_turn(c);
    assert_int_equal(h2_reply(c, id)->status, 413);
    id = h2_request(c, "POST", "/echo", body, 9000); /* more than the budget of all bodies */
    h2_turn(c);
    assert_int_equal(h2_reply(c, id)->status, 503);
    assert_true(strstr(text_of(&h2_reply(c, id)->head), "retry-after: 1\n") != NULL);
    f->server->budget.max = 0;
    id = h2_request(c, "POST", "/echo", body, sizeof body);
    h2_turn(c);
    assert_int_equal(h2_reply(c, id)->status, 413);
    assert_int_equal(f->n_calls, 0);
    assert_int_equal(atomic_load(&f->server->budget.used),
                     atomic_load(&f->server->budget.sessions));
    assert_int_equal(simple(c), 200);
    h2_end(c);
}

static void a_body_that_is_not_of_its_length_is_reset(void **state)
{
    client *c = h2_connect(*state);
    const char *longer[] = {"content-length", "5", NULL};
    int id = h2_request_with(c, "POST", "/echo", "123456", 6, false, longer);
    h2_turn(c);
    assert_int_equal(h2_reply(c, id)->error, NGHTTP2_PROTOCOL_ERROR);
    id = h2_request_with(c, "POST", "/echo", "1234", 4, false, longer);
    h2_turn(c);
    assert_int_equal(h2_reply(c, id)->error, NGHTTP2_PROTOCOL_ERROR);
    assert_int_equal(c->f->n_calls, 0);
    assert_int_equal(simple(c), 200);
    h2_close(c);
}

static void a_reply_with_an_impossible_head_is_a_500(void **state)
{
    fixture *f = *state;
    client *c = h2_connect(f);
    int id = h2_request(c, "GET", "/hold", NULL, 0);
    h2_turn(c);
    for (int i = 0; i < 70; i++)
        sl_chain_puts(&f->held[0]->head, "A: b\r\n");
    sl_http_reply(f->held[0]);
    h2_turn(c);
    assert_int_equal(h2_reply(c, id)->status, 500);
    h2_close(c);
}

/* ---- floods ---- */

static void tight(sl_http_options *o)
{
    o->limits.max_streams = 2;
    o->limits.max_resets = 20;
    o->limits.max_useless = 50;
}

static void calm(client *c, const char *why)
{
    h2_turn(c);
    assert_int_equal(c->goaways, 1);
    assert_int_equal(c->goaway_error, NGHTTP2_ENHANCE_YOUR_CALM);
    assert_string_equal(c->goaway_text, why);
    assert_true(c->eof);
    fixture *f = c->f;
    pass_time(f, 6 * SECOND);
    h2_close(c);
    assert_int_equal(connections(f), 0);
    fx_free(f);
}

static void reset_one(client *c)
{
    int id = h2_request(c, "POST", "/echo", "x", 1);
    h2_reply(c, id)->keep = true;
    h2_turn(c);
    nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
}

static void a_client_that_keeps_resetting_streams_is_told_to_calm_down(void **state)
{
    (void)state;
    client *c = h2_serve(tight);
    for (int i = 0; i < 21; i++)
        reset_one(c);
    calm(c, "too_many_resets");
}

static void resets_that_time_or_answers_account_for_are_no_flood(void **state)
{
    (void)state;
    client *c = h2_serve(tight);
    fixture *f = c->f;
    for (int i = 0; i < 20; i++) {
        reset_one(c);
        assert_int_equal(simple(c), 200);
    }
    assert_int_equal(c->goaways, 0);
    h2_close(c);
    c = h2_connect(f);
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < 20; k++)
            reset_one(c);
        pass_time(f, 10 * SECOND);
    }
    h2_turn(c);
    assert_int_equal(c->goaways, 0);
    h2_end(c);
}

/* A call that its handler keeps. */
static int hold(client *c)
{
    int id = h2_request(c, "GET", "/hold", NULL, 0);
    h2_turn(c);
    return id;
}

static void cancel(client *c, int id)
{
    nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    h2_turn(c);
}

static void a_reset_call_counts_as_a_stream_while_its_handler_has_it(void **state)
{
    (void)state;
    client *c = h2_serve(tight);
    fixture *f = c->f;
    for (int i = 0; i < 2; i++)
        cancel(c, hold(c));
    int id = h2_request(c, "GET", "/a", NULL, 0);
    h2_turn(c);
    assert_int_equal(h2_reply(c, id)->error, NGHTTP2_REFUSED_STREAM);
    sl_http_reply(f->held[0]);
    assert_int_equal(simple(c), 200);
    sl_http_reply(f->held[1]);
    h2_end(c);
}

static void frames_that_ask_for_nothing_are_counted(void **state)
{
    (void)state;
    client *c = h2_serve(tight);
    for (int i = 0; i < 60; i++)
        nghttp2_submit_ping(c->session, NGHTTP2_FLAG_NONE, NULL);
    c->f->server->opts.h2.max_ping_strikes = 0;
    calm(c, "too_many_frames");
    c = h2_serve(tight);
    for (int i = 0; i < 60; i++)
        nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, NULL, 0);
    calm(c, "too_many_frames");
}

static void raw_send(fixture *f, int fd, int type, int flags, uint32_t id, const void *p, size_t n)
{
    raw_frame(fd, type, flags, id, p, n);
    turn(f);
}

static int raw_connect(fixture *f)
{
    int fd = connect_client(f);
    raw_begin(fd, 0);
    turn(f);
    return fd;
}

/* Is there a GOAWAY with that text in what came? */
static void raw_calm(fixture *f, int fd, const char *why)
{
    receive(f, fd);
    assert_true(f->eof);
    assert_non_null(memmem(f->text, f->text_n, why, strlen(why)));
    pass_time(f, 6 * SECOND);
    close(fd);
    turn(f);
    assert_int_equal(connections(f), 0);
    fx_free(f);
}

static void empty_data_frames_are_counted(void **state)
{
    (void)state;
    fixture *f = h2_fixture(tight);
    int fd = raw_connect(f);
    raw_send(f, fd, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, POST_HEAD, 6);
    for (int i = 0; i < 60; i++)
        raw_send(f, fd, NGHTTP2_DATA, 0, 1, "", 0);
    raw_calm(f, fd, "too_many_frames");
}

/* Until it does, our limit of streams does not bind it (RFC 9113, 6.5.3). */
static void a_client_that_never_acknowledges_our_settings_is_bounded_all_the_same(void **state)
{
    (void)state;
    fixture *f = h2_fixture(tight);
    int fd = raw_connect(f);
    uint32_t id = 1;
    for (; id < 2 * 40; id += 2)
        raw_send(f, fd, NGHTTP2_HEADERS, OPEN, id, POST_HEAD, 6);
    receive(f, fd);
    assert_false(f->eof);
    assert_int_equal(f->server->shards[0].conns->h2->n_streams, 2);
    assert_int_equal(
        nghttp2_session_get_outbound_queue_size(f->server->shards[0].conns->h2->session), 0);
    for (; id < 2 * 60; id += 2)
        raw_send(f, fd, NGHTTP2_HEADERS, OPEN, id, POST_HEAD, 6);
    raw_calm(f, fd, "too_many_frames");
}

/* The streams that count are those which it has reset and their handlers still have. */
static void a_client_that_goes_on_when_its_streams_are_refused_is_told_to_calm_down(void **state)
{
    (void)state;
    client *c = h2_serve(tight);
    fixture *f = c->f;
    for (int i = 0; i < 2; i++)
        cancel(c, hold(c));
    for (int i = 0; i < 40; i++)
        assert_int_equal(simple(c), 0);
    assert_int_equal(c->goaways, 0);
    for (int i = 0; i < 20; i++)
        h2_request(c, "GET", "/a", NULL, 0);
    h2_turn(c);
    assert_string_equal(c->goaway_text, "too_many_frames");
    assert_int_equal(f->n_calls, 2);
    sl_http_reply(f->held[0]);
    sl_http_reply(f->held[1]);
    h2_end(c);
}

static void a_header_block_without_end_is_cut_off(void **state)
{
    (void)state;
    fixture *f = h2_fixture(NULL);
    int fd = raw_connect(f);
    raw_send(f, fd, NGHTTP2_HEADERS, 0, 1, POST_HEAD, 6);
    for (int i = 0; i < 70; i++)
        raw_send(f, fd, NGHTTP2_CONTINUATION, 0, 1, "", 0);
    raw_calm(f, fd, "header block too large");
}

/* A field of 4000 bytes goes into the table once, and is then one byte. */
static size_t bomb(char block[8192])
{
    size_t n = 6;
    memcpy(block, POST_HEAD, 6);
    memcpy(block + n, "\x40\x01x\x7f\xa1\x1e", 6); /* literal, indexed: "x", 127 + 33 + 30 * 128 */
    n += 6;
    memset(block + n, 'v', 4000);
    n += 4000;
    memset(block + n, 0x80 | 62, 2000);
    return n + 2000;
}

static void a_header_list_that_unpacks_to_megabytes_is_cut_off(void **state)
{
    (void)state;
    static char block[8192];
    fixture *f = h2_fixture(NULL);
    int fd = raw_connect(f);
    raw_send(f, fd, NGHTTP2_HEADERS, WHOLE, 1, block, bomb(block));
    raw_calm(f, fd, "header list too large");
}

static void tight_heads(sl_http_options *o)
{
    tight(o);
    o->limits.max_head = 10000;
}

/* Of streams that are over for the client and not for us; nobody wants what else it begins. */
static void that_of_a_stream_that_is_refused_is_cut_off_as_well(void **state)
{
    (void)state;
    static char value[2000];
    const char *more[2 * 25 + 1] = {NULL};
    client *c = h2_serve(tight_heads);
    for (int i = 0; i < 2; i++)
        cancel(c, hold(c));
    memset(value, 'v', sizeof value - 1);
    for (int i = 0; i < 25; i++) { /* once, and then a byte each */
        more[2 * i] = "x";
        more[2 * i + 1] = value;
    }
    h2_request_with(c, "GET", "/echo", NULL, 0, false, more);
    h2_turn(c);
    assert_int_equal(c->goaways, 1);
    assert_string_equal(c->goaway_text, "header list too large");
    fixture *f = c->f;
    for (int i = 0; i < 2; i++)
        sl_http_reply(f->held[i]);
    h2_close(c);
    fx_free(f);
}

static void a_head_that_does_not_come_to_its_end_is_given_up(void **state)
{
    (void)state;
    fixture *f = h2_fixture(NULL);
    int fd = raw_connect(f), other = raw_connect(f);
    raw_send(f, fd, NGHTTP2_HEADERS, 0, 1, POST_HEAD, 6);
    send_bytes(f, other, "\0\0\6\1\4\0\0\0\1\x83\x84", 11); /* the frame itself is not complete */
    pass_time(f, 29 * SECOND);
    assert_int_equal(connections(f), 2);
    pass_time(f, 2 * SECOND);
    close(other);
    raw_calm(f, fd, "request head did not arrive in time");
}

static void ping(client *c)
{
    nghttp2_submit_ping(c->session, NGHTTP2_FLAG_NONE, NULL);
    h2_turn(c);
}

static void pings_that_come_too_often_are_too_many(void **state)
{
    (void)state;
    client *c = h2_serve(NULL);
    for (int i = 0; i < 4; i++) {
        ping(c);
        assert_int_equal(c->goaways, i == 3);
    }
    calm(c, "too_many_pings");
}

/* Five minutes apart while there is a call, two hours otherwise. */
static void pings_during_a_call_may_come_more_often(void **state)
{
    (void)state;
    client *c = h2_serve(NULL);
    h2_request(c, "GET", "/hold", NULL, 0);
    for (int i = 0; i < 6; i++) {
        ping(c);
        pass_time(c->f, 301 * SECOND);
    }
    assert_int_equal(c->goaways, 0);
    for (int i = 0; i < 3; i++) {
        ping(c);
        assert_int_equal(c->goaways, 0);
        pass_time(c->f, 299 * SECOND);
    }
    ping(c);
    assert_string_equal(c->goaway_text, "too_many_pings");
    sl_http_reply(c->f->held[0]);
    h2_end(c);
}

static void pings_between_replies_are_welcome(void **state)
{
    (void)state;
    client *c = h2_serve(NULL);
    for (int i = 0; i < 10; i++) {
        nghttp2_submit_ping(c->session, NGHTTP2_FLAG_NONE, NULL);
        assert_int_equal(simple(c), 200);
    }
    assert_int_equal(c->goaways, 0);
    h2_end(c);
}

static void headers_of_a_stream_that_is_over_end_the_connection(void **state)
{
    fixture *f = *state;
    int fd = raw_connect(f);
    for (int i = 0; i < 2; i++)
        raw_send(f, fd, NGHTTP2_HEADERS, WHOLE, 1, POST_HEAD, 6);
    receive(f, fd);
    assert_true(f->eof);
    assert_int_equal(f->n_calls, 1);
    close(fd);
}

static void an_error_of_the_connection_does_not_wait_for_its_calls(void **state)
{
    fixture *f = *state;
    client *c = h2_connect(f);
    hold(c);
    raw_send(f, c->fd, NGHTTP2_DATA, 0, 5, "x", 1);
    h2_turn(c);
    assert_int_equal(c->goaway_error, NGHTTP2_PROTOCOL_ERROR);
    assert_true(c->eof);
    assert_int_equal(f->n_cancelled, 1);
    sl_http_reply(f->held[0]);
    assert_int_equal(connections(f), 0);
    h2_close(c);
}

/* ---- clients that are slow, or do not read ---- */

static void a_body_that_trickles_is_refused_alone(void **state)
{
    client *c = h2_connect(*state);
    int id = h2_request_with(c, "POST", "/echo", "x", 1, true, NULL);
    h2_turn(c);
    for (int i = 0; i < 19; i++) {
        pass_time(c->f, SECOND);
        h2_more(c, id, "x", 1, false);
        assert_int_equal(h2_reply(c, id)->status, 0);
    }
    pass_time(c->f, 3 * SECOND);
    h2_turn(c);
    assert_int_equal(h2_reply(c, id)->status, 408);
    assert_int_equal(simple(c), 200);
    h2_close(c);
}

static void a_body_that_comes_fast_enough_is_waited_for(void **state)
{
    static char some[600];
    client *c = h2_connect(*state);
    int id = h2_request_with(c, "POST", "/echo", some, sizeof some, true, NULL);
    h2_turn(c);
    for (int i = 0; i < 12; i++) { /* 120 bytes a second */
        pass_time(c->f, 5 * SECOND);
        h2_more(c, id, some, sizeof some, i == 11);
    }
    assert_int_equal(h2_reply(c, id)->status, 200);
    assert_int_equal(h2_reply(c, id)->body.n, 13 * sizeof some);
    h2_close(c);
}

static void a_stream_that_its_handler_has_may_be_quiet(void **state)
{
    client *c = h2_connect(*state);
    int id = h2_request_with(c, "POST", "/stream", "one", 3, true, NULL);
    for (int i = 0; i < 6; i++) {
        h2_turn(c);
        pass_time(c->f, 11 * SECOND);
    }
    h2_more(c, id, "two", 3, true);
    assert_string_equal(text_of(&h2_reply(c, id)->body), "onetwo");
    h2_close(c);
}

static client *with_small_window(fixture *f)
{
    nghttp2_settings_entry e = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1000};
    client *c = h2_new(f, connect_client(f), &e, 1);
    nghttp2_session_set_user_data(c->session, c);
    h2_turn(c);
    return c;
}

/* A client that opens its windows only when the test says so. */
static client *no_updates(fixture *f, uint32_t window)
{
    nghttp2_settings_entry e = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window};
    nghttp2_option *o;
    nghttp2_option_new(&o);
    nghttp2_option_set_no_auto_window_update(o, 1);
    client *c = h2_new_with(f, connect_client(f), &e, 1, o);
    nghttp2_option_del(o);
    h2_turn(c);
    return c;
}

/* For as long as nobody takes what is sent, a stream is not given up; then it is. */
static void is_given_up(client *c, int id)
{
    pass_time(c->f, 11 * SECOND);
    h2_turn(c);
    assert_false(h2_reply(c, id)->closed);
    pass_time(c->f, 11 * SECOND);
    h2_turn(c);
    assert_true(h2_reply(c, id)->closed);
    assert_int_equal(h2_reply(c, id)->error, NGHTTP2_CANCEL);
}

static void a_client_that_never_opens_its_window_loses_the_stream(void **state)
{
    fixture *f = *state;
    client *c = no_updates(f, 1000);
    int id = h2_request(c, "GET", "/big?100000", NULL, 0);
    h2_turn(c);
    assert_int_equal(h2_reply(c, id)->body.n, 1000);
    is_given_up(c, id);
    assert_true(f->last_given_up);
    assert_int_equal(simple(c), 200);
    h2_close(c);
}

/* Its body has not come to its end, but nobody waits for that any more. */
static void an_early_answer_that_is_not_taken_is_given_up_in_time(void **state)
{
    static const char *const announced[] = {"content-length", "2000000000", NULL};
    fixture *f = *state;
    client *c = no_updates(f, 5);
    int id = h2_request_with(c, "POST", "/echo", "x", 1, true, announced);
    h2_turn(c);
    assert_int_equal(h2_reply(c, id)->status, 413);
    assert_int_equal(h2_reply(c, id)->body.n, 5);
    is_given_up(c, id);
    assert_int_equal(f->n_errors, 1);
    h2_close(c);
}

/* What is on its way is not reset: it has been, by the client. */
static void frames_of_a_reset_stream_go_on_to_wait_for_a_slow_client(void **state)
{
    fixture *f = *state;
    int small = 1;
    client *c = h2_connect_wide(f, 1 << 24, 1 << 16);
    setsockopt(f->server->shards[0].conns->io.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    c->deaf = true;
    h2_request(c, "GET", "/big?60000", NULL, 0);
    int id = h2_request(c, "GET", "/big?60000", NULL, 0);
    h2_send_at_once(c);
    h2_turn(c);
    cancel(c, id);
    assert_int_equal(f->n_calls, 2);
    assert_int_equal(f->n_done, 0); /* there are frames of it */
    for (int i = 0; i < 3; i++) {
        pass_time(f, 11 * SECOND);
        raw_read(f, c->fd, 10000);
    }
    assert_int_equal(f->n_done, 0);
    assert_int_equal(connections(f), 1);
    for (int i = 0; i < 200; i++) {
        receive(f, c->fd);
        turn(f);
    }
    assert_int_equal(f->n_done, 2);
    assert_int_equal(connections(f), 1);
    h2_close(c);
}

static void a_client_with_a_small_window_gets_everything(void **state)
{
    client *c = with_small_window(*state);
    int id = h2_request(c, "GET", "/big?100000", NULL, 0);
    h2_turn(c);
    assert_int_equal(h2_reply(c, id)->body.n, 100000);
    assert_true(h2_reply(c, id)->closed);
    h2_close(c);
}

static void a_client_that_does_not_read_is_cut_off(void **state)
{
    fixture *f = *state;
    client *c = h2_connect_wide(f, 1 << 30, 16384);
    h2_request(c, "GET", "/big?20000000", NULL, 0);
    c->deaf = true;
    h2_turn(c);
    assert_int_equal(f->n_calls, 1);
    pass_time(f, 11 * SECOND);
    assert_int_equal(connections(f), 1);
    pass_time(f, 11 * SECOND);
    assert_int_equal(connections(f), 0);
    assert_true(f->last_given_up);
    h2_close(c);
}

static void little_unsent(sl_http_options *o)
{
    o->limits.max_unsent = 50000;
}

static void requests_wait_while_replies_are_not_taken(void **state)
{
    (void)state;
    fixture *f = h2_fixture(little_unsent);
    client *c = no_updates(f, 1000);
    int ids[5];
    for (int i = 0; i < 5; i++)
        ids[i] = h2_request(c, "GET", "/big?40000", NULL, 0);
    h2_turn(c);
    assert_int_equal(f->n_calls, 2);
    nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, ids[2], NGHTTP2_CANCEL); /* it waits */
    h2_turn(c);
    assert_int_equal(f->n_calls, 2);
    nghttp2_submit_window_update(c->session, NGHTTP2_FLAG_NONE, ids[0], 60000);
    nghttp2_submit_window_update(c->session, NGHTTP2_FLAG_NONE, 0, 60000);
    h2_turn(c);
    assert_int_equal(f->n_calls, 3); /* and there is no room for the fifth */
    assert_true(h2_reply(c, ids[0])->closed);
    h2_close(c);
    assert_int_equal(connections(f), 0);
    fx_free(f);
}

/* /stream sends back what it gets: to one who does not read, not more than so much. */
static void what_a_client_does_not_read_it_cannot_go_on_to_send(void **state)
{
    fixture *f = *state;
    static char body[20 << 20];
    client *c = no_updates(f, 1000);
    int id = h2_request(c, "POST", "/stream", body, sizeof body);
    h2_turn(c);
    assert_true(h2_reply(c, id)->send_n > sizeof body - (5 << 20));
    assert_true(f->unsent < 5 << 20);
    nghttp2_submit_window_update(c->session, NGHTTP2_FLAG_NONE, id, 1 << 30);
    nghttp2_submit_window_update(c->session, NGHTTP2_FLAG_NONE, 0, 1 << 30);
    h2_turn(c);
    assert_int_equal(h2_reply(c, id)->body.n, sizeof body);
    assert_true(h2_reply(c, id)->closed);
    h2_close(c);
}

/* ---- the end ---- */

static void a_drain_lets_calls_finish_and_takes_those_on_their_way(void **state)
{
    fixture *f = *state;
    client *c = h2_connect(f), *idle = h2_connect(f);
    int id = hold(c);
    sl_http_drain(f->server, fx_drained, f);
    int late = h2_request(c, "GET", "/late", NULL, 0); /* before it can know */
    h2_turn(c);
    assert_int_equal(h2_reply(c, late)->status, 200);
    assert_int_equal(c->goaways, 2);
    assert_int_equal(c->last_stream, late);
    assert_false(c->eof);
    h2_turn(idle); /* nghttp2 does not answer the PING: it would close now */
    assert_int_equal(idle->goaways, 1);
    pass_time(f, 2 * SECOND);
    h2_turn(idle);
    assert_true(idle->eof);
    assert_int_equal(idle->goaway_error, 0);
    sl_http_reply(f->held[0]);
    h2_turn(c);
    assert_int_equal(h2_reply(c, id)->status, 200);
    assert_true(c->eof);
    assert_false(f->drained); /* it lingers until the client has closed, too */
    h2_close(idle);
    h2_close(c);
    assert_true(f->drained);
}

static void a_client_that_does_not_answer_cannot_hold_up_the_drain(void **state)
{
    fixture *f = *state;
    client *c = h2_connect(f);
    c->deaf = true;
    sl_http_drain(f->server, fx_drained, f);
    turn(f);
    pass_time(f, 2 * SECOND);
    pass_time(f, 6 * SECOND);
    assert_true(f->drained);
    h2_close(c);
}

static void an_idle_connection_is_closed_in_the_end(void **state)
{
    fixture *f = *state;
    client *c = h2_connect(f);
    pass_time(f, 599 * SECOND);
    assert_int_equal(simple(c), 200);
    pass_time(f, 599 * SECOND);
    h2_turn(c);
    assert_int_equal(c->goaways, 0);
    pass_time(f, 2 * SECOND);
    pass_time(f, 2 * SECOND);
    h2_turn(c);
    assert_int_equal(c->goaway_error, 0);
    assert_true(c->eof);
    h2_close(c);
}

static void keepalive(sl_http_options *o)
{
    o->h2.keepalive_time_ms = 10000;
    o->h2.keepalive_timeout_ms = 5000;
}

static void a_silent_client_with_a_call_is_asked_whether_it_lives(void **state)
{
    (void)state;
    client *c = h2_serve(keepalive);
    fixture *f = c->f;
    pass_time(f, 11 * SECOND);
    h2_turn(c);
    assert_int_equal(c->pings, 0); /* no call */
    hold(c);
    pass_time(f, 11 * SECOND);
    h2_turn(c);
    assert_int_equal(c->pings, 1);
    pass_time(f, 9 * SECOND);
    h2_turn(c);
    assert_int_equal(connections(f), 1); /* it answered */
    c->deaf = true;
    pass_time(f, 2 * SECOND);
    pass_time(f, 6 * SECOND);
    assert_int_equal(f->n_cancelled, 1);
    sl_http_reply(f->held[0]);
    assert_int_equal(connections(f), 0);
    h2_end(c);
}

static void aged(sl_http_options *o)
{
    o->h2.max_connection_age_ms = 20000;
    o->h2.max_connection_age_grace_ms = 5000;
}

static void a_connection_that_is_old_ends_and_grace_has_its_end(void **state)
{
    (void)state;
    fixture *f = h2_fixture(aged);
    client *c = h2_connect(f), *idle = h2_connect(f);
    hold(c);
    pass_time(f, 17 * SECOND);
    h2_turn(c);
    assert_int_equal(c->goaways, 0);
    pass_time(f, 6 * SECOND);
    h2_turn(c);
    assert_int_equal(c->goaways, 2);
    pass_time(f, 2 * SECOND);
    h2_turn(idle);
    assert_true(idle->eof);
    assert_false(c->eof);
    pass_time(f, 6 * SECOND);
    assert_int_equal(f->n_cancelled, 1);
    sl_http_reply(f->held[0]);
    h2_close(c);
    h2_close(idle);
    assert_int_equal(connections(f), 0);
    fx_free(f);
}

static void idle_limit(sl_http_options *o)
{
    o->h2.max_connection_idle_ms = 3000;
}

static void a_connection_without_calls_ends_when_that_is_asked_for(void **state)
{
    (void)state;
    client *c = h2_serve(idle_limit);
    fixture *f = c->f;
    hold(c);
    pass_time(f, 5 * SECOND);
    h2_turn(c);
    assert_int_equal(c->goaways, 0);
    sl_http_reply(f->held[0]);
    h2_turn(c);
    pass_time(f, 4 * SECOND);
    pass_time(f, 2 * SECOND);
    h2_turn(c);
    assert_int_equal(c->goaways, 2);
    assert_true(c->eof);
    h2_end(c);
}

/* ---- memory ---- */

static void an_idle_connection_costs_less_than_20_kb(void **state)
{
    enum { N = 400 };
    fixture *f = *state;
    struct rlimit r = {4096, 4096};
    setrlimit(RLIMIT_NOFILE, &r);
    int fds[N];
    for (int i = 0; i < 10; i++) /* pools */
        close(raw_connect(f));
    turn(f);
    malloc_trim(0);
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < N; i++) {
        fds[i] = raw_connect(f);
        raw_send(f, fds[i], NGHTTP2_HEADERS, WHOLE, 1, POST_HEAD, 6);
        receive(f, fds[i]);
    }
    assert_int_equal(f->n_calls, N);
    size_t each = (mallinfo2().uordblks - before) / N;
    print_message("%zu bytes an idle connection\n", each);
    /* 16 KB are nghttp2's frame buffer, of which only the pages that were written are ever there.
     * (A sanitizer's allocator says 0.) */
    assert_true(each < (16 << 10) + 12000);
    for (int i = 0; i < N; i++)
        close(fds[i]);
    turn(f);
}

static void whatever_allocation_fails_nothing_is_lost(void **state)
{
    char body[9000];
    (void)state;
    memset(body, 'b', sizeof body);
    for (int nth = 1, done = 0; !done; nth++) {
        fixture *f = h2_fixture(NULL);
        sl_fault_arm(SL_FAULT_ALLOC, nth);
        client *c = h2_connect(f);
        h2_request(c, "POST", "/echo", body, sizeof body);
        h2_request(c, "POST", "/trailers", "x", 1);
        h2_request(c, "POST", "/stream", body, 5000);
        h2_request(c, "GET", "/big?70000", NULL, 0);
        h2_request(c, "GET", "/hold", NULL, 0);
        h2_turn(c);
        done = sl_fault_count(SL_FAULT_ALLOC) < nth;
        sl_fault_arm(SL_FAULT_ALLOC, 0);
        h2_leave(c);
        assert_int_equal(atomic_load(&f->server->budget.used), 0);
        fx_free(f);
        assert_true(nth < 1000);
    }
}

static void whatever_read_or_write_fails_nothing_is_lost(void **state)
{
    char body[90000];
    (void)state;
    memset(body, 'b', sizeof body);
    for (int kind = SL_FAULT_READ; kind <= SL_FAULT_WRITE; kind++)
        for (int nth = 1, done = 0; !done; nth++) {
            fixture *f = h2_fixture(NULL);
            sl_fault_arm((sl_fault)kind, nth);
            client *c = h2_connect(f);
            h2_request(c, "POST", "/echo", body, sizeof body);
            h2_request(c, "GET", "/hold", NULL, 0);
            h2_turn(c);
            done = sl_fault_count((sl_fault)kind) < nth;
            sl_fault_arm((sl_fault)kind, 0);
            h2_leave(c);
            fx_free(f);
            assert_true(nth < 1000);
        }
}

int main(void)
{
#define T(t) cmocka_unit_test_setup_teardown(t, fx_set_up, fx_tear_down)
#define OWN(t) cmocka_unit_test(t)
    const struct CMUnitTest tests[] = {
        OWN(a_head_that_is_too_large_is_a_431_and_the_connection_goes_on),
        OWN(more_fields_than_allowed_are_a_431),
        OWN(a_body_over_the_limit_is_a_413_announced_or_not),
        T(a_body_that_is_not_of_its_length_is_reset),
        T(a_reply_with_an_impossible_head_is_a_500),
        OWN(a_client_that_keeps_resetting_streams_is_told_to_calm_down),
        OWN(resets_that_time_or_answers_account_for_are_no_flood),
        OWN(a_reset_call_counts_as_a_stream_while_its_handler_has_it),
        OWN(frames_that_ask_for_nothing_are_counted),
        OWN(empty_data_frames_are_counted),
        OWN(a_client_that_never_acknowledges_our_settings_is_bounded_all_the_same),
        OWN(a_client_that_goes_on_when_its_streams_are_refused_is_told_to_calm_down),
        OWN(a_header_block_without_end_is_cut_off),
        OWN(a_header_list_that_unpacks_to_megabytes_is_cut_off),
        OWN(that_of_a_stream_that_is_refused_is_cut_off_as_well),
        OWN(a_head_that_does_not_come_to_its_end_is_given_up),
        OWN(pings_that_come_too_often_are_too_many),
        OWN(pings_during_a_call_may_come_more_often),
        OWN(pings_between_replies_are_welcome),
        T(headers_of_a_stream_that_is_over_end_the_connection),
        T(an_error_of_the_connection_does_not_wait_for_its_calls),
        T(a_body_that_trickles_is_refused_alone),
        T(a_body_that_comes_fast_enough_is_waited_for),
        T(a_stream_that_its_handler_has_may_be_quiet),
        T(an_early_answer_that_is_not_taken_is_given_up_in_time),
        T(frames_of_a_reset_stream_go_on_to_wait_for_a_slow_client),
        T(a_client_that_never_opens_its_window_loses_the_stream),
        T(a_client_with_a_small_window_gets_everything),
        T(a_client_that_does_not_read_is_cut_off),
        OWN(requests_wait_while_replies_are_not_taken),
        T(what_a_client_does_not_read_it_cannot_go_on_to_send),
        T(a_drain_lets_calls_finish_and_takes_those_on_their_way),
        T(a_client_that_does_not_answer_cannot_hold_up_the_drain),
        T(an_idle_connection_is_closed_in_the_end),
        OWN(a_silent_client_with_a_call_is_asked_whether_it_lives),
        OWN(a_connection_that_is_old_ends_and_grace_has_its_end),
        OWN(a_connection_without_calls_ends_when_that_is_asked_for),
        T(an_idle_connection_costs_less_than_20_kb),
        OWN(whatever_allocation_fails_nothing_is_lost),
        OWN(whatever_read_or_write_fails_nothing_is_lost),
    };
#undef T
#undef OWN
    return cmocka_run_group_tests(tests, NULL, NULL);
}
