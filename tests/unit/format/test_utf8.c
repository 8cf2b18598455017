/* Every first and second byte, and the edges of what may follow, against RFC 3629 by arithmetic. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "format/utf8.h"

/* What is encoded decides: the shortest form of a code point that is not a surrogate. */
static bool reference(const unsigned char *p, size_t n)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t value = n == 1   ? p[0]
                     : n == 2 ? (uint32_t)p[0] & 0x1f
                     : n == 3 ? (uint32_t)p[0] & 0x0f
                              : (uint32_t)p[0] & 0x07;
    size_t wanted = p[0] < 0x80             ? 1
                    : (p[0] & 0xe0) == 0xc0 ? 2
                    : (p[0] & 0xf0) == 0xe0 ? 3
                    : (p[0] & 0xf8) == 0xf0 ? 4
                                            : 0;
    if (wanted != n)
        return false;
    for (size_t i = 1; i < n; i++) {
        if (p[i] >> 6 != 2)
            return false;
        value = value << 6 | (p[i] & 0x3f);
    }
    return value >= least[n] && value <= 0x10ffff && (value < 0xd800 || value > 0xdfff);
}

static void only_the_shortest_form_of_a_scalar_value_is_utf8(void **state)
{
    static const unsigned char edges[] = {0x00, 0x7f, 0x80, 0x81, 0xbf, 0xc0, 0xff};
    (void)state;
    for (unsigned first = 0; first < 256; first++) {
        unsigned char p[4] = {(unsigned char)first};
        assert_int_equal(sl_utf8_ok((sl_str){(char *)p, 1}), reference(p, 1));
        if (first < 0x80)
            continue; /* what follows is a sequence of its own */
        for (unsigned second = 0; second < 256; second++) {
            p[1] = (unsigned char)second;
            assert_int_equal(sl_utf8_ok((sl_str){(char *)p, 2}), reference(p, 2));
            for (size_t i = 0; i < sizeof edges; i++) {
                p[2] = edges[i];
                bool two = reference(p, 2) && p[2] < 0x80;
                assert_int_equal(sl_utf8_ok((sl_str){(char *)p, 3}), two || reference(p, 3));
                for (size_t k = 0; k < sizeof edges; k++) {
                    p[3] = edges[k];
                    bool whole = (two && p[3] < 0x80) || (reference(p, 3) && p[3] < 0x80) ||
                                 (reference(p, 2) && reference(p + 2, 2));
                    assert_int_equal(sl_utf8_ok((sl_str){(char *)p, 4}), whole || reference(p, 4));
                }
            }
        }
    }
}

static void a_bad_byte_is_found_at_every_place_of_a_long_text(void **state)
{
    char text[40];
    (void)state;
    for (size_t at = 0; at < sizeof text; at++) {
        memset(text, 'a', sizeof text);
        assert_true(sl_utf8_ok((sl_str){text, sizeof text}));
        text[at] = (char)0xff;
        assert_false(sl_utf8_ok((sl_str){text, sizeof text}));
        text[at] = (char)0xc3; /* wants one more, which is no continuation, or not there */
        assert_false(sl_utf8_ok((sl_str){text, sizeof text}));
        if (at + 1 < sizeof text) {
            text[at + 1] = (char)0xa4;
            assert_true(sl_utf8_ok((sl_str){text, sizeof text}));
        }
    }
    assert_true(sl_utf8_ok((sl_str){NULL, 0}));
}

static void every_character_goes_out_and_comes_back(void **state)
{
    (void)state;
    for (int32_t c = 0; c <= 0x10ffff; c++) {
        char p[4];
        int32_t back;
        size_t n = sl_utf8_put(c, p);
        bool surrogate = c >= 0xd800 && c <= 0xdfff;
        assert_int_equal(sl_utf8_ok((sl_str){p, n}), !surrogate);
        assert_int_equal(sl_utf8_take((sl_str){p, n}, &back), surrogate ? 1 : n);
        assert_int_equal(back, surrogate ? -1 : c);
        for (size_t cut = 1; cut < n && !surrogate; cut++) {
            assert_int_equal(sl_utf8_take((sl_str){p, cut}, &back), cut);
            assert_int_equal(back, -1);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_shortest_form_of_a_scalar_value_is_utf8),
        cmocka_unit_test(a_bad_byte_is_found_at_every_place_of_a_long_text),
        cmocka_unit_test(every_character_goes_out_and_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
