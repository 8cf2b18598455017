/* gzip.c - zlib, held to limits */
#include "http/gzip.h"

#include <string.h>
#include <zlib.h>

#include "base/mem.h"
#include "base/thread.h"

enum { WINDOW = 15, FAST = 1 };

/* What zlib calls the window also says which form the stream has. */
static int window(sl_zip how)
{
    return how == SL_ZIP_GZIP ? WINDOW + 16 : WINDOW;
}

/* zlib's memory goes the way of all memory, so that a test can make it fail. */
static void *z_alloc(void *unused, unsigned count, unsigned size)
{
    (void)unused;
    return sl_try_calloc(count, size);
}

static void z_free(void *unused, void *p)
{
    (void)unused;
    sl_free(p);
}

/* zlib counts in unsigned int, and others want the processor, too: it gets no more than that at
 * once. */
static unsigned bite(size_t n)
{
    enum { MOST = 32 * 1024 }; /* 60 us of unpacking */
    return (unsigned)SL_MIN(n, (size_t)MOST);
}

static sl_code inflate_all(z_stream *z, sl_str in, size_t max, sl_body *out)
{
    const char *end = in.p + in.n;
    z->next_in = (unsigned char *)in.p;
    for (;; sl_thread_step_aside()) {
        unsigned char beyond; /* at the limit: is there one more byte? */
        bool full = out->n == max;
        if (!full && !sl_body_grow(out, max))
            return SL_RESOURCE_EXHAUSTED;
        z->next_out = full ? &beyond : (unsigned char *)out->buffer->data + out->n;
        z->avail_out = full ? 1 : bite(sl_body_room(out));
        z->avail_in = bite((size_t)(end - (const char *)z->next_in));
        unsigned room = z->avail_out;
        int rc = inflate(z, Z_NO_FLUSH);
        unsigned made = room - z->avail_out;
        if (full && made > 0)
            return SL_OUT_OF_RANGE;
        out->n += made;
        if (rc == Z_STREAM_END)
            return (const char *)z->next_in == end ? SL_OK : SL_DATA_LOSS;
        if (rc == Z_MEM_ERROR)
            return SL_RESOURCE_EXHAUSTED;
        if (rc != Z_OK) /* Z_BUF_ERROR: the input has ended too soon */
            return SL_DATA_LOSS;
    }
}

sl_code sl_unzip(sl_zip how, sl_str in, size_t max, sl_body *out)
{
    z_stream z = {.zalloc = z_alloc, .zfree = z_free};
    int rc = inflateInit2(&z, window(how));
    if (rc != Z_OK)
        return SL_RESOURCE_EXHAUSTED;
    sl_code code = inflate_all(&z, in, max, out);
    inflateEnd(&z);
    if (code != SL_OK)
        sl_body_reset(out);
    return code;
}

static bool deflate_piece(z_stream *z, sl_str in, int flush, sl_chain *out)
{
    enum { STEP = 16384 };
    z->next_in = (unsigned char *)in.p;
    size_t left = in.n;
    for (;;) {
        char *room = sl_chain_reserve(out, STEP);
        if (room == NULL)
            return false;
        z->next_out = (unsigned char *)room;
        z->avail_out = STEP;
        unsigned give = bite(left);
        z->avail_in = give;
        int rc = deflate(z, flush);
        left -= give - z->avail_in;
        sl_chain_commit(out, STEP - z->avail_out);
        sl_thread_step_aside();
        if (rc != Z_OK)
            return rc == Z_STREAM_END;
        if (flush == Z_NO_FLUSH && left == 0 && z->avail_out > 0)
            return true;
    }
}

static bool deflate_chain(z_stream *z, const sl_chain *in, sl_chain *out)
{
    for (const sl_piece *p = in->head; p != NULL; p = p->next)
        if (p->end > p->begin &&
            !deflate_piece(z, (sl_str){p->data + p->begin, p->end - p->begin}, Z_NO_FLUSH, out))
            return false;
    return deflate_piece(z, (sl_str){"", 0}, Z_FINISH, out);
}

bool sl_zip_chain(sl_zip how, sl_chain *c)
{
    z_stream z = {.zalloc = z_alloc, .zfree = z_free};
    sl_chain packed = {0};
    if (deflateInit2(&z, FAST, Z_DEFLATED, window(how), 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    bool ok = deflate_chain(&z, c, &packed) && packed.size < c->size;
    deflateEnd(&z);
    if (!ok) {
        sl_chain_reset(&packed);
        return false;
    }
    sl_chain_reset(c);
    *c = packed;
    return true;
}
