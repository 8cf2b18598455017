/*
 * number_write.c - numbers to decimal text
 *
 * A finite value is m * 2^e. To have n significant digits of it, it is scaled by 10^k so that its
 * integer part has n digits: m * 5^k * 2^(e + k). For 0 <= k <= 27 the product m * 5^k is exact in
 * 128 bits, and a shift separates integer part and fraction: nothing is lost, so rounding is
 * correct, ties (to even) included. That covers floats from 1e-19 to 1e9 and doubles from 1e-11 to
 * 1e17; the rest asks sl_number_digits.
 *
 * Whether the six-digit text would read back as the same value is not tried but known: it does if
 * it lies within half a unit in the last place of m (a quarter below a power of two), and the unit
 * is 5^k in that same scale.
 *
 * The digits are those of C's printf, which the tests hold against it.
 */
#include <string.h>

#include "format/number.h"

static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233"
                            "34353637383940414243444546474849505152535455565758596061626364656667"
                            "68697071727374757677787980818283848586878889909192939495969798"
                            "99";

static inline void put2(char *p, unsigned v)
{
    memcpy(p, pairs + 2 * v, 2);
}
static inline void put4(char *p, unsigned v)
{
    put2(p, v / 100);
    put2(p + 2, v % 100);
}
static inline void put8(char *p, unsigned v)
{
    put4(p, v / 10000);
    put4(p + 4, v % 10000);
}

char *sl_number_write_uint64(char *p, uint64_t v)
{
    char buf[24], *at = buf + sizeof buf;
    while (v >= 100000000) {
        at -= 8;
        put8(at, (unsigned)(v % 100000000));
        v /= 100000000;
    }
    unsigned rest = (unsigned)v;
    while (rest >= 100) {
        at -= 2;
        put2(at, rest % 100);
        rest /= 100;
    }
    if (rest >= 10) {
        at -= 2;
        put2(at, rest);
    } else {
        *--at = (char)('0' + rest);
    }
    size_t n = (size_t)(buf + sizeof buf - at);
    memcpy(p, at, n);
    return p + n;
}

char *sl_number_write_int64(char *p, int64_t v)
{
    if (v < 0)
        *p++ = '-';
    return sl_number_write_uint64(p, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

static char *put_text(char *p, const char *s)
{
    size_t n = strlen(s);
    memcpy(p, s, n);
    return p + n;
}

static char *put_non_finite(char *p, bool nan, bool negative)
{
    return put_text(p, nan ? "NaN" : negative ? "-Infinity" : "Infinity");
}

/*
 * Lays `n` digits out as printf's %.<precision>g does: the first one stands for 10^exponent;
 * trailing zeros go; then ".0" if it looks like an integer. digits[-1] may be written to.
 */
static char *put_g(char *p, const char *digits, int n, int exponent, int precision)
{
    while (n > 1 && digits[n - 1] == '0')
        n--;
    if (exponent < -4 || exponent >= precision) {
        *p++ = digits[0];
        if (n > 1) {
            *p++ = '.';
            memcpy(p, digits + 1, (size_t)n - 1);
            p += n - 1;
        }
        *p++ = 'e';
        *p++ = exponent < 0 ? '-' : '+';
        unsigned x = (unsigned)(exponent < 0 ? -exponent : exponent);
        if (x >= 100)
            *p++ = (char)('0' + x / 100);
        put2(p, x % 100);
        return p + 2;
    }
    if (exponent < 0) {
        memcpy(p, "0.000", 5);
        p += 1 - exponent;
        memcpy(p, digits, (size_t)n);
        return p + n;
    }
    int whole = exponent + 1;
    memcpy(p, digits, (size_t)(n < whole ? n : whole));
    if (n < whole)
        memset(p + n, '0', (size_t)(whole - n));
    p += whole;
    *p++ = '.';
    if (n <= whole) {
        *p++ = '0';
        return p;
    }
    memcpy(p, digits + whole, (size_t)(n - whole));
    return p + n - whole;
}

static const uint64_t pow5[28] = {
    1u,
    5u,
    25u,
    125u,
    625u,
    3125u,
    15625u,
    78125u,
    390625u,
    1953125u,
    9765625u,
    48828125u,
    244140625u,
    1220703125u,
    6103515625u,
    30517578125u,
    152587890625u,
    762939453125u,
    3814697265625u,
    19073486328125u,
    95367431640625u,
    476837158203125u,
    2384185791015625u,
    11920928955078125u,
    59604644775390625u,
    298023223876953125u,
    1490116119384765625u,
    7450580596923828125u,
};

typedef unsigned __int128 u128;

/* A value scaled so that its integer part has the digits that are wanted. */
typedef struct scaled {
    u128 v;       /* value * 10^k * 2^shift, exact */
    int shift;    /* 0 to 63 (float), to 116 (double) */
    uint64_t ulp; /* the unit of m's last place in the same scale is ulp * 2^up */
    int up;
} scaled;

/* m * 2^e * 10^k, 0 <= k <= 27; the result's integer part is known to fit 64 bits. */
static inline scaled scale(uint64_t m, int e, int k)
{
    scaled s = {.v = (u128)m * pow5[k], .shift = -(e + k), .ulp = pow5[k], .up = 0};
    if (s.shift < 0) {
        s.up = -s.shift;
        s.v <<= s.up;
        s.shift = 0;
    }
    return s;
}

static inline uint64_t whole_part(const scaled *s)
{
    return (uint64_t)(s->v >> s->shift);
}

/* The integer nearest to s / unit, ties to even, where `whole` is the integer part of s. */
static inline uint64_t round_by(const scaled *s, uint64_t whole, uint64_t unit)
{
    uint64_t n = whole / unit, rest = whole % unit;
    /* twice what is left over, against one unit, both in the scale of v */
    u128 left = s->v - ((u128)(n * unit) << s->shift);
    if (2 * rest + 2 < unit)
        return n;
    u128 half = (u128)unit << s->shift;
    left <<= 1;
    return n + (left > half || (left == half && (n & 1)));
}

/* Is `decimal` (an integer in the scale's 10^k) so near to m * 2^e that it reads back as that?
 * `edge`: m is a power of two, so that the neighbour below is only half as far. */
static inline bool reads_back(const scaled *s, uint64_t m, bool edge, uint64_t decimal)
{
    u128 d = (u128)decimal << s->shift, ulp = (u128)s->ulp << s->up;
    bool below = d < s->v;
    u128 off = (below ? s->v - d : d - s->v) << (below && edge ? 2 : 1);
    return off < ulp || (off == ulp && !(m & 1));
}

/* floor(log10(m * 2^e)), or one more or less at the edges; 2^(p-1) <= m < 2^p with bits = p - 1. */
static inline int guess_exponent(int binary)
{
    /* log10(2) = 0.30103; exact floor for |binary| < 1233; the true exponent is this or one more.
     */
    return (binary * 78913) >> 18;
}

static const uint64_t pow10_u64[18] = {1u,
                                       10u,
                                       100u,
                                       1000u,
                                       10000u,
                                       100000u,
                                       1000000u,
                                       10000000u,
                                       100000000u,
                                       1000000000u,
                                       10000000000u,
                                       100000000000u,
                                       1000000000000u,
                                       10000000000000u,
                                       100000000000000u,
                                       1000000000000000u,
                                       10000000000000000u,
                                       100000000000000000u};

/* The `n` digits of v, which has that many. */
static inline void put_digits(char *p, uint64_t v, int n)
{
    if (n > 8) {
        put_digits(p, v / 100000000, n - 8);
        put8(p + n - 8, (unsigned)(v % 100000000));
        return;
    }
    unsigned rest = (unsigned)v;
    for (; n >= 2; n -= 2, rest /= 100)
        put2(p + n - 2, rest % 100);
    if (n)
        *p = (char)('0' + rest);
}

/*
 * The value m * 2^e (m of `bits` + 1 bits) with six digits if that reads back, else with
 * `precision`. False where 128 bits do not hold it.
 */
static inline bool write_exactly(char **p, uint64_t m, int e, int bits, int precision)
{
    int exponent = guess_exponent(e + bits), k = precision - 1 - exponent;
    if (k < 1 || k > 27)
        return false;
    scaled s = scale(m, e, k);
    uint64_t whole = whole_part(&s), limit = pow10_u64[precision - 1] * 10;
    if (whole >= limit) {
        exponent++;
        s = scale(m, e, --k);
        whole = whole_part(&s);
    }
    char digits[20];
    uint64_t unit = pow10_u64[precision - 6], six = round_by(&s, whole, unit);
    if (reads_back(&s, m, m == (uint64_t)1 << bits, six * unit)) {
        if (six == 1000000) {
            six = 100000;
            exponent++;
        }
        put_digits(digits, six, 6);
        *p = put_g(*p, digits, 6, exponent, 6);
        return true;
    }
    uint64_t all = round_by(&s, whole, 1);
    if (all == limit) {
        all /= 10;
        exponent++;
    }
    put_digits(digits, all, precision);
    *p = put_g(*p, digits, precision, exponent, precision);
    return true;
}

/* The same through the standard library. */
static char *write_slowly(char *p, double v, bool is_float, int precision)
{
    char digits[24], text[SL_NUMBER_ROOM];
    int exponent, n = sl_number_digits(v, 6, digits, &exponent);
    text[0] = digits[0];
    text[1] = '.';
    memcpy(text + 2, digits + 1, (size_t)n - 1);
    char *end = text + 1 + n;
    *end++ = 'e';
    end = sl_number_write_int64(end, exponent);
    double back = sl_number_exact(text, end);
    /* Six digits are never so near to a tie of floats that rounding twice changes the float. */
    if (is_float ? (float)back == (float)v : back == v)
        return put_g(p, digits, n, exponent, 6);
    n = sl_number_digits(v, precision, digits, &exponent);
    return put_g(p, digits, n, exponent, precision);
}

char *sl_number_write_float(char *p, float v)
{
    uint32_t bits;
    memcpy(&bits, &v, 4);
    if (bits >> 31)
        *p++ = '-';
    uint32_t m = bits & 0x7FFFFF;
    int e = (int)(bits >> 23 & 0xFF);
    if (e == 0xFF)
        return put_non_finite(p - (bits >> 31), m != 0, bits >> 31);
    if (e == 0 && m == 0)
        return put_text(p, "0.0");
    if (e != 0 && write_exactly(&p, m | 0x800000, e - 150, 23, 9))
        return p;
    return write_slowly(p, v < 0 ? -(double)v : v, true, 9);
}

char *sl_number_write_double(char *p, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, 8);
    if (bits >> 63)
        *p++ = '-';
    uint64_t m = bits & 0xFFFFFFFFFFFFF;
    int e = (int)(bits >> 52 & 0x7FF);
    if (e == 0x7FF)
        return put_non_finite(p - (bits >> 63), m != 0, bits >> 63);
    if (e == 0 && m == 0)
        return put_text(p, "0.0");
    if (e != 0 && write_exactly(&p, m | (uint64_t)1 << 52, e - 1075, 52, 17))
        return p;
    return write_slowly(p, v < 0 ? -v : v, false, 17);
}

char *sl_number_write_shortest(char *p, double v)
{
    char digits[24];
    int exponent;
    if (__builtin_signbit(v))
        *p++ = '-';
    if (v == 0)
        return put_text(p, "0.0");
    int n = sl_number_digits(v < 0 ? -v : v, 0, digits, &exponent);
    int whole = exponent + 1;
    if (whole >= n && whole <= 21) { /* 100.0 */
        memcpy(p, digits, (size_t)n);
        memset(p + n, '0', (size_t)(whole - n));
        return put_text(p + whole, ".0");
    }
    if (whole > 0 && whole <= 21) { /* 12.5 */
        memcpy(p, digits, (size_t)whole);
        p[whole] = '.';
        memcpy(p + whole + 1, digits + whole, (size_t)(n - whole));
        return p + n + 1;
    }
    if (whole > -6 && whole <= 0) { /* 0.00125 */
        memcpy(p, "0.0000000", 2 + (size_t)-whole);
        p += 2 - whole;
        memcpy(p, digits, (size_t)n);
        return p + n;
    }
    *p++ = digits[0];
    if (n > 1) {
        *p++ = '.';
        memcpy(p, digits + 1, (size_t)n - 1);
        p += n - 1;
    }
    *p++ = 'e';
    return sl_number_write_int64(p, exponent);
}
