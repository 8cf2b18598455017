/* base64.c - see base64.h */
#include "format/base64.h"

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

enum { BAD = -1, BLANK = -2, PAD = -3 };

/* One more than the value of a letter; 0: not one. */
static const unsigned char values[256] = {
#define V(c, v) [c] = (v) + 1
#define V4(c, v) V(c, v), V((c) + 1, (v) + 1), V((c) + 2, (v) + 2), V((c) + 3, (v) + 3)
#define V24(c, v)                                                                 \
    V4(c, v), V4((c) + 4, (v) + 4), V4((c) + 8, (v) + 8), V4((c) + 12, (v) + 12), \
        V4((c) + 16, (v) + 16), V4((c) + 20, (v) + 20)
    V24('A', 0), V('Y', 24),  V('Z', 25), V24('a', 26), V('y', 50), V('z', 51),
    V4('0', 52), V4('4', 56), V('8', 60), V('9', 61),   V('+', 62), V('/', 63)};

static int value(char c)
{
    int v = values[(unsigned char)c];
    if (v)
        return v - 1;
    if (c == ' ' || (c >= '\t' && c <= '\r'))
        return BLANK;
    return c == '=' || c == '.' ? PAD : BAD;
}

bool sl_base64_check(sl_str text, size_t *n)
{
    size_t count = 0, pads = 0;
    for (size_t i = 0; i < text.n; i++) {
        int v = value(text.p[i]);
        if (v >= 0 && pads == 0)
            count++;
        else if (v == PAD)
            pads++;
        else if (v != BLANK)
            return false;
    }
    size_t wanted = count % 4 == 0 ? 0 : 4 - count % 4;
    if (wanted == 3 || (pads != 0 && pads != wanted))
        return false;
    *n = count / 4 * 3 + (wanted ? 3 - wanted : 0);
    return true;
}

size_t sl_base64_decode(sl_str text, char *out)
{
    char *o = out;
    unsigned bits = 0;
    int n = 0;
    for (size_t i = 0; i < text.n; i++) {
        int v = value(text.p[i]);
        if (v < 0)
            continue;
        bits = bits << 6 | (unsigned)v;
        if (++n == 4) {
            *o++ = (char)(bits >> 16);
            *o++ = (char)(bits >> 8);
            *o++ = (char)bits;
            n = 0;
        }
    }
    if (n == 2)
        *o++ = (char)(bits >> 4);
    if (n == 3) {
        *o++ = (char)(bits >> 10);
        *o++ = (char)(bits >> 2);
    }
    return (size_t)(o - out);
}

size_t sl_base64_size(size_t n)
{
    return n / 3 >= SIZE_MAX / 4 - 1 ? SIZE_MAX : (n + 2) / 3 * 4;
}

char *sl_base64_encode(sl_str bytes, char *out)
{
    const unsigned char *p = (const unsigned char *)bytes.p, *end = p + bytes.n;
    for (; end - p >= 3; p += 3) {
        unsigned v = (unsigned)p[0] << 16 | (unsigned)p[1] << 8 | p[2];
        *out++ = letters[v >> 18];
        *out++ = letters[v >> 12 & 63];
        *out++ = letters[v >> 6 & 63];
        *out++ = letters[v & 63];
    }
    if (p == end)
        return out;
    unsigned v = (unsigned)p[0] << 16 | (end - p == 2 ? (unsigned)p[1] << 8 : 0);
    *out++ = letters[v >> 18];
    *out++ = letters[v >> 12 & 63];
    *out++ = end - p == 2 ? letters[v >> 6 & 63] : '=';
    *out++ = '=';
    return out;
}

static int url_value(char c)
{
    if (c == '-' || c == '_')
        return c == '-' ? 62 : 63;
    return c == '+' || c == '/' ? BAD : value(c);
}

bool sl_base64url_decode(sl_str text, char *out, size_t *n)
{
    unsigned bits = 0;
    char *o = out;
    for (size_t i = 0; i < text.n; i++) {
        int v = url_value(text.p[i]);
        if (v < 0)
            return false;
        bits = (bits << 6 | (unsigned)v) & 0xffffff;
        if (i % 4 != 0)
            *o++ = (char)(bits >> (6 - i % 4 * 2));
    }
    *n = (size_t)(o - out);
    /* The last letter's unused bits: 4 of 2 letters, 2 of 3. */
    unsigned unused = text.n % 4 == 2 ? 0xf : text.n % 4 == 3 ? 0x3 : 0;
    return text.n % 4 != 1 && (bits & unused) == 0;
}
