/*
 * number_decimal.h - w * 10^q to double and float; internal to format/
 *
 * number_read.c and number_run.c find an integer w and a power of ten q in the text, in different
 * ways. (number_write.c has its powers from here, too.) From there
 *  - a double is exact where w and 10^|q| are doubles themselves (one rounding), or by a 128-bit
 *    division where 10^|q| has a factor of at most 5^27; the rest goes to sl_number_exact;
 *  - a float needs the double only as far as it decides the rounding: a product of two rounded
 *    doubles is off by at most 3 units in its last place, and only where the 29 bits that a float
 *    drops are that near to one half does the exact double have to be found.
 */
#ifndef SL_FORMAT_NUMBER_DECIMAL_H
#define SL_FORMAT_NUMBER_DECIMAL_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef struct sl_decimal {
    uint64_t w;
    int q;
    bool negative;
    bool real; /* has a '.' or an exponent */
} sl_decimal;

enum { SL_POW10_MAX = 64 };
extern const uint64_t sl_pow10_u64[20];
/* The nearest doubles to 10^-64 ... 10^64; exact from 10^0 to 10^22. */
extern const double sl_pow10_table[2 * SL_POW10_MAX + 1];
extern const uint64_t sl_pow5_u64[28];

static inline double sl_pow10(int q)
{
    return sl_pow10_table[q + SL_POW10_MAX];
}

/* (m + a little, if `sticky`) * 2^e, rounded to nearest even; m > 0, the result a normal number. */
static inline double sl_decimal_round(uint64_t m, bool sticky, int e)
{
    int zeros = __builtin_clzll(m);
    m <<= zeros;
    uint64_t top = m >> 11, rest = m & 0x7FF;
    if (rest > 0x400 || (rest == 0x400 && (sticky || (top & 1))))
        top++;
    uint64_t scale_bits = (uint64_t)(1023 + e - zeros + 11) << 52;
    double scale;
    memcpy(&scale, &scale_bits, 8);
    return (double)top * scale;
}

/* False if this takes the exact conversion. */
static inline bool sl_decimal_to_double(const sl_decimal *d, double *out)
{
    uint64_t w = d->w;
    int q = d->q;
    double v;
    if (w <= (uint64_t)1 << 53 && q >= -22 && q <= 22) {
        v = q < 0 ? (double)w / sl_pow10(-q) : (double)w * sl_pow10(q);
    } else if (w == 0) {
        v = 0;
    } else if (q >= -27 && q <= 0) {
        /* w / 5^-q with both moved up to bit 63, so that the quotient has 63 bits or 64. */
        int up = __builtin_clzll(w), up5 = __builtin_clzll(sl_pow5_u64[-q]);
        uint64_t divisor = sl_pow5_u64[-q] << up5;
        unsigned __int128 dividend = (unsigned __int128)(w << up) << 63;
        uint64_t quotient = (uint64_t)(dividend / divisor);
        bool rest = (unsigned __int128)quotient * divisor != dividend;
        v = sl_decimal_round(quotient, rest, -63 - up + up5 + q);
    } else if (q > 0 && q <= 27) {
        unsigned __int128 product = (unsigned __int128)w * sl_pow5_u64[q];
        uint64_t high = (uint64_t)(product >> 64), low = (uint64_t)product;
        int up = high ? __builtin_clzll(high) : 64; /* 1 at least: 5^27 is below 2^63 */
        uint64_t m = up == 64 ? low : high << up | low >> (64 - up);
        bool rest = up < 64 && (low << up) != 0;
        v = sl_decimal_round(m, rest, q + 64 - up);
    } else {
        return false;
    }
    *out = d->negative ? -v : v;
    return true;
}

/* False if the double has to be found first. */
static inline bool sl_decimal_to_float(const sl_decimal *d, float *out)
{
    if (d->w >> 63 || d->q < -SL_POW10_MAX || d->q > SL_POW10_MAX)
        return false;
    double v = (double)(int64_t)d->w * sl_pow10(d->q);
    uint64_t bits;
    memcpy(&bits, &v, 8);
    /* Within 8 units of a tie, or outside of float's normal range: */
    bool near = (bits & 0x1FFFFFFF) - (0x10000000 - 8) <= 16;
    bool outside = (bits >> 52) - (1023 - 126) >= 253;
    if (__builtin_expect(near | (outside & (d->w != 0)), 0))
        return false;
    bits |= (uint64_t)d->negative << 63;
    memcpy(&v, &bits, 8);
    *out = (float)v;
    return true;
}

#endif
