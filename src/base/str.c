/* str.c - comparisons, growing text, the seeded hash */
#include "base/str.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/mem.h"

static unsigned char lower(char c)
{
    unsigned char u = (unsigned char)c;
    return u >= 'A' && u <= 'Z' ? (unsigned char)(u + 32) : u;
}

bool sl_str_eq_nocase(sl_str a, sl_str b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (a.p[i] != b.p[i] && lower(a.p[i]) != lower(b.p[i]))
            return false;
    return true;
}

int sl_str_cmp(sl_str a, sl_str b)
{
    size_t n = SL_MIN(a.n, b.n);
    int c = n ? memcmp(a.p, b.p, n) : 0;
    return c ? c : (a.n > b.n) - (a.n < b.n);
}

bool sl_str_to_int64(sl_str s, int64_t *out)
{
    size_t i = s.n > 0 && s.p[0] == '-';
    int64_t v = 0;
    if (i == s.n)
        return false;
    for (; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        int digit = s.p[i] - '0';
        if (__builtin_mul_overflow(v, 10, &v) ||
            __builtin_sub_overflow(v, digit, &v)) /* downwards: INT64_MIN fits */
            return false;
    }
    if (s.p[0] != '-' && __builtin_sub_overflow((int64_t)0, v, &v))
        return false;
    *out = v;
    return true;
}

static bool reserve(sl_text *t, size_t more)
{
    size_t need;
    if (t->failed)
        return false;
    if (sl_add_size(t->n, more, &need) && need < SIZE_MAX / 2) {
        if (need < t->cap)
            return true;
        size_t cap = SL_MAX(need + 1, t->cap + t->cap / 2);
        cap = SL_MAX(cap, (size_t)64);
        char *p = sl_try_realloc(t->p, cap);
        if (p != NULL) {
            t->p = p;
            t->cap = cap;
            return true;
        }
    }
    t->failed = true;
    return false;
}

void sl_text_add(sl_text *t, const char *p, size_t n)
{
    if (!reserve(t, n))
        return;
    if (n)
        memcpy(t->p + t->n, p, n);
    t->n += n;
    t->p[t->n] = '\0';
}

void sl_text_puts(sl_text *t, const char *s)
{
    sl_text_add(t, s, strlen(s));
}

void sl_text_putc(sl_text *t, char c)
{
    sl_text_add(t, &c, 1);
}

void sl_text_printf(sl_text *t, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    if (n >= 0 && reserve(t, (size_t)n)) {
        vsnprintf(t->p + t->n, (size_t)n + 1, fmt, again);
        t->n += (size_t)n;
    }
    va_end(again);
    va_end(ap);
}

void sl_text_fini(sl_text *t)
{
    sl_free(t->p);
    *t = (sl_text){0};
}

static uint64_t process_seed(void)
{
    static _Atomic uint64_t cached;
    uint64_t s = atomic_load_explicit(&cached, memory_order_relaxed);
    if (s == 0) {
        uint64_t fresh = 0, none = 0;
        if (getrandom(&fresh, sizeof fresh, GRND_NONBLOCK) != sizeof fresh)
            fresh = (uint64_t)(uintptr_t)&fresh * 0x9E3779B97F4A7C15u;
        fresh |= 1;
        s = atomic_compare_exchange_strong(&cached, &none, fresh) ? fresh : none;
    }
    return s;
}

/* Multiply-and-fold over 8 bytes at a time (the mixing step of wyhash): strong enough against
 * chosen keys because the seed is secret, and a model's name costs a few nanoseconds. */
static uint64_t fold(uint64_t a, uint64_t b)
{
    __uint128_t r = (__uint128_t)a * b;
    return (uint64_t)r ^ (uint64_t)(r >> 64);
}

uint64_t sl_hash_seeded(uint64_t seed, const void *data, size_t n)
{
    const unsigned char *p = data;
    uint64_t h = seed ^ fold(n + 0xA0761D6478BD642Fu, 0xE7037ED1A0B428DBu), w;
    for (; n >= 8; n -= 8, p += 8) {
        memcpy(&w, p, 8);
        h = fold(h ^ w ^ 0x8EBC6AF09C88C6E3u, h | 0x589965CC75374CC3u);
    }
    w = 0;
    if (n >= 4) { /* the first four and the last four, which may overlap; n is in h */
        uint32_t first, last;
        memcpy(&first, p, 4);
        memcpy(&last, p + n - 4, 4);
        w = first | (uint64_t)last << 32;
    } else if (n > 0) {
        w = p[0] | (uint64_t)p[n / 2] << 8 | (uint64_t)p[n - 1] << 16;
    }
    h = fold(h ^ w, 0x1D8E4E27C47D124Fu ^ seed);
    /* Once more: after one multiplication keys that differ in a few bits crowd together under some
     * seeds, and tables look at the low bits. */
    return fold(h ^ 0xA0761D6478BD642Fu, 0xEB44ACCAB455D165u);
}

uint64_t sl_hash(const void *data, size_t n)
{
    return sl_hash_seeded(process_seed(), data, n);
}
