/* A call's status in its trailers, and its deadline. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/grpc/status.h"
#include "base/fault.h"

static void check(sl_code code, const sl_status *st, const char *expected)
{
    sl_chain lines = {0};
    sl_grpc_put_status(&lines, code, st);
    char *text = calloc(1, lines.size + 1);
    sl_chain_copy(&lines, text);
    assert_string_equal(text, expected);
    free(text);
    sl_chain_reset(&lines);
}

static void a_status_is_a_number_and_perhaps_a_message(void **state)
{
    sl_status st = {0};
    (void)state;
    check(SL_OK, NULL, "grpc-status: 0\r\n");
    sl_fail(&st, SL_NOT_FOUND, "x is not there");
    check(SL_NOT_FOUND, &st, "grpc-status: 5\r\ngrpc-message: x is not there\r\n");
    sl_fail(&st, SL_UNAUTHENTICATED, "%s", "");
    check(SL_UNAUTHENTICATED, &st, "grpc-status: 16\r\n");
    check(SL_UNAVAILABLE, NULL, "grpc-status: 14\r\n");
}

static void without_memory_a_status_fails_its_chain(void **state)
{
    sl_status st = {0};
    sl_chain lines = {0};
    (void)state;
    sl_fault_arm(SL_FAULT_ALLOC, 1);
    sl_grpc_put_status(&lines, SL_OK, NULL);
    sl_fault_arm(SL_FAULT_ALLOC, 0);
    assert_true(lines.failed);
    assert_int_equal(lines.size, 0);
    sl_chain_reset(&lines);
    memset(st.msg, '%', sizeof st.msg - 1); /* three bytes each: another block */
    sl_fault_arm(SL_FAULT_ALLOC, 2);
    sl_grpc_put_status(&lines, SL_INTERNAL, &st);
    sl_fault_arm(SL_FAULT_ALLOC, 0);
    assert_true(lines.failed);
    sl_chain_reset(&lines);
}

static void what_may_not_stand_in_a_header_is_percent_encoded(void **state)
{
    sl_status st = {0};
    (void)state;
    sl_fail(&st, SL_INTERNAL, "100%% \xc3\xa4\r\n\t~\x7f");
    check(SL_INTERNAL, &st, "grpc-status: 13\r\ngrpc-message: 100%25 %C3%A4%0D%0A%09~%7F\r\n");
    sl_fail(&st, SL_INTERNAL, " of three words ");
    check(SL_INTERNAL, &st, "grpc-status: 13\r\ngrpc-message: %20of three words%20\r\n");
}

static void a_long_message_is_cut_after_1024_bytes(void **state)
{
    char rest[300], expected[2048];
    sl_status st = {.code = SL_INTERNAL, .more = rest};
    (void)state;
    memset(st.msg, 'a', 1023);
    memcpy(rest, "b", 2);
    size_t n =
        (size_t)snprintf(expected, sizeof expected, "grpc-status: 13\r\ngrpc-message: %s", st.msg);
    memcpy(expected + n, "b\r\n", 4);
    check(SL_INTERNAL, &st, expected); /* 1024 bytes fit */
    memcpy(rest, "bc", 3);
    memcpy(expected + n, "b...TRUNCATED\r\n", 16);
    check(SL_INTERNAL, &st, expected);
}

static void time_outs_have_a_unit(void **state)
{
    static const struct {
        const char *text;
        uint64_t ns;
    } good[] = {{"1H", 3600000000000u},
                {"2M", 120000000000u},
                {"0S", 0},
                {"15m", 15000000u},
                {"7u", 7000u},
                {"99999999n", 99999999u},
                {"99999999H", 2147483647000000u}};
    static const char *const bad[] = {"",     "S",          "1",   "1s",  "-1S",
                                      "1.5S", "123456789S", "1 S", "+1S", "1:S"};
    uint64_t ns;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(sl_grpc_timeout_parse(sl_str_of(good[i].text), &ns));
        assert_int_equal(ns, good[i].ns);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(sl_grpc_timeout_parse(sl_str_of(bad[i]), &ns));
}

static void errors_of_http_become_statuses(void **state)
{
    (void)state;
    assert_int_equal(sl_grpc_code_of_http(413), SL_RESOURCE_EXHAUSTED);
    assert_int_equal(sl_grpc_code_of_http(408), SL_DEADLINE_EXCEEDED);
    assert_int_equal(sl_grpc_code_of_http(503), SL_UNAVAILABLE);
    assert_int_equal(sl_grpc_code_of_http(400), SL_INTERNAL);
    assert_int_equal(sl_grpc_code_of_http(401), SL_UNAUTHENTICATED);
    assert_int_equal(sl_grpc_code_of_http(403), SL_PERMISSION_DENIED);
    assert_int_equal(sl_grpc_code_of_http(404), SL_UNIMPLEMENTED);
    assert_int_equal(sl_grpc_code_of_http(418), SL_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_status_is_a_number_and_perhaps_a_message),
        cmocka_unit_test(what_may_not_stand_in_a_header_is_percent_encoded),
        cmocka_unit_test(a_long_message_is_cut_after_1024_bytes),
        cmocka_unit_test(time_outs_have_a_unit),
        cmocka_unit_test(errors_of_http_become_statuses),
        cmocka_unit_test(without_memory_a_status_fails_its_chain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
