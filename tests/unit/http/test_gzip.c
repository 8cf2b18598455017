/* test_gzip.c - packing and unpacking, and the limits of both */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "base/chain.h"
#include "base/fault.h"
#include "http/gzip.h"
#include "support/faults.h"

/* Bytes that do not pack. */
static void noise(char *p, size_t n)
{
    uint64_t x = 88172645463325252u;
    for (size_t i = 0; i < n; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        p[i] = (char)(x >> 32);
    }
}

/* `text` and then zeros, in pieces of `piece` bytes, some of them empty. */
static void fill(sl_chain *c, char *text, size_t text_n, size_t n, size_t piece)
{
    sl_buffer *b = sl_buffer_try_new(n);
    memset(b->data, 0, n);
    memcpy(b->data, text, text_n);
    for (size_t at = 0; at < n; at += piece) {
        sl_chain_lend(c, b, (char *)b->data + at, n - at < piece ? n - at : piece);
        sl_chain_reserve(c, 10);
    }
    sl_buffer_release(b);
}

static char *flat(const sl_chain *c)
{
    char *p = malloc(c->size + 1);
    sl_chain_copy(c, p);
    return p;
}

static void what_was_packed_comes_back(void **state)
{
    static const size_t pieces[] = {100, 5000, 3000000};
    static char text[100000];
    (void)state;
    noise(text, sizeof text);
    for (int how = SL_ZIP_GZIP; how <= SL_ZIP_DEFLATE; how++)
        for (size_t i = 0; i < 3; i++) {
            sl_chain c = {0};
            sl_body out = {0};
            fill(&c, text, sizeof text, 3000000, pieces[i]);
            char *before = flat(&c);
            assert_true(sl_zip_chain((sl_zip)how, &c));
            assert_in_range(c.size, 100000, 120000);
            char *packed = flat(&c);
            assert_int_equal(sl_unzip((sl_zip)how, (sl_str){packed, c.size}, 3000000, &out), SL_OK);
            assert_int_equal(out.n, 3000000);
            assert_memory_equal(out.buffer->data, before, 3000000);
            sl_body_reset(&out);
            /* One byte less than it is: */
            assert_int_equal(sl_unzip((sl_zip)how, (sl_str){packed, c.size}, 2999999, &out),
                             SL_OUT_OF_RANGE);
            assert_null(out.buffer);
            sl_chain_reset(&c);
            free(before);
            free(packed);
        }
}

/* What zlib keeps back until the end is up to 16 KiB of what did not pack: a step of output or
 * two. */
static void however_much_is_left_for_the_end_comes_back(void **state)
{
    static char text[16400];
    (void)state;
    noise(text, sizeof text);
    for (size_t n = 16000; n < sizeof text; n += 20) {
        sl_chain c = {0};
        sl_body out = {0};
        fill(&c, text, n, 20000, 20000);
        assert_true(sl_zip_chain(SL_ZIP_GZIP, &c));
        char *packed = flat(&c);
        assert_int_equal(sl_unzip(SL_ZIP_GZIP, (sl_str){packed, c.size}, 20000, &out), SL_OK);
        assert_int_equal(out.n, 20000);
        assert_memory_equal(out.buffer->data, text, n);
        sl_body_reset(&out);
        sl_chain_reset(&c);
        free(packed);
    }
}

static void what_does_not_become_smaller_stays_as_it_is(void **state)
{
    static char text[60000];
    (void)state;
    noise(text, sizeof text);
    sl_chain c = {0};
    fill(&c, text, sizeof text, sizeof text, sizeof text);
    assert_false(sl_zip_chain(SL_ZIP_GZIP, &c));
    char *after = flat(&c);
    assert_int_equal(c.size, sizeof text);
    assert_memory_equal(after, text, sizeof text);
    free(after);
    sl_chain_reset(&c);
}

static size_t pack(char *to, const char *text, size_t n)
{
    sl_chain c = {0};
    sl_chain_add(&c, text, n);
    assert_true(sl_zip_chain(SL_ZIP_GZIP, &c));
    size_t packed = c.size;
    sl_chain_copy(&c, to);
    sl_chain_reset(&c);
    return packed;
}

static void whatever_is_not_exactly_one_stream_is_refused(void **state)
{
    static char text[50000], packed[50000];
    (void)state;
    size_t n = pack(packed, text, sizeof text);
    sl_body out = {0};
    for (size_t less = 1; less <= n; less++) {
        assert_int_equal(sl_unzip(SL_ZIP_GZIP, (sl_str){packed, n - less}, 1 << 20, &out),
                         SL_DATA_LOSS);
        /* All that it may become is there, and its end is not: */
        assert_int_equal(sl_unzip(SL_ZIP_GZIP, (sl_str){packed, n - less}, sizeof text, &out),
                         SL_DATA_LOSS);
    }
    assert_int_equal(sl_unzip(SL_ZIP_GZIP, (sl_str){packed, n + 1}, 1 << 20, &out), SL_DATA_LOSS);
    assert_int_equal(sl_unzip(SL_ZIP_DEFLATE, (sl_str){packed, n}, 1 << 20, &out), SL_DATA_LOSS);
    packed[n - 5] ^= 1; /* its checksum */
    assert_int_equal(sl_unzip(SL_ZIP_GZIP, (sl_str){packed, n}, 1 << 20, &out), SL_DATA_LOSS);
    assert_null(out.buffer);
}

/* More than zlib can count; only the first page is ever read. */
static void gigabytes_behind_the_stream_are_not_read(void **state)
{
    static const char text[1000];
    const size_t size = (size_t)5 << 30;
    (void)state;
    char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);
    assert_ptr_not_equal(p, MAP_FAILED);
    pack(p, text, sizeof text);
    sl_body out = {0};
    assert_int_equal(sl_unzip(SL_ZIP_GZIP, (sl_str){p, size}, 1 << 20, &out), SL_DATA_LOSS);
    munmap(p, size);
}

typedef struct packed {
    char bytes[1000];
    size_t n;
} packed;

static sl_code unzip(void *arg, sl_status *st)
{
    const packed *p = arg;
    sl_body out = {0};
    sl_code rc = sl_unzip(SL_ZIP_GZIP, (sl_str){p->bytes, p->n}, 1 << 20, &out);
    if (rc)
        return sl_fail(st, rc, "no");
    assert_int_equal(out.n, 200000);
    sl_body_reset(&out);
    return SL_OK;
}

static void unpacking_may_find_no_memory_at_any_place(void **state)
{
    static char text[200000];
    packed p;
    (void)state;
    p.n = pack(p.bytes, text, sizeof text);
    assert_true(fail_each_allocation(unzip, &p) > 3);
}

static void a_chain_that_cannot_be_packed_for_lack_of_memory_stays_as_it_is(void **state)
{
    static char text[200000];
    (void)state;
    noise(text, 100000);
    for (int nth = 1;; nth++) {
        sl_chain c = {0};
        fill(&c, text, sizeof text, sizeof text, 70000);
        sl_fault_arm(SL_FAULT_ALLOC, nth);
        bool done = sl_zip_chain(SL_ZIP_GZIP, &c);
        int calls = sl_fault_count(SL_FAULT_ALLOC);
        sl_fault_arm(SL_FAULT_ALLOC, 0);
        assert_int_equal(done, calls < nth);
        assert_true(done ? c.size < sizeof text : c.size == sizeof text);
        sl_chain_reset(&c);
        if (done) {
            assert_true(nth > 5);
            return;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_packed_comes_back),
        cmocka_unit_test(however_much_is_left_for_the_end_comes_back),
        cmocka_unit_test(what_does_not_become_smaller_stays_as_it_is),
        cmocka_unit_test(whatever_is_not_exactly_one_stream_is_refused),
        cmocka_unit_test(gigabytes_behind_the_stream_are_not_read),
        cmocka_unit_test(unpacking_may_find_no_memory_at_any_place),
        cmocka_unit_test(a_chain_that_cannot_be_packed_for_lack_of_memory_stays_as_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
