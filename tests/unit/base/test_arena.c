#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/fault.h"

static void pieces_are_aligned_and_do_not_overlap(void **state)
{
    (void)state;
    sl_arena a;
    char *p[200];
    assert_int_equal(sl_arena_init(&a, 64), SL_OK);
    for (size_t i = 0; i < 200; i++) {
        p[i] = sl_arena_alloc(&a, i);
        assert_int_equal((uintptr_t)p[i] % 16, 0);
        memset(p[i], (int)i, i);
    }
    for (size_t i = 0; i < 200; i++)
        for (size_t k = 0; k < i; k++)
            assert_int_equal((unsigned char)p[i][k], i);
    sl_arena_fini(&a);
    sl_arena_fini(&a); /* harmless */
}

static void first_block_costs_no_further_allocation(void **state)
{
    (void)state;
    sl_arena a;
    assert_int_equal(sl_arena_init(&a, 4096), SL_OK);
    for (int round = 0; round < 3; round++) {
        sl_fault_arm(SL_FAULT_ALLOC, 0);
        for (int i = 0; i < 4096 / 16; i++)
            assert_non_null(sl_arena_alloc(&a, 16));
        assert_int_equal(sl_fault_count(SL_FAULT_ALLOC), 0);
        assert_non_null(sl_arena_alloc(&a, 1));
        assert_int_equal(sl_fault_count(SL_FAULT_ALLOC), 1);
        sl_arena_reset(&a);
        assert_int_equal(a.used, 0);
    }
    sl_arena_fini(&a);
}

static void many_bytes_take_few_blocks(void **state)
{
    (void)state;
    sl_arena a;
    assert_int_equal(sl_arena_init(&a, 1024), SL_OK);
    sl_fault_arm(SL_FAULT_ALLOC, 0);
    for (int i = 0; i < 10000; i++)
        assert_non_null(sl_arena_alloc(&a, 100));
    assert_in_range(sl_fault_count(SL_FAULT_ALLOC), 1, 11);
    sl_arena_fini(&a);
}

static void try_alloc_refuses_politely(void **state)
{
    (void)state;
    sl_arena a;
    assert_int_equal(sl_arena_init(&a, 64), SL_OK);
    assert_null(sl_arena_try_alloc(&a, SIZE_MAX));
    assert_null(sl_arena_try_alloc(&a, SIZE_MAX - 20));
    assert_null(sl_arena_try_strndup(&a, "x", SIZE_MAX));
    sl_fault_arm(SL_FAULT_ALLOC, 1);
    assert_null(sl_arena_try_alloc(&a, 100));
    assert_non_null(sl_arena_try_alloc(&a, 100)); /* and goes on */
    a.limit = a.used + 50;
    assert_null(sl_arena_try_alloc(&a, 51));
    assert_non_null(sl_arena_try_alloc(&a, 40));
    assert_null(sl_arena_try_alloc(&a, 40));
    sl_arena_fini(&a);
    sl_fault_arm(SL_FAULT_ALLOC, 1);
    assert_int_equal(sl_arena_init(&a, 64), SL_RESOURCE_EXHAUSTED);
    sl_arena_fini(&a);
}

static void texts_are_terminated(void **state)
{
    (void)state;
    sl_arena a;
    assert_int_equal(sl_arena_init(&a, 16), SL_OK);
    assert_string_equal(sl_arena_try_strndup(&a, "abcdef", 3), "abc");
    assert_string_equal(sl_arena_try_strndup(&a, NULL, 0), "");
    assert_string_equal(sl_arena_try_printf(&a, "%s-%d", "version", 7), "version-7");
    sl_arena_fini(&a);
}

static char order[8];

static void note_a(void *arg)
{
    (void)arg;
    strcat(order, "a");
}

static void note_b(void *arg)
{
    strcat(order, "b");
    if (arg != NULL)
        sl_arena_on_reset(arg, note_a, NULL);
}

static void hooks_run_last_registered_first_and_once(void **state)
{
    (void)state;
    sl_arena a;
    order[0] = '\0';
    assert_int_equal(sl_arena_init(&a, 16), SL_OK);
    sl_arena_on_reset(&a, note_a, NULL);
    sl_arena_on_reset(&a, note_b, &a); /* a hook may register another */
    sl_arena_reset(&a);
    assert_string_equal(order, "baa");
    sl_arena_reset(&a);
    assert_string_equal(order, "baa");
    sl_arena_on_reset(&a, note_b, NULL);
    sl_arena_fini(&a);
    assert_string_equal(order, "baab");
}

static void message_that_is_too_long_goes_on_in_the_arena(void **state)
{
    (void)state;
    sl_arena a;
    sl_status st;
    char text[3000];
    memset(text, 'x', sizeof text);
    text[1022] = 'y';
    text[1023] = 'z';
    text[2999] = '\0';
    assert_int_equal(sl_arena_init(&a, 0), SL_OK);
    assert_int_equal(sl_fail_in(&a, &st, SL_NOT_FOUND, "%s", text), SL_NOT_FOUND);
    assert_int_equal(strlen(st.msg), 1023);
    assert_int_equal(st.msg[1022], 'y');
    assert_int_equal(st.more[0], 'z');
    assert_int_equal(strlen(st.more), 2999 - 1023);
    text[1023] = '\0';
    sl_fail_in(&a, &st, SL_NOT_FOUND, "%s", text); /* fits exactly */
    assert_null(st.more);
    a.limit = 1;
    text[1023] = 'z';
    sl_fail_in(&a, &st, SL_NOT_FOUND, "%s", text); /* no room: it is cut */
    assert_null(st.more);
    assert_int_equal(sl_fail_in(&a, NULL, SL_ABORTED, "x"), SL_ABORTED);
    sl_arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_aligned_and_do_not_overlap),
        cmocka_unit_test(first_block_costs_no_further_allocation),
        cmocka_unit_test(many_bytes_take_few_blocks),
        cmocka_unit_test(try_alloc_refuses_politely),
        cmocka_unit_test(texts_are_terminated),
        cmocka_unit_test(hooks_run_last_registered_first_and_once),
        cmocka_unit_test(message_that_is_too_long_goes_on_in_the_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
