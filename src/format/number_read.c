/*
 * number_read.c - decimal text to numbers, a token at a time
 *
 * A token of at most 19 digits is an integer w and a power of ten q; number_decimal.h goes on from
 * there. Digits are taken eight at a time: the bytes of a word are checked and combined with three
 * multiplications, however many of the eight are digits. What is not ordinary goes through the
 * grammar step by step, and to number_exact.cc.
 */
#include <string.h>

#include "format/number.h"
#include "format/number_decimal.h"

static const char invalid_value[] = "Invalid value.";

static inline bool is_digit(char c)
{
    return (unsigned char)(c - '0') < 10;
}
static inline char at(const char *p, const char *end)
{
    return p < end ? *p : '\0';
}

/* ---- tables of number_decimal.h ---- */

const uint64_t sl_pow10_u64[20] = {1u,
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
                                   100000000000000000u,
                                   1000000000000000000u,
                                   10000000000000000000u};

const double sl_pow10_table[2 * SL_POW10_MAX + 1] = {
    1e-64, 1e-63, 1e-62, 1e-61, 1e-60, 1e-59, 1e-58, 1e-57, 1e-56, 1e-55, 1e-54, 1e-53, 1e-52,
    1e-51, 1e-50, 1e-49, 1e-48, 1e-47, 1e-46, 1e-45, 1e-44, 1e-43, 1e-42, 1e-41, 1e-40, 1e-39,
    1e-38, 1e-37, 1e-36, 1e-35, 1e-34, 1e-33, 1e-32, 1e-31, 1e-30, 1e-29, 1e-28, 1e-27, 1e-26,
    1e-25, 1e-24, 1e-23, 1e-22, 1e-21, 1e-20, 1e-19, 1e-18, 1e-17, 1e-16, 1e-15, 1e-14, 1e-13,
    1e-12, 1e-11, 1e-10, 1e-9,  1e-8,  1e-7,  1e-6,  1e-5,  1e-4,  1e-3,  1e-2,  1e-1,  1e0,
    1e1,   1e2,   1e3,   1e4,   1e5,   1e6,   1e7,   1e8,   1e9,   1e10,  1e11,  1e12,  1e13,
    1e14,  1e15,  1e16,  1e17,  1e18,  1e19,  1e20,  1e21,  1e22,  1e23,  1e24,  1e25,  1e26,
    1e27,  1e28,  1e29,  1e30,  1e31,  1e32,  1e33,  1e34,  1e35,  1e36,  1e37,  1e38,  1e39,
    1e40,  1e41,  1e42,  1e43,  1e44,  1e45,  1e46,  1e47,  1e48,  1e49,  1e50,  1e51,  1e52,
    1e53,  1e54,  1e55,  1e56,  1e57,  1e58,  1e59,  1e60,  1e61,  1e62,  1e63,  1e64,
};

const uint64_t sl_pow5_u64[28] = {1u,
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
                                  7450580596923828125u};

/* ---- one token: w * 10^q ---- */

/* How many of the eight bytes at p are digits, counted from the first; *values: the bytes less '0'.
 */
static inline int count_digits(const char *p, uint64_t *values)
{
    uint64_t x;
    memcpy(&x, p, 8);
    x ^= 0x3030303030303030u;
    *values = x;
    uint64_t no = ((x + 0x7676767676767676u) | x) & 0x8080808080808080u;
    return no ? __builtin_ctzll(no) >> 3 : 8;
}

/* The number that eight digit values make, the first byte the most significant. */
static inline uint64_t combine(uint64_t x)
{
    x = x * 10 + (x >> 8);
    return ((x & 0x000000FF000000FFu) * 0x000F424000000064u +
            (x >> 16 & 0x000000FF000000FFu) * 0x0000271000000001u) >>
           32;
}

/* The first n of eight digit values, 0 <= n < 8, moved to the end, zeros in front. */
static inline uint64_t first_values(uint64_t x, int n)
{
    return x << (56 - 8 * n) << 8;
}

/* w below this can take n more digits without overflow. */
static const uint64_t room_for[8] = {
    UINT64_MAX,          UINT64_MAX / 10u,     UINT64_MAX / 100u,     UINT64_MAX / 1000u,
    UINT64_MAX / 10000u, UINT64_MAX / 100000u, UINT64_MAX / 1000000u, UINT64_MAX / 10000000u};

/* Appends the digits at p to *w, which is below 10^10. Returns how many, or -1 when they are 24 or
 * more or do not fit. Reads 24 bytes at most. */
static inline int take_digits(const char *p, uint64_t *w)
{
    uint64_t x, v = *w;
    int n = count_digits(p, &x), taken = n;
    if (n == 8) {
        v = v * 100000000u + combine(x);
        n = count_digits(p + 8, &x);
        taken += n;
        if (n == 8) {
            if (v >= 10000000000u)
                return -1;
            v = v * 100000000u + combine(x);
            n = count_digits(p + 16, &x);
            taken += n;
            if (n == 8)
                return -1;
        }
    }
    if (v >= room_for[n])
        return -1;
    v = v * sl_pow10_u64[n] + combine(first_values(x, n));
    *w = v;
    return taken;
}

/* How many bytes read_decimal may look at. */
enum { SAFE = 64 };

/* An ordinary number token, with SAFE bytes readable from p on. NULL for whatever is not ordinary:
 * no number, more digits than 64 bits hold, an exponent of more than two digits. */
static inline const char *read_decimal(const char *p, sl_decimal *d)
{
    d->negative = *p == '-';
    p += d->negative;
    uint64_t w, x;
    if (p[1] == '.') { /* the usual case, which a branch predicts: the next load need not wait */
        w = (unsigned char)(*p - '0');
        if (w > 9)
            return NULL;
        p++;
    } else {
        int whole = count_digits(p, &x);
        if (whole == 0 || ((x & 0xFF) == 0 && whole > 1)) /* no number, or a leading zero */
            return NULL;
        if (whole < 8) {
            w = combine(first_values(x, whole));
        } else {
            w = 0;
            whole = take_digits(p, &w);
            if (whole < 0 || whole > 18)
                return NULL;
        }
        p += whole;
    }
    int q = 0;
    d->real = false;
    if (*p == '.') {
        int n = w < 10000000000u ? take_digits(p + 1, &w) : -1;
        if (n <= 0)
            return NULL;
        p += 1 + n;
        q = -n;
        d->real = true;
    }
    if ((*p | 0x20) == 'e') {
        p++;
        bool minus = *p == '-';
        p += minus || *p == '+';
        if (!is_digit(p[0]))
            return NULL;
        int e = *p++ - '0';
        if (is_digit(*p))
            e = e * 10 + (*p++ - '0');
        if (is_digit(*p))
            return NULL;
        q += minus ? -e : e;
        d->real = true;
    }
    d->negative &= d->real | (w != 0); /* "-0" is the integer 0 */
    d->w = w;
    d->q = q;
    return p;
}

/* ---- any token, by the grammar ---- */

static const char *fail(const char *why, const char *there, const char **error, const char **where)
{
    *error = why;
    *where = there;
    return NULL;
}

/* "NaN", "Inf", "Infinity" behind an optional minus. */
static const char *read_special(const char *p, const char *end, bool negative, sl_number *out,
                                const char **error, const char **where)
{
    static const char nan[] = "NaN", inf[] = "Infinity";
    const char *word = at(p, end) == 'N' ? nan : inf;
    size_t n = 0;
    while (word[n] && at(p + n, end) == word[n])
        n++;
    bool short_inf = word == inf && n == 3;
    if (word[n] != '\0' && !short_inf)
        return fail(invalid_value, p + n, error, where);
    out->kind = SL_NUMBER_DOUBLE;
    out->d = word == nan ? __builtin_nan("") : negative ? -__builtin_inf() : __builtin_inf();
    return p + n;
}

static const char *skip_digits(const char *p, const char *end)
{
    while (p < end && is_digit(*p))
        p++;
    return p;
}

/* Would the integer digits alone be too big? The original multiplies on until it notices. */
static bool integer_too_big(const char *p, const char *end)
{
    double v = 0;
    for (; p < end; p++) {
        if (v >= 1.7976931348623157e307)
            return true;
        v = v * 10 + (*p - '0');
    }
    return false;
}

/* How many of the digits behind the point the original takes into account before it looks at the
 * exponent: those that still fit 2^53, then up to 17 significant ones. */
static int fraction_used(const char *p, size_t n_int, const char *point, const char *end)
{
    uint64_t v = 0;
    int significant = (int)(n_int < 32 ? n_int : 32) - 1, used = 0;
    bool wide = n_int > 19, positive = false;
    for (size_t i = 0; i < n_int && !wide; i++)
        v = v * 10 + (uint64_t)(p[i] - '0');
    positive = wide || v > 0;
    for (const char *f = point + 1; f < end; f++) {
        bool fits = !wide && v <= (((uint64_t)1 << 53) - 1);
        if (!fits && significant >= 17)
            break;
        if (fits)
            v = v * 10 + (uint64_t)(*f - '0');
        else
            wide = true;
        positive |= *f != '0';
        used++;
        significant += positive;
    }
    return used;
}

/* The integer token of `n` digits at p, if it has one of the two integer kinds. */
static bool read_integer(const char *p, size_t n, bool negative, sl_number *out)
{
    uint64_t v = 0;
    if (n > 20)
        return false;
    for (size_t i = 0; i < n; i++)
        if (__builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(p[i] - '0'), &v))
            return false;
    if (v > (uint64_t)INT64_MAX + negative) {
        if (negative)
            return false;
        *out = (sl_number){.kind = SL_NUMBER_UINT, .u = v, .d = (double)v};
        return true;
    }
    int64_t i = negative ? (int64_t)(0 - v) : (int64_t)v;
    *out = (sl_number){.kind = SL_NUMBER_INT, .i = i, .u = (uint64_t)i, .d = (double)i};
    return true;
}

/* The exponent at p ('e'), cut at 100000. Returns where it ends or NULL if it has no digits. */
static const char *read_exponent(const char *p, const char *end, int *exponent, const char **stop)
{
    p++;
    bool minus = at(p, end) == '-';
    if (minus || at(p, end) == '+')
        p++;
    *stop = p;
    if (!is_digit(at(p, end)))
        return NULL;
    int e = 0;
    for (; is_digit(at(p, end)); p++)
        if (e < 100000000)
            e = e * 10 + (*p - '0');
    *exponent = minus ? -e : e;
    return p;
}

static const char *read_any(const char *begin, const char *end, sl_number *out, const char **error,
                            const char **where)
{
    static const char too_big[] = "Number too big to be stored in double.";
    bool negative = at(begin, end) == '-';
    const char *first = begin + negative, *p = first;
    char c = at(p, end);
    if (c == 'N' || c == 'I')
        return read_special(p, end, negative, out, error, where);
    if (!is_digit(c))
        return fail(invalid_value, p, error, where);
    p = c == '0' ? p + 1 : skip_digits(p, end);
    const char *point = p;
    c = at(p, end);
    if (c != '.' && (c | 0x20) != 'e' && read_integer(first, (size_t)(p - first), negative, out))
        return p;
    if (integer_too_big(first, point))
        return fail(too_big, begin, error, where);
    if (c == '.') {
        if (!is_digit(at(p + 1, end)))
            return fail("Miss fraction part in number.", p + 1, error, where);
        p = skip_digits(p + 1, end);
    }
    const char *mark = p, *stop;
    int exponent = 0;
    if ((at(p, end) | 0x20) == 'e') {
        p = read_exponent(p, end, &exponent, &stop);
        if (p == NULL)
            return fail("Miss exponent in number.", stop, error, where);
        if (exponent > 308 &&
            exponent > 308 + fraction_used(first, (size_t)(point - first), point, mark))
            return fail(too_big, begin, error, where);
    }
    *out = (sl_number){.kind = SL_NUMBER_DOUBLE, .d = sl_number_exact(begin, p)};
    return p;
}

/* read_decimal where less than SAFE bytes are left, as in most small requests: in a copy with zeros
 * behind, which end a token as the end of the text does. */
static const char *read_last_decimal(const char *p, const char *end, sl_decimal *d)
{
    char copy[2 * SAFE] = {0};
    memcpy(copy, p, (size_t)(end - p));
    const char *q = read_decimal(copy, d);
    return q ? p + (q - copy) : NULL;
}

static inline const char *read_ordinary(const char *p, const char *end, sl_decimal *d)
{
    return end - p >= SAFE ? read_decimal(p, d) : read_last_decimal(p, end, d);
}

const char *sl_number_read(const char *p, const char *end, sl_number *out, const char **error,
                           const char **where)
{
    sl_decimal d;
    const char *q = read_ordinary(p, end, &d);
    if (q == NULL)
        return read_any(p, end, out, error, where);
    if (!d.real) { /* 18 digits at most */
        int64_t i = d.negative ? -(int64_t)d.w : (int64_t)d.w;
        *out = (sl_number){.kind = SL_NUMBER_INT, .i = i, .u = (uint64_t)i, .d = (double)i};
        return q;
    }
    *out = (sl_number){.kind = SL_NUMBER_DOUBLE};
    if (!sl_decimal_to_double(&d, &out->d))
        out->d = sl_number_exact(p, q);
    return q;
}

const char *sl_number_read_float(const char *p, const char *end, float *out)
{
    sl_decimal d;
    const char *q = read_ordinary(p, end, &d);
    if (q != NULL && sl_decimal_to_float(&d, out))
        return q;
    sl_number n;
    const char *error, *where;
    q = sl_number_read(p, end, &n, &error, &where);
    if (q != NULL)
        *out = (float)n.d;
    return q;
}
