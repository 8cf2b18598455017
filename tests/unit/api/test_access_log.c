/* Request ids and which requests get a line. The lines themselves: tests/api/test_server.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/access_log.h"

static void a_sane_request_id_is_short_and_printable(void **state)
{
    char longest[SL_REQUEST_ID_MAX + 1];
    (void)state;
    memset(longest, 'a', sizeof longest);
    assert_true(sl_request_id_is_sane(SL_STR("a")));
    assert_true(sl_request_id_is_sane(SL_STR("01-AZ.az_:/+=@")));
    assert_true(sl_request_id_is_sane((sl_str){longest, SL_REQUEST_ID_MAX}));
    assert_false(sl_request_id_is_sane((sl_str){longest, SL_REQUEST_ID_MAX + 1}));
    assert_false(sl_request_id_is_sane(SL_STR("")));
    assert_false(sl_request_id_is_sane(SL_STR("a b")));
    assert_false(sl_request_id_is_sane(SL_STR("a\r\nb")));
    assert_false(sl_request_id_is_sane(SL_STR("a\0b")));
    assert_false(sl_request_id_is_sane(SL_STR("\xc3\xa4")));
    assert_false(sl_request_id_is_sane(SL_STR("\"")));
}

static void made_ids_differ_and_are_sane(void **state)
{
    char a[17], b[17];
    (void)state;
    sl_request_id_make(a);
    sl_request_id_make(b);
    assert_string_not_equal(a, b);
    assert_int_equal(strlen(a), 16);
    assert_true(sl_request_id_is_sane(sl_str_of(a)));
}

static void the_mode_decides_which_requests_get_a_line(void **state)
{
    (void)state;
    sl_access_log off = {.mode = SL_ACCESS_OFF}, errors = {.mode = SL_ACCESS_ERRORS},
                  all = {.mode = SL_ACCESS_ALL}, some = {.mode = SL_ACCESS_SAMPLED, .every = 10};
    assert_false(sl_access_wants(&off, 500));
    assert_false(sl_access_wants(&errors, 200));
    assert_true(sl_access_wants(&errors, 400));
    assert_true(sl_access_wants(&all, 200));
    int lines = 0;
    for (int i = 0; i < 1000; i++)
        lines += sl_access_wants(&some, 200);
    assert_int_equal(lines, 100);
    assert_true(sl_access_wants(&some, 503));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sane_request_id_is_short_and_printable),
        cmocka_unit_test(made_ids_differ_and_are_sane),
        cmocka_unit_test(the_mode_decides_which_requests_get_a_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
