/*
 * slices.c - see slices.h
 *
 * Keys are made to sort like what they stand for (OrderedCode): a string has its bytes 00 and FF
 * escaped and ends in 00 01; a number is its byte count and then its bytes, highest first; a signed
 * number says its byte count n by n leading bits unequal to the sign, and has 7n - 1 bits of its
 * own.
 */
#include "savedmodel/slices.h"

#include "base/mem.h"
#include "format/wire.h"

sl_region sl_region_whole(const int64_t *dims, int rank)
{
    sl_region r = {.rank = rank};
    for (int i = 0; i < rank; i++)
        r.length[i] = dims[i];
    return r;
}

bool sl_region_equal(const sl_region *a, const sl_region *b)
{
    if (a->rank != b->rank)
        return false;
    for (int i = 0; i < a->rank; i++)
        if (a->start[i] != b->start[i] || a->length[i] != b->length[i])
            return false;
    return true;
}

int64_t sl_region_count(const sl_region *r)
{
    return sl_shape_count(r->length, r->rank, 1);
}

bool sl_region_meet(const sl_region *a, const sl_region *b, sl_region *out)
{
    *out = (sl_region){.rank = a->rank};
    for (int i = 0; i < a->rank; i++) {
        int64_t begin = SL_MAX(a->start[i], b->start[i]);
        int64_t end = SL_MIN(a->start[i] + a->length[i], b->start[i] + b->length[i]);
        if (begin >= end)
            return false;
        out->start[i] = begin;
        out->length[i] = end - begin;
    }
    return true;
}

/* ---- "10 4 7,3:0,4" ---- */

/* The piece up to the next `end`, or the rest; *s moves behind it. */
static sl_str take(sl_str *s, char end)
{
    const char *p = s->n ? memchr(s->p, end, s->n) : NULL;
    size_t n = p ? (size_t)(p - s->p) : s->n;
    sl_str piece = {s->p, n};
    *s = p ? (sl_str){p + 1, s->n - n - 1} : (sl_str){s->p + n, 0};
    return piece;
}

static bool parse_extent(sl_str text, int64_t dim, int64_t *start, int64_t *length)
{
    if (sl_str_is(text, "-")) {
        *start = 0;
        *length = dim;
        return true;
    }
    sl_str first = take(&text, ',');
    return sl_str_to_int64(first, start) && sl_str_to_int64(text, length) && *start >= 0 &&
           *length >= 0 && *start <= dim && *length <= dim - *start;
}

sl_code sl_region_parse(sl_str text, const int64_t *dims, int rank, sl_region *out, sl_status *st)
{
    sl_str rest = text;
    char shape[256];
    bool ok = true;
    *out = (sl_region){.rank = rank};
    for (int i = 0; ok && i < rank; i++) {
        int64_t dim = -1;
        ok = sl_str_to_int64(take(&rest, ' '), &dim) && dim == dims[i];
    }
    if (!ok)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "shape_and_slice \"%.*s\" does not have the shape %s of its variable",
                       SL_STR_ARG(text), sl_shape_text(dims, rank, shape, sizeof shape));
    for (int i = 0; ok && i < rank; i++)
        ok = parse_extent(take(&rest, ':'), dims[i], &out->start[i], &out->length[i]);
    if (!ok || rest.n)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "shape_and_slice \"%.*s\" is malformed or goes beyond its shape",
                       SL_STR_ARG(text));
    return SL_OK;
}

/* ---- keys ---- */

static void put_string(sl_text *t, sl_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        sl_text_putc(t, s.p[i]);
        if (s.p[i] == '\0')
            sl_text_putc(t, '\xff');
        else if (s.p[i] == '\xff')
            sl_text_putc(t, '\0');
    }
    sl_text_add(t, "\0\1", 2);
}

static void put_number(sl_text *t, uint64_t v)
{
    int n = v ? (64 - __builtin_clzll(v) + 7) / 8 : 0;
    sl_text_putc(t, (char)n);
    for (int i = n - 1; i >= 0; i--)
        sl_text_putc(t, (char)(v >> 8 * i));
}

static void put_signed(sl_text *t, int64_t v)
{
    uint64_t u = (uint64_t)(v < 0 ? ~v : v);
    unsigned char b[10] = {0};
    int bits = u ? 64 - __builtin_clzll(u) : 0, n = 1;
    while (7 * n - 1 < bits)
        n++;
    for (int i = 0; i < n && i < 8; i++)
        b[n - 1 - i] = (unsigned char)(u >> 8 * i);
    for (int i = 0; i < n; i++)
        b[i / 8] |= (unsigned char)(0x80 >> i % 8);
    for (int i = 0; i < n; i++)
        sl_text_putc(t, (char)(v < 0 ? ~b[i] : b[i]));
}

typedef struct extent {
    int64_t start, length; /* length -1: the whole dimension */
} extent;

static bool read_extent(sl_str wire, extent *e)
{
    sl_wire w = sl_wire_open(wire);
    *e = (extent){0, -1};
    while (sl_wire_next(&w)) {
        if (w.field == 1 && w.type == SL_WIRE_VARINT)
            e->start = (int64_t)w.value;
        else if (w.field == 2 && w.type == SL_WIRE_VARINT)
            e->length = (int64_t)w.value;
    }
    return !w.bad;
}

sl_code sl_region_decode(sl_str wire, sl_str name, const int64_t *dims, int rank, sl_region *out,
                         sl_text *key, sl_status *st)
{
    sl_wire w = sl_wire_open(wire);
    *out = (sl_region){.rank = rank};
    bool ok = true;
    int n = 0;
    key->n = 0;
    put_number(key, 0);
    put_string(key, name);
    put_number(key, (uint64_t)rank);
    while (sl_wire_next(&w)) {
        extent e;
        if (w.field != 1 || w.type != SL_WIRE_BYTES)
            continue;
        ok = n < rank && read_extent(w.bytes, &e) && e.length >= -1;
        if (!ok)
            break;
        put_signed(key, e.start);
        put_signed(key, e.length);
        int64_t length = e.length < 0 ? dims[n] : e.length;
        ok = e.start >= 0 && e.start <= dims[n] && length <= dims[n] - e.start;
        if (!ok)
            break;
        out->start[n] = e.start;
        out->length[n++] = length;
    }
    if (w.bad || n != rank || !ok)
        return sl_fail(st, SL_DATA_LOSS, "slice of \"%.*s\" does not lie within its shape",
                       SL_STR_ARG(name));
    if (key->failed)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory: slice of \"%.*s\"",
                       SL_STR_ARG(name));
    return SL_OK;
}

/* ---- copying ---- */

/* Offset in elements of the point `at` of a packed array that holds region r. */
static size_t place(const sl_region *r, const int64_t *at)
{
    size_t offset = 0;
    for (int i = 0; i < r->rank; i++)
        offset = offset * (size_t)r->length[i] + (size_t)(at[i] - r->start[i]);
    return offset;
}

void sl_region_copy(const sl_region *part, const void *from, const sl_region *from_region, void *to,
                    const sl_region *to_region, size_t element)
{
    int rank = part->rank, run = rank; /* dims [run, rank) are whole in both: one stretch */
    int64_t at[SL_MAX_RANK];
    size_t bytes = element;
    if (sl_region_count(part) == 0)
        return;
    while (run > 0) {
        run--;
        bytes *= (size_t)part->length[run];
        if (part->length[run] != from_region->length[run] ||
            part->length[run] != to_region->length[run])
            break;
    }
    memcpy(at, part->start, sizeof at);
    for (;;) {
        memcpy((char *)to + place(to_region, at) * element,
               (const char *)from + place(from_region, at) * element, bytes);
        int i = run - 1;
        for (; i >= 0 && ++at[i] == part->start[i] + part->length[i]; i--)
            at[i] = part->start[i];
        if (i < 0)
            return;
    }
}
