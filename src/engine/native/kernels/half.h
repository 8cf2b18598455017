/*
 * half.h - half and bfloat16 to float and back, rounding to nearest even as TensorFlow does
 */
#ifndef SL_ENGINE_NATIVE_KERNELS_HALF_H
#define SL_ENGINE_NATIVE_KERNELS_HALF_H

#include <stddef.h>
#include <stdint.h>

#include "engine/native/kernels/vmath.h"
#include "sluice/tensor.h"

SL_INLINE float sl_bf16_to_float(uint16_t v)
{
    return sl_float((uint32_t)v << 16);
}

SL_INLINE uint16_t sl_float_to_bf16(float f)
{
    uint32_t u = sl_bits(f);
    uint32_t rounded = (u + 0x7fffu + (u >> 16 & 1)) >> 16;
    return f != f ? (uint16_t)(0x7fc0u | (u >> 16 & 0x8000u)) : (uint16_t)rounded;
}

/* The exponent is moved by a multiplication, which also makes subnormal numbers right. */
SL_INLINE float sl_half_to_float(uint16_t h)
{
    uint32_t magnitude = (uint32_t)(h & 0x7fffu) << 13;
    float f = sl_float(magnitude) * 0x1p112f;
    uint32_t u = magnitude >= 0x0f800000u ? magnitude | 0x7f800000u : sl_bits(f);
    return sl_float(u | (uint32_t)(h & 0x8000u) << 16);
}

SL_INLINE uint16_t sl_float_to_half(float f)
{
    uint32_t u = sl_bits(f), sign = u >> 16 & 0x8000u, a = u & 0x7fffffffu, r;
    if (a >= 0x47800000u) /* 65536 and more, infinity, NaN */
        r = a > 0x7f800000u ? 0x7e00u : 0x7c00u;
    else if (a < 0x38800000u) /* subnormal: adding 0.5 leaves the rounded bits at the end */
        r = sl_bits(sl_float(a) + 0.5f) - 0x3f000000u;
    else
        r = (a - 0x38000000u + 0xfffu + (a >> 13 & 1)) >> 13;
    return (uint16_t)(sign | r);
}

/* n numbers of dtype HALF or BFLOAT16. */
void sl_kernel_to_float(sl_dtype type, const void *from, float *to, int64_t n);
void sl_kernel_from_float(sl_dtype type, const float *from, void *to, int64_t n);

#endif
