/* test_conn_proxy.c - who may connect, and for whom a proxy says that it does */
#include "unit/http/fixture.h"

#include "support/calls.h"

#define HEADER "PROXY TCP4 192.0.2.9 198.51.100.1 4711 80\r\n"
#define GET "GET /hold HTTP/1.1\r\n\r\n"

static int connects, disconnects;
static char last_peer[64];
static const char *refused; /* the peer that may not */

static bool believed;

static bool is_proxy(sl_str peer, void *arg)
{
    (void)peer, (void)arg;
    return believed;
}

static bool on_connect(sl_str peer, int listener, void **held, void *arg)
{
    (void)listener;
    connects++;
    *held = arg;
    snprintf(last_peer, sizeof last_peer, "%.*s", SL_STR_ARG(peer));
    return refused == NULL || !sl_str_is(peer, refused);
}

static void on_disconnect(void *held, void *arg)
{
    disconnects += held == arg;
}

static int set_up(void **state)
{
    fx_set_up(state);
    fixture *f = *state;
    f->server->opts.is_proxy = is_proxy;
    f->server->opts.on_connect = on_connect;
    f->server->opts.on_disconnect = on_disconnect;
    connects = disconnects = 0;
    refused = NULL;
    believed = true;
    return 0;
}

static int tear_down(void **state)
{
    fail_call(NULL, 0, 0);
    return fx_tear_down(state);
}

static void who_is_not_believed_speaks_for_itself_alone(void **state)
{
    fixture *f = *state;
    believed = false;
    int fd = connect_client(f);
    assert_true(begins(exchange_text(f, fd, "GET /a HTTP/1.1\r\n\r\n"), "HTTP/1.1 200 "));
    assert_string_equal(last_peer, "unix");
    assert_true(begins(exchange_text(f, fd, HEADER GET), "HTTP/1.1 400 "));
    assert_string_equal(last_peer, "unix");
    close(fd);
}

static bool is_closed(fixture *f, int fd)
{
    receive(f, fd);
    return f->eof;
}

/* Answers what is held and says that it came from the header's client. */
static void is_served(fixture *f, int fd, const char *peer)
{
    assert_int_equal(f->n_held, 1);
    assert_true(sl_str_is(f->held[0]->peer, peer));
    sl_http_reply(f->held[0]);
    f->n_held = 0;
    assert_non_null(strstr(receive(f, fd), "HTTP/1.1 200 OK"));
}

static void a_proxy_names_its_client_in_however_many_pieces(void **state)
{
    static const size_t steps[] = {1, 7, 1000};
    fixture *f = *state;
    for (size_t i = 0; i < SL_COUNTOF(steps); i++) {
        static const char text[] = HEADER GET;
        int fd = connect_client(f);
        for (size_t at = 0; at < sizeof text - 1; at += steps[i])
            send_bytes(f, fd, text + at, SL_MIN(steps[i], sizeof text - 1 - at));
        is_served(f, fd, "192.0.2.9:4711");
        close(fd);
        turn(f);
        assert_int_equal(connects, 2 * (i + 1)); /* the proxy, and its client */
        assert_int_equal(disconnects, 2 * (i + 1));
    }
}

static void a_proxy_without_a_header_is_a_client_itself(void **state)
{
    fixture *f = *state;
    int fd = connect_client(f);
    send_text(f, fd, GET);
    is_served(f, fd, "unix");
    assert_int_equal(connects, 1);
    close(fd);
}

static void who_may_not_connect_is_closed(void **state)
{
    fixture *f = *state;
    refused = "unix";
    int fd = connect_client(f);
    assert_true(is_closed(f, fd));
    close(fd);
    refused = "192.0.2.9:4711";
    fd = connect_client(f);
    send_text(f, fd, HEADER GET);
    assert_true(is_closed(f, fd));
    assert_string_equal(last_peer, refused);
    close(fd);
    assert_int_equal(f->n_calls, 0);
    assert_int_equal(connects, 3);
    assert_int_equal(disconnects, 3);
    f->server->opts.on_disconnect = NULL; /* optional */
    fd = connect_client(f);
    send_text(f, fd, HEADER GET);
    assert_true(is_closed(f, fd));
    close(fd);
    assert_int_equal(connections(f), 0);
}

static void a_header_that_is_none_or_does_not_come_closes(void **state)
{
    fixture *f = *state;
    int bad = connect_client(f), gone = connect_client(f), mute = connect_client(f);
    send_text(f, bad, "PROXY rubbish\r\n");
    assert_true(is_closed(f, bad));
    send_text(f, gone, "PROXY");
    shutdown(gone, SHUT_WR);
    turn(f);
    assert_int_equal(connections(f), 2); /* what was there is still looked at */
    send_text(f, mute, "PRO");
    pass_time(f, 29 * SECOND);
    assert_int_equal(connections(f), 2);
    pass_time(f, 2 * SECOND);
    assert_true(is_closed(f, mute));
    assert_int_equal(connections(f), 0);
    int other = connect_client(f);
    shutdown(other, SHUT_WR); /* without a byte */
    turn(f);
    assert_int_equal(connections(f), 0);
    close(bad), close(gone), close(mute), close(other);
}

static void the_shorter_of_two_times_bounds_a_header(void **state)
{
    fixture *f = *state;
    f->server->opts.limits.idle_timeout_ns = 5 * SECOND;
    int fd = connect_client(f);
    send_text(f, fd, "PROXY");
    pass_time(f, 4 * SECOND);
    assert_int_equal(connections(f), 1);
    pass_time(f, 2 * SECOND);
    assert_int_equal(connections(f), 0);
    close(fd);
}

static void a_drain_waits_a_moment_for_headers(void **state)
{
    fixture *f = *state;
    int late = connect_client(f), mute = connect_client(f);
    f->server->opts.limits.head_timeout_ns = SECOND / 2;
    int hasty = connect_client(f);
    send_text(f, mute, "PROXY");
    sl_http_drain(f->server, fx_drained, f);
    turn(f);
    assert_int_equal(connections(f), 3);
    send_text(f, late, HEADER GET);
    pass_time(f, 3 * SECOND / 4);
    assert_true(is_closed(f, hasty)); /* its own time has come */
    assert_false(is_closed(f, mute));
    pass_time(f, SECOND / 2);
    assert_true(is_closed(f, mute));
    is_served(f, late, "192.0.2.9:4711");
    assert_true(f->drained);
    close(late), close(mute), close(hasty);
}

static void who_has_rested_without_a_request_is_not_waited_for(void **state)
{
    fixture *f = *state;
    int idle = connect_client(f);
    send_text(f, idle, HEADER);
    turn(f);
    pass_time(f, 2 * SECOND);
    sl_http_drain(f->server, fx_drained, f);
    turn(f);
    assert_true(is_closed(f, idle));
    assert_true(f->drained);
    close(idle);
}

static void what_the_system_does_not_give_is_waited_for_or_the_end(void **state)
{
    static const struct {
        int nth, error;
        bool closes;
    } rows[] = {{1, EAGAIN, false},
                {1, EINTR, false},
                {1, ECONNRESET, true},
                {2, ECONNRESET, true}}; /* the second takes what the first has seen */
    fixture *f = *state;
    for (size_t i = 0; i < SL_COUNTOF(rows); i++) {
        int fd = connect_client(f);
        assert_int_equal(send(fd, HEADER GET, sizeof HEADER GET - 1, 0), sizeof HEADER GET - 1);
        fail_call("recv", rows[i].nth, rows[i].error);
        sl_loop_turn(f->loop, false);
        assert_int_equal(calls_counted() >= rows[i].nth, 1);
        fail_call(NULL, 0, 0);
        turn(f);
        assert_int_equal(connections(f), rows[i].closes ? 0 : 1);
        if (!rows[i].closes)
            is_served(f, fd, "192.0.2.9:4711");
        close(fd);
        turn(f);
    }
}

int main(void)
{
#define T(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(who_is_not_believed_speaks_for_itself_alone),
        T(a_proxy_names_its_client_in_however_many_pieces),
        T(a_proxy_without_a_header_is_a_client_itself),
        T(who_may_not_connect_is_closed),
        T(a_header_that_is_none_or_does_not_come_closes),
        T(the_shorter_of_two_times_bounds_a_header),
        T(a_drain_waits_a_moment_for_headers),
        T(who_has_rested_without_a_request_is_not_waited_for),
        T(what_the_system_does_not_give_is_waited_for_or_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
