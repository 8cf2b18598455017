/*
 * bundle.c - opening a bundle: the index, and what it says held against the shards
 *
 * The empty key holds the header, and sorts first. Keys that begin with a zero byte are slices of
 * partitioned variables, kept apart from what has a name.
 */
#include "savedmodel/bundle.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "format/wire.h"
#include "savedmodel/bundle_inside.h"
#include "savedmodel/sstable.h"
#include "tensorproto/tensorproto.h"

enum { MOST_SHARDS = 99999 }; /* five digits in the file's name */

typedef struct opening {
    sl_bundle *b;
    char *file; /* the index's name, for messages */
    bool has_header;
} opening;

static sl_code bad(const opening *o, size_t at, sl_str key, const char *what, sl_status *st)
{
    return sl_fail(st, SL_DATA_LOSS, "%s; %s at byte %zu, key \"%.*s\"", o->file, what, at,
                   SL_STR_ARG(key));
}

static char *index_name(const char *prefix)
{
    size_t n = strlen(prefix) + sizeof ".index";
    char *name = sl_try_malloc(n);
    if (name != NULL)
        snprintf(name, n, "%s.index", prefix);
    return name;
}

char *sl_bundle_shard_name(const sl_bundle *b, int shard)
{
    size_t n = strlen(b->prefix) + 32;
    char *name = sl_try_malloc(n);
    if (name != NULL)
        snprintf(name, n, "%s.data-%05d-of-%05d", b->prefix, shard, b->n_shards);
    return name;
}

sl_code(sl_bundle_damaged)(const sl_bundle *b, const sl_bundle_entry *e, const sl_place *p,
                          const char *what, sl_status *st)
{
    return sl_fail(st, SL_DATA_LOSS, "%s.data-%05d-of-%05d; %s at byte %llu, tensor \"%.*s\"",
                   b->prefix, p->shard, b->n_shards, what, (unsigned long long)p->offset,
                   SL_STR_ARG(e->key));
}

/* ---- the index ---- */

static sl_code read_header(opening *o, sl_str value, size_t at, sl_status *st)
{
    sl_wire w = sl_wire_open(value);
    uint64_t shards = 0, endianness = 0, min_consumer = 0;
    sl_str version = {"", 0};
    const sl_str key = {"", 0};
    while (sl_wire_next(&w)) {
        if (w.field == 1 && w.type == SL_WIRE_VARINT)
            shards = w.value;
        else if (w.field == 2 && w.type == SL_WIRE_VARINT)
            endianness = w.value;
        else if (w.field == 3 && w.type == SL_WIRE_BYTES)
            version = w.bytes;
    }
    if (w.bad)
        return bad(o, at, key, "header cannot be parsed", st);
    if (endianness != 0)
        return sl_fail(st, SL_UNIMPLEMENTED, "%s; a big-endian bundle is not supported", o->file);
    if (shards == 0 || shards > MOST_SHARDS)
        return bad(o, at, key, "number of shards is out of range", st);
    w = sl_wire_open(version);
    while (sl_wire_next(&w))
        if (w.field == 2 && w.type == SL_WIRE_VARINT)
            min_consumer = w.value;
    if (w.bad)
        return bad(o, at, key, "version cannot be parsed", st);
    if (min_consumer > 1)
        return sl_fail(st, SL_UNIMPLEMENTED, "%s; bundle of a later version (%llu) than 1", o->file,
                       (unsigned long long)min_consumer);
    o->b->n_shards = (int)shards;
    o->has_header = true;
    return SL_OK;
}

static sl_code read_entry(opening *o, sl_str value, size_t at, sl_bundle_entry *e, sl_place *p,
                          sl_status *st)
{
    sl_wire w = sl_wire_open(value);
    sl_str shape = {"", 0};
    uint64_t dtype = 0, shard = 0;
    while (sl_wire_next(&w)) {
        if (w.field == 1 && w.type == SL_WIRE_VARINT)
            dtype = w.value;
        else if (w.field == 2 && w.type == SL_WIRE_BYTES)
            shape = w.bytes;
        else if (w.field == 3 && w.type == SL_WIRE_VARINT)
            shard = w.value;
        else if (w.field == 4 && w.type == SL_WIRE_VARINT)
            p->offset = w.value;
        else if (w.field == 5 && w.type == SL_WIRE_VARINT)
            p->size = w.value;
        else if (w.field == 6 && w.type == SL_WIRE_FIXED32)
            p->crc = (uint32_t)w.value;
        else if (w.field == 7 && w.type == SL_WIRE_BYTES)
            e->sliced = true;
    }
    if (w.bad)
        return bad(o, at, e->key, w.bad, st);
    if (dtype == 0 || dtype >= SL_DT_COUNT)
        return bad(o, at, e->key, "unknown dtype", st);
    if (shard >= (uint64_t)o->b->n_shards)
        return bad(o, at, e->key, "shard that does not exist", st);
    sl_code rc = sl_tensorshape_decode(shape, &e->rank, e->dims, st);
    if (rc)
        return st ? sl_wrap(st, "%s; key \"%.*s\" at byte %zu: ", o->file, SL_STR_ARG(e->key), at)
                  : rc;
    e->dtype = (sl_dtype)dtype;
    p->shard = (int)shard;
    if (!e->sliced)
        return SL_OK;
    p->slices = (sl_str){sl_arena_try_strndup(&o->b->arena, value.p, value.n), value.n};
    return p->slices.p ? SL_OK : sl_fail(st, SL_RESOURCE_EXHAUSTED, "%s; out of memory", o->file);
}

/* What can be known of the size without the data. */
static sl_code check_size(const opening *o, size_t at, const sl_bundle_entry *e, const sl_place *p,
                          sl_status *st)
{
    size_t element = sl_dtype_size(e->dtype);
    int64_t count = e->rank < 0 ? -1 : sl_shape_count(e->dims, e->rank, SL_MAX(element, 1));
    uint64_t end;
    if (count < 0)
        return bad(o, at, e->key, "shape out of range", st);
    if (__builtin_add_overflow(p->offset, p->size, &end))
        return bad(o, at, e->key, "place out of range", st);
    if (e->sliced || element == 0)
        return SL_OK;
    if (e->dtype != SL_DT_STRING && p->size != (uint64_t)count * element)
        return bad(o, at, e->key, "size does not fit the shape", st);
    /* each string has a length of one byte at least, and the lengths have a checksum */
    if (e->dtype == SL_DT_STRING && (p->size < 4 || p->size - 4 < (uint64_t)count))
        return bad(o, at, e->key, "size does not fit the number of strings", st);
    return SL_OK;
}

static sl_code append(sl_entry_list *l, const sl_bundle_entry *e, const sl_place *p, sl_status *st)
{
    sl_bundle_entry *entry = sl_try_grow(l->entry, l->n, &l->entry_cap, sizeof *entry);
    if (entry != NULL)
        l->entry = entry;
    sl_place *place = sl_try_grow(l->place, l->n, &l->place_cap, sizeof *place);
    if (place != NULL)
        l->place = place;
    if (entry == NULL || place == NULL)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory: index of variables");
    l->entry[l->n] = *e;
    l->place[l->n++] = *p;
    return SL_OK;
}

/* Nobody reads it, so nothing about it is an error; but its bytes belong to the files. */
static sl_code note_objects(opening *o, sl_str value, size_t at)
{
    sl_bundle_entry e = {0};
    sl_place p = {0};
    sl_status ignored;
    if (read_entry(o, value, at, &e, &p, &ignored) == SL_OK && !e.sliced &&
        p.offset <= UINT64_MAX - p.size)
        o->b->objects = p;
    return SL_OK;
}

static sl_code visit(void *arg, sl_str key, sl_str value, size_t at, sl_status *st)
{
    opening *o = arg;
    if (key.n == 0)
        return read_header(o, value, at, st);
    if (!o->has_header)
        return bad(o, at, key, "no header before the first entry", st);
    if (sl_str_is(key, "_CHECKPOINTABLE_OBJECT_GRAPH"))
        return note_objects(o, value, at);
    sl_bundle_entry e = {.key = {sl_arena_try_strndup(&o->b->arena, key.p, key.n), key.n}};
    sl_place p = {0};
    if (e.key.p == NULL)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "%s; out of memory", o->file);
    sl_code rc = read_entry(o, value, at, &e, &p, st);
    if (rc == SL_OK)
        rc = check_size(o, at, &e, &p, st);
    return rc ? rc : append(key.p[0] ? &o->b->whole : &o->b->slices, &e, &p, st);
}

/* ---- shards ---- */

static sl_code open_shards(sl_bundle *b, sl_status *st)
{
    for (int i = 0; i < b->n_shards; i++) {
        char *name = sl_bundle_shard_name(b, i);
        sl_code rc = name ? sl_file_hold(name, &b->shard[i], st)
                          : sl_fail(st, SL_RESOURCE_EXHAUSTED, "%s; out of memory", b->prefix);
        sl_free(name);
        if (rc == SL_NOT_FOUND && st) /* which is said of a bundle without an index alone */
            st->code = SL_DATA_LOSS;
        if (rc)
            return rc == SL_NOT_FOUND ? SL_DATA_LOSS : rc;
    }
    return SL_OK;
}

/* Every entry must lie within its shard: a truncated file is found out now, not when it is read. */
static sl_code check_places(const sl_bundle *b, const sl_entry_list *l, sl_status *st)
{
    for (size_t i = 0; i < l->n; i++) {
        const sl_place *p = &l->place[i];
        uint64_t size = b->shard[p->shard].size;
        if (!l->entry[i].sliced && (p->offset > size || p->size > size - p->offset))
            return sl_bundle_damaged(b, &l->entry[i], p, "file ends before the tensor does", st);
    }
    return SL_OK;
}

/* ---- opening ---- */

static sl_code read_index(sl_bundle *b, sl_status *st)
{
    opening o = {.b = b, .file = index_name(b->prefix)};
    if (o.file == NULL)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "%s; out of memory", b->prefix);
    sl_code rc = sl_sstable_each(o.file, (sl_str){b->index->data, b->index->size}, visit, &o, st);
    if (rc == SL_OK && !o.has_header)
        rc = sl_fail(st, SL_DATA_LOSS, "%s; no header", o.file);
    sl_free(o.file);
    if (rc)
        return rc;
    b->shard = sl_try_calloc((size_t)b->n_shards, sizeof *b->shard);
    if (b->shard == NULL)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "%s; out of memory", b->prefix);
    for (int i = 0; i < b->n_shards; i++)
        b->shard[i].fd = -1;
    return SL_OK;
}

static sl_code new_bundle(const char *prefix, sl_buffer *index, sl_bundle **out, sl_status *st)
{
    sl_bundle *b = sl_try_calloc(1, sizeof *b);
    if (b == NULL || sl_arena_init(&b->arena, 4096)) {
        sl_free(b);
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "%s; out of memory", prefix);
    }
    b->index = sl_buffer_acquire(index);
    b->prefix = sl_arena_try_strndup(&b->arena, prefix, strlen(prefix));
    sl_code rc = b->prefix ? read_index(b, st)
                           : sl_fail(st, SL_RESOURCE_EXHAUSTED, "%s; out of memory", prefix);
    if (rc)
        sl_bundle_close(b);
    else
        *out = b;
    return rc;
}

static sl_code finish(sl_bundle *b, sl_code rc, sl_bundle **out, sl_status *st)
{
    if (rc == SL_OK)
        rc = check_places(b, &b->whole, st);
    if (rc == SL_OK)
        rc = check_places(b, &b->slices, st);
    if (rc)
        sl_bundle_close(b);
    else
        *out = b;
    return rc;
}

sl_code sl_bundle_open_bytes(const char *prefix, sl_buffer *index, sl_buffer *data, sl_bundle **out,
                             sl_status *st)
{
    sl_bundle *b;
    sl_code rc = new_bundle(prefix, index, &b, st);
    if (rc)
        return rc;
    b->shard[0].mapped = sl_buffer_acquire(data);
    b->shard[0].size = data ? data->size : 0;
    return finish(b, SL_OK, out, st);
}

/* The bundle without its shards. */
static sl_code open_index(const char *prefix, sl_bundle **out, sl_status *st)
{
    const size_t limit = (size_t)1 << 30;
    sl_buffer *index = NULL;
    char *file = index_name(prefix);
    if (file == NULL)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "%s; out of memory", prefix);
    sl_code rc = sl_file_read(file, limit, &index, st);
    if (rc == SL_OK)
        rc = new_bundle(prefix, index, out, st);
    sl_buffer_release(index);
    sl_free(file);
    return rc;
}

sl_code sl_bundle_open(const char *prefix, sl_bundle **out, sl_status *st)
{
    sl_bundle *b = NULL;
    sl_code rc = open_index(prefix, &b, st);
    return rc ? rc : finish(b, open_shards(b, st), out, st);
}

/* ---- is all of it there ---- */

/* Where the last tensor of each shard ends. */
static void raise_ends(const sl_entry_list *l, uint64_t *ends)
{
    for (size_t i = 0; i < l->n; i++) {
        const sl_place *p = &l->place[i];
        if (!l->entry[i].sliced)
            ends[p->shard] = SL_MAX(ends[p->shard], p->offset + p->size);
    }
}

static sl_code check_shard(const sl_bundle *b, int i, uint64_t end, sl_status *st)
{
    struct stat s = {0};
    char *name = sl_bundle_shard_name(b, i);
    if (name == NULL)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "%s; out of memory", b->prefix);
    const char *shown = strrchr(name, '/');
    shown = shown ? shown + 1 : name;
    sl_code rc = SL_OK;
    if (stat(name, &s))
        rc = errno == ENOENT
                 ? sl_fail(st, SL_UNAVAILABLE, "variables/%s is missing", shown)
                 : sl_fail(st, sl_code_of_errno(errno), "%s; %s", name, strerror(errno));
    else if ((uint64_t)s.st_size < end)
        rc = sl_fail(st, SL_UNAVAILABLE, "variables/%s has %lld of %llu bytes", shown,
                     (long long)s.st_size, (unsigned long long)end);
    sl_free(name);
    return rc;
}

sl_code sl_bundle_check_files(const char *prefix, sl_status *st)
{
    sl_bundle *b = NULL;
    sl_code rc = open_index(prefix, &b, st);
    if (rc)
        return rc;
    uint64_t *ends = sl_try_calloc((size_t)b->n_shards, sizeof *ends);
    if (ends == NULL) {
        rc = sl_fail(st, SL_RESOURCE_EXHAUSTED, "%s; out of memory", prefix);
    } else {
        const sl_place *p = &b->objects;
        raise_ends(&b->whole, ends);
        raise_ends(&b->slices, ends);
        ends[p->shard] = SL_MAX(ends[p->shard], p->offset + p->size);
    }
    for (int i = 0; rc == SL_OK && i < b->n_shards; i++)
        rc = check_shard(b, i, ends[i], st);
    sl_free(ends);
    sl_bundle_close(b);
    return rc;
}

void sl_bundle_close(sl_bundle *b)
{
    if (b == NULL)
        return;
    for (int i = 0; b->shard != NULL && i < b->n_shards; i++)
        sl_file_let_go(&b->shard[i]);
    sl_free(b->shard);
    sl_free(b->whole.entry);
    sl_free(b->whole.place);
    sl_free(b->slices.entry);
    sl_free(b->slices.place);
    sl_buffer_release(b->index);
    sl_arena_fini(&b->arena);
    sl_free(b);
}

/* ---- answers ---- */

int sl_entry_list_find(const sl_entry_list *l, sl_str key)
{
    for (size_t lo = 0, hi = l->n; lo < hi;) {
        size_t mid = lo + (hi - lo) / 2;
        int c = sl_str_cmp(l->entry[mid].key, key);
        if (c == 0)
            return (int)mid;
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return -1;
}

const sl_bundle_entry *sl_bundle_entries(const sl_bundle *b, int *count)
{
    *count = (int)b->whole.n;
    return b->whole.entry;
}

const sl_bundle_entry *sl_bundle_find(const sl_bundle *b, sl_str key)
{
    int i = sl_entry_list_find(&b->whole, key);
    return i < 0 ? NULL : &b->whole.entry[i];
}

uint64_t sl_bundle_data_bytes(const sl_bundle *b)
{
    uint64_t sum = 0;
    for (int i = 0; i < b->n_shards; i++)
        sum += b->shard[i].size;
    return sum;
}
