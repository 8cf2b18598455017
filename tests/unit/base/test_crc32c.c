/* test_crc32c.c - known values, and the instruction held against the table */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "base/mem.h"

static void known_values_of_rfc_3720(void **state)
{
    (void)state;
    unsigned char b[32] = {0};
    assert_int_equal(sl_crc32c(0, b, 32), 0x8a9136aa);
    memset(b, 0xff, 32);
    assert_int_equal(sl_crc32c(0, b, 32), 0x62a8ab43);
    for (int i = 0; i < 32; i++)
        b[i] = (unsigned char)i;
    assert_int_equal(sl_crc32c(0, b, 32), 0x46dd794e);
    assert_int_equal(sl_crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(sl_crc32c_portable(0, "123456789", 9), 0xe3069283);
}

static void nothing_has_crc_zero(void **state)
{
    (void)state;
    assert_int_equal(sl_crc32c(0, "", 0), 0);
    assert_int_equal(sl_crc32c_mask(0), 0xa282ead8);
}

static void the_instruction_agrees_with_the_table_at_every_length(void **state)
{
    (void)state;
    enum { SIZE = 50000 };
    unsigned char *b = sl_malloc(SIZE);
    uint32_t x = 1;
    for (int i = 0; i < SIZE; i++)
        b[i] = (unsigned char)((x = x * 1664525 + 1013904223) >> 24);
    for (size_t n = 0; n < 300; n++)
        assert_int_equal(sl_crc32c(0, b + n % 7, n), sl_crc32c_portable(0, b + n % 7, n));
    for (size_t n = 4000; n < SIZE - 8; n += 997)
        assert_int_equal(sl_crc32c(5, b + n % 8, n), sl_crc32c_portable(5, b + n % 8, n));
    sl_free(b);
}

static void pieces_give_the_crc_of_the_whole(void **state)
{
    (void)state;
    const char text[] = "the quick brown fox jumps over the lazy dog";
    for (size_t n = 0; n < sizeof text; n++)
        assert_int_equal(sl_crc32c(sl_crc32c(0, text, n), text + n, sizeof text - n),
                         sl_crc32c(0, text, sizeof text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_values_of_rfc_3720),
        cmocka_unit_test(nothing_has_crc_zero),
        cmocka_unit_test(the_instruction_agrees_with_the_table_at_every_length),
        cmocka_unit_test(pieces_give_the_crc_of_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
