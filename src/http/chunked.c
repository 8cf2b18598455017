/* chunked.c - a small machine, a byte at a time through the framing, the data in one step */
#include "http/chunked.h"

enum {
    SIZE,         /* hex digits */
    EXTENSION,    /* after ';' */
    SIZE_LF,      /* after the CR of the size line */
    DATA,         /* `left` bytes */
    DATA_CR,      /* behind the data */
    DATA_LF,      /* */
    TRAILER,      /* at the begin of a line behind the last chunk */
    TRAILER_REST, /* in such a line */
    TRAILER_LF,   /* at its end */
    END_LF        /* after the CR of the empty line */
};

/* Extensions and trailers of a whole body; nobody uses more than a few. */
enum { MAX_OVERHEAD = 16384, MAX_DIGITS = 16 };

static int fail(sl_chunked *c, const char *error)
{
    c->error = error;
    return -1;
}

static int hex(char ch)
{
    if (ch >= '0' && ch <= '9')
        return ch - '0';
    ch |= 0x20;
    return ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
}

static int expect(sl_chunked *c, char ch, char wanted, int then)
{
    if (ch != wanted)
        return fail(c, "malformed chunk");
    c->state = then;
    return 0;
}

static int size_line(sl_chunked *c, char ch)
{
    int digit = hex(ch);
    if (digit >= 0) {
        if (++c->digits > MAX_DIGITS) /* or it would not fit; zeros in front count */
            return fail(c, "chunk too large");
        c->left = c->left << 4 | (unsigned)digit;
        return 0;
    }
    if (c->digits == 0 || (ch != ';' && ch != '\r'))
        return fail(c, "malformed chunk size");
    c->state = ch == ';' ? EXTENSION : SIZE_LF;
    return 0;
}

static int free_text(sl_chunked *c, char ch, int at_cr)
{
    if (ch == '\r')
        c->state = at_cr;
    else if (((unsigned char)ch < 0x20 && ch != '\t') || ch == 0x7f)
        return fail(c, "control character in chunk framing");
    else if (++c->overhead > MAX_OVERHEAD)
        return fail(c, "chunk extensions or trailers too large");
    return 0;
}

static int begin_chunk(sl_chunked *c, char ch)
{
    if (expect(c, ch, '\n', c->left ? DATA : TRAILER) < 0)
        return -1;
    c->digits = 0;
    c->chunks += c->left > 0;
    if (__builtin_add_overflow(c->total, c->left, &c->total) || c->total > INT64_MAX)
        return fail(c, "chunk too large");
    return 0;
}

static int step(sl_chunked *c, char ch)
{
    switch (c->state) {
    case SIZE:
        return size_line(c, ch);
    case EXTENSION:
        return free_text(c, ch, SIZE_LF);
    case SIZE_LF:
        return begin_chunk(c, ch);
    case DATA_CR:
        return expect(c, ch, '\r', DATA_LF);
    case DATA_LF:
        return expect(c, ch, '\n', SIZE);
    case TRAILER:
        c->state = TRAILER_REST; /* unless it is the empty line that ends the body */
        return free_text(c, ch, END_LF);
    case TRAILER_REST:
        return free_text(c, ch, TRAILER_LF);
    case TRAILER_LF:
        return expect(c, ch, '\n', TRAILER);
    default: /* END_LF */
        c->done = ch == '\n';
        return c->done ? 0 : fail(c, "malformed chunk");
    }
}

ssize_t sl_chunked_next(sl_chunked *c, const char *p, size_t n, sl_str *data)
{
    size_t i = 0;
    *data = (sl_str){p, 0};
    while (i < n && !c->done) {
        if (c->state != DATA) {
            if (step(c, p[i++]) < 0)
                return -1;
            continue;
        }
        *data = (sl_str){p + i, n - i < c->left ? n - i : (size_t)c->left};
        sl_chunked_skip(c, data->n);
        return (ssize_t)(i + data->n);
    }
    return (ssize_t)i;
}

uint64_t sl_chunked_data_ahead(const sl_chunked *c)
{
    return c->state == DATA ? c->left : 0;
}

void sl_chunked_skip(sl_chunked *c, uint64_t n)
{
    c->left -= n;
    if (c->left == 0)
        c->state = DATA_CR;
}
