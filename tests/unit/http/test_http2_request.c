/* test_http2_request.c - HTTP/2: what of a request gets to the handler, and what is refused */
#include "unit/http/h2_client.h"

#include <dlfcn.h>

/* ---- heads ---- */

static char seen[400]; /* "name=value;" of the last request's fields */

static void see_fields(fixture *f, sl_http_call *call)
{
    size_t n = 0;
    (void)f;
    seen[0] = '\0';
    for (int i = 0; i < call->n_headers; i++)
        n +=
            (size_t)snprintf(seen + n, sizeof seen - n, "%.*s=%.*s;",
                             SL_STR_ARG(call->headers[i].name), SL_STR_ARG(call->headers[i].value));
}

/* Literals without an index, behind GET / of http. */
static const char *fields_of(fixture *f, const char *fields, size_t n)
{
    char block[200] = "\x82\x84\x86";
    int fd = connect_client(f);
    memcpy(block + 3, fields, n);
    raw_begin(fd, 0);
    raw_frame(fd, NGHTTP2_HEADERS, WHOLE, 1, block, 3 + n);
    turn(f);
    close(fd);
    turn(f);
    return seen;
}

static void authority_goes_before_host(void **state)
{
    fixture *f = *state;
    f->peek = see_fields;
#define FIELDS(text) fields_of(f, text, sizeof text - 1)
    assert_string_equal(FIELDS("\x01\x01"
                               "a"),
                        "host=a;");
    assert_string_equal(FIELDS("\0\4host\1b"), "host=b;");
    assert_string_equal(FIELDS("\x01\x01"
                               "a"
                               "\0\4host\1b"
                               "\0\4from\1c"),
                        "host=a;from=c;");
    assert_string_equal(FIELDS("\0\4from\1c"
                               "\0\4host\1b"),
                        "from=c;host=b;");
    assert_int_equal(f->n_calls, 4);
}

static void without_anybody_to_ask_every_head_is_let_in(void **state)
{
    fixture *f = *state;
    client *c = h2_connect(f);
    f->server->opts.on_head = NULL;
    f->refuse = 403;
    assert_int_equal(simple(c), 200);
    h2_close(c);
}

static bool own_error(sl_http_call *call, int status, const char *message, void *arg)
{
    (void)arg;
    if (status != 417)
        return false;
    call->status = 200;
    sl_chain_printf(&call->trailers, "grpc-message: %s\r\n", message);
    return true;
}

/* gRPC has its own form for errors that HTTP finds. */
static void an_error_may_have_the_form_of_who_understands_the_request(void **state)
{
    static const char *const expects[] = {"expect", "x", NULL};
    fixture *f = *state;
    client *c = h2_connect(f);
    f->server->opts.on_call_error = own_error;
    int id = h2_request_with(c, "POST", "/echo", "x", 1, false, expects);
    h2_turn(c);
    assert_int_equal(h2_reply(c, id)->status, 200);
    assert_string_equal(text_of(&h2_reply(c, id)->head), "grpc-message: unknown expectation\n");
    assert_int_equal(f->n_errors, 0);
    id = h2_request(c, "BREW", "/pot", NULL, 0);
    h2_turn(c);
    assert_int_equal(h2_reply(c, id)->status, 501);
    assert_int_equal(f->n_errors, 1);
    h2_close(c);
}

static void answer_at_once(sl_http_call *call, void *arg)
{
    ((fixture *)arg)->n_calls++;
    sl_http_reply(call);
}

/* ---- bodies ---- */

static void who_is_expected_to_go_on_is_told_so_unless_answered(void **state)
{
    static const char *const expects[] = {"expect", "100-continue", NULL};
    fixture *f = *state;
    client *c = h2_connect(f);
    int id = h2_request_with(c, "POST", "/stream", "", 0, true, expects);
    h2_turn(c);
    assert_int_equal(h2_reply(c, id)->status, 100);
    h2_more(c, id, "x", 1, true);
    assert_string_equal(text_of(&h2_reply(c, id)->body), "x");
    f->server->opts.on_call = answer_at_once;
    id = h2_request_with(c, "POST", "/stream", "", 0, true, expects);
    h2_turn(c);
    assert_int_equal(h2_reply(c, id)->status, 200);
    assert_true(h2_reply(c, id)->closed);
    assert_int_equal(h2_reply(c, id)->error, NGHTTP2_NO_ERROR);
    h2_close(c);
}

/* As large as it likes: what is read over opens the window again. */
static void the_body_of_a_get_is_read_over(void **state)
{
    static const char *const methods[] = {"GET", "HEAD"};
    static const char *const packed[] = {"content-encoding", "gzip", NULL};
    static char body[6 << 20]; /* more than a window */
    client *c = h2_connect(*state);
    for (int i = 0; i < 2; i++) {
        int id = h2_request_with(c, methods[i], "/echo", body, sizeof body, false, packed);
        h2_turn(c);
        assert_int_equal(h2_reply(c, id)->status, 200);
        assert_int_equal(h2_reply(c, id)->body.n, 0);
        assert_int_equal(c->f->last_body, 0);
        assert_false(c->f->undecodable);
        assert_true(c->f->last_wire > sizeof body);
    }
    h2_close(c);
}

static void a_gzip_body_is_unpacked_if_there_is_room(void **state)
{
    static const char *const packed[] = {"content-encoding", "gzip", NULL};
    static char zeros[100000], small[1000];
    fixture *f = *state;
    client *c = h2_connect(f);
    size_t n = gzip(zeros, sizeof zeros, small, sizeof small);
    int id = h2_request_with(c, "POST", "/echo", small, n, false, packed);
    h2_turn(c);
    assert_int_equal(h2_reply(c, id)->body.n, sizeof zeros);
    assert_true(f->packed); /* more than a loop should unpack */
    h2_request_with(c, "POST", "/echo", small, n - 1, false, packed);
    h2_turn(c);
    assert_true(f->undecodable && f->last_body == 0);
    sl_budget *b = f->server->shared;
    atomic_store(&b->max, atomic_load(&b->used) + 50000);
    id = h2_request_with(c, "POST", "/echo", small, n, false, packed);
    h2_turn(c);
    assert_int_equal(h2_reply(c, id)->status, 503);
    assert_int_equal(f->n_calls, 3);
    n = gzip(zeros, 30000, small, sizeof small);
    id = h2_request_with(c, "POST", "/echo", small, n, false, packed);
    h2_turn(c);
    assert_int_equal(h2_reply(c, id)->body.n, 30000);
    assert_false(f->packed);
    atomic_store(&b->max, atomic_load(&b->used) + 20000);
    id = h2_request_with(c, "POST", "/echo", small, n, false, packed);
    h2_turn(c);
    assert_int_equal(h2_reply(c, id)->status, 503);
    assert_int_equal(f->n_calls, 4); /* HTTP's own answer */
    h2_close(c);
}

static void little_inflight(sl_http_options *o)
{
    o->limits.max_inflight = 50000;
}

static void a_body_that_would_not_fit_is_refused_when_it_is_announced(void **state)
{
    (void)state;
    static const char *const sizes[][3] = {{"content-length", "50001", NULL},
                                           {"content-length", "1", NULL}};
    client *c = h2_serve(little_inflight);
    for (int i = 0; i < 2; i++) {
        int id = h2_request_with(c, "POST", "/echo", "x", 1, i == 0, sizes[i]);
        h2_turn(c);
        assert_int_equal(h2_reply(c, id)->status, i == 0 ? 503 : 200);
    }
    h2_end(c);
}

/* A small piece first, which comes into the stream's own buffer, and then a large one. */
static void a_body_that_outgrows_its_small_buffer_is_whole_or_a_503(void **state)
{
    static char large[9000];
    fixture *f = *state;
    memset(large, 'b', sizeof large);
    for (int nth = 1, failed = 1; failed; nth++) {
        client *c = h2_connect(f);
        int id = h2_request_with(c, "POST", "/echo", "aaa", 3, true, NULL);
        h2_turn(c);
        c->deaf = true; /* or it would run out of memory itself */
        sl_fault_arm(SL_FAULT_ALLOC, nth);
        h2_more(c, id, large, sizeof large, true);
        failed = sl_fault_count(SL_FAULT_ALLOC) >= nth;
        sl_fault_arm(SL_FAULT_ALLOC, 0);
        c->deaf = false;
        h2_turn(c);
        const reply *r = h2_reply(c, id);
        if (!failed) {
            assert_int_equal(r->body.n, 9003);
            assert_memory_equal(r->body.p, "aaabbb", 6);
        } else if (!c->eof) { /* memory for nghttp2 ends the connection */
            assert_int_equal(r->status, nth <= 2 ? 503 : 500);
        }
        h2_close(c);
        assert_true(nth < 100);
        assert_int_equal(atomic_load(&f->server->budget.used), 0);
    }
}

static void keep_body(fixture *f, sl_http_call *call)
{
    sl_buffer_release(f->kept);
    f->kept = sl_buffer_acquire(call->body_buffer);
    sl_http_reply(call);
}

static void a_small_body_that_is_kept_is_not_written_over(void **state)
{
    fixture *f = *state;
    client *c = h2_connect(f);
    f->own = keep_body;
    h2_request(c, "POST", "/own", "first", 5);
    h2_turn(c);
    int id = h2_request(c, "POST", "/echo", "other", 5);
    h2_turn(c);
    assert_string_equal(text_of(&h2_reply(c, id)->body), "other");
    assert_memory_equal(f->kept->data, "first", 5);
    h2_close(c);
}

/* ---- what comes for a stream that is over ---- */

static void data_behind_an_early_answer_is_read_over(void **state)
{
    fixture *f = *state;
    int fd = connect_client(f);
    f->refuse = 403;
    raw_begin(fd, 0);
    raw_post(fd, 1, OPEN);
    raw_frame(fd, NGHTTP2_DATA, 0, 1, "abc", 3);
    raw_frame(fd, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, "abc", 3);
    turn(f);
    f->refuse = 0;
    raw_post(fd, 3, WHOLE);
    turn(f);
    receive(f, fd);
    assert_false(f->eof);
    assert_int_equal(f->n_errors, 1);
    assert_int_equal(f->n_calls, 1);
    close(fd);
}

/* The library keeps to itself what comes for a stream that it has closed, or that we refused: this
 * version does. */
static nghttp2_on_data_chunk_recv_callback tell_data;
static nghttp2_on_frame_recv_callback tell_frame;

void nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
    nghttp2_session_callbacks *cb, nghttp2_on_data_chunk_recv_callback f)
{
    void (*real)(nghttp2_session_callbacks *, nghttp2_on_data_chunk_recv_callback);
    *(void **)&real = dlsym(RTLD_NEXT, __func__);
    real(cb, f);
    tell_data = f;
}

void nghttp2_session_callbacks_set_on_frame_recv_callback(nghttp2_session_callbacks *cb,
                                                          nghttp2_on_frame_recv_callback f)
{
    void (*real)(nghttp2_session_callbacks *, nghttp2_on_frame_recv_callback);
    *(void **)&real = dlsym(RTLD_NEXT, __func__);
    real(cb, f);
    tell_frame = f;
}

static void what_comes_for_a_stream_that_nobody_knows_is_read_over(void **state)
{
    fixture *f = *state;
    int fd = connect_client(f);
    raw_begin(fd, 0);
    turn(f);
    sl_h2 *h = f->server->shards[0].conns->h2;
    nghttp2_frame frame = {
        .hd = {.stream_id = 99, .type = NGHTTP2_DATA, .flags = NGHTTP2_FLAG_END_STREAM}};
    assert_int_equal(tell_data(h->session, 0, 99, (const uint8_t *)"abc", 3, h), 0);
    assert_int_equal(tell_frame(h->session, &frame, h), 0);
    frame.hd.type = NGHTTP2_HEADERS;
    assert_int_equal(tell_frame(h->session, &frame, h), 0);
    assert_int_equal(f->n_calls, 0);
    raw_post(fd, 1, WHOLE);
    turn(f);
    receive(f, fd);
    assert_false(f->eof);
    assert_int_equal(f->n_calls, 1);
    close(fd);
}

int main(void)
{
#define T(t) cmocka_unit_test_setup_teardown(t, fx_set_up, fx_tear_down)
    const struct CMUnitTest tests[] = {
        T(authority_goes_before_host),
        T(without_anybody_to_ask_every_head_is_let_in),
        T(an_error_may_have_the_form_of_who_understands_the_request),
        T(who_is_expected_to_go_on_is_told_so_unless_answered),
        T(the_body_of_a_get_is_read_over),
        T(a_gzip_body_is_unpacked_if_there_is_room),
        cmocka_unit_test(a_body_that_would_not_fit_is_refused_when_it_is_announced),
        T(a_body_that_outgrows_its_small_buffer_is_whole_or_a_503),
        T(a_small_body_that_is_kept_is_not_written_over),
        T(data_behind_an_early_answer_is_read_over),
        T(what_comes_for_a_stream_that_nobody_knows_is_read_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
