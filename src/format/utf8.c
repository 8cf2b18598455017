/* utf8.c - ASCII eight bytes at a time, the rest sequence by sequence */
#include "format/utf8.h"

/* Bytes of a sequence whose first is c, 0 if there is none; *low and *high: what its second byte may
 * be, which is the one that tells overlong forms and surrogates. */
static size_t begins(unsigned char c, unsigned char *low, unsigned char *high)
{
    *low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    *high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    return c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
}

/* Bytes of the sequence that begins at p, 0 if it is none; `left` is at least 1. */
static size_t sequence(const unsigned char *p, size_t left)
{
    unsigned char low, high;
    size_t n = begins(p[0], &low, &high);
    if (n > left)
        return 0;
    if (n > 1 && (p[1] < low || p[1] > high))
        return 0;
    for (size_t i = 2; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

bool sl_utf8_ok(sl_str s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    size_t i = 0;
    while (i < s.n) {
        uint64_t word;
        if (s.n - i >= 8) {
            memcpy(&word, p + i, 8);
            if ((word & UINT64_C(0x8080808080808080)) == 0) {
                i += 8;
                continue;
            }
        }
        size_t n = sequence(p + i, s.n - i);
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}

size_t sl_utf8_take(sl_str s, int32_t *c)
{
    const unsigned char *p = (const unsigned char *)s.p;
    unsigned char low, high;
    size_t n = begins(p[0], &low, &high);
    *c = -1;
    if (n < 2) {
        *c = n ? p[0] : -1;
        return 1;
    }
    int32_t v = p[0] & (0x7f >> n);
    for (size_t i = 1; i < n; i++) {
        if (i == s.n || p[i] < low || p[i] > high)
            return i;
        v = v << 6 | (p[i] & 0x3f);
        low = 0x80;
        high = 0xbf;
    }
    *c = v;
    return n;
}

size_t sl_utf8_put(int32_t c, char *to)
{
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    if (n == 1) {
        to[0] = (char)c;
        return n;
    }
    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        to[i] = (char)(0x80 | (c & 0x3f));
    to[0] = (char)((0xf00 >> n) | c);
    return n;
}
