/* Escapes in the path of a URL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/fault.h"
#include "format/percent.h"

static sl_arena arena;

static bool decodes(const char *text, const char *bytes, size_t n)
{
    sl_str s = sl_str_of(text);
    return sl_percent_decode(&s, &arena) == SL_OK && sl_str_eq(s, (sl_str){bytes, n});
}

static void escapes_are_undone_in_either_case(void **state)
{
    (void)state;
    assert_true(decodes("", "", 0));
    assert_true(decodes("plain+text", "plain+text", 10));
    assert_true(decodes("a%2Fb%2fc", "a/b/c", 5));
    assert_true(decodes("%00%ff", "\0\xff", 2));
    assert_true(decodes("%2541", "%41", 3)); /* once */
}

static void what_is_no_escape_is_refused_and_leaves_the_text(void **state)
{
    static const char *const bad[] = {"%", "%4", "%zz", "a%4", "%4g", "%%41", "% 41"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        sl_str s = sl_str_of(bad[i]);
        assert_int_equal(sl_percent_decode(&s, &arena), SL_INVALID_ARGUMENT);
        assert_true(sl_str_is(s, bad[i]));
    }
}

static void without_memory_the_text_is_left(void **state)
{
    sl_str s = SL_STR("%41");
    (void)state;
    sl_fault_arm(SL_FAULT_ARENA, 1);
    assert_int_equal(sl_percent_decode(&s, &arena), SL_RESOURCE_EXHAUSTED);
    sl_fault_arm(SL_FAULT_ARENA, 0);
    assert_true(sl_str_is(s, "%41"));
}

static int setup(void **state)
{
    (void)state;
    return sl_arena_init(&arena, 0) != SL_OK;
}

static int teardown(void **state)
{
    (void)state;
    sl_arena_fini(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes_are_undone_in_either_case),
        cmocka_unit_test(what_is_no_escape_is_refused_and_leaves_the_text),
        cmocka_unit_test(without_memory_the_text_is_left),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
