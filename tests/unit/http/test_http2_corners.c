/* test_http2_corners.c - HTTP/2: rules at their edges, ends that come at the wrong time, no memory */
#include "unit/http/h2_client.h"

#include "support/calls.h"

/* ---- rules ---- */

static void no_bounds(sl_http_options *o)
{
    o->limits.max_resets = o->limits.max_useless = 0;
    o->limits.max_head = (size_t)UINT32_MAX * 2;
    o->limits.max_unsent = 0;
    o->h2.max_ping_strikes = 0;
}

static void a_bound_of_zero_is_none(void **state)
{
    (void)state;
    client *c = h2_serve(no_bounds);
    assert_int_equal(
        nghttp2_session_get_remote_settings(c->session, NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE),
        UINT32_MAX);
    for (int i = 0; i < 50; i++) {
        nghttp2_submit_ping(c->session, NGHTTP2_FLAG_NONE, NULL);
        int id = h2_request_with(c, "POST", "/echo", "x", 1, true, NULL);
        h2_turn(c);
        nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
        h2_turn(c);
    }
    int big = h2_request(c, "GET", "/big?3000000", NULL, 0);
    assert_int_equal(simple(c), 200);
    assert_int_equal(h2_reply(c, big)->body.n, 3000000);
    assert_int_equal(c->goaways, 0);
    h2_end(c);
}

static void without_calls(sl_http_options *o)
{
    o->h2.permit_without_calls = true;
    o->h2.keepalive_time_ms = 400000;
    o->limits.idle_timeout_ns = 100000 * SECOND;
}

static void pings_without_calls_may_be_permitted_both_ways(void **state)
{
    (void)state;
    client *c = h2_serve(without_calls);
    fixture *f = c->f;
    for (int i = 0; i < 6; i++) { /* as far apart as is asked for */
        nghttp2_submit_ping(c->session, NGHTTP2_FLAG_NONE, NULL);
        h2_turn(c);
        pass_time(f, 301 * SECOND);
    }
    assert_int_equal(c->pings, 0);
    pass_time(f, 100 * SECOND);
    h2_turn(c);
    assert_int_equal(c->pings, 1); /* ours */
    assert_int_equal(c->goaways, 0);
    assert_int_equal(simple(c), 200);
    c->deaf = true;
    pass_time(f, 401 * SECOND);
    pass_time(f, 21 * SECOND);
    assert_int_equal(connections(f), 0);
    h2_end(c);
}

static void no_patience(sl_http_options *o)
{
    o->h2.keepalive_time_ms = 500;
    o->h2.keepalive_timeout_ms = 0;
}

static void a_ping_may_have_to_be_answered_at_once(void **state)
{
    (void)state;
    client *c = h2_serve(no_patience);
    fixture *f = c->f;
    h2_request(c, "GET", "/hold", NULL, 0);
    h2_turn(c);
    sl_http_drain(f->server, fx_drained, f);
    turn(f);
    c->deaf = true;
    pass_time(f, 600000000); /* the PING's time, not yet that of the second GOAWAY */
    assert_int_equal(f->n_cancelled, 0);
    pass_time(f, 20000000);
    assert_int_equal(f->n_cancelled, 1);
    sl_http_reply(f->held[0]);
    assert_true(f->drained);
    h2_end(c);
}

static void an_answer_to_the_last_ping_may_come_too_late(void **state)
{
    fixture *f = *state;
    client *c = h2_connect(f);
    int id = h2_request(c, "GET", "/hold", NULL, 0);
    h2_turn(c);
    c->deaf = true;
    sl_http_drain(f->server, fx_drained, f);
    pass_time(f, 2 * SECOND); /* the second GOAWAY did not wait for it */
    c->deaf = false;
    h2_turn(c);
    assert_int_equal(c->goaways, 2);
    sl_http_reply(f->held[0]);
    h2_turn(c);
    assert_int_equal(h2_reply(c, id)->status, 200);
    assert_int_equal(c->goaways, 2);
    h2_close(c);
}

static void one_stream(sl_http_options *o)
{
    o->limits.max_streams = 1;
}

static void what_comes_for_a_stream_that_we_refused_may_have_been_on_its_way(void **state)
{
    (void)state;
    for (int at_once = 0; at_once < 2; at_once++) {
        fixture *f = h2_fixture(one_stream);
        int fd = connect_client(f);
        raw_begin(fd, 0);
        raw_post(fd, 1, OPEN);
        raw_post(fd, 3, OPEN);
        if (!at_once)
            turn(f);
        raw_frame(fd, NGHTTP2_DATA, 0, 3, "abc", 3);
        raw_frame(fd, NGHTTP2_HEADERS, WHOLE, 3, "\0\1a\1b", 5); /* trailers */
        raw_frame(fd, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, "abc", 3);
        turn(f);
        receive(f, fd);
        assert_false(f->eof);
        assert_int_equal(f->n_calls, 1);
        assert_int_equal(f->last_body, 3);
        assert_non_null(memmem(f->text, f->text_n, "POST /", 6));
        close(fd);
        fx_free(f);
    }
}

/* RST_STREAM is no answer that nghttp2 bounds. */
static void refusals_that_are_not_read_have_an_end(void **state)
{
    (void)state;
    fixture *f = h2_fixture(one_stream);
    int fd = connect_client(f), small = 1;
    f->server->opts.limits.max_resets = f->server->opts.limits.max_useless = 0;
    raw_begin(fd, 0);
    turn(f);
    setsockopt(f->server->shards[0].conns->io.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    raw_post(fd, 1, OPEN);
    uint32_t id = 3;
    for (; id < 60000 && connections(f) == 1; id += 2) {
        raw_post(fd, id, WHOLE);
        if (id % 100 == 1)
            turn(f);
    }
    assert_in_range(id, 40000, 50000);
    close(fd);
    fx_free(f);
}

/* ---- ends ---- */

static void a_request_that_begins_when_the_drain_does_is_served(void **state)
{
    fixture *f = *state;
    int fd = connect_client(f);
    send_text(f, fd, "PRI");
    sl_http_drain(f->server, fx_drained, f);
    turn(f);
    raw_begin(fd, 3);
    raw_post(fd, 1, WHOLE);
    turn(f);
    receive(f, fd);
    assert_int_equal(f->n_calls, 1);
    assert_non_null(memmem(f->text, f->text_n, "POST /", 6));
    pass_time(f, 2 * SECOND);
    assert_true(f->n_done == 1);
    close(fd);
    turn(f);
    assert_true(f->drained);
}

static void who_begins_in_a_drain_and_is_gone_holds_up_nothing(void **state)
{
    fixture *f = *state;
    int fd = connect_client(f);
    send_text(f, fd, "PRI");
    sl_http_drain(f->server, fx_drained, f);
    turn(f);
    assert_false(f->drained);
    raw_begin(fd, 3);
    close(fd);
    turn(f);
    assert_true(f->drained);
}

static void old_soon(sl_http_options *o)
{
    o->h2.max_connection_age_ms = 20000;
}

static void a_drain_changes_nothing_for_who_ends_already(void **state)
{
    (void)state;
    fixture *f = h2_fixture(old_soon);
    client *c = h2_connect(f), *gone = h2_connect(f);
    h2_request(gone, "GET", "/hold", NULL, 0);
    int id = h2_request(c, "GET", "/hold", NULL, 0);
    h2_turn(gone);
    h2_turn(c);
    close(gone->fd);
    gone->fd = -1;
    turn(f);
    assert_int_equal(f->n_cancelled, 1);
    pass_time(f, 23 * SECOND);
    h2_turn(c);
    assert_int_equal(c->goaways, 2);
    sl_http_drain(f->server, fx_drained, f);
    h2_turn(c);
    assert_int_equal(c->goaways, 2);
    sl_http_reply(f->held[0]);
    sl_http_reply(f->held[1]);
    h2_turn(c);
    assert_int_equal(h2_reply(c, id)->status, 200);
    h2_close(gone);
    h2_close(c);
    assert_true(f->drained);
    fx_free(f);
}

static void requests_that_are_not_complete_go_with_the_server(void **state)
{
    (void)state;
    sl_http_limits l;
    sl_budget own = {0};
    sl_http_limits_default(&l);
    fixture *f = fx_new(&l);
    f->server->shared = &own;
    client *c = h2_connect(f);
    char body[20000] = {0};
    h2_request_with(c, "POST", "/echo", body, sizeof body, true, NULL);
    h2_turn(c);
    assert_true(atomic_load(&own.used) > 20000);
    fx_free(f);
    assert_int_equal(atomic_load(&own.used), 0);
    close(c->fd);
    nghttp2_session_del(c->session);
    free(c);
}

static void who_reads_slowly_but_enough_is_not_cut_off(void **state)
{
    fixture *f = *state;
    client *c = h2_connect_wide(f, 1 << 30, 16384);
    h2_request(c, "GET", "/big?20000000", NULL, 0);
    c->deaf = true;
    h2_turn(c);
    for (int i = 0; i < 6; i++) {
        pass_time(f, 11 * SECOND);
        raw_read(f, c->fd, 400000);
    }
    assert_int_equal(connections(f), 1);
    close(c->fd);
    c->fd = -1;
    turn(f);
    assert_int_equal(connections(f), 0);
    h2_close(c);
}

/* ---- streams ---- */

static void only_so_many_streams_are_kept(void **state)
{
    enum { MANY = 300 };
    fixture *f = *state;
    sl_shard *s = &f->server->shards[0];
    int fd = connect_client(f);
    raw_begin(fd, 0);
    for (uint32_t i = 0; i < MANY; i++) {
        raw_post(fd, 2 * i + 1, OPEN);
        turn(f);
    }
    assert_int_equal(s->conns->h2->n_streams, MANY);
    close(fd);
    turn(f);
    assert_int_equal(s->n_streams, SL_H2_POOLED);
    assert_int_equal(f->n_calls, 0);
}

static void hold_without_a_word(fixture *f, sl_http_call *call)
{
    f->held[f->n_held++] = call;
}

/* A handler that asks for nothing: neither when the client leaves nor what became of its reply. */
static void what_is_sent_to_who_has_left_is_dropped(void **state)
{
    fixture *f = *state;
    client *c = h2_connect(f);
    f->own = hold_without_a_word;
    f->server->opts.on_done = NULL;
    int id = h2_request(c, "GET", "/own", NULL, 0);
    h2_turn(c);
    sl_chain_puts(&f->held[0]->reply, "one");
    sl_http_send(f->held[0]);
    h2_turn(c);
    assert_string_equal(text_of(&h2_reply(c, id)->body), "one");
    nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    h2_turn(c);
    assert_true(atomic_load(&f->held[0]->cancelled));
    sl_chain_puts(&f->held[0]->reply, "two");
    sl_http_send(f->held[0]);
    assert_int_equal(f->held[0]->reply.size, 0);
    assert_int_equal(sl_http_unsent(f->held[0]), 0);
    sl_http_reply(f->held[0]);
    assert_int_equal(simple(c), 200);
    assert_int_equal(f->n_done, 0);
    h2_close(c);
}

static size_t got;

static void take_and_pause(sl_http_call *call, sl_str data, bool end)
{
    got += data.n;
    if (end)
        sl_http_reply(call);
    else
        sl_http_pause(call, true);
}

static void is_paused(fixture *f, sl_http_call *call)
{
    call->on_data = take_and_pause;
    f->held[0] = call;
}

static void a_handler_that_pauses_gets_no_more_than_a_window(void **state)
{
    static char body[10 << 20];
    fixture *f = *state;
    client *c = h2_connect(f);
    f->peek = is_paused;
    got = 0;
    int id = h2_request(c, "POST", "/any", body, sizeof body);
    h2_turn(c);
    assert_int_equal(got, 4 << 20);
    for (int i = 0; i < 2; i++) { /* each time a window more */
        sl_http_pause(f->held[0], false);
        h2_turn(c);
    }
    assert_int_equal(got, sizeof body);
    assert_int_equal(h2_reply(c, id)->status, 200);
    assert_true(h2_reply(c, id)->closed);
    h2_close(c);
}

static void hold_open(sl_http_call *call, void *arg)
{
    ((fixture *)arg)->held[0] = call;
}

static void who_has_left_gets_no_new_window(void **state)
{
    fixture *f = *state;
    client *c = h2_connect(f);
    f->peek = is_paused;
    got = 0;
    int id = h2_request_with(c, "POST", "/any", "0123456789", 10, true, NULL);
    f->server->opts.on_call = hold_open;
    h2_turn(c);
    assert_int_equal(got, 10);
    nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    h2_turn(c);
    assert_true(atomic_load(&f->held[0]->cancelled));
    sl_http_pause(f->held[0], false);
    sl_http_reply(f->held[0]);
    f->peek = NULL;
    f->server->opts.on_call = fx_call;
    assert_int_equal(simple(c), 200);
    h2_close(c);
}

static void an_answer_to_a_ping_that_was_not_sent_means_nothing(void **state)
{
    fixture *f = *state;
    int fd = connect_client(f);
    raw_begin(fd, 0);
    raw_frame(fd, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, "goaway\0", 8);
    raw_frame(fd, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, "alive?\0", 8);
    raw_post(fd, 1, WHOLE);
    turn(f);
    receive(f, fd);
    assert_false(f->eof);
    assert_int_equal(f->n_calls, 1);
    assert_false(f->server->shards[0].conns->h2->ending);
    close(fd);
}

/* ---- no memory ---- */

static void without_the_library_there_is_no_connection(void **state)
{
    static const char *const names[] = {"nghttp2_session_callbacks_new", "nghttp2_option_new"};
    fixture *f = *state;
    for (size_t i = 0; i < SL_COUNTOF(names); i++) {
        int fd = connect_client(f);
        fail_call(names[i], 1, NGHTTP2_ERR_NOMEM);
        raw_begin(fd, 0);
        turn(f);
        assert_int_equal(calls_counted(), 1);
        fail_call(NULL, 0, 0);
        assert_int_equal(connections(f), 0);
        close(fd);
    }
}

static void without_the_library_a_connection_ends(void **state)
{
    fixture *f = *state;
    int fd = connect_client(f);
    raw_begin(fd, 0);
    turn(f);
    raw_post(fd, 1, WHOLE);
    fail_call("nghttp2_session_mem_send", 1, NGHTTP2_ERR_NOMEM);
    turn(f);
    fail_call(NULL, 0, 0);
    assert_int_equal(f->n_calls, 1);
    assert_true(f->last_given_up);
    assert_int_equal(connections(f), 0);
    close(fd);
}

/* Not even the reserve: another connection has it. */
static void without_memory_and_reserve_no_session_begins(void **state)
{
    fixture *f = *state;
    client *c = h2_connect(f);
    nghttp2_mem m = sl_h2_mem(f->server->shards[0].conns->h2);
    sl_fault_arm_from(SL_FAULT_ALLOC, 1);
    void *all = m.malloc(128 * 1024 - 16, m.mem_user_data);
    assert_non_null(all);
    sl_fault_arm(SL_FAULT_ALLOC, 0);
    for (int nth = 1, hit = 1; hit; nth++) {
        int fd = connect_client(f);
        raw_begin(fd, 0);
        sl_fault_arm_from(SL_FAULT_ALLOC, nth);
        turn(f);
        hit = sl_fault_count(SL_FAULT_ALLOC) >= nth;
        sl_fault_arm(SL_FAULT_ALLOC, 0);
        assert_int_equal(connections(f), hit ? 1 : 2);
        close(fd);
        turn(f);
        assert_true(nth < 100);
    }
    m.free(all, m.mem_user_data);
    h2_close(c);
    assert_int_equal(connections(f), 0);
}

/* Memory that has run out and stays so, while all that a client sent is there at once. */
static void when_memory_stays_away_the_connection_ends_and_the_next_is_served(void **state)
{
    fixture *f = *state;
    char body[9000];
    memset(body, 'b', sizeof body);
    for (int nth = 1, hit = 1; hit; nth++) {
        client *c = h2_new(f, connect_client(f), NULL, 0);
        h2_request(c, "POST", "/echo", body, sizeof body);
        h2_request(c, "POST", "/trailers", "x", 1);
        h2_request(c, "POST", "/stream", body, 5000);
        h2_request(c, "GET", "/big?70000", NULL, 0);
        h2_request(c, "GET", "/hold", NULL, 0);
        h2_send_at_once(c);
        f->n_held = 0;
        sl_fault_arm_from(SL_FAULT_ALLOC, nth);
        turn(f);
        receive(f, c->fd);
        hit = sl_fault_count(SL_FAULT_ALLOC) >= nth;
        sl_fault_arm(SL_FAULT_ALLOC, 0);
        h2_leave(c);
        assert_int_equal(atomic_load(&f->server->budget.used), 0);
        c = h2_connect(f);
        assert_int_equal(simple(c), 200);
        h2_close(c);
        assert_true(nth < 1000);
    }
    assert_int_equal(f->n_done, f->n_calls + f->n_done_without_call);
}

int main(void)
{
#define T(t) cmocka_unit_test_setup_teardown(t, fx_set_up, fx_tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bound_of_zero_is_none),
        cmocka_unit_test(pings_without_calls_may_be_permitted_both_ways),
        cmocka_unit_test(a_ping_may_have_to_be_answered_at_once),
        T(an_answer_to_the_last_ping_may_come_too_late),
        cmocka_unit_test(what_comes_for_a_stream_that_we_refused_may_have_been_on_its_way),
        cmocka_unit_test(refusals_that_are_not_read_have_an_end),
        T(a_request_that_begins_when_the_drain_does_is_served),
        T(who_begins_in_a_drain_and_is_gone_holds_up_nothing),
        cmocka_unit_test(a_drain_changes_nothing_for_who_ends_already),
        cmocka_unit_test(requests_that_are_not_complete_go_with_the_server),
        T(who_reads_slowly_but_enough_is_not_cut_off),
        T(without_the_library_there_is_no_connection),
        T(without_the_library_a_connection_ends),
        T(without_memory_and_reserve_no_session_begins),
        T(only_so_many_streams_are_kept),
        T(what_is_sent_to_who_has_left_is_dropped),
        T(a_handler_that_pauses_gets_no_more_than_a_window),
        T(who_has_left_gets_no_new_window),
        T(an_answer_to_a_ping_that_was_not_sent_means_nothing),
        T(when_memory_stays_away_the_connection_ends_and_the_next_is_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
