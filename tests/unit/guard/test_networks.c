/* Addresses and networks, IPv4 and IPv6 alike. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guard/networks.h"

static bool has(const char *network, const char *address)
{
    sl_network n;
    sl_ip ip;
    sl_status st;
    if (sl_network_parse(sl_str_of(network), &n, &st) != SL_OK)
        fail_msg("%s: %s", network, st.msg);
    assert_true(sl_ip_parse(sl_str_of(address), &ip));
    return sl_network_has(&n, &ip);
}

static void an_ipv4_network_has_its_addresses_also_as_mapped_ones(void **state)
{
    (void)state;
    assert_true(has("10.0.0.0/8", "10.255.1.2"));
    assert_true(has("10.0.0.0/8", "::ffff:10.1.2.3"));
    assert_false(has("10.0.0.0/8", "11.0.0.1"));
    assert_true(has("192.0.2.128/25", "192.0.2.129:8080"));
    assert_false(has("192.0.2.128/25", "192.0.2.127"));
    assert_true(has("192.0.2.1", "192.0.2.1"));
    assert_false(has("192.0.2.1", "192.0.2.2"));
    assert_true(has("0.0.0.0/0", "203.0.113.9"));
    assert_false(has("0.0.0.0/0", "2001:db8::1"));
}

static void an_ipv6_network_has_its_addresses(void **state)
{
    (void)state;
    assert_true(has("2001:db8::/32", "[2001:db8:1::5]:443"));
    assert_false(has("2001:db8::/32", "2001:db9::1"));
    assert_true(has("fe80::/10", "febf::1"));
    assert_true(has("::/0", "1.2.3.4")); /* everything */
}

static void what_is_no_network_is_refused_with_its_text(void **state)
{
    static const char *const bad[] = {
        "",       "10.0.0.0/33", "10.0.0.0/-1",    "10.0.0/8",
        "::/129", "10.0.0.1/8",  "10.0.0.0/x",     "10.0.0.0/999999999999999999999",
        "host/8", "10.0.0.0/",   "2001:db8::1/64", "10.0.0.0/8 "};
    sl_network n;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        sl_status st = {0};
        if (sl_network_parse(sl_str_of(bad[i]), &n, &st) != SL_INVALID_ARGUMENT)
            fail_msg("\"%s\" was taken", bad[i]);
        assert_non_null(strstr(st.msg, bad[i]));
    }
}

static void a_peer_is_read_with_and_without_its_port(void **state)
{
    sl_ip ip;
    (void)state;
    assert_true(sl_ip_parse(SL_STR("127.0.0.1:51234"), &ip) && sl_ip_is_loopback(&ip));
    assert_true(sl_ip_parse(SL_STR("[::1]:51234"), &ip) && sl_ip_is_loopback(&ip));
    assert_true(sl_ip_parse(SL_STR("[::1]"), &ip) && sl_ip_is_loopback(&ip));
    assert_true(sl_ip_parse(SL_STR("127.9.9.9"), &ip) && sl_ip_is_loopback(&ip));
    assert_true(sl_ip_parse(SL_STR("128.0.0.1"), &ip) && !sl_ip_is_loopback(&ip));
    static const char *const bad[] = {"unix",
                                      "",
                                      "1.2.3",
                                      "1.2.3.4:x",
                                      "1.2.3.4:",
                                      "[::1",
                                      "[::1]x",
                                      "[1.2.3.4]:1",
                                      "1.2.3.4:99999",
                                      ":::",
                                      "1.2.3.4.5",
                                      "[::1]:",
                                      "[::1]:x",
                                      "[::1]:123456",
                                      "[]",
                                      "[x:]:1",
                                      "1.2.3.4:-1",
                                      "1.2.3.4:123456",
                                      "[",
                                      "1111111111111111111111111111111111111111111111111"
                                      "111111111111111111"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (sl_ip_parse(sl_str_of(bad[i]), &ip))
            fail_msg("\"%s\" was taken", bad[i]);
    assert_false(sl_ip_parse(SL_STR("1.2.3.4\0"), &ip));
}

static void this_machine_goes_by_these_names(void **state)
{
    static const char *const ours[] = {"localhost",           "localhost:80", "127.0.0.1",
                                       "127.255.0.9:1",       "[::1]",        "[::1]:80",
                                       "[::ffff:127.0.0.1]:9"};
    static const char *const others[] = {"",
                                         ":80",
                                         "[",
                                         "[]",
                                         "[::1",
                                         "::1",
                                         "localhost.example",
                                         "xlocalhost",
                                         "128.0.0.1",
                                         "0.0.0.0:80",
                                         "[::2]:80",
                                         "[::]",
                                         "[::ffff:10.0.0.1]",
                                         "127.0.0.1.example",
                                         "127.1",
                                         "1111111111111111111111111111111111111111111111111"
                                         "111111111111111111"};
    (void)state;
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (!sl_address_is_loopback(sl_str_of(ours[i])))
            fail_msg("\"%s\" is this machine", ours[i]);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (sl_address_is_loopback(sl_str_of(others[i])))
            fail_msg("\"%s\" is not this machine", others[i]);
    assert_false(sl_address_is_loopback((sl_str){NULL, 0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ipv4_network_has_its_addresses_also_as_mapped_ones),
        cmocka_unit_test(an_ipv6_network_has_its_addresses),
        cmocka_unit_test(what_is_no_network_is_refused_with_its_text),
        cmocka_unit_test(a_peer_is_read_with_and_without_its_port),
        cmocka_unit_test(this_machine_goes_by_these_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
