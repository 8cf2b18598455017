/* test_bundle.c - tables and bundles that no writer makes */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"

#include "savedmodel/bundle.h"
#include "savedmodel/sstable.h"
#include "support/faults.h"
#include "unit/savedmodel/messages.h"
#include "unit/savedmodel/table.h"

/* ---- tables ---- */

static sl_code collect(void *arg, sl_str key, sl_str value, size_t at, sl_status *st)
{
    (void)at;
    (void)st;
    sl_text *t = arg;
    sl_text_add(t, key.p, key.n);
    sl_text_putc(t, '=');
    sl_text_add(t, value.p, value.n);
    sl_text_putc(t, ' ');
    return SL_OK;
}

static void reads(table *t, const char *want)
{
    sl_text got = {0};
    sl_status st = {0};
    if (sl_sstable_each("f", finish(t), collect, &got, &st))
        fail_msg("%s", st.msg);
    assert_string_equal(got.n ? got.p : "", want);
    sl_text_fini(&got);
    end_table(t);
}

static void fails(table *t, const char *text)
{
    sl_text got = {0};
    sl_status st = {0};
    assert_int_equal(sl_sstable_each("f", finish(t), collect, &got, &st), SL_DATA_LOSS);
    if (strstr(st.msg, text) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", text, st.msg);
    sl_text_fini(&got);
    end_table(t);
}

static void entries_come_in_order_over_all_blocks(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        table t = {.snappy = i};
        add(&t, SL_STR(""), SL_STR("header"));
        add(&t, SL_STR("abc"), SL_STR("1"));
        put_entry(&t.block, 2, SL_STR("d"), SL_STR("2")); /* "abd" */
        t.last.p[2] = 'd';
        end_block(&t);
        add(&t, SL_STR("b"), SL_STR(""));
        reads(&t, "=header abc=1 abd=2 b= ");
    }
}

static void an_empty_table_has_no_entries(void **state)
{
    (void)state;
    table t = {0};
    reads(&t, "");
}

static void keys_must_ascend(void **state)
{
    (void)state;
    table t = {0};
    add(&t, SL_STR("b"), SL_STR("1"));
    add(&t, SL_STR("a"), SL_STR("2"));
    fails(&t, "key does not belong into its block");
    t = (table){0};
    add(&t, SL_STR("a"), SL_STR("1"));
    add(&t, SL_STR("a"), SL_STR("2"));
    fails(&t, "f; key stands twice at byte 9");
    t = (table){0};
    add(&t, SL_STR("b"), SL_STR("1"));
    end_block(&t);
    add(&t, SL_STR("a"), SL_STR("2"));
    fails(&t, "keys are not ascending");
}

static void a_block_cannot_be_read_twice(void **state)
{
    (void)state;
    table t = {0};
    add(&t, SL_STR("a"), SL_STR("1"));
    size_t offset, size;
    write_block(&t, &t.block, &offset, &size);
    add_handle(&t, offset, size);
    add_handle(&t, offset, size);
    fails(&t, "blocks overlap");
}

static void entries_must_stay_in_their_block(void **state)
{
    (void)state;
    table t = {0};
    put_entry(&t.block, 3, SL_STR("a"), SL_STR("1"));
    fails(&t, "key shares more than the key before it has at byte 0");
    t = (table){0};
    put_varint(&t.block, 0);
    put_varint(&t.block, 100);
    put_varint(&t.block, 1);
    fails(&t, "entry goes beyond its block");
    t = (table){0};
    sl_text_putc(&t.block, '\x80');
    fails(&t, "truncated entry");
    t = (table){0};
    add_handle(&t, 1 << 20, 3);
    fails(&t, "block goes beyond the file");
}

/* A block of these bytes alone, without restart points of its own. */
static void fails_block(sl_str raw, const char *text)
{
    table t = {0};
    size_t offset = t.file.n, size = raw.n;
    sl_text_add(&t.file, raw.p, raw.n);
    sl_text_putc(&t.file, 0);
    put_u32(&t.file, sl_crc32c_mask(sl_crc32c(0, t.file.p, t.file.n)));
    add_handle(&t, offset, size);
    fails(&t, text);
}

static void a_block_has_its_restart_points(void **state)
{
    (void)state;
    fails_block(SL_STR("\0\0\0"), "restart points go beyond the block at byte 0");
    fails_block(SL_STR("\0\0\0\0\2\0\0\0"), "restart points go beyond the block at byte 0");
}

static void a_compressed_block_must_unpack_to_a_block(void **state)
{
    (void)state;
    static const struct {
        sl_str packed;
        const char *text;
    } list[] = {{SL_STR("\0"), "restart points go beyond the block"},
                {SL_STR("\4\10abcd"), "damaged compressed block"},
                {SL_STR("\xff\xff\x7f"), "wrong length of a compressed block"}};
    for (size_t i = 0; i < SL_COUNTOF(list); i++) {
        table t = {0};
        sl_text_add(&t.file, list[i].packed.p, list[i].packed.n);
        sl_text_putc(&t.file, 1);
        put_u32(&t.file, sl_crc32c_mask(sl_crc32c(0, t.file.p, t.file.n)));
        add_handle(&t, 0, list[i].packed.n);
        fails(&t, list[i].text);
    }
}

static void each_number_of_an_entry_must_be_there_and_fit(void **state)
{
    (void)state;
    static const sl_str entries[] = {
        SL_STR("\0\x80"), SL_STR("\0\1\x80"),
        SL_STR("\0\xff\xff\xff\xff\x7f\0"), /* a key of more than 4 GB */
    };
    for (size_t i = 0; i < SL_COUNTOF(entries); i++) {
        table t = {0};
        sl_text_add(&t.block, entries[i].p, entries[i].n);
        fails(&t, "truncated entry at byte 0");
    }
    table t = {0};
    sl_text_add(&t.block, "\0\1\2ab", 5); /* the key is there, the value is not */
    fails(&t, "entry goes beyond its block at byte 0");
}

static void a_block_handle_has_two_numbers(void **state)
{
    (void)state;
    static const sl_str handles[] = {SL_STR("\x80"), SL_STR("\0\x80")};
    for (size_t i = 0; i < SL_COUNTOF(handles); i++) {
        table t = {0};
        put_entry(&t.index, 0, SL_STR("k"), handles[i]);
        fails(&t, "truncated block handle");
    }
}

static void keys_cannot_outgrow_their_file(void **state)
{
    (void)state;
    table t = {0};
    char *key = sl_malloc(10000);
    memset(key, 'a', 10000);
    add(&t, (sl_str){key, 10000}, SL_STR(""));
    for (int i = 0; i < 10000; i++) { /* 4 bytes each, 10 KB each */
        put_entry(&t.block, 10000 + (size_t)i, SL_STR("b"), SL_STR(""));
        sl_text_putc(&t.last, 'b');
    }
    sl_free(key);
    fails(&t, "keys are out of proportion to the file");
}

/* ---- bundles ---- */

/* Opens the table with `data` as its shard, and reads "v" if there is one. */
static sl_code open_and_read(table *t, sl_str data, sl_status *st)
{
    sl_str index = finish(t);
    sl_buffer *a = sl_buffer_try_new(index.n), *b = sl_buffer_try_new(data.n);
    sl_bundle *bundle = NULL;
    sl_tensor tensor = {0};
    assert_true(a && b);
    memcpy(a->data, index.p, index.n);
    memcpy(b->data, data.p, data.n);
    sl_code rc = sl_bundle_open_bytes("v", a, b, &bundle, st);
    if (rc == SL_OK && sl_bundle_find(bundle, SL_STR("v")))
        rc = sl_bundle_read(bundle, SL_STR("v"), SL_STR(""), &tensor, st);
    sl_tensor_release(&tensor);
    sl_bundle_close(bundle);
    sl_buffer_release(a);
    sl_buffer_release(b);
    end_table(t);
    return rc;
}

static void refused_item(item i, sl_str data, sl_code code, const char *text)
{
    table t = {0};
    sl_status st = {0};
    add(&t, SL_STR(""), HEADER);
    add_item(&t, SL_STR("v"), i);
    assert_int_equal(open_and_read(&t, data, &st), code);
    if (strstr(st.msg, text) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", text, st.msg);
}

static void refused_header(sl_str header, sl_code code, const char *text)
{
    table t = {0};
    sl_status st = {0};
    add(&t, SL_STR(""), header);
    assert_int_equal(open_and_read(&t, SL_STR(""), &st), code);
    if (strstr(st.msg, text) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", text, st.msg);
}

static void headers_of_another_kind_are_refused(void **state)
{
    (void)state;
    refused_header(HEADER, SL_OK, "");
    refused_header(SL_STR("\x08\x01\x10\x01"), SL_UNIMPLEMENTED, "big-endian");
    refused_header(SL_STR("\x08\x01\x1a\x04\x08\x02\x10\x02"), SL_UNIMPLEMENTED, "later version");
    refused_header(SL_STR(""), SL_DATA_LOSS, "number of shards is out of range");
    refused_header(SL_STR("\x08\xff\xff\xff\xff\x07"), SL_DATA_LOSS, "number of shards");
    refused_header(SL_STR("\x08"), SL_DATA_LOSS, "header cannot be parsed");
    table t = {0};
    sl_status st = {0};
    add_item(&t, SL_STR("v"), (item){SL_DT_INT8, 1, 0, 0, 1, 0});
    assert_int_equal(open_and_read(&t, SL_STR("x"), &st), SL_DATA_LOSS);
    assert_non_null(strstr(st.msg, "no header before the first entry"));
}

static void fields_of_another_wire_type_are_skipped(void **state)
{
    (void)state;
    sl_text version = twisted(bytes(9, "")), header = {0}, e = {0}, one = {0};
    sl_status st = {0};
    sl_wire_put_varint(&one, 2, 0);
    put(&header, 3, join(version, twisted(one)));
    one = (sl_text){0};
    sl_wire_put_varint(&one, 1, 1);
    sl_wire_put_varint(&one, 2, 0);
    header = twisted(join(one, header));
    const uint32_t crc = sl_crc32c_mask(sl_crc32c(0, "12345678", 8));
    one = (sl_text){0};
    sl_wire_put_varint(&one, 1, 2);
    sl_wire_put_varint(&e, 1, SL_DT_FLOAT);
    put(&e, 2, within(2, one));
    sl_wire_put_varint(&e, 3, 0);
    sl_wire_put_varint(&e, 4, 0);
    sl_wire_put_varint(&e, 5, 8);
    sl_wire_put_fixed32(&e, 6, crc);
    e = twisted(e);
    sl_wire_put_varint(&e, 7, 1); /* were it bytes, the entry would be sliced */
    table t = {0};
    add(&t, SL_STR(""), (sl_str){header.p, header.n});
    add(&t, SL_STR("v"), (sl_str){e.p, e.n});
    if (open_and_read(&t, SL_STR("12345678"), &st))
        fail_msg("%s", st.msg);
    sl_text_fini(&header);
    sl_text_fini(&e);
}

/* An index of one raw entry. */
static sl_code open_entry(sl_str key, sl_text e, sl_status *st)
{
    table t = {0};
    add(&t, SL_STR(""), HEADER);
    add(&t, key, (sl_str){e.p, e.n});
    sl_text_fini(&e);
    return open_and_read(&t, SL_STR("12345678"), st);
}

static sl_text entry_of_shape(sl_text shape)
{
    sl_text e = {0};
    sl_wire_put_varint(&e, 1, SL_DT_INT8);
    put(&e, 2, shape);
    return e;
}

static void a_shape_that_cannot_be_read_is_refused_with_and_without_a_status(void **state)
{
    (void)state;
    sl_text deep = {0}, unknown = {0}, beyond = {0};
    sl_status st = {0};
    for (int i = 0; i < SL_MAX_RANK + 1; i++)
        put(&deep, 2, (sl_text){0});
    assert_int_not_equal(open_entry(SL_STR("v"), entry_of_shape(deep), &st), SL_OK);
    assert_non_null(strstr(st.msg, "v.index; key \"v\" at byte "));
    assert_int_not_equal(open_entry(SL_STR("v"), entry_of_shape(bytes(2, "\x08")), NULL), SL_OK);
    sl_wire_put_varint(&unknown, 3, 1);
    assert_int_equal(open_entry(SL_STR("v"), entry_of_shape(unknown), &st), SL_DATA_LOSS);
    assert_non_null(strstr(st.msg, "shape out of range"));
    sl_wire_put_varint(&beyond, 1, SL_DT_COUNT);
    assert_int_equal(open_entry(SL_STR("v"), beyond, &st), SL_DATA_LOSS);
    assert_non_null(strstr(st.msg, "unknown dtype"));
}

/* Nobody reads the object graph, so nothing about its entry is an error. */
static void an_entry_of_the_object_graph_may_be_anything(void **state)
{
    (void)state;
    const sl_str key = SL_STR("_CHECKPOINTABLE_OBJECT_GRAPH");
    sl_text far = {0}, broken = {0};
    sl_status st = {0};
    sl_wire_put_varint(&far, 1, SL_DT_INT8);
    sl_wire_put_varint(&far, 4, UINT64_MAX);
    sl_wire_put_varint(&far, 5, 8);
    assert_int_equal(open_entry(key, far, &st), SL_OK);
    sl_text_putc(&broken, '\x08');
    assert_int_equal(open_entry(key, broken, &st), SL_OK);
    assert_int_equal(open_entry(key, join(entry_of_shape((sl_text){0}), bytes(7, "")), &st), SL_OK);
}

static void entries_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    const sl_str data = SL_STR("12345678");
    const uint32_t good = sl_crc32c_mask(sl_crc32c(0, "12345678", 8));
    refused_item((item){SL_DT_FLOAT, 2, 0, 0, 8, good}, data, SL_OK, "");
    refused_item((item){SL_DT_FLOAT, 2, 0, 0, 8, good + 1}, data, SL_DATA_LOSS,
                 "v.data-00000-of-00001; wrong checksum at byte 0, tensor \"v\"");
    refused_item((item){SL_DT_FLOAT, 2, 1, 0, 8, good}, data, SL_DATA_LOSS, "shard that does not");
    refused_item((item){SL_DT_FLOAT, 3, 0, 0, 8, good}, data, SL_DATA_LOSS, "size does not fit");
    refused_item((item){SL_DT_FLOAT, 2, 0, 1, 8, good}, data, SL_DATA_LOSS, "file ends before");
    refused_item((item){SL_DT_FLOAT, 2, 0, UINT64_MAX, 8, good}, data, SL_DATA_LOSS,
                 "place out of range");
    refused_item((item){SL_DT_FLOAT, -1, 0, 0, 8, good}, data, SL_DATA_LOSS, "shape out of range");
    refused_item((item){SL_DT_FLOAT, INT64_MAX, 0, 0, 8, good}, data, SL_DATA_LOSS, "shape out");
    refused_item((item){SL_DT_INVALID, 2, 0, 0, 8, good}, data, SL_DATA_LOSS, "unknown dtype");
    refused_item((item){SL_DT_BOOL, 8, 0, 0, 8, good}, data, SL_DATA_LOSS, "neither 0 nor 1");
    refused_item((item){SL_DT_VARIANT, 8, 0, 0, 8, good}, data, SL_UNIMPLEMENTED, "variant");
}

static void strings_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    uint32_t lengths[] = {2, 1}, crc = sl_crc32c(0, lengths, 8), mask = sl_crc32c_mask(crc);
    char data[9] = "\2\1....abc";
    memcpy(data + 2, &mask, 4);
    const uint32_t good = sl_crc32c_mask(sl_crc32c(crc, data + 2, 7));
    const sl_str s = {data, sizeof data};
    refused_item((item){SL_DT_STRING, 2, 0, 0, 9, good}, s, SL_OK, "");
    refused_item((item){SL_DT_STRING, 2, 0, 0, 9, good ^ 1}, s, SL_DATA_LOSS,
                 "wrong checksum of the strings at");
    refused_item((item){SL_DT_STRING, 2, 0, 0, 8, good}, s, SL_DATA_LOSS, "do not fill");
    refused_item((item){SL_DT_STRING, 1, 0, 0, 9, good}, s, SL_DATA_LOSS, "do not fill");
    refused_item((item){SL_DT_STRING, 6, 0, 0, 9, good}, s, SL_DATA_LOSS, "number of strings");
    refused_item((item){SL_DT_STRING, 0, 0, 0, 3, good}, s, SL_DATA_LOSS, "number of strings");
    refused_item((item){SL_DT_STRING, 1, 0, 0, 5, good}, SL_STR("\x80\x80\x80\0x"), SL_DATA_LOSS,
                 "do not fill"); /* a length of four bytes leaves one for the checksum */
    refused_item((item){SL_DT_STRING, 1 << 30, 0, 0, 9, good}, s, SL_DATA_LOSS, "number of");
    data[3] ^= 1;
    refused_item((item){SL_DT_STRING, 2, 0, 0, 9, good}, s, SL_DATA_LOSS, "strings' lengths");
}

/* ---- files ---- */

/* Writes the table as <prefix>.index, and a shard that is as long. */
static void write_files(const char *prefix, table *t)
{
    char path[512];
    sl_str index = finish(t);
    snprintf(path, sizeof path, "%s.index", prefix);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(index.p, 1, index.n, f), index.n);
    fclose(f);
    snprintf(path, sizeof path, "%s.data-00000-of-00001", prefix);
    f = fopen(path, "wb");
    if (f != NULL)
        fclose(f);
}

static void a_shard_that_cannot_be_asked_for_is_no_missing_one(void **state)
{
    (void)state;
    char dir[] = "/tmp/sluice-bundle-XXXXXX", home[512], prefix[512], path[1024];
    table t = {0};
    sl_status st = {0};
    assert_non_null(mkdtemp(dir));
    /* The index has a name of 250 bytes, and the shard would have one of 264, which is too long. */
    snprintf(prefix, sizeof prefix, "%s/%0244d", dir, 0);
    add(&t, SL_STR(""), HEADER);
    write_files(prefix, &t);
    assert_int_equal(sl_bundle_check_files(prefix, &st), sl_code_of_errno(ENAMETOOLONG));
    assert_non_null(strstr(st.msg, strerror(ENAMETOOLONG)));
    snprintf(path, sizeof path, "%s.index", prefix);
    assert_int_equal(unlink(path), 0);
    end_table(&t);
    /* A prefix without a folder. */
    t = (table){0};
    add(&t, SL_STR(""), HEADER);
    add_item(&t, SL_STR("v"), (item){SL_DT_INT8, 1, 0, 0, 1, 0});
    assert_non_null(getcwd(home, sizeof home));
    assert_int_equal(chdir(dir), 0);
    write_files("b", &t);
    assert_int_equal(sl_bundle_check_files("b", &st), SL_UNAVAILABLE);
    assert_string_equal(st.msg, "variables/b.data-00000-of-00001 has 0 of 1 bytes");
    assert_int_equal(unlink("b.data-00000-of-00001"), 0);
    assert_int_equal(sl_bundle_check_files("b", &st), SL_UNAVAILABLE);
    assert_string_equal(st.msg, "variables/b.data-00000-of-00001 is missing");
    sl_bundle *b = NULL;
    assert_int_equal(sl_bundle_open("b", &b, NULL), SL_DATA_LOSS);
    assert_int_equal(unlink("b.index"), 0);
    assert_int_equal(chdir(home), 0);
    assert_int_equal(rmdir(dir), 0);
    end_table(&t);
}

/* ---- memory ---- */

static sl_code collect_nothing(void *arg, sl_str key, sl_str value, size_t at, sl_status *st)
{
    (void)arg, (void)key, (void)value, (void)at, (void)st;
    return SL_OK;
}

static const char *const checked[] = {
    SLUICE_SOURCE_DIR "/tests/models/partitioned/1/variables/variables",
    SLUICE_SOURCE_DIR "/tests/models/sharded/1/variables/variables"};

static sl_code check_files(void *arg, sl_status *st)
{
    return sl_bundle_check_files(arg, st);
}

typedef struct files {
    sl_str index, data;
} files;

static sl_code open_table(void *arg, sl_status *st)
{
    const files *f = arg;
    return sl_sstable_each("f", f->index, collect_nothing, NULL, st);
}

static void memory_that_ends_is_an_error(void **state)
{
    (void)state;
    table t = {.snappy = true};
    add(&t, SL_STR("a"), SL_STR("1"));
    add(&t, SL_STR("b"), SL_STR("2"));
    files f = {finish(&t), {"", 0}};
    assert_true(fail_each_allocation(open_table, &f) > 3);
    end_table(&t);
    for (size_t i = 0; i < SL_COUNTOF(checked); i++)
        assert_true(fail_each_allocation(check_files, (void *)(uintptr_t)checked[i]) > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_come_in_order_over_all_blocks),
        cmocka_unit_test(an_empty_table_has_no_entries),
        cmocka_unit_test(keys_must_ascend),
        cmocka_unit_test(a_block_cannot_be_read_twice),
        cmocka_unit_test(entries_must_stay_in_their_block),
        cmocka_unit_test(keys_cannot_outgrow_their_file),
        cmocka_unit_test(headers_of_another_kind_are_refused),
        cmocka_unit_test(entries_that_do_not_fit_are_refused),
        cmocka_unit_test(strings_that_do_not_fit_are_refused),
        cmocka_unit_test(a_block_has_its_restart_points),
        cmocka_unit_test(a_compressed_block_must_unpack_to_a_block),
        cmocka_unit_test(each_number_of_an_entry_must_be_there_and_fit),
        cmocka_unit_test(a_block_handle_has_two_numbers),
        cmocka_unit_test(fields_of_another_wire_type_are_skipped),
        cmocka_unit_test(a_shape_that_cannot_be_read_is_refused_with_and_without_a_status),
        cmocka_unit_test(an_entry_of_the_object_graph_may_be_anything),
        cmocka_unit_test(a_shard_that_cannot_be_asked_for_is_no_missing_one),
        cmocka_unit_test(memory_that_ends_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
