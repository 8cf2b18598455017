/* heap.h: when memory is given back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/heap.h"

enum { MB = 1 << 20, MS = 1000000 };

static void memory_is_given_back_when_the_crowd_has_gone(void **state)
{
    (void)state;
    assert_true(sl_heap_is_due(200u * MB, 0, 5000u * MS));
    assert_false(sl_heap_is_due(200u * MB, 2, 5000u * MS)); /* it has not gone */
    assert_false(sl_heap_is_due(200u * MB, 0, 0));          /* nobody has come since the last time */
    assert_false(sl_heap_is_due(31u * MB, 0, 5000u * MS));  /* not worth it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_given_back_when_the_crowd_has_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
