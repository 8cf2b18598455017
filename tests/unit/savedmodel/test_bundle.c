/*
 * test_bundle.c - tables and bundles that no writer makes
 *
 * A small writer of tables: entries go into data blocks, raw or compressed, whatever they say.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "format/wire.h"
#include "savedmodel/bundle.h"
#include "savedmodel/sstable.h"

/* ---- the writer ---- */

typedef struct table {
    sl_text file, block, index; /* the block's and the index block's entries so far */
    sl_text last;               /* key */
    bool snappy;
} table;

static void put_varint(sl_text *t, uint64_t v)
{
    unsigned char b[10];
    sl_text_add(t, (char *)b, (size_t)sl_wire_write_varint(b, v));
}

static void put_u32(sl_text *t, uint32_t v)
{
    sl_text_add(t, (char *)&v, 4);
}

static void put_entry(sl_text *block, size_t shared, sl_str rest, sl_str value)
{
    put_varint(block, shared);
    put_varint(block, rest.n);
    put_varint(block, value.n);
    sl_text_add(block, rest.p, rest.n);
    sl_text_add(block, value.p, value.n);
}

/* Only literals: a valid form, if a poor one. */
static void compress(sl_text *block)
{
    sl_text packed = {0};
    put_varint(&packed, block->n);
    for (size_t at = 0; at < block->n; at += 60) {
        size_t n = SL_MIN(block->n - at, 60);
        sl_text_putc(&packed, (char)((n - 1) << 2));
        sl_text_add(&packed, block->p + at, n);
    }
    sl_text_fini(block);
    *block = packed;
}

/* Ends the block with one restart point; *offset and *size are its handle. */
static void write_block(table *t, sl_text *block, size_t *offset, size_t *size)
{
    put_u32(block, 0);
    put_u32(block, 1);
    if (t->snappy)
        compress(block);
    sl_text_putc(block, t->snappy ? 1 : 0);
    *offset = t->file.n;
    *size = block->n - 1;
    put_u32(block, sl_crc32c_mask(sl_crc32c(0, block->p, block->n)));
    sl_text_add(&t->file, block->p, block->n);
    block->n = 0;
}

static void add(table *t, sl_str key, sl_str value)
{
    put_entry(&t->block, 0, key, value);
    t->last.n = 0;
    sl_text_add(&t->last, key.p, key.n);
}

static void add_handle(table *t, size_t offset, size_t size)
{
    sl_text handle = {0};
    put_varint(&handle, offset);
    put_varint(&handle, size);
    put_entry(&t->index, 0, (sl_str){t->last.n ? t->last.p : "", t->last.n},
              (sl_str){handle.p, handle.n});
    sl_text_fini(&handle);
}

static void end_block(table *t)
{
    size_t offset, size;
    write_block(t, &t->block, &offset, &size);
    add_handle(t, offset, size);
}

static sl_str finish(table *t)
{
    size_t meta[2], index[2];
    sl_text none = {0};
    if (t->block.n)
        end_block(t);
    write_block(t, &none, &meta[0], &meta[1]);
    write_block(t, &t->index, &index[0], &index[1]);
    size_t begin = t->file.n;
    put_varint(&t->file, meta[0]);
    put_varint(&t->file, meta[1]);
    put_varint(&t->file, index[0]);
    put_varint(&t->file, index[1]);
    while (t->file.n < begin + 40)
        sl_text_putc(&t->file, 0);
    sl_text_add(&t->file, "\x57\xfb\x80\x8b\x24\x75\x47\xdb", 8);
    sl_text_fini(&none);
    return (sl_str){t->file.p, t->file.n};
}

static void end_table(table *t)
{
    sl_text_fini(&t->file);
    sl_text_fini(&t->block);
    sl_text_fini(&t->index);
    sl_text_fini(&t->last);
}

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

#define HEADER SL_STR("\x08\x01\x1a\x02\x08\x01")

typedef struct item {
    sl_dtype dtype;
    int64_t dim;
    uint64_t shard, offset, size;
    uint32_t crc;
} item;

static void add_item(table *t, sl_str key, item i)
{
    sl_text e = {0}, dim = {0}, shape = {0};
    sl_wire_put_varint(&dim, 1, (uint64_t)i.dim);
    sl_wire_put_bytes(&shape, 2, dim.p, dim.n);
    sl_wire_put_varint(&e, 1, i.dtype);
    sl_wire_put_bytes(&e, 2, shape.p, shape.n);
    sl_wire_put_varint(&e, 3, i.shard);
    sl_wire_put_varint(&e, 4, i.offset);
    sl_wire_put_varint(&e, 5, i.size);
    sl_wire_put_fixed32(&e, 6, i.crc);
    add(t, key, (sl_str){e.p, e.n});
    sl_text_fini(&e);
    sl_text_fini(&dim);
    sl_text_fini(&shape);
}

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
    refused_item((item){SL_DT_STRING, 1 << 30, 0, 0, 9, good}, s, SL_DATA_LOSS, "number of");
    data[3] ^= 1;
    refused_item((item){SL_DT_STRING, 2, 0, 0, 9, good}, s, SL_DATA_LOSS, "strings' lengths");
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
