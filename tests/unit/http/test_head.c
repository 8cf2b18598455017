/* test_head.c - each rule of rest.md 2.1 about request heads, whole and byte by byte */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fault.h"
#include "base/mem.h"
#include "http/head.h"

typedef struct refusal {
    const char *name, *request;
    int status;
} refusal;

/* clang-format off */
static const refusal refusals[] = {
    {"request line without a version is refused", "GET /\r\n\r\n", 400},
    {"request line of one word is refused", "GET\r\n\r\n", 400},
    {"empty target is refused", "GET  HTTP/1.1\r\n\r\n", 400},
    {"blank in the target is refused", "GET /a b HTTP/1.1\r\n\r\n", 400},
    {"two blanks before the version are refused", "GET /  HTTP/1.1\r\n\r\n", 400},
    {"blank in front of the method is refused", " GET / HTTP/1.1\r\n\r\n", 400},
    {"blank in front of the method behind an empty line is refused", "\r\n GET / HTTP/1.1\r\n\r\n", 400},
    {"tab as a separator is refused", "GET\t/\tHTTP/1.1\r\n\r\n", 400},
    {"version in lower case is refused", "GET / http/1.1\r\n\r\n", 400},
    {"version 2.0 is refused with 400", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400},
    {"version 0.9 is refused with 400", "GET / HTTP/0.9\r\n\r\n", 400},
    {"version with two digits is refused", "GET / HTTP/1.10\r\n\r\n", 400},
    {"version of another protocol is refused", "GET / HTCP/1.1\r\n\r\n", 400},
    {"major version that is no digit is refused", "GET / HTTP/x.1\r\n\r\n", 400},
    {"minor version that is no digit is refused", "GET / HTTP/1.x\r\n\r\n", 400},
    {"version without a point is refused", "GET / HTTP/1,1\r\n\r\n", 400},
    {"something behind the version is refused", "GET / HTTP/1.1 \r\n\r\n", 400},
    {"bytes of a TLS handshake are refused", "\x16\x03\x01\x02\n\n", 400},
    {"TRACE is 501", "TRACE / HTTP/1.1\r\n\r\n", 501},
    {"CONNECT is 501", "CONNECT host:443 HTTP/1.1\r\n\r\n", 501},
    {"method in lower case is 501", "get / HTTP/1.1\r\n\r\n", 501},
    {"unknown method is 501", "BREW /pot HTTP/1.1\r\n\r\n", 501},
    {"unknown method with an illegal target is 400", "BREW /{ HTTP/1.1\r\n\r\n", 400},
    {"target with [ is refused", "GET /a[ HTTP/1.1\r\n\r\n", 400},
    {"target with ] is refused", "GET /a] HTTP/1.1\r\n\r\n", 400},
    {"target with { is refused", "GET /a{ HTTP/1.1\r\n\r\n", 400},
    {"target with } is refused", "GET /a} HTTP/1.1\r\n\r\n", 400},
    {"target with | is refused", "GET /a| HTTP/1.1\r\n\r\n", 400},
    {"target with ^ is refused", "GET /a^ HTTP/1.1\r\n\r\n", 400},
    {"target with ` is refused", "GET /a` HTTP/1.1\r\n\r\n", 400},
    {"target with \" is refused", "GET /a\" HTTP/1.1\r\n\r\n", 400},
    {"target with < is refused", "GET /a< HTTP/1.1\r\n\r\n", 400},
    {"target with > is refused", "GET /a> HTTP/1.1\r\n\r\n", 400},
    {"target with a backslash is refused", "GET /a\\ HTTP/1.1\r\n\r\n", 400},
    {"target with a byte above 0x7f is refused", "GET /\xc3\xa4 HTTP/1.1\r\n\r\n", 400},
    {"target with a control character is refused", "GET /\x01 HTTP/1.1\r\n\r\n", 400},
    {"percent without two digits is refused", "GET /%4 HTTP/1.1\r\n\r\n", 400},
    {"percent without hex digits is refused", "GET /%4g HTTP/1.1\r\n\r\n", 400},
    {"percent at the very end is refused", "GET /% HTTP/1.1\r\n\r\n", 400},
    {"illegal character in the query is refused", "GET /?a=[1] HTTP/1.1\r\n\r\n", 400},
    {"illegal percent in the query is refused", "GET /?%zz HTTP/1.1\r\n\r\n", 400},
    {"second # in the target is refused", "GET /#a#b HTTP/1.1\r\n\r\n", 400},
    {"illegal character in the authority is refused", "GET //a{b/ HTTP/1.1\r\n\r\n", 400},
    {"header line without a colon is refused", "GET / HTTP/1.1\r\nHost\r\n\r\n", 400},
    {"header line without a name is refused", "GET / HTTP/1.1\r\n: x\r\n\r\n", 400},
    {"blank before the colon is refused", "GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400},
    {"tab before the colon is refused", "GET / HTTP/1.1\r\nHost\t: x\r\n\r\n", 400},
    {"blank before the first name is refused", "GET / HTTP/1.1\r\n Host: x\r\n\r\n", 400},
    {"folded line is refused", "GET / HTTP/1.1\r\nA: x\r\n y\r\n\r\n", 400},
    {"line folded with a tab is refused", "GET / HTTP/1.1\r\nA: x\r\n\ty\r\n\r\n", 400},
    {"CR inside a value is refused", "GET / HTTP/1.1\r\nA: x\ry\r\n\r\n", 400},
    {"CR at the end of a value is refused", "GET / HTTP/1.1\r\nA: x\r\r\n\r\n", 400},
    {"DEL in a value is refused", "GET / HTTP/1.1\r\nA: abcdefgh\x7fijklmn\r\n\r\n", 400},
    {"control character in a value is refused", "GET / HTTP/1.1\r\nA: abcdefgh\x01ijklmn\r\n\r\n", 400},
    {"control character in a name is refused", "GET / HTTP/1.1\r\nA\x01: b\r\n\r\n", 400},
    {"byte above 0x7f in a name is refused", "GET / HTTP/1.1\r\n\xc3\xa4: b\r\n\r\n", 400},
    {"length and coding together are refused", "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
    {"coding and length together are refused", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", 400},
    {"two unequal lengths are refused", "POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", 400},
    {"list of lengths is refused", "POST / HTTP/1.1\r\nContent-Length: 3, 3\r\n\r\n", 400},
    {"negative length is refused", "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400},
    {"length with a plus is refused", "POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\n", 400},
    {"hexadecimal length is refused", "POST / HTTP/1.1\r\nContent-Length: 0x1\r\n\r\n", 400},
    {"empty length is refused", "POST / HTTP/1.1\r\nContent-Length:\r\n\r\n", 400},
    {"length with a blank inside is refused", "POST / HTTP/1.1\r\nContent-Length: 1 2\r\n\r\n", 400},
    {"length beyond 63 bits is refused", "POST / HTTP/1.1\r\nContent-Length: 9223372036854775808\r\n\r\n", 400},
    {"length that wraps is refused", "POST / HTTP/1.1\r\nContent-Length: 18446744073709551621\r\n\r\n", 400},
    {"length that wraps with its last digit is refused", "POST / HTTP/1.1\r\nContent-Length: 18446744073709551616\r\n\r\n", 400},
    {"coding gzip is refused", "POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 400},
    {"coding gzip, chunked is refused", "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 400},
    {"coding chunked, identity is refused", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked, identity\r\n\r\n", 400},
    {"coding identity is refused", "POST / HTTP/1.1\r\nTransfer-Encoding: identity\r\n\r\n", 400},
    {"coding xchunked is refused", "POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n", 400},
    {"coding chunked twice is refused", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
    {"empty coding is refused", "POST / HTTP/1.1\r\nTransfer-Encoding:\r\n\r\n", 400},
    {"coding in HTTP/1.0 is refused", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
    {"unknown expectation is 417", "POST / HTTP/1.1\r\nExpect: 200-ok\r\nContent-Length: 3\r\n\r\n", 417},
};

typedef struct acceptance {
    const char *name, *request, *target, *path;
    int version;
    bool keep;
    const char *dump; /* "name=value;" of every header line */
} acceptance;

static const acceptance acceptances[] = {
    {"Host is not required", "GET /a HTTP/1.1\r\n\r\n", "/a", "/a", 11, true, ""},
    {"query and fragment belong to the target only", "GET /a?b=c#d HTTP/1.1\r\n\r\n", "/a?b=c#d", "/a", 11, true, ""},
    {"fragment without query ends the path", "GET /a#d?e HTTP/1.1\r\n\r\n", "/a#d?e", "/a", 11, true, ""},
    {"percent is not decoded", "GET /a%2Fb HTTP/1.1\r\n\r\n", "/a%2Fb", "/a%2Fb", 11, true, ""},
    {"all legal characters pass", "GET /-._~!$&'()*+,;=:@?/ HTTP/1.1\r\n\r\n", "/-._~!$&'()*+,;=:@?/", "/-._~!$&'()*+,;=:@", 11, true, ""},
    {"lines may end in LF alone", "GET /a HTTP/1.1\nA: b\n\n", "/a", "/a", 11, true, "A=b;"},
    {"empty lines before a request are skipped", "\r\n\n\r\nGET /a HTTP/1.1\r\n\r\n", "/a", "/a", 11, true, ""},
    {"an LF before a request is skipped", "\nGET /a HTTP/1.1\r\n\r\n", "/a", "/a", 11, true, ""},
    {"value is trimmed", "GET /a HTTP/1.1\r\nA: \t b c\t \r\n\r\n", "/a", "/a", 11, true, "A=b c;"},
    {"blank after the colon is not needed", "GET /a HTTP/1.1\r\nA:b\r\n\r\n", "/a", "/a", 11, true, "A=b;"},
    {"value may be empty", "GET /a HTTP/1.1\r\nA:\r\nB: \r\n\r\n", "/a", "/a", 11, true, "A=;B=;"},
    {"value may have bytes above 0x7f and tabs", "GET /a HTTP/1.1\r\nA: \xc3\xa4\xc3\xb6\xc3\xbc\xff\tabcdefgh\r\n\r\n", "/a", "/a", 11, true, "A=\xc3\xa4\xc3\xb6\xc3\xbc\xff\tabcdefgh;"},
    {"two equal lengths count as one", "GET /a HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", "/a", "/a", 11, true, "Content-Length=3;Content-Length=3;"},
    {"coding is recognised in any case", "POST /a HTTP/1.1\r\ntransfer-ENCODING: Chunked\r\n\r\n", "/a", "/a", 11, true, "transfer-ENCODING=Chunked;"},
    {"close ends the connection", "GET /a HTTP/1.1\r\nConnection: Close\r\n\r\n", "/a", "/a", 11, false, "Connection=Close;"},
    {"close is found in a list", "GET /a HTTP/1.1\r\nConnection: te, close\r\n\r\n", "/a", "/a", 11, false, "Connection=te, close;"},
    {"another field's close means nothing", "GET /a HTTP/1.1\r\nUser-Agent: close\r\n\r\n", "/a", "/a", 11, true, "User-Agent=close;"},
    {"HTTP/1.0 ends the connection", "GET /a HTTP/1.0\r\n\r\n", "/a", "/a", 10, false, ""},
    {"HTTP/1.0 with keep-alive keeps it", "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "/a", "/a", 10, true, "Connection=keep-alive;"},
    {"HTTP/1.0 with another Expect is served", "GET /a HTTP/1.0\r\nExpect: x\r\n\r\n", "/a", "/a", 10, false, "Expect=x;"},
    {"HTTP/1.7 is served as 1.1", "GET /a HTTP/1.7\r\n\r\n", "/a", "/a", 11, true, ""},
    {"absolute target is its path, and the last", "GET http://h:80/a?b HTTP/1.1\r\n\r\n", "/a?b", "/a", 11, false, ""},
    {"absolute target without a path is empty", "GET http://h HTTP/1.1\r\n\r\n", "", "", 11, false, ""},
    {"absolute target with an IPv6 address", "GET http://[::1]:80/a HTTP/1.1\r\n\r\n", "/a", "/a", 11, false, ""},
    {"target // is authority and path", "GET //v1/models/m HTTP/1.1\r\n\r\n", "/models/m", "/models/m", 11, true, ""},
    {"authority ends at a query", "GET //h?a HTTP/1.1\r\n\r\n", "?a", "", 11, true, ""},
    {"authority ends at a fragment", "GET //h#a HTTP/1.1\r\n\r\n", "#a", "", 11, true, ""},
    {"authority may have a percent", "GET //h%41/a HTTP/1.1\r\n\r\n", "/a", "/a", 11, true, ""},
    {"target without a slash is left as it is", "GET models HTTP/1.1\r\n\r\n", "models", "models", 11, true, ""},
    {"target without a slash in front is left as it is", "GET models/m HTTP/1.1\r\n\r\n", "models/m", "models/m", 11, true, ""},
    {"target that begins with a digit is no scheme", "GET 1a://h/a HTTP/1.1\r\n\r\n", "1a://h/a", "1a://h/a", 11, true, ""},
    {"scheme without authority loses the scheme only", "GET urn:a HTTP/1.1\r\n\r\n", "a", "a", 11, false, ""},
    {"target * is left as it is", "OPTIONS * HTTP/1.1\r\n\r\n", "*", "*", 11, true, ""},
    {"colon in a later segment is no scheme", "POST /v1/models/m:predict HTTP/1.1\r\n\r\n", "/v1/models/m:predict", "/v1/models/m:predict", 11, true, ""},
};
/* clang-format on */

static sl_http_limits limits;

/* One byte more at a time, in a buffer that moves each time. */
static ssize_t parse_slowly(sl_head *h, const char *request, size_t n, char **last)
{
    ssize_t rc = 0;
    char *before = NULL;
    for (size_t i = 0; i <= n && rc == 0; i++) {
        char *now = malloc(i + 1);
        memcpy(now, request, i);
        if (before != NULL)
            sl_head_move(h, now - before);
        free(before);
        before = now;
        rc = sl_head_parse(h, now, i, &limits);
    }
    *last = before;
    return rc;
}

static void request_is_refused(void **state)
{
    const refusal *r = *state;
    size_t n = strlen(r->request);
    char *buffer;
    sl_head h = {0};
    assert_int_equal(sl_head_parse(&h, r->request, n, &limits), -1);
    assert_int_equal(h.status, r->status);
    sl_head_reset(&h);
    assert_int_equal(parse_slowly(&h, r->request, n, &buffer), -1);
    assert_int_equal(h.status, r->status);
    free(buffer);
    sl_head_fini(&h);
}

static void check_accepted(const acceptance *a, const sl_head *h)
{
    char dump[1024] = "";
    size_t n = 0;
    for (int i = 0; i < h->n_headers; i++)
        n += (size_t)snprintf(dump + n, sizeof dump - n, "%.*s=%.*s;",
                              SL_STR_ARG(h->headers[i].name), SL_STR_ARG(h->headers[i].value));
    assert_string_equal(dump, a->dump);
    assert_true(sl_str_is(h->target, a->target));
    assert_true(sl_str_is(h->path, a->path));
    assert_int_equal(h->version, a->version);
    assert_int_equal(h->keep_alive, a->keep);
}

static void request_is_accepted(void **state)
{
    const acceptance *a = *state;
    size_t n = strlen(a->request);
    char *buffer, *with_more = malloc(n + 3);
    sl_head h = {0};
    /* What follows the head is not the head's. */
    memcpy(with_more, a->request, n);
    memcpy(with_more + n, "GET", 3);
    assert_int_equal(sl_head_parse(&h, with_more, n + 3, &limits), n);
    check_accepted(a, &h);
    free(with_more);
    sl_head_reset(&h);
    assert_int_equal(parse_slowly(&h, a->request, n, &buffer), n);
    check_accepted(a, &h);
    free(buffer);
    sl_head_fini(&h);
}

static void nul_in_a_value_is_refused(void **state)
{
    (void)state;
    static const char request[] = "GET / HTTP/1.1\r\nA: b\0c\r\n\r\n";
    sl_head h = {0};
    assert_int_equal(sl_head_parse(&h, request, sizeof request - 1, &limits), -1);
    assert_int_equal(h.status, 400);
    sl_head_fini(&h);
}

static void control_character_is_found_at_every_place(void **state)
{
    (void)state;
    char request[128];
    for (int at = 0; at < 40; at++)
        for (int c = 0; c < 0x80; c++) {
            sl_head h = {0};
            int n = snprintf(request, sizeof request, "GET / HTTP/1.1\r\nA: x%040dx\r\n\r\n", 0);
            request[20 + at] = (char)c;
            bool bad = (c < 0x20 && c != '\t' && c != '\n') || c == 0x7f;
            ssize_t rc = sl_head_parse(&h, request, (size_t)n, &limits);
            if (c != '\n')
                assert_int_equal(rc, bad ? -1 : n);
            sl_head_fini(&h);
        }
}

static const sl_http_limits small = {.max_head = 60, .max_headers = 3, .max_body = 10};

static void head_at_its_limit_passes_and_one_byte_more_does_not(void **state)
{
    (void)state;
    char request[100];
    for (int size = 55; size < 66; size++) {
        sl_head h = {0};
        int n =
            snprintf(request, sizeof request, "GET / HTTP/1.1\r\nA: %0*d\r\n\r\n", size - 23, 0);
        assert_int_equal(n, size);
        assert_int_equal(sl_head_parse(&h, request, (size_t)n, &small), size <= 60 ? size : -1);
        if (size > 60)
            assert_int_equal(h.status, 431);
        sl_head_fini(&h);
    }
}

static void endless_head_is_refused_at_the_limit(void **state)
{
    (void)state;
    char request[60];
    sl_head h = {0};
    memset(request, 'A', sizeof request);
    assert_int_equal(sl_head_parse(&h, request, 59, &small), 0);
    assert_int_equal(sl_head_parse(&h, request, 60, &small), -1);
    assert_int_equal(h.status, 431);
    sl_head_fini(&h);
}

static void one_header_line_too_many_is_refused(void **state)
{
    (void)state;
    static const char three[] = "GET / HTTP/1.1\r\nA:\r\nB:\r\nC:\r\n\r\n";
    static const char four[] = "GET / HTTP/1.1\r\nA:\r\nB:\r\nC:\r\nD:\r\n\r\n";
    sl_head h = {0};
    assert_int_equal(sl_head_parse(&h, three, sizeof three - 1, &small), sizeof three - 1);
    sl_head_reset(&h);
    assert_int_equal(sl_head_parse(&h, four, sizeof four - 1, &small), -1);
    assert_int_equal(h.status, 431);
    sl_head_fini(&h);
}

static sl_head *parsed(const char *line)
{
    static sl_head h;
    static char request[256];
    int n = snprintf(request, sizeof request, "POST / HTTP/1.1\r\n%s\r\n\r\n", line);
    sl_head_reset(&h);
    assert_int_equal(sl_head_parse(&h, request, (size_t)n, &limits), n);
    return &h;
}

static void content_encoding_counts_if_it_contains_gzip(void **state)
{
    (void)state;
    assert_true(parsed("Content-Encoding: gzip")->gzip);
    assert_true(parsed("content-encoding: x-gzip")->gzip);
    assert_true(parsed("Content-Encoding: my_gzip")->gzip);
    assert_true(parsed("Content-Encoding: deflate, gzip")->gzip);
    assert_false(parsed("Content-Encoding: GZIP")->gzip);
    assert_false(parsed("Content-Encoding: gzi")->gzip);
    assert_false(parsed("Content-Encoding: br")->gzip);
    assert_false(parsed("X-Forwarded-Host: gzip")->gzip);
}

static void gzip_is_accepted_unless_its_weight_is_zero(void **state)
{
    (void)state;
    assert_true(parsed("Accept-Encoding: gzip")->accepts_gzip);
    assert_true(parsed("Accept-Encoding: br, gzip;q=0.5")->accepts_gzip);
    assert_true(parsed("Accept-Encoding: gzip;q=0.001")->accepts_gzip);
    assert_true(parsed("Accept-Encoding: *")->accepts_gzip);
    assert_false(parsed("Accept-Encoding: gzip;q=0")->accepts_gzip);
    assert_false(parsed("Accept-Encoding: gzip; q=0.000")->accepts_gzip);
    assert_false(parsed("Accept-Encoding: gzip;q")->accepts_gzip); /* not a weight */
    assert_false(parsed("Accept-Encoding: br, deflate")->accepts_gzip);
    assert_false(parsed("Accept-Language: gzip")->accepts_gzip);
}

static void lengths_are_read(void **state)
{
    (void)state;
    assert_true(parsed("Content-Length: 9223372036854775807")->length == INT64_MAX);
    assert_int_equal(parsed("Content-Length: 0007")->length, 7);
    assert_true(parsed("Transfer-Encoding: chunked")->chunked);
    assert_false(parsed("A: b")->has_length);
}

/* nghttp2 does not let one through; this does not rely on it. */
static void a_path_that_is_empty_is_taken_as_it_is(void **state)
{
    (void)state;
    sl_head h = {0};
    assert_int_equal(sl_head_target(&h, (sl_str){"", 0}), 0);
    assert_int_equal(h.target.n, 0);
    assert_int_equal(h.path.n, 0);
}

static void memory_that_runs_out_is_503(void **state)
{
    (void)state;
    static const char request[] = "GET / HTTP/1.1\r\nA: b\r\n\r\n";
    sl_head h = {0};
    sl_fault_arm(SL_FAULT_ALLOC, 1);
    assert_int_equal(sl_head_parse(&h, request, sizeof request - 1, &limits), -1);
    assert_int_equal(h.status, 503);
    sl_fault_arm(SL_FAULT_ALLOC, 0);
    sl_head_fini(&h);
    sl_head_fini(parsed("A: b"));
}

int main(void)
{
    static const struct CMUnitTest rest[] = {
        cmocka_unit_test(nul_in_a_value_is_refused),
        cmocka_unit_test(control_character_is_found_at_every_place),
        cmocka_unit_test(head_at_its_limit_passes_and_one_byte_more_does_not),
        cmocka_unit_test(endless_head_is_refused_at_the_limit),
        cmocka_unit_test(one_header_line_too_many_is_refused),
        cmocka_unit_test(content_encoding_counts_if_it_contains_gzip),
        cmocka_unit_test(gzip_is_accepted_unless_its_weight_is_zero),
        cmocka_unit_test(lengths_are_read),
        cmocka_unit_test(a_path_that_is_empty_is_taken_as_it_is),
        cmocka_unit_test(memory_that_runs_out_is_503),
    };
    static struct CMUnitTest
        tests[SL_COUNTOF(refusals) + SL_COUNTOF(acceptances) + SL_COUNTOF(rest)];
    size_t n = 0;
    sl_http_limits_default(&limits);
    for (size_t i = 0; i < SL_COUNTOF(refusals); i++)
        tests[n++] = (struct CMUnitTest){.name = refusals[i].name,
                                         .test_func = request_is_refused,
                                         .initial_state = (void *)&refusals[i]};
    for (size_t i = 0; i < SL_COUNTOF(acceptances); i++)
        tests[n++] = (struct CMUnitTest){.name = acceptances[i].name,
                                         .test_func = request_is_accepted,
                                         .initial_state = (void *)&acceptances[i]};
    memcpy(tests + n, rest, sizeof rest);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
