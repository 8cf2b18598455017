/* The PROXY protocol's header, both versions, whole and in every cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "base/mem.h"
#include "http/proxy.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

static struct sockaddr_storage client;
static size_t used;

static const char v4[] = SIGNATURE "\x21\x11\0\x0c"
                                   "\xc0\0\x02\x01"
                                   "\xc6\x33\x64\x01"
                                   "\xdc\x04\x01\xbb";
static const char v6[] = SIGNATURE "\x21\x21\0\x24"
                                   "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
                                   "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02"
                                   "\xdc\x04\x01\xbb";

static void is_client(sl_str bytes, const char *address, int port)
{
    char text[64];
    assert_int_equal(sl_proxy_parse(bytes, &client, &used), SL_PROXY_CLIENT);
    if (client.ss_family == AF_INET) {
        const struct sockaddr_in *a = (const struct sockaddr_in *)&client;
        inet_ntop(AF_INET, &a->sin_addr, text, sizeof text);
        assert_int_equal(ntohs(a->sin_port), port);
    } else {
        const struct sockaddr_in6 *a = (const struct sockaddr_in6 *)&client;
        inet_ntop(AF_INET6, &a->sin6_addr, text, sizeof text);
        assert_int_equal(ntohs(a->sin6_port), port);
    }
    assert_string_equal(text, address);
}

static void cuts_want_more(sl_str whole)
{
    for (size_t n = 1; n < whole.n; n++)
        if (sl_proxy_parse((sl_str){whole.p, n}, &client, &used) != SL_PROXY_MORE)
            fail_msg("%zu of %zu bytes", n, whole.n);
}

static void version_2_names_the_client(void **state)
{
    (void)state;
    sl_str a = {v4, sizeof v4 - 1}, b = {v6, sizeof v6 - 1};
    is_client(a, "192.0.2.1", 56324);
    assert_int_equal(used, a.n);
    is_client(b, "2001:db8::1", 56324);
    assert_int_equal(used, b.n);
    cuts_want_more(a);
    cuts_want_more(b);
}

static void extensions_are_read_over_and_what_follows_is_left(void **state)
{
    static const char bytes[] = SIGNATURE "\x21\x11\0\x11"
                                          "\xc0\0\x02\x01"
                                          "\xc6\x33\x64\x01"
                                          "\xdc\x04\x01\xbb"
                                          "\x01\0\x02h2"
                                          "GET / ";
    (void)state;
    is_client((sl_str){bytes, sizeof bytes - 1}, "192.0.2.1", 56324);
    assert_string_equal(bytes + used, "GET / ");
}

static void version_1_names_the_client(void **state)
{
    (void)state;
    sl_str a = SL_STR("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n"),
           b = SL_STR("PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n");
    is_client(a, "192.0.2.1", 56324);
    assert_int_equal(used, a.n);
    is_client(b, "2001:db8::1", 56324);
    cuts_want_more(a);
    cuts_want_more(b);
    assert_int_equal(sl_proxy_parse(SL_STR("PROXY UNKNOWN whatever\r\nGET"), &client, &used),
                     SL_PROXY_LOCAL);
    assert_int_equal(used, 24);
}

static void the_proxy_speaks_for_itself_when_it_says_so(void **state)
{
    static const char local[] = SIGNATURE "\x20\0\0\0", unspecified[] = SIGNATURE "\x21\0\0\x02"
                                                                                  "yz";
    (void)state;
    assert_int_equal(sl_proxy_parse((sl_str){local, 16}, &client, &used), SL_PROXY_LOCAL);
    assert_int_equal(used, 16);
    assert_int_equal(sl_proxy_parse((sl_str){unspecified, 18}, &client, &used), SL_PROXY_LOCAL);
    assert_int_equal(used, 18);
}

static void what_is_malformed_is_no_client(void **state)
{
    static const struct {
        const char *p;
        size_t n;
    } bad[] = {
        {SIGNATURE "\x11\x11\0\x0c", 16},   /* version 1 in binary */
        {SIGNATURE "\x22\x11\0\x0c", 16},   /* no such command */
        {SIGNATURE "\x21\x11\xff\xff", 16}, /* 64 KB of extensions */
        {SIGNATURE "\x21\x11\0\x04"
                   "abcd",
         20}, /* too short for IPv4 */
        {SIGNATURE "\x21\x21\0\x0c"
                   "abcdabcdabcd",
         28}, /* too short for IPv6 */
        {SIGNATURE "\x21\x51\0\x0c"
                   "abcdabcdabcd",
         28}, /* no such family */
        {"PROXY TCP4 192.0.2.1 198.51.100.1 56324\r\n", 41},
        {"PROXY TCP4 192.0.2.1 198.51.100.1 99999 443\r\n", 45},
        {"PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n", 40},
        {"PROXY TCP9 192.0.2.1 198.51.100.1 1 2\r\n", 39},
        {"PROXY TCP4 192.0.2.1 198.51.100.1 1 2 3\r\n", 41},
        {"PROXY \r\n", 8},
        {"PROXY TCP4\r\n", 12},
        {"PROXY TCP4 192.0.2.1\r\n", 22},
        {"PROXY TCP4 192.0.2.1 198.51.100.1\r\n", 35},
        {"PROXY TCP4TCP4 192.0.2.1 198.51.100.1 1 2\r\n", 43},
        {"PROXY TCP4 192.0.2.1 198.51.100.1 x 2\r\n", 39},
        {"PROXY TCP4 192.0.2.1 198.51.100.1 -1 2\r\n", 40},
        {"PROXY TCP6 192.0.2.1 198.51.100.1 1 2\r\n", 39},
    };
    char endless[200];
    (void)state;
    for (size_t i = 0; i < SL_COUNTOF(bad); i++)
        if (sl_proxy_parse((sl_str){bad[i].p, bad[i].n}, &client, &used) != SL_PROXY_BAD)
            fail_msg("row %zu", i);
    memset(endless, 'x', sizeof endless);
    memcpy(endless, "PROXY TCP4 ", 11);
    assert_int_equal(sl_proxy_parse((sl_str){endless, sizeof endless}, &client, &used),
                     SL_PROXY_BAD);
}

static void a_request_is_no_header(void **state)
{
    (void)state;
    assert_int_equal(sl_proxy_parse(SL_STR("POST / HTTP/1.1\r\n"), &client, &used), SL_PROXY_NONE);
    assert_int_equal(sl_proxy_parse(SL_STR("PRI * HTTP/2.0\r\n"), &client, &used), SL_PROXY_NONE);
    assert_int_equal(sl_proxy_parse(SL_STR("\r\n\r\nGET /"), &client, &used), SL_PROXY_NONE);
    assert_int_equal(sl_proxy_parse(SL_STR("\x16\x03\x01"), &client, &used), SL_PROXY_NONE);
    assert_int_equal(sl_proxy_parse(SL_STR("P"), &client, &used), SL_PROXY_MORE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_2_names_the_client),
        cmocka_unit_test(extensions_are_read_over_and_what_follows_is_left),
        cmocka_unit_test(version_1_names_the_client),
        cmocka_unit_test(the_proxy_speaks_for_itself_when_it_says_so),
        cmocka_unit_test(what_is_malformed_is_no_client),
        cmocka_unit_test(a_request_is_no_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
