/* test_http.c - requests: what is tried again, what an answer means, what is taken of it */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fetch/helper/http_inside.h"
#include "fixture.h"
#include "support/calls.h"
#include "support/faults.h"

/* ---- what the server answers, and what is asked ---- */

static struct {
    int status, times; /* so often, then 200 */
    const char *headers, *body;
} reply_with;

static void answer(web_request *r)
{
    bool failing = r->number < reply_with.times;
    const char *body = reply_with.body;
    web_send(r, failing ? reply_with.status : 200, reply_with.headers, body, strlen(body));
}

static fetch_request asked; /* what build() copies */

static sl_code build(fetch_op *op, const void *arg, fetch_request *r, sl_status *status)
{
    (void)op, (void)status;
    if (arg != NULL)
        return sl_fail(status, SL_UNAUTHENTICATED, "no keys");
    *r = asked;
    r->url = r->headers = r->body = (sl_text){0};
    sl_text_add(&r->url, asked.url.p, asked.url.n);
    if (asked.headers.n)
        sl_text_add(&r->headers, asked.headers.p, asked.headers.n);
    if (asked.body.n)
        sl_text_add(&r->body, asked.body.p, asked.body.n);
    return SL_OK;
}

static void ask_for(const char *path)
{
    sl_text_fini(&asked.url);
    sl_text_printf(&asked.url, "%s%s", web_url(), path);
}

static int setup(void **state)
{
    reply_with.status = 200;
    reply_with.times = 0;
    reply_with.headers = "";
    reply_with.body = "yes";
    if (fixture_setup(state))
        return 1;
    web_start(answer);
    asked = (fetch_request){0};
    ask_for("/x?secret=hush");
    return 0;
}

static int teardown(void **state)
{
    web_stop();
    fetch_request_fini(&asked);
    return fixture_teardown(state);
}

static fetch_reply reply;

static sl_code ask(size_t limit)
{
    fetch_op op = new_op();
    return fetch_ask(&op, build, NULL, NULL, limit, &reply, &st);
}

/* ---- the tests ---- */

static void an_answer_is_taken_with_what_its_head_says(void **state)
{
    (void)state;
    reply_with.headers = "ETag: \"tag\" \t\r\n"
                         "x-amz-bucket-region: eu-west-1\r\n"
                         "Last-Modified:  Wed, 21 Oct 2015 07:28:00 GMT\r\n"
                         "Location: /else\r\n"
                         "Cache-Control:\tmax-age=5\r\n"
                         "x-amz-checksum-crc32c: a\r\nx-amz-checksum-crc32: b\r\n"
                         "x-amz-checksum-sha256: c\r\nx-amz-checksum-sha1: d\r\n"
                         "Content-Range: bytes 17-19/30\r\n";
    assert_int_equal(ask(100), SL_OK);
    assert_int_equal(reply.status, 200);
    assert_int_equal(reply.body.n, 3);
    assert_memory_equal(reply.body.p, "yes", 3);
    assert_string_equal(reply.etag, "\"tag\"");
    assert_string_equal(reply.region, "eu-west-1");
    assert_string_equal(reply.last_modified, "Wed, 21 Oct 2015 07:28:00 GMT");
    assert_string_equal(reply.location, "/else");
    assert_string_equal(reply.cache_control, "max-age=5");
    assert_string_equal(reply.crc32c, "a");
    assert_string_equal(reply.crc32, "b");
    assert_string_equal(reply.sha256, "c");
    assert_string_equal(reply.sha1, "d");
    assert_true(reply.length == 3 && reply.from == 17 && reply.total == 30 && reply.etag_is_md5);
    fetch_reply_fini(&reply);
    assert_string_equal(web_header(web_seen(0), "User-Agent"), "sluice-fetch");
}

static void what_a_head_says_wrongly_is_not_taken(void **state)
{
    (void)state;
    static char headers[1000];
    snprintf(headers, sizeof headers,
             "ETag: \"%0200d\"\r\n" /* too long: of no use when cut */
             "Content-Range: bytes */30\r\n"
             "x-amz-server-side-encryption: AES256\r\n",
             7);
    reply_with.headers = headers;
    assert_int_equal(ask(100), SL_OK);
    assert_string_equal(reply.etag, "");
    assert_true(reply.from == UINT64_MAX && reply.etag_is_md5);
    fetch_reply_fini(&reply);
    reply_with.headers = "Content-Range: pages 1-2/3\r\n"
                         "x-amz-server-side-encryption: aws:kms\r\n";
    assert_int_equal(ask(100), SL_OK);
    assert_true(reply.from == UINT64_MAX && !reply.etag_is_md5);
    fetch_reply_fini(&reply);
    reply_with.headers = "Content-Range: bytes 17\r\nETag:\r\nCache-Control: \t\r\n";
    assert_int_equal(ask(100), SL_OK);
    assert_true(reply.from == 17 && reply.total == UINT64_MAX);
    assert_string_equal(reply.etag, "");
    assert_string_equal(reply.cache_control, "");
    fetch_reply_fini(&reply);
    reply_with.headers = "Content-Range: bytes 1-2/-3\r\n";
    assert_int_equal(ask(100), SL_OK);
    assert_true(reply.from == 1 && reply.total == UINT64_MAX);
    fetch_reply_fini(&reply);
    reply_with.headers = "Content-Range: bytes x\r\n"
                         "x-amz-server-side-encryption-customer-algorithm: AES256\r\n";
    assert_int_equal(ask(100), SL_OK);
    assert_true(reply.from == UINT64_MAX && !reply.etag_is_md5);
    fetch_reply_fini(&reply);
}

static void headless(web_request *r)
{
    static const char answer_[] = "HTTP/1.1 100 Continue\r\nETag: \"of the first head\"\r\n\r\n"
                                  "HTTP/1.1 200 x\r\nConnection: close\r\nContent-Length: -5\r\n"
                                  "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n";
    web_put(r, answer_, sizeof answer_ - 1);
}

static void only_the_last_head_counts_and_an_answer_may_have_no_length(void **state)
{
    (void)state;
    web_stop();
    web_start(headless);
    sl_code rc = ask(100);
    if (rc == SL_OK) { /* a libcurl that takes such a length for none */
        assert_string_equal(reply.etag, "");
        assert_true(reply.length == UINT64_MAX);
        assert_int_equal(reply.body.n, 2);
        fetch_reply_fini(&reply);
    } else {
        assert_int_equal(rc, SL_UNAVAILABLE);
    }
}

static void with_trailers(web_request *r)
{
    static const char answer_[] = "HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n"
                                  "2\r\nab\r\n0\r\nContent-Length: -5\r\n"
                                  "Content-Length: some\r\n\r\n";
    web_put(r, answer_, sizeof answer_ - 1);
}

/* A length in the head libcurl checks itself. */
static void lengths_behind_the_body_are_checked_too(void **state)
{
    (void)state;
    web_stop();
    web_start(with_trailers);
    assert_int_equal(ask(100), SL_OK);
    assert_true(reply.length == UINT64_MAX);
    assert_int_equal(reply.body.n, 2);
    fetch_reply_fini(&reply);
}

static void a_status_says_whether_to_ask_again_and_what_to_report(void **state)
{
    (void)state;
    static const struct {
        int status;
        sl_code code;
        int asked;
    } cases[] = {{400, SL_INVALID_ARGUMENT, 1},
                 {401, SL_PERMISSION_DENIED, 1},
                 {403, SL_PERMISSION_DENIED, 1},
                 {404, SL_NOT_FOUND, 1},
                 {410, SL_NOT_FOUND, 1},
                 {412, SL_ABORTED, 1},
                 {416, SL_ABORTED, 1},
                 {418, SL_UNKNOWN, 1},
                 {302, SL_FAILED_PRECONDITION, 1},
                 {408, SL_UNAVAILABLE, 5},
                 {429, SL_UNAVAILABLE, 5},
                 {503, SL_UNAVAILABLE, 5}};
    reply_with.body = "<Error><Code>Because</Code></Error>";
    reply_with.times = 99;
    for (size_t i = 0; i < SL_COUNTOF(cases); i++) {
        char said[32];
        web_stop();
        web_start(answer);
        reply_with.status = cases[i].status;
        assert_int_equal(ask(100), cases[i].code);
        assert_int_equal(web_asked(), cases[i].asked);
        snprintf(said, sizeof said, "HTTP status %d: Because", cases[i].status);
        assert_non_null(strstr(st.msg, said));
        assert_null(strstr(st.msg, "hush"));
        assert_null(reply.body.p);
    }
    reply_with.status = 500;
    reply_with.body = "";
    assert_int_equal(ask(100), SL_UNAVAILABLE);
    assert_non_null(strstr(st.msg, "HTTP status 500"));
}

static void an_answer_to_something_else_is_none(void **state)
{
    (void)state;
    reply_with.status = 101; /* nobody asked for another protocol */
    reply_with.times = 9;
    assert_int_not_equal(ask(100), SL_OK);
}

static void what_passes_is_tried_again(void **state)
{
    (void)state;
    reply_with.status = 503;
    reply_with.times = 4;
    assert_int_equal(ask(100), SL_OK);
    assert_int_equal(web_asked(), 5);
    fetch_reply_fini(&reply);
    asked.tries = 2;
    web_stop();
    web_start(answer);
    assert_int_equal(ask(100), SL_UNAVAILABLE);
    assert_int_equal(web_asked(), 2);
}

static int lessons, most_lessons;

static bool learn(fetch_op *op, const fetch_reply *r)
{
    (void)op;
    assert_true(r->status == 403);
    return lessons++ < most_lessons;
}

static void a_store_may_learn_from_an_answer_twice(void **state)
{
    (void)state;
    fetch_op op = new_op();
    reply_with.status = 403;
    reply_with.times = 2;
    most_lessons = 9;
    lessons = 0;
    assert_int_equal(fetch_ask(&op, build, NULL, learn, 100, &reply, &st), SL_OK);
    assert_int_equal(lessons, 2);
    fetch_reply_fini(&reply);
    web_stop();
    web_start(answer);
    reply_with.times = 9;
    lessons = 0;
    assert_int_equal(fetch_ask(&op, build, NULL, learn, 100, &reply, &st), SL_PERMISSION_DENIED);
    assert_int_equal(web_asked(), 3);
    most_lessons = 0;
    assert_int_equal(fetch_ask(&op, build, NULL, learn, 100, &reply, &st), SL_PERMISSION_DENIED);
    assert_int_equal(web_asked(), 4);
}

static void what_cannot_be_asked_for_is_not_asked_again(void **state)
{
    (void)state;
    fetch_op op = new_op();
    assert_int_equal(fetch_ask(&op, build, &op, NULL, 100, &reply, &st), SL_UNAUTHENTICATED);
    assert_string_equal(st.msg, "no keys");
    assert_int_equal(web_asked(), 0);
}

static void a_longer_answer_than_wanted_is_refused(void **state)
{
    (void)state;
    assert_int_equal(ask(3), SL_OK);
    fetch_reply_fini(&reply);
    assert_int_equal(ask(2), SL_OUT_OF_RANGE);
    assert_string_equal(st.msg, "an answer of more than 2 bytes");
    assert_int_equal(web_asked(), 2);
}

static void a_request_that_is_not_wanted_any_more_ends(void **state)
{
    (void)state;
    fetch_op op = new_op();
    fetch_op cancelled = op;
    atomic_store(&cancelled.cancelled, true);
    assert_int_equal(fetch_ask(&cancelled, build, NULL, NULL, 100, &reply, &st), SL_CANCELLED);
    assert_string_equal(st.msg, "cancelled");
    assert_int_equal(fetch_sleep(&cancelled, 1u << 30, &st), SL_CANCELLED);
}

static bool learns_that_nobody_wants_it(fetch_op *op, const fetch_reply *r)
{
    (void)r;
    atomic_store(&op->cancelled, true);
    return false;
}

static void a_request_ends_while_it_waits_to_be_tried_again(void **state)
{
    (void)state;
    fetch_op op = new_op();
    reply_with.status = 503;
    reply_with.times = 9;
    assert_int_equal(fetch_ask(&op, build, NULL, learns_that_nobody_wants_it, 100, &reply, &st),
                     SL_CANCELLED);
    assert_int_equal(web_asked(), 1);
    assert_null(reply.body.p);
}

static void bodies_and_methods_are_sent(void **state)
{
    (void)state;
    asked.post = true;
    sl_text_puts(&asked.body, "a=b");
    sl_text_puts(&asked.headers, "X-One: 1\nX-Two: 2"); /* a last line may lack its end */
    assert_int_equal(ask(100), SL_OK);
    fetch_reply_fini(&reply);
    assert_string_equal(web_seen(0)->method, "POST");
    assert_string_equal(web_seen(0)->body, "a=b");
    assert_string_equal(web_header(web_seen(0), "X-One"), "1");
    assert_string_equal(web_header(web_seen(0), "X-Two"), "2");
    sl_text_fini(&asked.body);
    assert_int_equal(ask(100), SL_OK);
    fetch_reply_fini(&reply);
    assert_string_equal(web_header(web_seen(1), "Content-Length"), "0");
    asked.post = false;
    asked.put = true;
    assert_int_equal(ask(100), SL_OK);
    fetch_reply_fini(&reply);
    assert_string_equal(web_seen(2)->method, "PUT");
}

static void requests_with_keys_are_signed(void **state)
{
    (void)state;
    asked.signs = true;
    strcpy(asked.scope, "aws:amz:us-east-1:s3");
    assert_int_equal(ask(100), SL_OK);
    fetch_reply_fini(&reply);
    assert_string_equal(web_header(web_seen(0), "Authorization"), ""); /* anonymous */
    strcpy(asked.keys.id, "AKID");
    strcpy(asked.keys.secret, "hush");
    assert_int_equal(ask(100), SL_OK);
    fetch_reply_fini(&reply);
    assert_non_null(strstr(web_header(web_seen(1), "Authorization"), "Credential=AKID/"));
}

static void users_come_from_the_netrc_file_only_where_it_is_wanted(void **state)
{
    (void)state;
    char path[100];
    snprintf(path, sizeof path, "%s/netrc", dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("machine 127.0.0.1 login me password hush\n", f);
    fclose(f);
    setenv("NETRC", path, 1);
    assert_int_equal(ask(100), SL_OK);
    fetch_reply_fini(&reply);
    assert_string_equal(web_header(web_seen(0), "Authorization"), "");
    asked.netrc = true;
    asked.direct = true;
    assert_int_equal(ask(100), SL_OK);
    fetch_reply_fini(&reply);
    assert_string_equal(web_header(web_seen(1), "Authorization"), "Basic bWU6aHVzaA==");
    unsetenv("NETRC");
    setenv("HOME", "/nonexistent", 1);
    assert_int_equal(ask(100), SL_OK);
    fetch_reply_fini(&reply);
    assert_string_equal(web_header(web_seen(2), "Authorization"), "");
}

static void refuse(const char *url, sl_code code)
{
    sl_text_fini(&asked.url);
    sl_text_puts(&asked.url, url);
    asked.tries = 1;
    assert_int_equal(ask(100), code);
    assert_null(strstr(st.msg, "hush"));
}

static void what_cannot_be_reached_says_why_and_shows_no_query(void **state)
{
    (void)state;
    char url[1000];
    web_stop();
    snprintf(url, sizeof url, "%s/x?hush", web_url());
    refuse(url, SL_UNAVAILABLE);
    assert_non_null(strstr(st.msg, "/x: "));
    snprintf(url, sizeof url, "%s/%0500d", web_url(), 7);
    refuse(url, SL_UNAVAILABLE);
    assert_in_range(strlen(st.msg), 300, 400);
    refuse("ftp://127.0.0.1/x?hush", SL_FAILED_PRECONDITION);
    web_start(answer);
}

static void a_url_that_is_none_is_refused_for_good(void **state)
{
    (void)state;
    refuse("http://[", SL_FAILED_PRECONDITION);
    assert_int_equal(web_asked(), 0);
}

static void a_plain_server_is_not_asked_for_secrets(void **state)
{
    (void)state;
    char url[128];
    snprintf(url, sizeof url, "https%s/x", web_url() + 4);
    setenv("AWS_CA_BUNDLE", "", 1);
    setenv("SSL_CERT_FILE", "/nonexistent/one.pem", 1);
    refuse(url, SL_FAILED_PRECONDITION); /* there are no authorities */
    setenv("AWS_CA_BUNDLE", "/nonexistent/two.pem", 1);
    refuse(url, SL_FAILED_PRECONDITION);
    asked.ca_file = "/nonexistent/three.pem";
    refuse(url, SL_FAILED_PRECONDITION);
    asked.ca_file = NULL;
    unsetenv("AWS_CA_BUNDLE");
    setenv("SSL_CERT_FILE", "", 1);
    refuse(url, SL_UNAVAILABLE);
    unsetenv("SSL_CERT_FILE");
    refuse(url, SL_UNAVAILABLE);
    assert_int_equal(web_asked(), 0);
}

static void says_nothing(web_request *r)
{
    char byte;
    (void)!read(r->fd, &byte, 1); /* until the other side has gone */
}

static void an_answer_that_does_not_come_is_given_up(void **state)
{
    (void)state;
    web_stop();
    web_start(says_nothing);
    asked.timeout_s = 1;
    asked.tries = 1;
    assert_int_equal(ask(100), SL_DEADLINE_EXCEEDED);
}

static sl_code ask_once(void *arg, sl_status *status)
{
    fetch_op op = new_op();
    (void)arg;
    sl_code rc = fetch_ask(&op, build, NULL, NULL, 100, &reply, status);
    if (rc == SL_OK)
        fetch_reply_fini(&reply);
    return rc;
}

static sl_code start_once(void *arg, sl_status *status)
{
    (void)arg;
    return fetch_http_start(status);
}

static void without_memory_a_request_fails_and_says_so(void **state)
{
    (void)state;
    asked.tries = 1;
    asked.post = true;
    sl_text_puts(&asked.headers, "X-One: 1\nX-Two: 2\n");
    sl_text_puts(&asked.body, "a=b");
    fail_call("curl_easy_init", 1, 0);
    assert_int_equal(ask(100), SL_RESOURCE_EXHAUSTED);
    assert_in_range(fail_each_call("curl_easy_init", 0, ask_once, NULL), 1,
                    9); /* libcurl does, too */
    assert_int_equal(fail_each_call("curl_slist_append", 0, ask_once, NULL), 2);
    assert_int_equal(fail_each_call("curl_global_init", 2, start_once, NULL), 1);
}

static void without_memory_for_its_parts_a_request_is_not_sent(void **state)
{
    (void)state;
    sl_text_puts(&asked.headers, "X-One: 1\n");
    sl_text_puts(&asked.body, "a=b");
    asked.post = true;
    /* An answer that finds no memory looks to libcurl like one that is not wanted. */
    assert_int_equal(fail_each_allocation(ask_once, NULL), 4);
}

static void backing_off_doubles_up_to_a_bound_and_varies(void **state)
{
    (void)state;
    static const uint64_t wait_ms[] = {0, 200, 400, 800, 1600, 3200, 6400, 10000, 10000};
    for (unsigned n = 1; n < SL_COUNTOF(wait_ms); n++)
        assert_in_range(fetch_backoff(n) / 1000, wait_ms[n] * 500, wait_ms[n] * 1500);
    assert_in_range(fetch_backoff(4000000000u) / 1000, 5000000, 15000000);
    fail_call("getrandom", 1, EAGAIN);
    assert_true(fetch_backoff(1) == 200000000u); /* without dice: in the middle */
    fail_call(NULL, 0, 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(an_answer_is_taken_with_what_its_head_says),
        T(what_a_head_says_wrongly_is_not_taken),
        T(only_the_last_head_counts_and_an_answer_may_have_no_length),
        T(lengths_behind_the_body_are_checked_too),
        T(a_status_says_whether_to_ask_again_and_what_to_report),
        T(an_answer_to_something_else_is_none),
        T(what_passes_is_tried_again),
        T(a_store_may_learn_from_an_answer_twice),
        T(what_cannot_be_asked_for_is_not_asked_again),
        T(a_longer_answer_than_wanted_is_refused),
        T(a_request_that_is_not_wanted_any_more_ends),
        T(a_request_ends_while_it_waits_to_be_tried_again),
        T(bodies_and_methods_are_sent),
        T(requests_with_keys_are_signed),
        T(users_come_from_the_netrc_file_only_where_it_is_wanted),
        T(what_cannot_be_reached_says_why_and_shows_no_query),
        T(a_url_that_is_none_is_refused_for_good),
        T(a_plain_server_is_not_asked_for_secrets),
        T(an_answer_that_does_not_come_is_given_up),
        T(without_memory_a_request_fails_and_says_so),
        T(without_memory_for_its_parts_a_request_is_not_sent),
        T(backing_off_doubles_up_to_a_bound_and_varies),
    };
    if (fetch_http_start(&st))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
