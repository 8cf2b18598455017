/* test_bundle_read.c - tensors out of bundles: slices that fit and slices that do not, parts, loans */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fault.h"

#include "savedmodel/bundle_inside.h"
#include "savedmodel/savedmodel.h"
#include "savedmodel/slices.h"
#include "support/faults.h"
#include "unit/savedmodel/messages.h"
#include "unit/savedmodel/table.h"

/* ---- a bundle with one sliced vector "v" ---- */

enum { ELEMENTS = 8 };
static const char digits[] = "01234567";

/* A slice as "v" tells it, and its entry, whose bytes are its own of "01234567". */
typedef struct part {
    int64_t start, length;
    bool absent;        /* there is no entry */
    sl_dtype dtype;     /* of the entry; 0: INT8 */
    int64_t dim;        /* of the entry; 0: length */
    bool matrix, again; /* the entry has another rank; is sliced itself */
} part;

#define PART(from, n) .start = from, .length = n

static sl_text slice_of(int64_t start, int64_t length)
{
    sl_text extent = {0};
    sl_wire_put_varint(&extent, 1, (uint64_t)start);
    sl_wire_put_varint(&extent, 2, (uint64_t)length);
    return within(1, extent);
}

static sl_text shape_of(int64_t dim, bool matrix)
{
    sl_text d = {0}, one = {0};
    sl_wire_put_varint(&d, 1, (uint64_t)dim);
    sl_wire_put_varint(&one, 1, 1);
    sl_text shape = within(2, d);
    if (matrix)
        put(&shape, 2, one);
    else
        sl_text_fini(&one);
    return shape;
}

static sl_text entry_of(sl_dtype dtype, sl_text shape, uint64_t offset, uint64_t size, uint32_t crc)
{
    sl_text e = {0};
    sl_wire_put_varint(&e, 1, dtype);
    put(&e, 2, shape);
    sl_wire_put_varint(&e, 4, offset);
    sl_wire_put_varint(&e, 5, size);
    sl_wire_put_fixed32(&e, 6, crc);
    return e;
}

/* Adds the entry of a slice under its encoded key. */
static void add_part(table *t, int64_t start, int64_t length, sl_text e)
{
    const int64_t dims[] = {ELEMENTS};
    sl_text slice = slice_of(start, length), key = {0};
    sl_region r;
    assert_int_equal(
        sl_region_decode((sl_str){slice.p, slice.n}, SL_STR("v"), dims, 1, &r, &key, NULL), SL_OK);
    add(t, (sl_str){key.p, key.n}, (sl_str){e.p, e.n});
    sl_text_fini(&slice);
    sl_text_fini(&key);
    sl_text_fini(&e);
}

static sl_bundle *open_it(table *t, const char *data, size_t n)
{
    sl_str index = finish(t);
    sl_buffer *a = sl_buffer_try_new(index.n), *b = sl_buffer_try_new(n);
    sl_bundle *bundle = NULL;
    sl_status st = {0};
    assert_true(a && b);
    memcpy(a->data, index.p, index.n);
    memcpy(b->data, data, n);
    if (sl_bundle_open_bytes("b", a, b, &bundle, &st))
        fail_msg("%s", st.msg);
    sl_buffer_release(a);
    sl_buffer_release(b);
    end_table(t);
    return bundle;
}

static void add_whole(table *t, sl_text e)
{
    add(t, SL_STR("v"), (sl_str){e.p, e.n});
    sl_text_fini(&e);
}

static sl_bundle *sliced(const part *parts, int n)
{
    table t = {0};
    sl_text v = entry_of(SL_DT_INT8, shape_of(ELEMENTS, false), 0, 0, 0);
    add(&t, SL_STR(""), HEADER);
    for (int i = 0; i < n; i++) {
        const part *p = &parts[i];
        put(&v, 7, slice_of(p->start, p->length));
        if (p->absent)
            continue;
        int64_t dim = p->dim ? p->dim : p->length;
        const char *from = digits + p->start;
        sl_text e =
            entry_of(p->dtype ? p->dtype : SL_DT_INT8, shape_of(dim, p->matrix), (uint64_t)p->start,
                     (uint64_t)dim, sl_crc32c_mask(sl_crc32c(0, from, (size_t)dim)));
        if (p->again)
            put(&e, 7, slice_of(0, dim));
        add_part(&t, p->start, p->length, e);
    }
    add_whole(&t, v);
    return open_it(&t, digits, ELEMENTS);
}

static void reads(const sl_bundle *b, const char *wanted, const char *want)
{
    sl_tensor t = {0};
    sl_status st = {0};
    if (sl_bundle_read(b, SL_STR("v"), sl_str_of(wanted), &t, &st))
        fail_msg("%s", st.msg);
    assert_int_equal(t.size, strlen(want));
    assert_memory_equal(t.size ? t.data : "", want, t.size);
    sl_tensor_release(&t);
}

static void refused(const part *parts, int n, sl_code code, const char *text)
{
    sl_bundle *b = sliced(parts, n);
    sl_tensor t = {0};
    sl_status st = {0};
    assert_int_equal(sl_bundle_read(b, SL_STR("v"), SL_STR(""), &t, &st), code);
    if (strstr(st.msg, text) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", text, st.msg);
    assert_int_equal(sl_bundle_read(b, SL_STR("v"), SL_STR(""), &t, NULL), code);
    sl_bundle_close(b);
}

/* ---- slices ---- */

static void slices_that_fit_are_joined(void **state)
{
    (void)state;
    sl_bundle *b = sliced((const part[]){{PART(0, 3)}, {PART(3, 5)}}, 2);
    reads(b, "", "01234567");
    reads(b, "8 2,3", "234");
    reads(b, "8 3,5", "34567"); /* one of them as it is */
    reads(b, "8 5,2", "56");
    reads(b, "8 4,0", "");
    sl_bundle_close(b);
}

static void slices_that_overlap_or_leave_gaps_are_refused(void **state)
{
    (void)state;
    refused((const part[]){{PART(0, 4)}, {PART(3, 5)}}, 2, SL_DATA_LOSS,
            "b.index; slices of \"v\" overlap");
    refused((const part[]){{PART(0, 3)}, {PART(4, 4)}}, 2, SL_DATA_LOSS,
            "b.index; slices of \"v\" do not cover it");
}

static void a_slice_must_be_what_its_whole_says(void **state)
{
    (void)state;
    static const char other[] =
        "b.index; a slice of \"v\" has another dtype or shape than it should";
    refused((const part[]){{PART(0, 3)}, {PART(3, 5), .absent = true}}, 2, SL_DATA_LOSS,
            "b.index; a slice of \"v\" has no entry");
    refused((const part[]){{PART(0, 3)}, {PART(3, 5), .dtype = SL_DT_UINT8}}, 2, SL_DATA_LOSS,
            other);
    refused((const part[]){{PART(0, 3)}, {PART(3, 5), .matrix = true}}, 2, SL_DATA_LOSS, other);
    refused((const part[]){{PART(0, 3)}, {PART(3, 5), .again = true}}, 2, SL_DATA_LOSS, other);
    refused((const part[]){{PART(0, 3)}, {PART(3, 5), .dim = 4}}, 2, SL_DATA_LOSS, other);
    refused((const part[]){{PART(0, 3)}, {PART(3, 6), .absent = true}}, 2, SL_DATA_LOSS,
            "b.index; slice of \"v\" does not lie within its shape");
}

static void a_slice_with_a_wrong_checksum_is_refused(void **state)
{
    (void)state;
    table t = {0};
    sl_tensor got;
    sl_status st = {0};
    sl_text v = entry_of(SL_DT_INT8, shape_of(ELEMENTS, false), 0, 0, 0);
    put(&v, 7, slice_of(0, ELEMENTS));
    add(&t, SL_STR(""), HEADER);
    add_part(&t, 0, ELEMENTS, entry_of(SL_DT_INT8, shape_of(ELEMENTS, false), 0, ELEMENTS, 1));
    add_whole(&t, v);
    sl_bundle *b = open_it(&t, digits, ELEMENTS);
    const char *const wanted[] = {"", "8 1,2"};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(sl_bundle_read(b, SL_STR("v"), sl_str_of(wanted[i]), &got, &st),
                         SL_DATA_LOSS);
        assert_non_null(strstr(st.msg, "wrong checksum at byte 0, tensor \"v\""));
    }
    sl_bundle_close(b);
}

static void more_slices_than_any_writer_makes_are_refused(void **state)
{
    (void)state;
    part *parts = calloc(4097, sizeof *parts);
    for (int i = 0; i < 4097; i++)
        parts[i] = (part){PART(0, 1), .absent = true};
    refused(parts, 4097, SL_UNIMPLEMENTED, "b.index; \"v\" has more than 4096 slices");
    free(parts);
}

static void a_slice_of_another_wire_type_is_none(void **state)
{
    (void)state;
    table t = {0};
    sl_text v = entry_of(SL_DT_INT8, shape_of(ELEMENTS, false), 0, 0, 0);
    put(&v, 7, slice_of(0, ELEMENTS));
    sl_wire_put_varint(&v, 7, 3);
    sl_wire_put_bytes(&v, 8, "?", 1);
    add(&t, SL_STR(""), HEADER);
    add_part(&t, 0, ELEMENTS,
             entry_of(SL_DT_INT8, shape_of(ELEMENTS, false), 0, ELEMENTS,
                      sl_crc32c_mask(sl_crc32c(0, digits, ELEMENTS))));
    add_whole(&t, v);
    sl_bundle *b = open_it(&t, digits, ELEMENTS);
    reads(b, "", digits);
    sl_bundle_close(b);
}

/* ---- strings ---- */

/* What an entry of these strings has in the file: lengths of one byte each. */
static sl_text strings_of(const char *const *list, int n, uint32_t *crc)
{
    sl_text t = {0};
    uint32_t c = 0;
    for (int i = 0; i < n; i++) {
        uint32_t length = (uint32_t)strlen(list[i]);
        sl_text_putc(&t, (char)length);
        c = sl_crc32c(c, &length, 4);
    }
    size_t lengths = t.n;
    put_u32(&t, sl_crc32c_mask(c));
    for (int i = 0; i < n; i++)
        sl_text_puts(&t, list[i]);
    *crc = sl_crc32c_mask(sl_crc32c(c, t.p + lengths, t.n - lengths));
    return t;
}

/* Eight strings in slices of three and five. */
static sl_bundle *sliced_strings(void)
{
    static const char *const all[] = {"zero", "", "two", "three", "four", "five", "six", "seven"};
    table t = {0};
    uint32_t crc[2];
    sl_text a = strings_of(all, 3, &crc[0]), b = strings_of(all + 3, 5, &crc[1]);
    sl_text v = entry_of(SL_DT_STRING, shape_of(ELEMENTS, false), 0, 0, 0);
    put(&v, 7, slice_of(0, 3));
    put(&v, 7, slice_of(3, 5));
    add(&t, SL_STR(""), HEADER);
    add_part(&t, 0, 3, entry_of(SL_DT_STRING, shape_of(3, false), 0, a.n, crc[0]));
    add_part(&t, 3, 5, entry_of(SL_DT_STRING, shape_of(5, false), a.n, b.n, crc[1]));
    add_whole(&t, v);
    sl_text data = join(a, b);
    sl_bundle *bundle = open_it(&t, data.p, data.n);
    sl_text_fini(&data);
    return bundle;
}

static void strings_are_joined_and_outlive_their_bundle(void **state)
{
    (void)state;
    sl_bundle *b = sliced_strings();
    sl_tensor all, some;
    sl_status st = {0};
    assert_int_equal(sl_bundle_read(b, SL_STR("v"), SL_STR(""), &all, &st), SL_OK);
    assert_int_equal(sl_bundle_read(b, SL_STR("v"), SL_STR("8 2,2"), &some, &st), SL_OK);
    sl_bundle_close(b);
    const sl_str *s = all.data;
    assert_int_equal(sl_tensor_count(&all), ELEMENTS);
    assert_true(sl_str_is(s[0], "zero") && sl_str_is(s[1], "") && sl_str_is(s[7], "seven"));
    s = some.data;
    assert_int_equal(sl_tensor_count(&some), 2);
    assert_true(sl_str_is(s[0], "two") && sl_str_is(s[1], "three"));
    sl_tensor_release(&all);
    sl_tensor_release(&some);
}

static void a_length_counts_with_eight_bytes_where_four_do_not_hold_it(void **state)
{
    (void)state;
    static const uint64_t lengths[] = {0, 5, UINT32_MAX, (uint64_t)UINT32_MAX + 1, UINT64_MAX};
    for (size_t i = 0; i < SL_COUNTOF(lengths); i++)
        assert_int_equal(sl_bundle_crc_of_length(7, lengths[i]),
                         sl_crc32c(7, &lengths[i], i < 3 ? 4 : 8));
}

/* ---- loans ---- */

static void a_large_tensor_is_lent_only_where_it_is_aligned(void **state)
{
    (void)state;
    enum { COUNT = 32768, SIZE = COUNT * 4 };
    char *data = calloc(1, SIZE + 1);
    for (uint64_t offset = 0; offset < 2; offset++) {
        table t = {0};
        sl_tensor got;
        for (int i = 0; i < SIZE; i++)
            data[offset + (uint64_t)i] = (char)(i * 7);
        add(&t, SL_STR(""), HEADER);
        add_whole(&t, entry_of(SL_DT_FLOAT, shape_of(COUNT, false), offset, SIZE,
                               sl_crc32c_mask(sl_crc32c(0, data + offset, SIZE))));
        sl_bundle *b = open_it(&t, data, SIZE + 1);
        assert_int_equal(sl_bundle_read(b, SL_STR("v"), SL_STR(""), &got, NULL), SL_OK);
        assert_int_equal((uintptr_t)got.data % 4, 0);
        assert_memory_equal(got.data, data + offset, SIZE);
        /* Another reader has the same bytes, if they are lent. */
        sl_tensor again;
        assert_int_equal(sl_bundle_read(b, SL_STR("v"), SL_STR(""), &again, NULL), SL_OK);
        assert_int_equal(got.data == again.data, offset == 0);
        sl_tensor_release(&got);
        sl_tensor_release(&again);
        sl_bundle_close(b);
    }
    free(data);
}

/* ---- files ---- */

static void write_file(const char *path, const char *p, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(p, 1, n, f), n);
    fclose(f);
}

/* Reads "none", "text" and "v" of a bundle whose shard is too small to be mapped. */
static sl_code read_small(void *arg, sl_status *st)
{
    static const sl_str keys[] = {SL_STR("none"), SL_STR("text"), SL_STR("v")};
    sl_bundle *b = NULL;
    sl_code rc = sl_bundle_open(arg, &b, st);
    for (size_t i = 0; rc == SL_OK && i < SL_COUNTOF(keys); i++) {
        sl_tensor t = {0};
        rc = sl_bundle_read(b, keys[i], SL_STR(""), &t, st);
        if (rc == SL_OK && i == 1)
            assert_true(sl_str_is(((const sl_str *)t.data)[2], "c"));
        sl_tensor_release(&t);
    }
    sl_bundle_close(b);
    return rc;
}

static void a_small_shard_is_read_and_not_mapped(void **state)
{
    (void)state;
    static const char *const all[] = {"a", "b", "c"};
    char dir[] = "/tmp/sluice-bundle-XXXXXX", prefix[64], index[96], shard[96];
    uint32_t crc;
    table t = {0};
    sl_status st = {0};
    sl_text data = strings_of(all, 3, &crc);
    sl_text none = entry_of(SL_DT_INT8, shape_of(0, false), 0, 0, sl_crc32c_mask(0));
    sl_text text = entry_of(SL_DT_STRING, shape_of(3, false), 0, data.n, crc);
    add(&t, SL_STR(""), HEADER);
    add(&t, SL_STR("none"), (sl_str){none.p, none.n});
    add(&t, SL_STR("text"), (sl_str){text.p, text.n});
    add_whole(&t, entry_of(SL_DT_INT8, shape_of(3, false), data.n - 3, 3,
                           sl_crc32c_mask(sl_crc32c(0, "abc", 3))));
    sl_str file = finish(&t);
    assert_non_null(mkdtemp(dir));
    snprintf(prefix, sizeof prefix, "%s/b", dir);
    snprintf(index, sizeof index, "%s.index", prefix);
    snprintf(shard, sizeof shard, "%s.data-00000-of-00001", prefix);
    write_file(index, file.p, file.n);
    write_file(shard, data.p, data.n);
    if (read_small(prefix, &st))
        fail_msg("%s", st.msg);
    assert_true(fail_each_allocation(read_small, prefix) > 10);
    for (int n = 1; n <= 4; n++) { /* index, and each of the two that have bytes */
        sl_fault_arm(SL_FAULT_READ, n);
        sl_code rc = read_small(prefix, &st);
        sl_fault_arm(SL_FAULT_READ, 0);
        assert_true(rc != SL_OK || n == 4);
    }
    assert_int_equal(unlink(index) + unlink(shard) + rmdir(dir), 0);
    sl_text_fini(&data);
    sl_text_fini(&none);
    sl_text_fini(&text);
    end_table(&t);
}

static void a_part_is_cut_out_of_a_whole(void **state)
{
    (void)state;
    table t = {0};
    add(&t, SL_STR(""), HEADER);
    add_whole(&t, entry_of(SL_DT_INT8, shape_of(ELEMENTS, false), 0, ELEMENTS,
                           sl_crc32c_mask(sl_crc32c(0, digits, ELEMENTS))));
    sl_bundle *b = open_it(&t, digits, ELEMENTS);
    reads(b, "8 2,3", "234");
    reads(b, "8 -", digits);
    sl_bundle_close(b);
}

/* ---- memory ---- */

typedef struct wish {
    sl_bundle *b;
    const char *wanted;
} wish;

static sl_code read_it(void *arg, sl_status *st)
{
    const wish *w = arg;
    sl_tensor t = {0};
    sl_code rc = sl_bundle_read(w->b, SL_STR("v"), sl_str_of(w->wanted), &t, st);
    sl_tensor_release(&t);
    return rc;
}

static sl_code read_files(void *arg, sl_status *st)
{
    static const struct {
        sl_str key;
        sl_str part;
    } list[] = {{SL_STR("v_string"), SL_STR("")},
                {SL_STR("v_string"), SL_STR("2 2 -:1,1")},
                {SL_STR("v_int16"), SL_STR("")},
                {SL_STR("nothing"), SL_STR("")},
                {SL_STR("large"), SL_STR("")}};
    sl_code rc = SL_OK;
    for (size_t i = 0; rc == SL_OK && i < SL_COUNTOF(list); i++) {
        sl_tensor t = {0};
        rc = sl_saved_model_read(arg, list[i].key, list[i].part, &t, st);
        sl_tensor_release(&t);
    }
    return rc;
}

static void memory_that_ends_is_an_error(void **state)
{
    (void)state;
    static const char *const wanted[] = {"", "8 2,3", "8 3,5"};
    sl_bundle *of[] = {sliced((const part[]){{PART(0, 3)}, {PART(3, 5)}}, 2), sliced_strings()};
    for (int k = 0; k < 2; k++) {
        for (size_t i = 0; i < SL_COUNTOF(wanted); i++) {
            wish w = {of[k], wanted[i]};
            assert_true(fail_each_allocation(read_it, &w) > 1);
        }
        sl_bundle_close(of[k]);
    }
    sl_saved_model *m = NULL;
    sl_status st = {0};
    if (sl_saved_model_open(SLUICE_SOURCE_DIR "/tests/models/variables/1", NULL, 0, &m, &st))
        fail_msg("%s", st.msg);
    assert_true(fail_each_allocation(read_files, m) > 5);
    sl_saved_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_that_fit_are_joined),
        cmocka_unit_test(slices_that_overlap_or_leave_gaps_are_refused),
        cmocka_unit_test(a_slice_must_be_what_its_whole_says),
        cmocka_unit_test(a_slice_with_a_wrong_checksum_is_refused),
        cmocka_unit_test(more_slices_than_any_writer_makes_are_refused),
        cmocka_unit_test(a_slice_of_another_wire_type_is_none),
        cmocka_unit_test(strings_are_joined_and_outlive_their_bundle),
        cmocka_unit_test(a_length_counts_with_eight_bytes_where_four_do_not_hold_it),
        cmocka_unit_test(a_large_tensor_is_lent_only_where_it_is_aligned),
        cmocka_unit_test(a_small_shard_is_read_and_not_mapped),
        cmocka_unit_test(a_part_is_cut_out_of_a_whole),
        cmocka_unit_test(memory_that_ends_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
