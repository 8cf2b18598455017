/* test_http2_reply.c - HTTP/2: what a handler's head becomes, replies without a body, gzip */
#include "unit/http/h2_client.h"

#include "http/gzip.h"
#include "support/calls.h"

static int tear_down(void **state)
{
    fail_call(NULL, 0, 0);
    return fx_tear_down(state);
}

/* What the handler of /hold is to say; the reply to that. */
static reply *answered(client *c, const char *method, const char *const *headers,
                       void (*fill)(sl_http_call *call))
{
    fixture *f = c->f;
    f->n_held = 0;
    int id = h2_request_with(c, method, "/hold", NULL, 0, false, headers);
    h2_turn(c);
    assert_int_equal(f->n_held, 1);
    fill(f->held[0]);
    sl_http_reply(f->held[0]);
    h2_turn(c);
    reply *r = h2_reply(c, id);
    assert_true(r->closed);
    return r;
}

/* ---- heads ---- */

static const char *lines; /* of the next head */
static char long_lines[40000];

static void say_lines(sl_http_call *call)
{
    sl_chain_puts(&call->reply, "body");
    sl_chain_puts(&call->head, lines);
}

static void one_long_line(size_t n)
{
    memset(long_lines, 'x', n);
    memcpy(long_lines, "a: ", 3);
    strcpy(long_lines + n - 2, "\r\n");
    lines = long_lines;
}

static void lines_become_fields(void **state)
{
    static const char *const cases[][2] = {
        {"A: b\r\n", "a: b\n"},
        {"A:b\r\n", "a: b\n"},
        {"A:   b c\r\n", "a: b c\n"},
        {"A:\r\nB: \r\n", "a: \nb: \n"},
        {"A: b:c\r\nA: D\r\n", "a: b:c\na: D\n"},
    };
    client *c = h2_connect(*state);
    for (size_t i = 0; i < SL_COUNTOF(cases); i++) {
        char wanted[200];
        lines = cases[i][0];
        reply *r = answered(c, "GET", NULL, say_lines);
        snprintf(wanted, sizeof wanted,
                 "content-type: text/plain\n%sdate: Sun, 06 Nov 1994 08:49:37 GMT\n"
                 "content-length: 4\n",
                 cases[i][1]);
        assert_int_equal(r->status, 200);
        assert_string_equal(text_of(&r->head), wanted);
        assert_string_equal(text_of(&r->body), "body");
    }
    h2_close(c);
}

static void is_500(client *c, const reply *r)
{
    assert_int_equal(r->status, 500);
    assert_string_equal(text_of(&r->head), "date: Sun, 06 Nov 1994 08:49:37 GMT\n"
                                           "content-length: 0\n");
    assert_int_equal(r->body.n, 0);
    assert_int_equal(simple(c), 200);
}

static void say_much(sl_http_call *call)
{
    static char type[200];
    memset(type, 't', sizeof type - 1);
    call->content_type = type;
    say_lines(call);
}

static void without_memory_for_the_head(sl_http_call *call)
{
    call->head.failed = true;
    say_lines(call);
}

/* In two pieces, which only the arena can make one. */
static void in_two_pieces(sl_http_call *call)
{
    static const char one[] = "a: b\r\nc", two[] = ": d\r\n";
    const char *const parts[] = {one, two};
    for (int i = 0; i < 2; i++) {
        sl_buffer *b = sl_buffer_try_new(strlen(parts[i]));
        memcpy(b->data, parts[i], strlen(parts[i]));
        sl_chain_lend(&call->head, b, b->data, strlen(parts[i]));
        sl_buffer_release(b);
    }
}

static void without_memory_for_the_whole(sl_http_call *call)
{
    in_two_pieces(call);
    sl_fault_arm(SL_FAULT_ARENA, 1);
}

static void a_head_that_is_none_is_a_500(void **state)
{
    static const char *const bad[] = {"no colon\r\n", "a: b\r\nno end", "A: b\r\n\r\n"};
    client *c = h2_connect(*state);
    for (size_t i = 0; i < SL_COUNTOF(bad); i++) {
        lines = bad[i];
        is_500(c, answered(c, "GET", NULL, say_lines));
    }
    one_long_line(SL_H2_MAX_HEAD - 200);
    assert_int_equal(answered(c, "GET", NULL, say_lines)->status, 200);
    one_long_line(SL_H2_MAX_HEAD); /* with what is added it is too much */
    is_500(c, answered(c, "GET", NULL, say_much));
    one_long_line(SL_H2_MAX_HEAD + 1);
    is_500(c, answered(c, "GET", NULL, say_lines));
    lines = "a: b\r\n";
    is_500(c, answered(c, "GET", NULL, without_memory_for_the_head));
    assert_string_equal(text_of(&answered(c, "GET", NULL, in_two_pieces)->head),
                        "content-type: text/plain\na: b\nc: d\n"
                        "date: Sun, 06 Nov 1994 08:49:37 GMT\ncontent-length: 0\n");
    is_500(c, answered(c, "GET", NULL, without_memory_for_the_whole));
    sl_fault_arm(SL_FAULT_ARENA, 0);
    h2_close(c);
}

static void a_reply_that_the_library_does_not_take_ends_its_stream_alone(void **state)
{
    fixture *f = *state;
    client *c = h2_connect(f);
    int id = h2_request(c, "GET", "/a", NULL, 0);
    fail_call("nghttp2_submit_response", 1, NGHTTP2_ERR_INVALID_ARGUMENT);
    h2_turn(c);
    assert_true(h2_reply(c, id)->closed);
    assert_int_equal(h2_reply(c, id)->error, NGHTTP2_INTERNAL_ERROR);
    assert_true(f->last_given_up);
    assert_int_equal(simple(c), 200);
    h2_close(c);
}

/* ---- no body ---- */

static int next_status;

static void say_status(sl_http_call *call)
{
    for (int i = 0; i < 200; i++)
        sl_chain_puts(&call->reply, "0123456789");
    call->status = next_status;
}

static void replies_without_a_body_have_none_whatever_the_handler_made(void **state)
{
    static const char plain[] = "content-type: text/plain\ndate: Sun, 06 Nov 1994 08:49:37 GMT\n",
                      sized[] = "content-type: text/plain\ndate: Sun, 06 Nov 1994 08:49:37 GMT\n"
                                "content-length: 2000\n";
    static const struct {
        const char *method;
        int status;
        const char *head;
    } cases[] = {{"GET", 204, plain}, {"GET", 304, plain}, {"HEAD", 200, sized}};
    static const char *const packs[] = {"accept-encoding", "gzip", NULL};
    client *c = h2_connect(*state);
    for (size_t i = 0; i < SL_COUNTOF(cases); i++) {
        next_status = cases[i].status;
        c->f->server->opts.limits.compress_min = i < 2 ? 100 : 0;
        reply *r = answered(c, cases[i].method, packs, say_status);
        assert_int_equal(r->status, cases[i].status);
        assert_string_equal(text_of(&r->head), cases[i].head);
        assert_int_equal(r->body.n, 0);
        assert_int_equal(r->error, 0);
        assert_int_equal(c->f->server->shards[0].conns->h2->unsent, 0);
    }
    h2_close(c);
}

/* The same in pieces, of which the first would be its head. */
static void a_head_request_to_a_stream_gets_a_head(void **state)
{
    client *c = h2_connect(*state);
    int id = h2_request_with(c, "HEAD", "/stream", "one", 3, true, NULL);
    h2_turn(c);
    h2_more(c, id, "two", 3, false);
    h2_more(c, id, "three", 5, true);
    const reply *r = h2_reply(c, id);
    assert_int_equal(r->status, 200);
    assert_int_equal(r->body.n, 0);
    assert_true(r->closed);
    assert_int_equal(r->error, 0);
    assert_string_equal(text_of(&r->trailers), "x-end: yes\n");
    assert_int_equal(c->f->n_pieces, 3);
    h2_close(c);
}

static void a_reply_may_end_without_another_byte(void **state)
{
    static const size_t sizes[] = {3, 10000}; /* copied; pointed at */
    static char all[10000];
    fixture *f = *state;
    client *c = h2_connect(f);
    for (int i = 0; i < 2; i++) {
        int id = h2_request(c, "GET", "/hold", NULL, 0);
        const reply *r = h2_reply(c, id);
        h2_turn(c);
        sl_chain_add(&f->held[i]->reply, all, sizes[i]);
        sl_http_send(f->held[i]);
        h2_turn(c);
        assert_int_equal(r->body.n, sizes[i]);
        assert_false(r->closed);
        sl_http_reply(f->held[i]);
        h2_turn(c);
        assert_int_equal(r->body.n, sizes[i]);
        assert_true(r->closed);
        assert_int_equal(r->error, 0);
    }
    h2_close(c);
}

/* ---- gzip ---- */

static size_t noise; /* bytes in front that do not pack */

static void say_2000(sl_http_call *call)
{
    uint64_t x = 88172645463325252u;
    for (size_t i = 0; i < 2000; i++) {
        char b = 'z';
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        if (i < noise)
            b = (char)(x >> 32);
        sl_chain_add(&call->reply, &b, 1);
    }
}

static void large_replies_are_packed_for_who_accepts_it(void **state)
{
    static const char *const gzip[] = {"accept-encoding", "gzip", NULL};
    static const struct {
        const char *const *headers;
        size_t min, noise;
        bool packed;
    } cases[] = {
        {gzip, 2000, 0, true},  {gzip, 2001, 0, false},    {gzip, 0, 0, false},
        {NULL, 2000, 0, false}, {gzip, 2000, 2000, false}, {gzip, 2000, 500, true},
    };
    client *c = h2_connect(*state);
    for (size_t i = 0; i < SL_COUNTOF(cases); i++) {
        c->f->server->opts.limits.compress_min = cases[i].min;
        noise = cases[i].noise;
        reply *r = answered(c, "GET", cases[i].headers, say_2000);
        const char *head = text_of(&r->head);
        assert_int_equal(r->status, 200);
        assert_int_equal(strstr(head, "content-encoding: gzip\nvary: Accept-Encoding\n") != NULL,
                         cases[i].packed);
        if (!cases[i].packed) {
            assert_int_equal(r->body.n, 2000);
            continue;
        }
        sl_body out = {0};
        assert_true(r->body.n < 2000);
        assert_int_equal(sl_unzip(SL_ZIP_GZIP, (sl_str){r->body.p, r->body.n}, 2000, &out), SL_OK);
        assert_int_equal(out.n, 2000);
        sl_body_reset(&out);
    }
    h2_close(c);
}

int main(void)
{
#define T(t) cmocka_unit_test_setup_teardown(t, fx_set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(lines_become_fields),
        T(a_head_that_is_none_is_a_500),
        T(a_reply_that_the_library_does_not_take_ends_its_stream_alone),
        T(replies_without_a_body_have_none_whatever_the_handler_made),
        T(a_head_request_to_a_stream_gets_a_head),
        T(a_reply_may_end_without_another_byte),
        T(large_replies_are_packed_for_who_accepts_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
