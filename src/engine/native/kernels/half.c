/*
 * half.c - half and bfloat16 to float and back
 */
#include "engine/native/kernels/half.h"

void sl_kernel_to_float(sl_dtype type, const void *from, float *to, int64_t n)
{
    const uint16_t *f = from;
    if (type == SL_DT_HALF)
        for (int64_t i = 0; i < n; i++)
            to[i] = sl_half_to_float(f[i]);
    else
        for (int64_t i = 0; i < n; i++)
            to[i] = sl_bf16_to_float(f[i]);
}

void sl_kernel_from_float(sl_dtype type, const float *from, void *to, int64_t n)
{
    uint16_t *t = to;
    if (type == SL_DT_HALF)
        for (int64_t i = 0; i < n; i++)
            t[i] = sl_float_to_half(from[i]);
    else
        for (int64_t i = 0; i < n; i++)
            t[i] = sl_float_to_bf16(from[i]);
}
