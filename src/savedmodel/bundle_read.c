/*
 * bundle_read.c - one tensor out of a bundle
 *
 *     whole entry              -> load, verify, perhaps cut out the wanted part
 *     sliced entry             -> load each slice that the wanted part meets, copy what they share
 *
 * "Load" verifies the checksum over the bytes in the shard, always over all of an entry. A numeric
 * tensor that is large and happens to be aligned is lent from the shard instead of copied.
 */
#include <assert.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "base/thread.h"
#include "format/wire.h"
#include "savedmodel/bundle_inside.h"
#include "savedmodel/slices.h"

enum {
    LEND_FROM = 64 << 10, /* a page more or less costs more than copying a few */
    MOST_SLICES = 4096
};

/* ---- one entry ---- */

/* An entry's bytes: lent from a mapped shard, or read into a buffer of their own. */
typedef struct entry_bytes {
    const char *p;
    sl_buffer *buffer; /* to be released: the shard's, or their own */
    bool own;
} entry_bytes;

static sl_code read_bytes(const sl_bundle *b, const sl_bundle_entry *e, const sl_place *p,
                          entry_bytes *out, sl_status *st)
{
    const sl_held_file *shard = &b->shard[p->shard];
    *out = (entry_bytes){.p = "", .own = shard->mapped == NULL};
    if (p->size == 0)
        return SL_OK;
    if (!out->own) {
        out->buffer = sl_buffer_acquire(shard->mapped);
        out->p = (const char *)shard->mapped->data + p->offset;
        return SL_OK;
    }
    char *name = sl_bundle_shard_name(b, p->shard);
    out->buffer = name ? sl_buffer_try_new_weights(p->size) : NULL;
    if (out->buffer == NULL) {
        sl_free(name);
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory: %llu bytes of \"%.*s\"",
                       (unsigned long long)p->size, SL_STR_ARG(e->key));
    }
    sl_code rc = sl_held_read(shard, name, p->offset, out->buffer->data, p->size, st);
    sl_free(name);
    if (rc) {
        sl_buffer_release(out->buffer);
        return rc;
    }
    out->p = out->buffer->data;
    return SL_OK;
}

/* In pieces: the whole may be gigabytes. */
static uint32_t checksum(const char *bytes, size_t n)
{
    const size_t piece = 128 << 10;
    uint32_t crc = 0;
    for (size_t done = 0; done < n; done += SL_MIN(piece, n - done)) {
        crc = sl_crc32c(crc, bytes + done, SL_MIN(piece, n - done));
        sl_thread_rest();
    }
    return crc;
}

static sl_code take_numbers(const sl_bundle *b, const sl_bundle_entry *e, const sl_place *p,
                            const entry_bytes *from, sl_tensor *out, sl_status *st)
{
    const char *bytes = from->p;
    size_t align = SL_MIN(sl_dtype_size(e->dtype), 8);
    if (sl_crc32c_mask(checksum(bytes, p->size)) != p->crc)
        return sl_bundle_damaged(b, e, p, "wrong checksum", st);
    if (e->dtype == SL_DT_BOOL)
        for (size_t i = 0; i < p->size; i++)
            if ((unsigned char)bytes[i] > 1)
                return sl_bundle_damaged(b, e, p, "bool that is neither 0 nor 1", st);
    if ((from->own && p->size) || (p->size >= LEND_FROM && (uintptr_t)bytes % align == 0)) {
        *out = (sl_tensor){.dtype = e->dtype,
                           .rank = e->rank,
                           .size = p->size,
                           .data = (void *)(uintptr_t)bytes,
                           .buffer = sl_buffer_acquire(from->buffer)};
        memcpy(out->dims, e->dims, sizeof out->dims);
        return SL_OK;
    }
    sl_code rc = sl_tensor_try_new(e->dtype, e->dims, e->rank, out, st);
    if (rc == SL_OK)
        memcpy(out->data, bytes, p->size);
    return rc;
}

static sl_code load_numbers(const sl_bundle *b, const sl_bundle_entry *e, const sl_place *p,
                            sl_tensor *out, sl_status *st)
{
    entry_bytes bytes;
    sl_code rc = read_bytes(b, e, p, &bytes, st);
    if (rc)
        return rc;
    rc = take_numbers(b, e, p, &bytes, out, st);
    sl_buffer_release(bytes.buffer);
    return rc;
}

uint32_t sl_bundle_crc_of_length(uint32_t crc, uint64_t n)
{
    return sl_crc32c(crc, &n, n > UINT32_MAX ? 8 : 4);
}

/* Fills the table: lengths as varints, their masked crc, then the strings joined. */
static const char *split_strings(const sl_place *p, const char *bytes, sl_str *table, size_t count,
                                 const char **strings)
{
    const unsigned char *at = (const unsigned char *)bytes, *end = at + p->size;
    uint32_t crc = 0, stored;
    size_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t n;
        if (!sl_wire_varint(&at, end, &n))
            return "truncated length of a string";
        if (!sl_add_size(sum, n, &sum) || sum > p->size)
            return "strings go beyond their entry";
        crc = sl_bundle_crc_of_length(crc, n);
        table[i].n = n;
    }
    if (end - at < 4 || (size_t)(end - at) - 4 != sum)
        return "strings do not fill their entry";
    memcpy(&stored, at, 4);
    if (sl_crc32c_mask(crc) != stored)
        return "wrong checksum of the strings' lengths";
    if (sl_crc32c_mask(sl_crc32c(crc, at, 4 + sum)) != p->crc)
        return "wrong checksum of the strings";
    *strings = (const char *)at + 4;
    return NULL;
}

static sl_code load_strings(const sl_bundle *b, const sl_bundle_entry *e, const sl_place *p,
                            sl_tensor *out, sl_status *st)
{
    size_t count = (size_t)sl_shape_count(e->dims, e->rank, 1), table = count * sizeof(sl_str);
    /* An entry has room for a length of each string, and each of the two sizes is below 2^63: see
     * check_size and check_places in bundle.c. */
    size_t size = table + p->size;
    const char *strings = "";
    sl_buffer *buffer = sl_buffer_try_new(size);
    if (buffer == NULL)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory: strings of \"%.*s\"",
                       SL_STR_ARG(e->key));
    sl_str *s = buffer->data;
    entry_bytes bytes;
    sl_code rc = read_bytes(b, e, p, &bytes, st);
    if (rc) {
        sl_buffer_release(buffer);
        return rc;
    }
    const char *wrong = split_strings(p, bytes.p, s, count, &strings);
    if (wrong != NULL) {
        sl_buffer_release(bytes.buffer);
        sl_buffer_release(buffer);
        return sl_bundle_damaged(b, e, p, wrong, st);
    }
    char *copy = (char *)(s + count);
    for (size_t i = 0; i < count; i++) {
        memcpy(copy, strings, s[i].n);
        s[i].p = copy;
        copy += s[i].n;
        strings += s[i].n;
    }
    sl_buffer_release(bytes.buffer);
    *out = (sl_tensor){
        .dtype = SL_DT_STRING, .rank = e->rank, .size = table, .data = s, .buffer = buffer};
    memcpy(out->dims, e->dims, sizeof out->dims);
    return SL_OK;
}

static sl_code load(const sl_bundle *b, const sl_bundle_entry *e, const sl_place *p, sl_tensor *out,
                    sl_status *st)
{
    if (sl_dtype_size(e->dtype) == 0)
        return sl_fail(st, SL_UNIMPLEMENTED, "tensor \"%.*s\" of type %s cannot be read",
                       SL_STR_ARG(e->key), sl_dtype_name(e->dtype));
    /* It lies within its shard (check_places in bundle.c), so there is one. */
    assert(p->size == 0 || b->shard[p->shard].mapped || b->shard[p->shard].fd >= 0);
    return e->dtype == SL_DT_STRING ? load_strings(b, e, p, out, st)
                                    : load_numbers(b, e, p, out, st);
}

/* ---- parts ---- */

/* The strings of `views` point into tensors that will go: copies them into a tensor of their own.
 */
static sl_code own_strings(sl_tensor *views, sl_status *st)
{
    sl_tensor t;
    sl_code rc = sl_tensor_try_new_strings(views->data, views->dims, views->rank, &t, st);
    if (rc)
        return rc;
    sl_tensor_release(views);
    *views = t;
    return SL_OK;
}

static sl_code cut(const sl_tensor *whole, const sl_region *wanted, sl_tensor *out, sl_status *st)
{
    const sl_region all = sl_region_whole(whole->dims, whole->rank);
    sl_tensor t;
    sl_code rc = sl_tensor_try_new(whole->dtype, wanted->length, wanted->rank, &t, st);
    if (rc)
        return rc;
    sl_region_copy(wanted, whole->data, &all, t.data, wanted, sl_dtype_size(whole->dtype));
    if (t.dtype == SL_DT_STRING)
        rc = own_strings(&t, st);
    if (rc)
        sl_tensor_release(&t);
    else
        *out = t;
    return rc;
}

static sl_code read_whole(const sl_bundle *b, int i, const sl_region *wanted, sl_tensor *out,
                          sl_status *st)
{
    const sl_bundle_entry *e = &b->whole.entry[i];
    const sl_region all = sl_region_whole(e->dims, e->rank);
    sl_tensor t;
    sl_code rc = load(b, e, &b->whole.place[i], &t, st);
    if (rc)
        return rc;
    if (sl_region_equal(&all, wanted)) {
        *out = t;
        return SL_OK;
    }
    rc = cut(&t, wanted, out, st);
    sl_tensor_release(&t);
    return rc;
}

/* ---- slices ---- */

typedef struct slice {
    sl_region region;
    int entry; /* position in b->slices */
    sl_tensor piece;
} slice;

typedef struct sliced {
    const sl_bundle *b;
    const sl_bundle_entry *e;
    slice *list;
    int n;
} sliced;

static sl_code find_slice(const sliced *s, sl_str wire, sl_text *key, slice *to, sl_status *st)
{
    const sl_bundle_entry *e = s->e;
    sl_code rc = sl_region_decode(wire, e->key, e->dims, e->rank, &to->region, key, st);
    if (rc)
        return st ? sl_wrap(st, "%s.index; ", s->b->prefix) : rc;
    to->entry = sl_entry_list_find(&s->b->slices, (sl_str){key->p, key->n});
    if (to->entry < 0)
        return sl_fail(st, SL_DATA_LOSS, "%s.index; a slice of \"%.*s\" has no entry", s->b->prefix,
                       SL_STR_ARG(e->key));
    const sl_bundle_entry *part = &s->b->slices.entry[to->entry];
    bool fits = part->dtype == e->dtype && part->rank == e->rank && !part->sliced;
    for (int i = 0; fits && i < e->rank; i++)
        fits = part->dims[i] == to->region.length[i];
    if (!fits)
        return sl_fail(st, SL_DATA_LOSS,
                       "%s.index; a slice of \"%.*s\" has another dtype or shape than it should",
                       s->b->prefix, SL_STR_ARG(e->key));
    return SL_OK;
}

static sl_code find_slices(sliced *s, sl_str wire, sl_status *st)
{
    sl_wire w = sl_wire_open(wire);
    sl_text key = {0};
    sl_code rc = SL_OK;
    int count = 0;
    while (sl_wire_next(&w))
        count += w.field == 7 && w.type == SL_WIRE_BYTES;
    if (count > MOST_SLICES)
        return sl_fail(st, SL_UNIMPLEMENTED, "%s.index; \"%.*s\" has more than %d slices",
                       s->b->prefix, SL_STR_ARG(s->e->key), MOST_SLICES);
    s->list = sl_try_calloc((size_t)count + 1, sizeof *s->list);
    if (s->list == NULL)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory: slices of \"%.*s\"",
                       SL_STR_ARG(s->e->key));
    w = sl_wire_open(wire);
    while (rc == SL_OK && sl_wire_next(&w))
        if (w.field == 7 && w.type == SL_WIRE_BYTES)
            rc = find_slice(s, w.bytes, &key, &s->list[s->n++], st);
    sl_text_fini(&key);
    return rc;
}

/* Slices that share nothing and together have as many elements as the whole are the whole. */
static sl_code check_cover(const sliced *s, sl_status *st)
{
    int64_t sum = 0;
    sl_region both;
    for (int i = 0; i < s->n; i++) {
        for (int k = 0; k < i; k++)
            if (sl_region_meet(&s->list[i].region, &s->list[k].region, &both))
                return sl_fail(st, SL_DATA_LOSS, "%s.index; slices of \"%.*s\" overlap",
                               s->b->prefix, SL_STR_ARG(s->e->key));
        sum += sl_region_count(&s->list[i].region); /* disjoint: at most the whole */
    }
    if (sum != sl_shape_count(s->e->dims, s->e->rank, 1))
        return sl_fail(st, SL_DATA_LOSS, "%s.index; slices of \"%.*s\" do not cover it",
                       s->b->prefix, SL_STR_ARG(s->e->key));
    return SL_OK;
}

static sl_code load_slice(const sliced *s, slice *from, sl_tensor *out, sl_status *st)
{
    const sl_entry_list *l = &s->b->slices;
    sl_bundle_entry e = l->entry[from->entry];
    e.key = s->e->key; /* for messages: the slice's own key is not readable */
    return load(s->b, &e, &l->place[from->entry], out, st);
}

static sl_code join_slices(const sliced *s, const sl_region *wanted, sl_tensor *out, sl_status *st)
{
    size_t element = sl_dtype_size(s->e->dtype);
    sl_tensor t;
    sl_code rc = sl_tensor_try_new(s->e->dtype, wanted->length, wanted->rank, &t, st);
    if (rc)
        return rc;
    for (int i = 0; i < s->n; i++) {
        slice *from = &s->list[i];
        sl_region part;
        if (!sl_region_meet(&from->region, wanted, &part))
            continue;
        rc = load_slice(s, from, &from->piece, st);
        if (rc)
            break;
        sl_region_copy(&part, from->piece.data, &from->region, t.data, wanted, element);
        if (t.dtype != SL_DT_STRING) /* of strings only the table was copied */
            sl_tensor_release(&from->piece);
    }
    if (rc == SL_OK && t.dtype == SL_DT_STRING)
        rc = own_strings(&t, st);
    if (rc)
        sl_tensor_release(&t);
    else
        *out = t;
    return rc;
}

static sl_code read_sliced(const sl_bundle *b, int i, const sl_region *wanted, sl_tensor *out,
                           sl_status *st)
{
    sliced s = {.b = b, .e = &b->whole.entry[i]};
    slice *same = NULL;
    sl_code rc = find_slices(&s, b->whole.place[i].slices, st);
    if (rc == SL_OK)
        rc = check_cover(&s, st);
    for (int k = 0; rc == SL_OK && same == NULL && k < s.n; k++)
        if (sl_region_equal(&s.list[k].region, wanted))
            same = &s.list[k];
    if (rc == SL_OK)
        rc = same ? load_slice(&s, same, out, st) : join_slices(&s, wanted, out, st);
    for (int k = 0; k < s.n; k++)
        sl_tensor_release(&s.list[k].piece);
    sl_free(s.list);
    return rc;
}

sl_code sl_bundle_read(const sl_bundle *b, sl_str key, sl_str shape_and_slice, sl_tensor *out,
                       sl_status *st)
{
    int i = sl_entry_list_find(&b->whole, key);
    if (i < 0)
        return sl_fail(st, SL_NOT_FOUND, "Key %.*s not found in checkpoint", SL_STR_ARG(key));
    const sl_bundle_entry *e = &b->whole.entry[i];
    sl_region wanted = sl_region_whole(e->dims, e->rank);
    if (shape_and_slice.n) {
        sl_code rc = sl_region_parse(shape_and_slice, e->dims, e->rank, &wanted, st);
        if (rc)
            return rc;
    }
    return e->sliced ? read_sliced(b, i, &wanted, out, st) : read_whole(b, i, &wanted, out, st);
}
