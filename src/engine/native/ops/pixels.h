/*
 * pixels.h - elements of any number type as floats, a few at a time
 */
#ifndef SL_ENGINE_NATIVE_OPS_PIXELS_H
#define SL_ENGINE_NATIVE_OPS_PIXELS_H

#include "engine/native/kernels/half.h"
#include "engine/native/ops/ops.h"

/* What sl_pixels can read. */
#define SL_T_PIXELS                                                                        \
    (SL_T(FLOAT) | SL_T(HALF) | SL_T(BFLOAT16) | SL_T(DOUBLE) | SL_T(UINT8) | SL_T(INT8) | \
     SL_T(UINT16) | SL_T(INT16) | SL_T(INT32) | SL_T(INT64))

enum { SL_PIXELS = 64 }; /* elements of a buffer */

/* Elements [at, at + n) of t, n <= SL_PIXELS: where they lie, or converted into `buffer`. */
static inline const float *sl_pixels(const sl_tensor *t, int64_t at, int64_t n, float *buffer)
{
    switch (t->dtype) {
    case SL_DT_FLOAT:
        return (const float *)t->data + at;
    case SL_DT_HALF:
    case SL_DT_BFLOAT16:
        sl_kernel_to_float(t->dtype, (const uint16_t *)t->data + at, buffer, n);
        return buffer;
    case SL_DT_DOUBLE:
        for (int64_t i = 0; i < n; i++)
            buffer[i] = (float)((const double *)t->data)[at + i];
        return buffer;
    case SL_DT_UINT8:
        for (int64_t i = 0; i < n; i++)
            buffer[i] = ((const uint8_t *)t->data)[at + i];
        return buffer;
    default:
        for (int64_t i = 0; i < n; i++)
            buffer[i] = (float)sl_ops_int(t, at + i);
        return buffer;
    }
}

/* The shape of out[0] for an image in[0] [n, h, w, c] that gets the height and width in[1]; both have been
 * checked to be of that rank. */
sl_code sl_pixels_resized(sl_op_call *c, sl_status *st);

#endif
