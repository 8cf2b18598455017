/*
 * snappy.c - see snappy.h
 *
 * The length as a varint, then elements: a tag whose low two bits say literal or copy. A copy may
 * overlap what it makes (offset less than length), which repeats a pattern. An element of three
 * bytes gives 64 at most, so a length of more than 22 times the input is a lie.
 */
#include "savedmodel/snappy.h"

#include "base/mem.h"
#include "format/wire.h"

enum { MOST_PER_BYTE = 32 };

typedef struct unpacker {
    const unsigned char *at, *end;
    char *out;
    size_t n, size;
} unpacker;

/* A little-endian number of `bytes` bytes. */
static bool number(unpacker *u, unsigned bytes, size_t *v)
{
    if ((size_t)(u->end - u->at) < bytes)
        return false;
    *v = 0;
    for (unsigned i = 0; i < bytes; i++)
        *v |= (size_t)*u->at++ << 8 * i;
    return true;
}

static bool literal(unpacker *u, unsigned tag)
{
    size_t n = tag >> 2;
    if (n >= 60 && !number(u, (unsigned)n - 59, &n))
        return false;
    n++;
    if (n > (size_t)(u->end - u->at) || n > u->size - u->n)
        return false;
    memcpy(u->out + u->n, u->at, n);
    u->at += n;
    u->n += n;
    return true;
}

static bool copy(unpacker *u, unsigned tag)
{
    size_t n = (tag >> 2) + 1, offset;
    if (!number(u, (tag & 3) == 3 ? 4 : tag & 3, &offset))
        return false;
    if ((tag & 3) == 1) {
        n = (tag >> 2 & 7) + 4;
        offset |= (size_t)(tag >> 5) << 8;
    }
    if (offset == 0 || offset > u->n || n > u->size - u->n)
        return false;
    for (; n > 0; n--, u->n++)
        u->out[u->n] = u->out[u->n - offset];
    return true;
}

const char *sl_snappy_unpack(sl_str packed, sl_text *out)
{
    unpacker u = {.at = (const unsigned char *)packed.p};
    uint64_t size;
    u.end = u.at + packed.n;
    if (!sl_wire_varint(&u.at, u.end, &size) || size / MOST_PER_BYTE > packed.n)
        return "wrong length of a compressed block";
    char *p = sl_try_malloc(size + 1);
    if (p == NULL) {
        out->failed = true;
        return "no memory for a compressed block";
    }
    u.out = p;
    u.size = size;
    while (u.at < u.end) {
        unsigned tag = *u.at++;
        if (!(tag & 3 ? copy(&u, tag) : literal(&u, tag)))
            break;
    }
    bool whole = u.at == u.end && u.n == u.size;
    if (whole)
        sl_text_add(out, p, size);
    sl_free(p);
    return whole ? NULL : "damaged compressed block";
}
