/* Request ids, which requests get a line, and how it is quoted. All of a line: tests/api. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/mman.h>
#include <unistd.h>

#include "api/access_log.h"
#include "base/fault.h"
#include "base/log.h"

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

static const char *line_of(const sl_access_entry *e, bool json, char *text, size_t size)
{
    int fd = memfd_create("log", 0);
    sl_access_log log = {.mode = SL_ACCESS_ALL, .json = json};
    assert_true(fd >= 0);
    sl_log_prepare(&(sl_log_options){.fd = fd});
    sl_access_write(&log, e);
    sl_log_prepare(&(sl_log_options){.fd = 2});
    ssize_t n = pread(fd, text, size - 1, 0);
    assert_true(n >= 0);
    text[n] = '\0';
    close(fd);
    return text;
}

static void what_a_client_chose_is_quoted_and_cut(void **state)
{
    char text[4096], target[300];
    sl_access_entry e = {.id = SL_STR("a"), .method = SL_STR("GET"), .target = {target, 256}};
    (void)state;
    memset(target, 'x', sizeof target);
    e.model = SL_STR("q\"b\\s\n\x7f\xff~");
    line_of(&e, false, text, sizeof text);
    assert_non_null(strstr(text, " model=\"q\\\"b\\\\s\\u000a\\u007f\\u00ff~\" "));
    assert_non_null(strstr(text, "xxx\" model"));
    e.target.n = 257;
    line_of(&e, true, text, sizeof text);
    assert_int_equal(text[0], '{');
    assert_string_equal(text + strlen(text) - 2, "}\n");
    assert_non_null(strstr(text, "\"model\":\"q\\\"b\\\\s\\u000a\\u007f\\u00ff~\","));
    assert_non_null(strstr(text, "xxx...\",\"model\""));
    assert_non_null(strstr(text, "\"status\":0,"));
}

static void a_line_for_which_there_is_no_memory_is_left_out(void **state)
{
    char text[4096];
    const sl_access_entry e = {.id = SL_STR("a")};
    (void)state;
    for (int nth = 1; nth <= 3; nth++) {
        sl_fault_arm(SL_FAULT_ALLOC, nth);
        line_of(&e, true, text, sizeof text);
        bool hit = sl_fault_count(SL_FAULT_ALLOC) >= nth;
        sl_fault_arm(SL_FAULT_ALLOC, 0);
        assert_int_equal(text[0], hit ? '\0' : '{');
    }
}

static void the_mode_decides_which_requests_get_a_line(void **state)
{
    (void)state;
    sl_access_log off = {.mode = SL_ACCESS_OFF}, errors = {.mode = SL_ACCESS_ERRORS},
                  all = {.mode = SL_ACCESS_ALL}, some = {.mode = SL_ACCESS_SAMPLED, .every = 10},
                  each = {.mode = SL_ACCESS_SAMPLED, .every = 1};
    assert_false(sl_access_wants(&off, 500));
    assert_false(sl_access_wants(&errors, 200));
    assert_true(sl_access_wants(&errors, 400));
    assert_true(sl_access_wants(&all, 200));
    int lines = 0;
    for (int i = 0; i < 1000; i++)
        lines += sl_access_wants(&some, 200);
    assert_int_equal(lines, 100);
    assert_true(sl_access_wants(&some, 503));
    assert_true(sl_access_wants(&each, 200));
    assert_true(sl_access_wants(&each, 200));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sane_request_id_is_short_and_printable),
        cmocka_unit_test(made_ids_differ_and_are_sane),
        cmocka_unit_test(what_a_client_chose_is_quoted_and_cut),
        cmocka_unit_test(a_line_for_which_there_is_no_memory_is_left_out),
        cmocka_unit_test(the_mode_decides_which_requests_get_a_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
