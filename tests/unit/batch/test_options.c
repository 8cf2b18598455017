#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "batch/options.h"

static sl_status st;

static void expect(sl_batching_params p, const char *text)
{
    assert_int_equal(sl_batching_check(&p, &st), SL_INVALID_ARGUMENT);
    assert_string_equal(st.msg, text);
}

static void defaults_are_those_of_an_empty_message(void **state)
{
    (void)state;
    sl_batching_params p = sl_batching_defaults();
    assert_int_equal(p.max_batch_size, 1000);
    assert_int_equal(p.batch_timeout_micros, 0);
    assert_int_equal(p.max_enqueued_batches, 10);
    assert_int_equal(sl_batching_check(&p, &st), SL_OK);
}

static void wrong_values_are_refused_in_the_originals_words(void **state)
{
    (void)state;
    static const int64_t sizes[] = {8, 16};
    sl_batching_params p = sl_batching_defaults();
    p.max_batch_size = 0;
    expect(p, "input_batch_size_limit must be positive; was 0");
    p = sl_batching_defaults();
    p.batch_timeout_micros = -1;
    expect(p, "batch_timeout_micros must be non-negative; was -1");
    p = sl_batching_defaults();
    p.allowed_batch_sizes = sizes;
    p.n_allowed = 2;
    expect(p, "Last entry in allowed_batch_sizes must match max_batch_size; last entry was 16; "
              "expected 1000");
    p.max_batch_size = 16;
    assert_int_equal(sl_batching_check(&p, &st), SL_OK);
    assert_int_equal(sl_batching_check_threads(0, &st), SL_INVALID_ARGUMENT);
    assert_string_equal(st.msg, "num_batch_threads must be positive; was 0");
    assert_int_equal(sl_batching_check_threads(1, &st), SL_OK);
}

static void splitting_has_rules_of_its_own(void **state)
{
    (void)state;
    sl_batching_params p = sl_batching_defaults();
    p.max_enqueued_batches = 0;
    assert_int_equal(sl_batching_check(&p, &st), SL_OK); /* silently 1 */
    p.enable_large_batch_splitting = true;
    expect(p, "max_enqueued_batches must be positive; was 0");
    p.max_enqueued_batches = 1;
    p.max_execution_batch_size = 1001;
    expect(p, "When enable_large_batch_splitting is true, input_batch_size_limit must be greater "
              "than or equal to max_execution_batch_size.110001001");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_an_empty_message),
        cmocka_unit_test(wrong_values_are_refused_in_the_originals_words),
        cmocka_unit_test(splitting_has_rules_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
