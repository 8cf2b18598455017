/*
 * table.h - a writer of tables and bundles for tests: entries go into data blocks, raw or
 * compressed, whatever they say
 */
#ifndef UNIT_SAVEDMODEL_TABLE_H
#define UNIT_SAVEDMODEL_TABLE_H

#include "base/crc32c.h"
#include "base/mem.h"
#include "base/str.h"
#include "format/wire.h"
#include "sluice/tensor.h"

typedef struct table {
    sl_text file, block, index; /* the block's and the index block's entries so far */
    sl_text last;               /* key */
    bool snappy;
} table;

static inline void put_varint(sl_text *t, uint64_t v)
{
    unsigned char b[10];
    sl_text_add(t, (char *)b, (size_t)sl_wire_write_varint(b, v));
}

static inline void put_u32(sl_text *t, uint32_t v)
{
    sl_text_add(t, (char *)&v, 4);
}

static inline void put_entry(sl_text *block, size_t shared, sl_str rest, sl_str value)
{
    put_varint(block, shared);
    put_varint(block, rest.n);
    put_varint(block, value.n);
    sl_text_add(block, rest.p, rest.n);
    sl_text_add(block, value.p, value.n);
}

/* Only literals: a valid form, if a poor one. */
static inline void compress(sl_text *block)
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
static inline void write_block(table *t, sl_text *block, size_t *offset, size_t *size)
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

static inline void add(table *t, sl_str key, sl_str value)
{
    put_entry(&t->block, 0, key, value);
    t->last.n = 0;
    sl_text_add(&t->last, key.p, key.n);
}

static inline void add_handle(table *t, size_t offset, size_t size)
{
    sl_text handle = {0};
    put_varint(&handle, offset);
    put_varint(&handle, size);
    put_entry(&t->index, 0, (sl_str){t->last.n ? t->last.p : "", t->last.n},
              (sl_str){handle.p, handle.n});
    sl_text_fini(&handle);
}

static inline void end_block(table *t)
{
    size_t offset, size;
    write_block(t, &t->block, &offset, &size);
    add_handle(t, offset, size);
}

static inline sl_str finish(table *t)
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

static inline void end_table(table *t)
{
    sl_text_fini(&t->file);
    sl_text_fini(&t->block);
    sl_text_fini(&t->index);
    sl_text_fini(&t->last);
}

/* ---- bundles ---- */

#define HEADER SL_STR("\x08\x01\x1a\x02\x08\x01")

typedef struct item {
    sl_dtype dtype;
    int64_t dim;
    uint64_t shard, offset, size;
    uint32_t crc;
} item;

static inline void add_item(table *t, sl_str key, item i)
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

#endif
