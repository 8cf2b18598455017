/* test_chunked.c - framing of chunks, whole and in every pair of parts */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/mem.h"
#include "http/chunked.h"

typedef struct example {
    const char *name, *input;
    const char *body; /* NULL: refused */
    size_t rest;      /* bytes behind the body that are not its own */
} example;

/* clang-format off */
static const example examples[] = {
    {"one chunk", "5\r\nhello\r\n0\r\n\r\n", "hello", 0},
    {"several chunks", "1\r\na\r\n2\r\nbc\r\n3\r\ndef\r\n0\r\n\r\n", "abcdef", 0},
    {"no chunk but the last", "0\r\n\r\n", "", 0},
    {"hex digits in both cases", "a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789", 0},
    {"leading zeros", "0005\r\nhello\r\n000\r\n\r\n", "hello", 0},
    {"extension", "5;a=b\r\nhello\r\n0;x=\"y z\"\r\n\r\n", "hello", 0},
    {"extension without a value", "5;\r\nhello\r\n0;;\r\n\r\n", "hello", 0},
    {"trailers are read over", "5\r\nhello\r\n0\r\nA: b\r\nContent-Length: 7\r\n\r\n", "hello", 0},
    {"what follows is left", "5\r\nhello\r\n0\r\n\r\nGET /", "hello", 5},
    {"data may look like framing", "7\r\n0\r\n\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n\r\n", 0},
    {"bare LF after the size", "5\nhello\r\n0\r\n\r\n", NULL, 0},
    {"bare LF after the data", "5\r\nhello\n0\r\n\r\n", NULL, 0},
    {"bare LF after the last size", "5\r\nhello\r\n0\n\r\n", NULL, 0},
    {"bare LF at the end", "5\r\nhello\r\n0\r\n\n", NULL, 0},
    {"bare LF in an extension", "5;a\nhello\r\n0\r\n\r\n", NULL, 0},
    {"bare LF in a trailer", "5\r\nhello\r\n0\r\nA: b\n\r\n", NULL, 0},
    {"bare CR after the size", "5\rhello\r\n0\r\n\r\n", NULL, 0},
    {"no end after the data", "5\r\nhelloo\r\n0\r\n\r\n", NULL, 0},
    {"empty size", "\r\nhello\r\n0\r\n\r\n", NULL, 0},
    {"extension without a size", ";a\r\nhello\r\n0\r\n\r\n", NULL, 0},
    {"negative size", "-5\r\nhello\r\n0\r\n\r\n", NULL, 0},
    {"size with a plus", "+5\r\nhello\r\n0\r\n\r\n", NULL, 0},
    {"size with 0x", "0x5\r\nhello\r\n0\r\n\r\n", NULL, 0},
    {"blank before the size", " 5\r\nhello\r\n0\r\n\r\n", NULL, 0},
    {"blank behind the size", "5 \r\nhello\r\n0\r\n\r\n", NULL, 0},
    {"size that is no number", "hello\r\nhello\r\n0\r\n\r\n", NULL, 0},
    {"size beyond 63 bits", "8000000000000000\r\n", NULL, 0},
    {"size that wraps to 5", "10000000000000005\r\nhello\r\n0\r\n\r\n", NULL, 0},
    {"too many zeros", "00000000000000005\r\nhello\r\n0\r\n\r\n", NULL, 0},
    {"sum that wraps", "1\r\na\r\n7fffffffffffffff\r\n", NULL, 0},
    {"sum that is more than 64 bits", "1\r\na\r\nffffffffffffffff\r\n", NULL, 0},
    {"control character in an extension", "5;a\x01\r\nhello\r\n0\r\n\r\n", NULL, 0},
    {"DEL in an extension", "5;a\x7f\r\nhello\r\n0\r\n\r\n", NULL, 0},
    {"tab in an extension", "5;\ta\r\nhello\r\n0\r\n\r\n", "hello", 0},
    {"control character in a trailer", "0\r\nA: \x01\r\n\r\n", NULL, 0},
};
/* clang-format on */

/* Feeds the parts one after the other; returns the bytes taken or -1. */
static ssize_t decode(const sl_str *parts, size_t n_parts, char *out, size_t *out_n, bool *done)
{
    sl_chunked c = {0};
    ssize_t taken = 0;
    *out_n = 0;
    for (size_t i = 0; i < n_parts; i++) {
        const char *p = parts[i].p, *end = p + parts[i].n;
        while (p < end && !c.done) {
            sl_str data;
            ssize_t n = sl_chunked_next(&c, p, (size_t)(end - p), &data);
            if (n < 0)
                return -1;
            assert_true(n > 0);
            memcpy(out + *out_n, data.p, data.n);
            *out_n += data.n;
            p += n;
            taken += n;
        }
    }
    *done = c.done;
    return taken;
}

static void check(const example *e, const sl_str *parts, size_t n_parts)
{
    char out[128];
    size_t n;
    bool done = false;
    ssize_t taken = decode(parts, n_parts, out, &n, &done);
    if (e->body == NULL) {
        assert_int_equal(taken, -1);
        return;
    }
    assert_true(done);
    assert_int_equal(taken, strlen(e->input) - e->rest);
    assert_int_equal(n, strlen(e->body));
    assert_memory_equal(out, e->body, n);
}

static void framing(void **state)
{
    const example *e = *state;
    size_t n = strlen(e->input);
    sl_str bytes[128];
    check(e, &(sl_str){e->input, n}, 1);
    for (size_t i = 1; i < n; i++)
        check(e, (sl_str[]){{e->input, i}, {e->input + i, n - i}}, 2);
    for (size_t i = 0; i < n; i++)
        bytes[i] = (sl_str){e->input + i, 1};
    check(e, bytes, n);
}

static void extensions_and_trailers_are_bounded(void **state)
{
    (void)state;
    static const char *const begins[] = {"1;", "0\r\nA: "};
    char text[1000];
    memset(text, 'a', sizeof text);
    for (size_t i = 0; i < SL_COUNTOF(begins); i++) {
        sl_chunked c = {0};
        sl_str data;
        size_t fed = 0;
        assert_true(sl_chunked_next(&c, begins[i], strlen(begins[i]), &data) > 0);
        while (sl_chunked_next(&c, text, sizeof text, &data) > 0)
            fed += sizeof text;
        assert_in_range(fed, 16000, 17000);
        assert_non_null(c.error);
    }
}

static void size_is_known_before_the_data(void **state)
{
    (void)state;
    sl_chunked c = {0};
    sl_str data;
    assert_int_equal(sl_chunked_next(&c, "3e8\r\n", 5, &data), 5);
    assert_int_equal(c.total, 1000);
    assert_int_equal(sl_chunked_data_ahead(&c), 1000);
    sl_chunked_skip(&c, 1000);
    assert_int_equal(sl_chunked_data_ahead(&c), 0);
    assert_int_equal(sl_chunked_next(&c, "\r\n0\r\n\r\n", 7, &data), 7);
    assert_true(c.done);
}

static void chunks_are_counted_but_for_the_last(void **state)
{
    static const char input[] = "1\r\na\r\n2;x\r\nbc\r\n3\r\ndef\r\n0\r\n\r\n";
    sl_chunked c = {0};
    (void)state;
    for (const char *p = input; !c.done;) {
        sl_str data;
        ssize_t n = sl_chunked_next(&c, p, 1, &data);
        assert_int_equal(n, 1);
        p += n;
    }
    assert_int_equal(c.chunks, 3);
}

int main(void)
{
    static const struct CMUnitTest rest[] = {
        cmocka_unit_test(chunks_are_counted_but_for_the_last),
        cmocka_unit_test(extensions_and_trailers_are_bounded),
        cmocka_unit_test(size_is_known_before_the_data),
    };
    static struct CMUnitTest tests[SL_COUNTOF(examples) + SL_COUNTOF(rest)];
    for (size_t i = 0; i < SL_COUNTOF(examples); i++)
        tests[i] = (struct CMUnitTest){
            .name = examples[i].name, .test_func = framing, .initial_state = (void *)&examples[i]};
    memcpy(tests + SL_COUNTOF(examples), rest, sizeof rest);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
