/*
 * vmath.h - exp, tanh, sigmoid, erf in float, written so that a loop over them is vectorised
 *
 * No branches, no calls, no conversions that could overflow: both sides of a choice are computed
 * and one is picked. Error at most 3 units in the last place (erfc beyond 5: 20); NaN stays NaN,
 * infinities and saturation are exact (sigmoid(-100) == 0). Coefficients: Chebyshev fits on the
 * ranges named.
 */
#ifndef SL_ENGINE_NATIVE_KERNELS_VMATH_H
#define SL_ENGINE_NATIVE_KERNELS_VMATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define SL_INLINE static inline __attribute__((always_inline))

SL_INLINE uint32_t sl_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    return u;
}

SL_INLINE float sl_float(uint32_t u)
{
    float f;
    memcpy(&f, &u, 4);
    return f;
}

/* e^x. Adding 1.5 * 2^23 rounds to an integer that stands in the low bits. */
SL_INLINE float sl_vexp(float x)
{
    const float magic = 12582912.0f;
    float c = x > 89.0f ? 89.0f : x;
    c = c < -104.0f ? -104.0f : c; /* NaN passes both */
    float t = c * 1.44269504f + magic;
    int32_t n = (int32_t)(sl_bits(t) - 0x4b400000u);
    float k = t - magic;
    float r = c - k * 0.693359375f; /* ln 2 in two parts, the first exact in few bits */
    r = r - k * -2.12194440e-4f;
    float p = 0.00139345445f;
    p = p * r + 0.00836377647f;
    p = p * r + 0.0416664568f;
    p = p * r + 0.166665734f;
    p = p * r + 0.500000001f;
    p = p * (r * r) + r + 1.0f;
    /* 2^n in two factors, so that results below the smallest normal number come out right. */
    int32_t h = n >> 1;
    float s1 = sl_float((uint32_t)(h + 127) << 23);
    float s2 = sl_float((uint32_t)(n - h + 127) << 23);
    return p * s1 * s2;
}

SL_INLINE float sl_vsigmoid(float x)
{
    return 1.0f / (1.0f + sl_vexp(-x));
}

SL_INLINE float sl_vtanh(float x)
{
    float a = fabsf(x), z = x * x;
    float p = 0.00215389172f;
    p = p * z - 0.00821279096f;
    p = p * z + 0.021726023f;
    p = p * z - 0.0539536118f;
    p = p * z + 0.13333278f;
    p = p * z - 0.33333333f;
    float small = x + x * (z * p);
    float big = 1.0f - 2.0f / (sl_vexp(2.0f * (a > 10.0f ? 10.0f : a)) + 1.0f);
    big = sl_float(sl_bits(big) | (sl_bits(x) & 0x80000000u));
    return a < 0.65f ? small : x != x ? x : big;
}

/* |x| < 1: x P(x^2). */
SL_INLINE float sl_verf_small(float x)
{
    float z = x * x;
    float p = -9.6735907e-06f;
    p = p * z + 0.000112682538f;
    p = p * z - 0.000848439654f;
    p = p * z + 0.00522105341f;
    p = p * z - 0.0268654383f;
    p = p * z + 0.112837826f;
    p = p * z - 0.376126385f;
    p = p * z + 1.12837917f;
    return x * p;
}

/* |x| in [1, 4]: 1 - e^-Q(|x|), where Q = -log erfc. */
SL_INLINE float sl_verf(float x)
{
    float a = fabsf(x);
    float c = a > 4.0f ? 4.0f : a;
    float q = -8.86250205e-07f;
    q = q * c + 1.42028497e-05f;
    q = q * c - 7.74429025e-05f;
    q = q * c - 4.57289706e-05f;
    q = q * c + 0.00320936539f;
    q = q * c - 0.0235710027f;
    q = q * c + 0.106656202f;
    q = q * c + 0.634417456f;
    q = q * c + 1.12911201f;
    q = q * c - 0.000108661257f;
    float big = 1.0f - sl_vexp(-q);
    big = sl_float(sl_bits(big) | (sl_bits(x) & 0x80000000u));
    return a < 1.0f ? sl_verf_small(x) : x != x ? x : big;
}

/* |x| in [0.5, 10]: e^(-x^2) R(t) t, t = 1 / (1 + |x| / 2); x^2 in two parts, as its error counts.
 */
SL_INLINE float sl_verfc(float x)
{
    float a = fabsf(x);
    float c = a > 10.1f ? 10.1f : a;
    float t = 1.0f / (1.0f + 0.5f * c);
    float r = 0.0617923908f;
    r = r * t - 0.324554125f;
    r = r * t + 0.681657782f;
    r = r * t - 0.678353211f;
    r = r * t + 0.298272754f;
    r = r * t - 0.139510487f;
    r = r * t + 0.118887086f;
    r = r * t + 0.170132941f;
    r = r * t + 0.247534462f;
    r = r * t + 0.282048353f;
    r = r * t + 0.282096151f;
    float high = sl_float(sl_bits(c) & 0xfffff000u);
    float low = (c - high) * (c + high);
    float e = sl_vexp(-high * high) * (1.0f - low * (1.0f - low * (0.5f - low * 0.166666667f)));
    float tail = e * (r * t) * 1.0f;
    tail = a > 10.1f ? 0.0f : tail;
    float big = x < 0.0f ? 2.0f - tail : tail;
    return a < 0.5f ? 1.0f - sl_verf_small(x) : x != x ? x : big;
}

/* log(1 + e^x) without loss on either side. */
SL_INLINE float sl_vsoftplus(float x)
{
    return x > 15.0f ? x + sl_vexp(-x) : x < -15.0f ? sl_vexp(x) : log1pf(expf(x));
}

#endif
