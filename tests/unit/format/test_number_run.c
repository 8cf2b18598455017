/*
 * Runs of numbers against the reader of single tokens: whatever way a run goes, it must store what
 * sl_number_read says of each token, and stop where that one would.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/number.h"

static uint64_t random_state = 88172645463325252u;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static unsigned below(unsigned n)
{
    return (unsigned)(next_random() >> 33) % n;
}

enum { MAX_NUMBERS = 400, MAX_TEXT = MAX_NUMBERS * 80 };

typedef struct run_type {
    const char *name;
    size_t size;
    int64_t least;
    uint64_t most; /* 0: a floating-point type */
    sl_run_end (*run)(const char *p, const char *end, void *out, size_t room);
} run_type;

#define X(name, type)                                                                    \
    static sl_run_end run_##name(const char *p, const char *end, void *out, size_t room) \
    {                                                                                    \
        return sl_run_##name(p, end, (type *)out, room);                                 \
    }
X(floats, float)
X(doubles, double)
X(int8s, int8_t)
X(uint8s, uint8_t)
X(int16s, int16_t)
X(int32s, int32_t)
X(uint32s, uint32_t)
X(int64s, int64_t)
X(uint64s, uint64_t)
#undef X

static const run_type types[] = {
    {"float", 4, 0, 0, run_floats},
    {"double", 8, 0, 0, run_doubles},
    {"int8", 1, INT8_MIN, INT8_MAX, run_int8s},
    {"uint8", 1, 0, UINT8_MAX, run_uint8s},
    {"int16", 2, INT16_MIN, INT16_MAX, run_int16s},
    {"int32", 4, INT32_MIN, INT32_MAX, run_int32s},
    {"uint32", 4, 0, UINT32_MAX, run_uint32s},
    {"int64", 8, INT64_MIN, INT64_MAX, run_int64s},
    {"uint64", 8, 0, UINT64_MAX, run_uint64s},
};
enum { N_TYPES = sizeof types / sizeof *types };

static const char *skip_blank(const char *p, const char *end)
{
    while (p < end && strchr(" \t\r\n", *p) && *p)
        p++;
    return p;
}

/* What number.h says of a run, token by token. */
static sl_run_end expected_run(const run_type *t, const char *p, const char *end, char *out,
                               size_t room)
{
    size_t n = 0;
    while (n < room) {
        sl_number v;
        const char *error, *where, *q = sl_number_read(p, end, &v, &error, &where);
        if (q == NULL)
            break;
        float f = (float)v.d;
        if (t->most == 0)
            memcpy(out + n * t->size, t->size == 4 ? (void *)&f : (void *)&v.d, t->size);
        else if (v.kind == SL_NUMBER_DOUBLE || (v.kind == SL_NUMBER_INT && v.i < t->least) ||
                 ((v.kind == SL_NUMBER_UINT || v.i > 0) && v.u > t->most))
            break;
        else /* little endian: the low bytes come first */
            memcpy(out + n * t->size, &v.u, t->size);
        n++;
        p = skip_blank(q, end);
        if (p == end || *p != ',')
            return (sl_run_end){p, n, false};
        p = skip_blank(p + 1, end);
    }
    return (sl_run_end){p, n, true};
}

/* Text in a block of its very size, so that the address sanitizer sees what is read beside it. Both
 * ways that there are on this processor. */
static void check_text(const run_type *t, const char *text, size_t n, size_t room)
{
    static char want[MAX_NUMBERS * 8 + 8];
    char *exact = malloc(n + 1), *got = malloc(room * t->size + 1);
    memcpy(exact, text, n);
    char *block = realloc(exact, n ? n : 1);
    sl_run_end w = expected_run(t, block, block + n, want, room);
    for (int plain = 0; plain < 2; plain++) {
        sl_run_plain_only(plain);
        sl_run_end g = t->run(block, block + n, got, room);
        if (w.at != g.at || w.n != g.n || w.wants != g.wants)
            fail_msg("%s%s, room %zu: %zu numbers to %td, wants %d; expected %zu to %td, %d: %.*s",
                     t->name, plain ? ", plain" : "", room, g.n, g.at - block, g.wants, w.n,
                     w.at - block, w.wants, (int)n, text);
        for (size_t i = 0; i < g.n; i++)
            if (memcmp(got + i * t->size, want + i * t->size, t->size) != 0)
                fail_msg("%s%s: number %zu differs: %.*s", t->name, plain ? ", plain" : "", i,
                         (int)n, text);
    }
    free(block);
    free(got);
}

static char *put_digits(char *p, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        *p++ = (char)('0' + below(10));
    return p;
}

/* A float's neighbourhood is where rounding is decided: ties, and what is just beside them. */
static int put_tie(char *p)
{
    uint32_t bits = (uint32_t)next_random() & 0x7FFFFFFF;
    bits = 0x30000000 + bits % 0x1F000000; /* 2^-31 ... 2^31 */
    float f;
    memcpy(&f, &bits, 4);
    uint64_t wide;
    double d = f;
    memcpy(&wide, &d, 8);
    wide += 0x10000000 + below(7) - 3; /* half a unit of the float, and some units of the double */
    memcpy(&d, &wide, 8);
    return sprintf(p, "%.*g", (int)below(4) ? 17 : 15 + (int)below(6), d);
}

static char *put_plain(char *p, int style)
{
    unsigned n;
    switch (style) {
    case 0:
        return p + sprintf(p, "%u", below(256));
    case 1:
        return p + sprintf(p, "%.*g", (int)below(4) + 1, (double)below(10000) / 10000);
    case 2:
        return p + sprintf(p, "%.17g", (double)next_random() / 18446744073709551616.0);
    case 3:
        return p + sprintf(p, "%.9g", ((double)below(1000000000) / 1e9 - 0.5) * 6);
    case 4:
        return p + put_tie(p);
    case 5:
        return p + sprintf(p, "%lld", (long long)next_random() >> below(64));
    case 8:
        return p + sprintf(p, "%d", (int)below(256) - 128);
    case 9: /* the shortest */
        return put_digits(p, 1);
    default: /* digits and a point anywhere */
        if (below(2))
            *p++ = '-';
        n = below(26);
        if (below(2)) {
            *p++ = (char)('1' + below(9));
            p = put_digits(p, n);
        } else {
            *p++ = '0';
        }
        if (below(3)) {
            *p++ = '.';
            p = put_digits(p, below(26 - (n < 24 ? n : 24)) + 1);
        }
        return p;
    }
}

static char *put_odd(char *p)
{
    static const char *const odd[] = {"-0",
                                      "-0.0",
                                      "0",
                                      "0.0",
                                      "-1",
                                      "NaN",
                                      "-Infinity",
                                      "1e5",
                                      "-2.5E-3",
                                      "1e400",
                                      "01",
                                      "-01.5",
                                      "00",
                                      "1.",
                                      ".5",
                                      "-.5",
                                      "-",
                                      "--1",
                                      "1-2",
                                      "+1",
                                      "1..2",
                                      "1.2.3",
                                      "",
                                      " ",
                                      "1 2",
                                      "1.5 ",
                                      "x",
                                      "0x10",
                                      "\"1\"",
                                      "[1",
                                      "true",
                                      "1]",
                                      "]",
                                      "18446744073709551615",
                                      "18446744073709551616",
                                      "9223372036854775807",
                                      "9223372036854775808",
                                      "-9223372036854775808",
                                      "-9223372036854775809",
                                      "4294967295",
                                      "4294967296",
                                      "2147483648",
                                      "-2147483648",
                                      "-2147483649",
                                      "255",
                                      "256",
                                      "127",
                                      "128",
                                      "-128",
                                      "-129",
                                      "65535",
                                      "32767",
                                      "32768",
                                      "-32769",
                                      "16777217",
                                      "99999999",
                                      "100000000",
                                      "9999999999999999",
                                      "9007199254740993",
                                      "0.000000000000000000000001",
                                      "123456789012345678901234",
                                      "1234567890123456789012345",
                                      "12345678901234567890.12345",
                                      "0.00000000000000000000000000000000000000000000000000001",
                                      "1.00000005960464477539",
                                      "1/",
                                      "1:",
                                      "/1",
                                      ":1",
                                      "1\xb0",
                                      "\xb1",
                                      "1.\xb5"};
    const char *s = odd[below(sizeof odd / sizeof *odd)];
    return p + sprintf(p, "%s", s);
}

/* A list of numbers: `style` of the tokens, one in `oddity` something else. */
static size_t make_text(char *text, size_t count, int style, unsigned oddity, int gap)
{
    static const char *const gaps[] = {", ", ",", ",\n    ", " , "};
    char *p = text;
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            p += sprintf(p, "%s", oddity && below(oddity * 2) == 0 ? gaps[below(4)] : gaps[gap]);
        if (oddity && below(oddity) == 0)
            p = put_odd(p);
        else
            p = put_plain(p, style == 7 ? (int)below(7) : style);
    }
    static const char *const ends[] = {"",
                                       "]",
                                       "]}",
                                       " ]",
                                       ",",
                                       ", ",
                                       ", 1",
                                       "}",
                                       "], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 1.5, 2.5]]"
                                       "                                                       "};
    p += sprintf(p, "%s", ends[below(9)]);
    return (size_t)(p - text);
}

static void a_long_run_is_what_its_tokens_are_one_by_one(void **state)
{
    static char text[MAX_TEXT];
    static const unsigned oddities[] = {0, 0, 300, 30, 5};
    (void)state;
    for (int i = 0; i < 40000; i++) {
        size_t count = 1 + below(below(10) ? 60 : 300);
        size_t n = make_text(text, count, i % 10, oddities[i / 10 % 5], i / 50 % 4);
        const run_type *t = &types[i / 200 % N_TYPES];
        check_text(t, text, n,
                   below(4) ? MAX_NUMBERS : count - below(count < 6 ? (unsigned)count : 6));
    }
}

/* Behind enough plain ones for the fast way, in each of the four places. */
static void every_odd_token_is_noticed_in_a_long_run(void **state)
{
    static char text[MAX_TEXT];
    (void)state;
    for (int i = 0; i < 20000; i++) {
        const run_type *t = &types[i % N_TYPES];
        size_t before = 24 + below(8), n = 0;
        for (size_t k = 0; k < before; k++) {
            int style = t->least < 0 ? 8 : t->most || below(2) ? 0 : 3; /* what the type takes */
            n = (size_t)(put_plain(text + n, style) - text);
            n += (size_t)sprintf(text + n, ", ");
        }
        n = (size_t)(put_odd(text + n) - text);
        n += (size_t)sprintf(text + n, ", ");
        n += make_text(text + n, 40, t->least < 0 ? 8 : 0, 0, 0);
        check_text(t, text, n, MAX_NUMBERS);
    }
}

static void the_point_may_stand_anywhere(void **state)
{
    static char text[MAX_TEXT];
    (void)state;
    for (unsigned length = 2; length <= 26; length++) {
        for (unsigned point = 0; point <= length; point++) {
            size_t n = 0;
            for (int i = 0; i < 40; i++) {
                char digits[32];
                put_digits(digits, length);
                if (digits[0] == '0' && point != 1)
                    digits[0] = '7';
                n += (size_t)sprintf(text + n, "%s%.*s%s%.*s, ", i % 3 ? "" : "-", (int)point,
                                     digits, point < length && i >= 20 ? "." : "",
                                     (int)(length - point), digits + point);
            }
            n += (size_t)sprintf(text + n, "1%80s", "");
            check_text(&types[0], text, n, MAX_NUMBERS);
            check_text(&types[1], text, n, MAX_NUMBERS);
            check_text(&types[7], text, n, MAX_NUMBERS);
        }
    }
}

/* Ties between floats, in every length a fast way is taken for. */
static void floats_in_a_run_are_rounded_as_doubles_are(void **state)
{
    static char text[MAX_TEXT];
    (void)state;
    for (int i = 0; i < 3000; i++) {
        size_t n = make_text(text, 100, 4, 0, 0);
        n += (size_t)sprintf(text + n, "%70s", "");
        check_text(&types[0], text, n, MAX_NUMBERS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_long_run_is_what_its_tokens_are_one_by_one),
        cmocka_unit_test(every_odd_token_is_noticed_in_a_long_run),
        cmocka_unit_test(the_point_may_stand_anywhere),
        cmocka_unit_test(floats_in_a_run_are_rounded_as_doubles_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
