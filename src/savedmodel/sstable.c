/*
 * sstable.c - footer, index block, data blocks, prefix-compressed keys
 *
 * The walk goes through the index block in order and through each data block that it names. Blocks
 * must follow each other in the file, so that no block is read twice; a key may repeat the front of
 * the one before it, so the sum of all keys is bounded by a multiple of the file's size.
 */
#include "savedmodel/sstable.h"

#include "base/crc32c.h"
#include "base/mem.h"
#include "format/wire.h"
#include "savedmodel/snappy.h"

enum {
    FOOTER = 48,
    TRAILER = 5, /* after each block: type, masked crc */
    /* A writer starts a key afresh every 16 entries, so 16 times the file is the most that keys can
     * take; the rest is for other writers. */
    KEYS_PER_FILE_BYTE = 64
};
static const uint64_t magic = 0xdb4775248b80fb57u;

typedef struct table {
    const char *file;
    sl_str bytes;
    sl_sstable_visit visit;
    void *arg;
    sl_status *st;
    size_t next_block; /* where the next data block may begin */
    size_t key_bytes;  /* of all keys so far */
    sl_text last;      /* the last key seen in a data block */
    bool any;
} table;

typedef struct entries {
    size_t offset;                         /* of the block in the file */
    const unsigned char *begin, *at, *end; /* in the file, or in `unpacked` */
    sl_text key;
    sl_str value;
    sl_text unpacked; /* of a compressed block */
} entries;

static size_t offset_of(const entries *e, const void *p)
{
    return e->offset + (size_t)((const unsigned char *)p - e->begin);
}

static void close_block(entries *e)
{
    sl_text_fini(&e->key);
    sl_text_fini(&e->unpacked);
}

static sl_code bad(const table *t, size_t at, const char *what)
{
    return sl_fail(t->st, SL_DATA_LOSS, "%s; %s at byte %zu", t->file, what, at);
}

static uint32_t fixed32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}

/* Takes the restart points off the end of the block's contents. */
static sl_code set_entries(const table *t, const unsigned char *p, size_t size, entries *e)
{
    if (size < 4 || fixed32(p + size - 4) > (size - 4) / 4)
        return bad(t, e->offset, "restart points go beyond the block");
    e->begin = e->at = p;
    e->end = p + size - 4 - 4 * (size_t)fixed32(p + size - 4);
    return SL_OK;
}

static sl_code unpack_block(const table *t, sl_str packed, entries *e)
{
    const char *wrong = sl_snappy_unpack(packed, &e->unpacked);
    if (e->unpacked.failed)
        return sl_fail(t->st, SL_RESOURCE_EXHAUSTED, "%s; out of memory", t->file);
    if (wrong != NULL)
        return bad(t, e->offset, wrong);
    return set_entries(t, (const unsigned char *)(e->unpacked.n ? e->unpacked.p : ""),
                       e->unpacked.n, e);
}

/* Checks the block's place, type and checksum; *e then stands before its first entry. */
static sl_code open_block(const table *t, uint64_t offset, uint64_t size, entries *e)
{
    size_t room = t->bytes.n - FOOTER;
    if (offset > room || size > room - offset || room - offset - size < TRAILER)
        return bad(t, SL_MIN(offset, room), "block goes beyond the file");
    const unsigned char *p = (const unsigned char *)t->bytes.p + offset;
    if (sl_crc32c_mask(sl_crc32c(0, p, size + 1)) != fixed32(p + size + 1))
        return bad(t, offset, "wrong checksum of the block");
    e->offset = offset;
    if (p[size] > 1)
        return bad(t, offset, "unknown compression of the block");
    return p[size] ? unpack_block(t, (sl_str){(const char *)p, size}, e)
                   : set_entries(t, p, size, e);
}

static bool varint32(const unsigned char **p, const unsigned char *end, size_t *out)
{
    uint64_t v;
    if (!sl_wire_varint(p, end, &v) || v > UINT32_MAX)
        return false;
    *out = v;
    return true;
}

/* Moves to the next entry; *more is false at the end of the block. */
static sl_code next_entry(table *t, entries *e, bool *more)
{
    size_t at = offset_of(e, e->at), shared, fresh, value;
    *more = e->at < e->end;
    if (!*more)
        return SL_OK;
    if (!varint32(&e->at, e->end, &shared) || !varint32(&e->at, e->end, &fresh) ||
        !varint32(&e->at, e->end, &value))
        return bad(t, at, "truncated entry");
    size_t left = (size_t)(e->end - e->at);
    if (fresh > left || value > left - fresh)
        return bad(t, at, "entry goes beyond its block");
    if (shared > e->key.n)
        return bad(t, at, "key shares more than the key before it has");
    e->key.n = shared;
    sl_text_add(&e->key, (const char *)e->at, fresh);
    if (e->key.failed)
        return sl_fail(t->st, SL_RESOURCE_EXHAUSTED, "%s; out of memory", t->file);
    t->key_bytes += e->key.n;
    if (t->key_bytes / KEYS_PER_FILE_BYTE > t->bytes.n + e->unpacked.n)
        return bad(t, at, "keys are out of proportion to the file");
    e->value = (sl_str){(const char *)e->at + fresh, value};
    e->at += fresh + value;
    return SL_OK;
}

static sl_str key_of(const entries *e)
{
    return (sl_str){e->key.n ? e->key.p : "", e->key.n};
}

static sl_code visit_entry(table *t, const entries *e, sl_str separator)
{
    sl_str key = key_of(e), last = {t->last.n ? t->last.p : "", t->last.n};
    size_t at = offset_of(e, e->value.p);
    if (t->any && sl_str_cmp(last, key) >= 0)
        return bad(t, at, sl_str_eq(last, key) ? "key stands twice" : "keys are not ascending");
    if (sl_str_cmp(key, separator) > 0)
        return bad(t, at, "key does not belong into its block");
    t->any = true;
    t->last.n = 0;
    sl_text_add(&t->last, key.p, key.n);
    if (t->last.failed)
        return sl_fail(t->st, SL_RESOURCE_EXHAUSTED, "%s; out of memory", t->file);
    return t->visit(t->arg, key, e->value, at, t->st);
}

static bool read_handle(sl_str s, uint64_t *offset, uint64_t *size)
{
    const unsigned char *p = (const unsigned char *)s.p, *end = p + s.n;
    return sl_wire_varint(&p, end, offset) && sl_wire_varint(&p, end, size);
}

static sl_code visit_block(table *t, const entries *index)
{
    uint64_t offset, size;
    const sl_str separator = key_of(index), handle = index->value;
    if (!read_handle(handle, &offset, &size))
        return bad(t, offset_of(index, handle.p), "truncated block handle");
    if (offset < t->next_block)
        return bad(t, offset_of(index, handle.p), "blocks overlap");
    entries e = {0};
    bool more = false;
    sl_code rc = open_block(t, offset, size, &e);
    if (rc == SL_OK) {
        t->next_block = offset + size + TRAILER;
        rc = next_entry(t, &e, &more);
    }
    while (rc == SL_OK && more) {
        rc = visit_entry(t, &e, separator);
        if (rc == SL_OK)
            rc = next_entry(t, &e, &more);
    }
    close_block(&e);
    return rc;
}

static sl_code visit_index(table *t, uint64_t offset, uint64_t size)
{
    entries e = {0};
    bool more = false;
    sl_code rc = open_block(t, offset, size, &e);
    if (rc == SL_OK)
        rc = next_entry(t, &e, &more);
    while (rc == SL_OK && more) {
        rc = visit_block(t, &e);
        if (rc == SL_OK)
            rc = next_entry(t, &e, &more);
    }
    close_block(&e);
    return rc;
}

sl_code sl_sstable_each(const char *file, sl_str bytes, sl_sstable_visit visit, void *arg,
                        sl_status *st)
{
    table t = {.file = file, .bytes = bytes, .visit = visit, .arg = arg, .st = st};
    if (bytes.n < FOOTER)
        return sl_fail(st, SL_DATA_LOSS, "%s; file of %zu bytes is too short to be a table", file,
                       bytes.n);
    const unsigned char *p = (const unsigned char *)bytes.p + bytes.n - FOOTER, *end = p + 40;
    uint64_t value[4], mark;
    entries meta = {0};
    memcpy(&mark, end, 8);
    if (mark != magic)
        return bad(&t, bytes.n - 8, "wrong magic number (truncated, or not a table)");
    for (int i = 0; i < 4; i++)
        if (!sl_wire_varint(&p, end, &value[i]))
            return bad(&t, bytes.n - FOOTER, "truncated footer");
    for (; p < end; p++)
        if (*p != 0)
            return bad(&t, bytes.n - 8 - (size_t)(end - p), "padding of the footer is not zero");
    /* Nothing of the metaindex is needed, but a flipped byte in it is a damaged file, too. */
    sl_code rc = open_block(&t, value[0], value[1], &meta);
    if (rc == SL_OK)
        rc = visit_index(&t, value[2], value[3]);
    close_block(&meta);
    sl_text_fini(&t.last);
    return rc;
}
