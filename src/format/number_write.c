/*
 * number_write.c - numbers to decimal text
 *
 * A finite value is m * 2^e. To have n significant digits of it, it is scaled by 10^k so that its
 * integer part has n digits: m * 5^k * 2^(e + k). For 0 <= k <= 27 the product m * 5^k is exact in
 * 128 bits, and a shift separates integer part and fraction: nothing is lost, so rounding is
 * correct, ties (to even) included. That covers doubles from 1e-11 to 1e17 and floats up to 1e9; a
 * float's 24 bits leave room for k up to 44, hence down to 1e-36. The rest asks sl_number_digits.
 * Most floats need less: write_float_fast.
 *
 * Whether the six-digit text would read back as the same value is not tried but known: it does if
 * it lies within half a unit in the last place of m (a quarter below a power of two), and the unit
 * is 5^k in that same scale.
 *
 * The digits are those of C's printf, which the tests hold against it.
 */
#include <string.h>

#include "format/number.h"
#include "format/number_decimal.h"

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

/* Digits, and what stands around them while they are laid out: zeros in front for 0.000123, and
 * room behind because copies are of a fixed size, which is faster than the right one. */
enum { LEAD = 4, MOST_DIGITS = 24 };
typedef struct digit_text {
    char text[LEAD + 2 * MOST_DIGITS]; /* the first digit is text[LEAD] */
} digit_text;

/* How many of the n digits are left when trailing zeros go; 6 <= n <= 17, the first is not zero. */
static inline int significant(const digit_text *d, int n)
{
    const char *first = d->text + LEAD, *end = first + n;
    for (;;) {
        uint64_t x;
        memcpy(&x, end - 8, 8);
        x ^= 0x3030303030303030u;
        if (x != 0)
            return (int)(end - first) - (__builtin_clzll(x) >> 3);
        end -= 8;
    }
}

static char *put_exponential(char *p, const digit_text *d, int n, int exponent)
{
    p[0] = d->text[LEAD];
    p[1] = '.';
    memcpy(p + 2, d->text + LEAD + 1, MOST_DIGITS);
    p += n > 1 ? n + 1 : 1;
    *p++ = 'e';
    *p++ = exponent < 0 ? '-' : '+';
    unsigned x = (unsigned)(exponent < 0 ? -exponent : exponent);
    if (x >= 100)
        *p++ = (char)('0' + x / 100);
    put2(p, x % 100);
    return p + 2;
}

/*
 * Lays `n` digits out as printf's %.<n>g does: the first one stands for 10^exponent; trailing zeros
 * go; then ".0" if it looks like an integer. p has room for SL_NUMBER_ROOM. Nearly without
 * branches: neighbouring numbers differ in size and length, and a wrong guess costs more than all
 * of this.
 */
static inline char *put_g(char *p, digit_text *d, int n, int exponent)
{
    int left = significant(d, n);
    if (exponent < -LEAD || exponent >= n)
        return put_exponential(p, d, left, exponent);
    d->text[LEAD + n] = '0'; /* for what stands behind the point of an integer */
    memset(d->text, '0', LEAD);
    int lead = exponent < 0 ? -exponent : 0;
    const char *first = d->text + LEAD - lead;
    int whole = exponent + 1 + lead;
    left += lead;
    memcpy(p, first, MOST_DIGITS);
    p[whole] = '.';
    memcpy(p + whole + 1, first + whole, MOST_DIGITS);
    return p + (left > whole ? left : whole + 1) + 1;
}

typedef unsigned __int128 u128;

/* A value scaled so that its integer part has the digits that are wanted. */
typedef struct scaled {
    u128 v;    /* value * 10^k * 2^shift, exact */
    int shift; /* 0 to 116 */
    u128 ulp;  /* the unit of m's last place in the same scale is ulp * 2^up */
    int up;
} scaled;

/* m * 2^e * 10^k, 0 <= k <= 27, or up to 44 for m of 24 bits; the result's integer part is known to
 * fit 64 bits. */
static inline scaled scale(uint64_t m, int e, int k)
{
    u128 five = k <= 27 ? (u128)sl_pow5_u64[k] : (u128)sl_pow5_u64[27] * sl_pow5_u64[k - 27];
    scaled s = {.v = m * five, .shift = -(e + k), .ulp = five, .up = 0};
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
    u128 d = (u128)decimal << s->shift, ulp = s->ulp << s->up;
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

static inline void put6(char *p, unsigned v)
{
    put2(p, v / 10000);
    put4(p + 2, v % 10000);
}
static inline void put9(char *p, unsigned v)
{
    *p = (char)('0' + v / 100000000);
    put8(p + 1, v % 100000000);
}

/* `all` has `precision` digits. (Rounded up to 10^precision it would be within half a unit of that
 * place of a power of ten, much less than the distance of two values: six digits read back.) */
static inline char *put_all(char *p, uint64_t all, int precision, int exponent)
{
    digit_text d;
    if (precision == 9) {
        put9(d.text + LEAD, (unsigned)all);
    } else {
        put9(d.text + LEAD, (unsigned)(all / 100000000));
        put8(d.text + LEAD + 9, (unsigned)(all % 100000000));
    }
    return put_g(p, &d, precision, exponent);
}

static inline char *put_six(char *p, uint64_t six, int exponent)
{
    digit_text d;
    if (six == 1000000) {
        six = 100000;
        exponent++;
    }
    put6(d.text + LEAD, (unsigned)six);
    return put_g(p, &d, 6, exponent);
}

/*
 * The value m * 2^e (m of `bits` + 1 bits) with six digits if that reads back, else with
 * `precision`. False where 128 bits do not hold it.
 */
static inline bool write_exactly(char **p, uint64_t m, int e, int bits, int precision)
{
    int exponent = guess_exponent(e + bits), k = precision - 1 - exponent;
    if (k < 1 || k > (bits == 23 ? 44 : 27))
        return false;
    scaled s = scale(m, e, k);
    uint64_t whole = whole_part(&s), limit = sl_pow10_u64[precision - 1] * 10;
    if (whole >= limit) {
        exponent++;
        s = scale(m, e, --k);
        whole = whole_part(&s);
    }
    uint64_t unit = sl_pow10_u64[precision - 6], six = round_by(&s, whole, unit);
    if (reads_back(&s, m, m == (uint64_t)1 << bits, six * unit))
        *p = put_six(*p, six, exponent);
    else
        *p = put_all(*p, round_by(&s, whole, 1), precision, exponent);
    return true;
}

/* The eight digits of v < 10^8 as the bytes of a word, the first in the lowest. */
static inline uint64_t digits8(unsigned v)
{
    uint64_t x = v / 10000 | (uint64_t)(v % 10000) << 32; /* two lanes of four digits */
    uint64_t hundreds = (x * 10486 >> 20) & 0x0000007F0000007Fu;
    x = hundreds | (x - hundreds * 100) << 16; /* four of two */
    uint64_t tens = (x * 103 >> 10) & 0x000F000F000F000Fu;
    return (tens | (x - tens * 10) << 8) + 0x3030303030303030u;
}

/*
 * put_g for nine digits, 10^8 <= v < 10^9, of which those from `precision` on are zeros; -5 <
 * exponent < 8 and exponent < precision. The digits stay in a register: text that was just written
 * in pieces is slow to be read again as a whole. Without branches, since neighbouring numbers
 * differ in size and length, and a wrong guess costs more than all of this.
 */
static inline char *put9_fixed(char *p, unsigned v, int exponent)
{
    char nowhere[32];
    uint64_t digits = digits8(v % 100000000), x = digits ^ 0x3030303030303030u;
    int n = x ? 9 - (__builtin_clzll(x) >> 3) : 1;
    bool small = exponent < 0;
    memcpy(p, "0.000000", 8);
    p += small ? 1 - exponent : 0;
    *p = (char)('0' + v / 100000000);
    memcpy(p + 1, &digits, 8);
    int whole = small ? 1 : exponent + 1;
    char *point = small ? nowhere : p + whole;
    digits >>= 8 * (whole - 1);
    *point = '.';
    memcpy(point + 1, &digits, 8);
    int end = n > whole ? n + 1 : whole + 2;
    return p + (small ? n : end);
}

/* 10^0 to 10^22 are doubles. The floats next to 10^-13 to 10^8: a guess, which may be one too low,
 * is held against them. */
static const double exact_pow10[23] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                       1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                       1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
static const float rounded_pow10[22] = {1e-13f, 1e-12f, 1e-11f, 1e-10f, 1e-9f, 1e-8f, 1e-7f, 1e-6f,
                                        1e-5f,  1e-4f,  1e-3f,  1e-2f,  1e-1f, 1e0f,  1e1f,  1e2f,
                                        1e3f,   1e4f,   1e5f,   1e6f,   1e7f,  1e8f};

/*
 * write_exactly for a float from 1e-13 to 1e8 with the arithmetic of doubles: the processor's own
 * conversions cost a fraction of 128-bit shifts.
 *
 * x = f * 10^k has nine digits in front of its point. 10^k is exact and the product off by at most
 * 2^-24, so the nearest integer is known unless x is that near to a tie; up to k = 8 the product is
 * exact, and the processor rounds ties to even as printf does. Half a unit of a float is at most 60
 * of the ninth digit, so where six digits read back, the rest is nowhere near a tie.
 */
static inline bool write_float_fast(char **p, float f, int e)
{
    int exponent = guess_exponent(e + 23);
    if (exponent < -14 || exponent > 6)
        return false;
    exponent += f >= rounded_pow10[exponent + 14];
    int k = 8 - exponent; /* 1 to 22 */
    double x = (double)f * exact_pow10[k];
    int whole = (int)__builtin_lrint(x), precision = 9;
    double off = x - whole;
    if (k > 8 && __builtin_fabs(__builtin_fabs(off) - 0.5) < 1e-6)
        return false;
    if (whole < 100000000) /* a power of ten that is no float */
        return false;
    int six = (whole + 500) / 1000, left = whole - six * 1000;
    if (left <= 64 && left >= -64) {
        double back = k >= 3 ? (double)six / exact_pow10[k - 3] : (double)six * exact_pow10[3 - k];
        if ((float)back == f) {
            whole = six * 1000;
            precision = 6;
        }
    }
    /* whole < 10^9: v is below the float next to 10^(exponent + 1) */
    if (exponent >= -4 && exponent < precision)
        *p = put9_fixed(*p, (unsigned)whole, exponent);
    else if (precision == 6)
        *p = put_six(*p, (uint64_t)whole / 1000, exponent);
    else
        *p = put_all(*p, (uint64_t)whole, 9, exponent);
    return true;
}

/* The same through the standard library. */
static char *write_slowly(char *p, double v, bool is_float, int precision)
{
    digit_text d;
    char text[SL_NUMBER_ROOM];
    int exponent, n = sl_number_digits(v, 6, d.text + LEAD, &exponent);
    text[0] = d.text[LEAD];
    text[1] = '.';
    memcpy(text + 2, d.text + LEAD + 1, (size_t)n - 1);
    char *end = text + 1 + n;
    *end++ = 'e';
    end = sl_number_write_int64(end, exponent);
    double back = sl_number_exact(text, end);
    /* Six digits are never so near to a tie of floats that rounding twice changes the float. */
    if (is_float ? (float)back == (float)v : back == v)
        return put_g(p, &d, 6, exponent);
    sl_number_digits(v, precision, d.text + LEAD, &exponent);
    return put_g(p, &d, precision, exponent);
}

char *sl_number_write_float(char *p, float v)
{
    uint32_t bits;
    memcpy(&bits, &v, 4);
    *p = '-';
    p += bits >> 31;
    uint32_t m = bits & 0x7FFFFF;
    int e = (int)(bits >> 23 & 0xFF);
    if (e == 0xFF)
        return put_non_finite(p - (bits >> 31), m != 0, bits >> 31);
    if (e == 0 && m == 0)
        return put_text(p, "0.0");
    if (e != 0 && write_float_fast(&p, __builtin_fabsf(v), e - 150))
        return p;
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
