/* test_tfrecord.c - what is a record, what is the end, what is damage. Texts: recorded from
 * TensorFlow 2.21 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "format/tfrecord.h"

static void add_checksummed(sl_text *t, const void *p, size_t n)
{
    uint32_t crc = sl_crc32c_mask(sl_crc32c(0, p, n));
    sl_text_add(t, p, n);
    sl_text_add(t, (const char *)&crc, sizeof crc);
}

static void add_head(sl_text *t, uint64_t length)
{
    add_checksummed(t, &length, sizeof length);
}

static void add(sl_text *t, const char *record)
{
    add_head(t, strlen(record));
    add_checksummed(t, record, strlen(record));
}

/* "hello" at 0 to 20, "world!!" from 21. */
static sl_text two_records(void)
{
    sl_text t = {0};
    add(&t, "hello");
    add(&t, "world!!");
    return t;
}

/* Reads all of it: how many records there are, and how it ends. */
static int read_all(const char *p, size_t n, sl_code *rc, sl_status *st)
{
    sl_tfrecord r = {.file = {p, n}};
    sl_str record;
    int count = 0;
    *st = (sl_status){0};
    while (sl_tfrecord_next(&r, &record, rc, st))
        count++;
    return count;
}

static void reads_what_tensorflow_wrote(void **state)
{
    (void)state;
    /* tf.io.TFRecordWriter: b"hello" */
    static const char file[] = "\x05\0\0\0\0\0\0\0\xea\xb2\x04\x3e"
                               "hello\xbb\x1f\x1c\x19";
    sl_tfrecord r = {.file = {file, sizeof file - 1}};
    sl_status st = {0};
    sl_str record;
    sl_code rc;
    assert_true(sl_tfrecord_next(&r, &record, &rc, &st));
    assert_true(sl_str_is(record, "hello"));
    assert_false(sl_tfrecord_next(&r, &record, &rc, &st));
    assert_int_equal(rc, SL_OK);
}

static void records_come_in_order_then_the_end(void **state)
{
    (void)state;
    sl_text t = two_records();
    sl_tfrecord r = {.file = {t.p, t.n}};
    sl_status st = {0};
    sl_str record;
    sl_code rc;
    assert_true(sl_tfrecord_next(&r, &record, &rc, &st));
    assert_true(sl_str_is(record, "hello"));
    assert_true(sl_tfrecord_next(&r, &record, &rc, &st));
    assert_true(sl_str_is(record, "world!!"));
    assert_false(sl_tfrecord_next(&r, &record, &rc, &st));
    assert_int_equal(rc, SL_OK);
    sl_text_fini(&t);
}

static void an_empty_file_and_an_empty_record_are_fine(void **state)
{
    (void)state;
    sl_text t = {0};
    sl_status st;
    sl_code rc;
    assert_int_equal(read_all("", 0, &rc, &st), 0);
    assert_int_equal(rc, SL_OK);
    add(&t, "");
    assert_int_equal(read_all(t.p, t.n, &rc, &st), 1);
    assert_int_equal(rc, SL_OK);
    sl_text_fini(&t);
}

static void an_end_inside_a_header_is_an_end(void **state)
{
    (void)state;
    sl_text t = two_records();
    sl_status st;
    sl_code rc;
    for (size_t n = 21; n < 33; n++) {
        assert_int_equal(read_all(t.p, n, &rc, &st), 1);
        assert_int_equal(rc, SL_OK);
    }
    sl_text_fini(&t);
}

static void an_end_behind_the_header_is_a_truncated_record(void **state)
{
    (void)state;
    sl_text t = two_records();
    sl_status st;
    sl_code rc;
    for (size_t n = 33; n < t.n; n++) {
        assert_int_equal(read_all(t.p, n, &rc, &st), 1);
        assert_int_equal(rc, SL_DATA_LOSS);
        assert_string_equal(st.msg,
                            "truncated record at 21' failed with Read less bytes than requested");
    }
    sl_text_fini(&t);
}

static void a_changed_byte_is_found_wherever_it_is(void **state)
{
    (void)state;
    sl_text t = two_records();
    sl_status st;
    sl_code rc;
    for (size_t i = 0; i < t.n; i++) {
        t.p[i] ^= 0x10;
        assert_int_equal(read_all(t.p, t.n, &rc, &st), i < 21 ? 0 : 1);
        assert_int_equal(rc, SL_DATA_LOSS);
        const char *text = i < 12   ? "corrupted record at 0 (Is this even a TFRecord file?)"
                           : i < 21 ? "corrupted record at 12"
                           : i < 33 ? "corrupted record at 21"
                                    : "corrupted record at 33";
        assert_string_equal(st.msg, text);
        t.p[i] ^= 0x10;
    }
    sl_text_fini(&t);
}

static void a_length_beyond_all_memory_is_a_truncated_record(void **state)
{
    (void)state;
    const uint64_t lengths[] = {1000, 1ull << 40, UINT64_MAX - 15, UINT64_MAX - 4, UINT64_MAX};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        sl_text t = {0};
        sl_status st;
        sl_code rc;
        add_head(&t, lengths[i]);
        sl_text_puts(&t, "some data that is there");
        assert_int_equal(read_all(t.p, t.n, &rc, &st), 0);
        assert_int_equal(rc, SL_DATA_LOSS);
        assert_string_equal(st.msg,
                            "truncated record at 0' failed with Read less bytes than requested");
        sl_text_fini(&t);
    }
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    static const sl_str records[] = {{"one", 3}, {"", 0}, {"a\0b", 3}};
    sl_text t = {0};
    sl_status st;
    sl_code rc;
    sl_str record;
    for (int i = 0; i < 3; i++)
        sl_tfrecord_put(&t, records[i]);
    sl_tfrecord r = {.file = {t.p, t.n}};
    for (int i = 0; i < 3; i++) {
        assert_true(sl_tfrecord_next(&r, &record, &rc, &st));
        assert_true(sl_str_eq(record, records[i]));
    }
    assert_false(sl_tfrecord_next(&r, &record, &rc, &st));
    assert_int_equal(rc, SL_OK);
    sl_text_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_tensorflow_wrote),
        cmocka_unit_test(records_come_in_order_then_the_end),
        cmocka_unit_test(an_empty_file_and_an_empty_record_are_fine),
        cmocka_unit_test(an_end_inside_a_header_is_an_end),
        cmocka_unit_test(an_end_behind_the_header_is_a_truncated_record),
        cmocka_unit_test(a_changed_byte_is_found_wherever_it_is),
        cmocka_unit_test(a_length_beyond_all_memory_is_a_truncated_record),
        cmocka_unit_test(what_is_written_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
