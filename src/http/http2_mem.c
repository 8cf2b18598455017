/*
 * http2_mem.c - nghttp2's memory: ours, and a reserve for when there is none
 *
 * nghttp2 is not safe when an allocation fails: 1.52 frees the item of a DATA frame twice if the
 * queue of its stream cannot grow. So it never sees a failure: what the system does not give comes
 * from a reserve of the shard, and the connection, marked as starved, ends as soon as nghttp2
 * returns. Blocks of the reserve are not reused one by one: it is whole again when the last one has
 * been freed.
 */
#include <malloc.h>
#include <string.h>

#include "base/mem.h"
#include "http/http2.h"

enum { RESERVE = 128 * 1024 };

struct sl_h2_reserve {
    size_t at; /* bytes handed out */
    int live;  /* blocks of it that are in use */
    _Alignas(16) char bytes[RESERVE];
};

/* Before each block of the reserve. */
typedef struct block {
    _Alignas(16) size_t size;
} block;

sl_h2_reserve *sl_h2_reserve_new(void)
{
    sl_h2_reserve *r = sl_try_malloc(sizeof *r);
    if (r != NULL)
        r->at = 0, r->live = 0;
    return r;
}

static bool is_reserve(const sl_h2_reserve *r, const void *p)
{
    return (const char *)p >= r->bytes && (const char *)p < r->bytes + RESERVE;
}

static void *from_reserve(sl_h2 *h, size_t n)
{
    sl_h2_reserve *r = h->conn->shard->reserve;
    size_t bytes;
    h->starved = true;
    if (!sl_add_size(n, sizeof(block) + 15, &bytes) || (bytes &= ~(size_t)15) > RESERVE - r->at)
        return NULL;
    block *b = (block *)(r->bytes + r->at);
    b->size = n;
    r->at += bytes;
    r->live++;
    return b + 1;
}

static void *mem_malloc(size_t n, void *arg)
{
    void *p = sl_try_malloc(n);
    return p ? p : from_reserve(arg, n);
}

static void *mem_calloc(size_t count, size_t n, void *arg)
{
    void *p = sl_try_calloc(count, n);
    if (p == NULL && sl_mul_size(count, n, &n) && (p = from_reserve(arg, n)) != NULL)
        memset(p, 0, n);
    return p;
}

static void mem_free(void *p, void *arg)
{
    sl_h2_reserve *r = ((sl_h2 *)arg)->conn->shard->reserve;
    if (!is_reserve(r, p))
        sl_free(p);
    else if (--r->live == 0)
        r->at = 0;
}

/* The old block's size is known only if it is of the reserve; nghttp2 only ever grows. */
static void *mem_realloc(void *p, size_t n, void *arg)
{
    sl_h2 *h = arg;
    if (is_reserve(h->conn->shard->reserve, p)) {
        size_t had = ((block *)p - 1)->size;
        void *to = mem_malloc(n, arg);
        if (to != NULL) {
            memcpy(to, p, SL_MIN(had, n));
            mem_free(p, arg);
        }
        return to;
    }
    void *to = sl_try_realloc(p, n);
    if (to != NULL || (to = from_reserve(h, n)) == NULL || p == NULL)
        return to;
    memcpy(to, p, SL_MIN(malloc_usable_size(p), n));
    sl_free(p);
    return to;
}

nghttp2_mem sl_h2_mem(sl_h2 *h)
{
    return (nghttp2_mem){h, mem_malloc, mem_free, mem_calloc, mem_realloc};
}
