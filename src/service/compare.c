/* compare.c - see compare.h */
#include "service/compare.h"

#include <math.h>
#include <string.h>

#include "base/str.h"

static double half(uint16_t h)
{
    int exponent = h >> 10 & 31;
    double fraction = (h & 1023) / 1024.0, sign = h & 0x8000 ? -1 : 1;
    if (exponent == 31)
        return fraction != 0 ? NAN : sign * INFINITY;
    return sign * (exponent == 0 ? ldexp(fraction, -14) : ldexp(1 + fraction, exponent - 15));
}

static double bfloat16(uint16_t b)
{
    uint32_t bits = (uint32_t)b << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return (double)f;
}

/* Element i as a number. Complex ones count as two, which is why `i` may run to twice as far. */
static double number(const sl_tensor *t, int64_t i)
{
    switch (t->dtype) {
    case SL_DT_FLOAT:
    case SL_DT_COMPLEX64:
        return (double)((const float *)t->data)[i];
    case SL_DT_DOUBLE:
    case SL_DT_COMPLEX128:
        return ((const double *)t->data)[i];
    case SL_DT_HALF:
        return half(((const uint16_t *)t->data)[i]);
    case SL_DT_BFLOAT16:
        return bfloat16(((const uint16_t *)t->data)[i]);
    default:
        return 0;
    }
}

static int parts(sl_dtype t)
{
    switch (t) {
    case SL_DT_FLOAT:
    case SL_DT_DOUBLE:
    case SL_DT_HALF:
    case SL_DT_BFLOAT16:
        return 1;
    case SL_DT_COMPLEX64:
    case SL_DT_COMPLEX128:
        return 2;
    default:
        return 0; /* must be equal, bit by bit */
    }
}

static bool is_close(double expected, double got, double rtol, double atol)
{
    if (expected == got || (isnan(expected) && isnan(got)))
        return true;
    if (isinf(expected) || isinf(got))
        return false;
    return fabs(expected - got) <= atol + rtol * fabs(expected);
}

static void note(sl_difference *d, int64_t at)
{
    if (d->count++ == 0)
        d->first = at;
}

static void compare_numbers(const sl_tensor *a, const sl_tensor *b, int64_t count, double rtol,
                            double atol, sl_difference *d)
{
    for (int64_t i = 0; i < count; i++) {
        double x = number(a, i), y = number(b, i);
        if (is_close(x, y, rtol, atol))
            continue;
        note(d, i);
        if (d->count == 1) {
            d->expected = x;
            d->got = y;
        }
    }
}

static void compare_strings(const sl_tensor *a, const sl_tensor *b, int64_t count, sl_difference *d)
{
    const sl_str *x = a->data, *y = b->data;
    for (int64_t i = 0; i < count; i++)
        if (!sl_str_eq(x[i], y[i]))
            note(d, i);
}

static void compare_bytes(const sl_tensor *a, const sl_tensor *b, int64_t count, sl_difference *d)
{
    size_t size = sl_dtype_size(a->dtype);
    const char *x = a->data, *y = b->data;
    for (int64_t i = 0; i < count; i++)
        if (memcmp(x + (size_t)i * size, y + (size_t)i * size, size) != 0)
            note(d, i);
}

bool sl_tensor_compare(const sl_tensor *a, const sl_tensor *b, double rtol, double atol,
                       sl_difference *d)
{
    *d = (sl_difference){0};
    if (a->dtype != b->dtype) {
        d->what = "dtype";
        return false;
    }
    if (a->rank != b->rank || memcmp(a->dims, b->dims, (size_t)a->rank * sizeof a->dims[0]) != 0) {
        d->what = "shape";
        return false;
    }
    int64_t count = sl_tensor_count(a);
    if (parts(a->dtype))
        compare_numbers(a, b, count * parts(a->dtype), rtol, atol, d);
    else if (a->dtype == SL_DT_STRING)
        compare_strings(a, b, count, d);
    else
        compare_bytes(a, b, count, d);
    if (d->count > 0)
        d->what = "values";
    return d->count == 0;
}
