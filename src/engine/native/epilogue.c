/*
 * epilogue.c - scale, bias and activation on an output that has just been written
 *
 * Row by row, so that a row is still in the first-level cache when the next thing is done to it.
 */
#include "engine/native/plan.h"

#if defined(__GNUC__) && !defined(__clang__)
#define FAST __attribute__((optimize("O3")))
#else
#define FAST
#endif

FAST static void scale_row(float *restrict y, const float *restrict scale,
                           const float *restrict bias, int64_t n)
{
    for (int64_t i = 0; i < n && bias != NULL; i++)
        y[i] = y[i] * scale[i] + bias[i];
    for (int64_t i = 0; i < n && bias == NULL; i++)
        y[i] *= scale[i];
}

FAST static void add_row(float *restrict y, const float *restrict bias, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] += bias[i];
}

/* A NaN stays a NaN: the comparison is false and the value is kept. */
FAST static void relu(float *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = y[i] < 0 ? 0 : y[i];
}

FAST static void relu6(float *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        float v = y[i] < 0 ? 0 : y[i];
        y[i] = v > 6 ? 6 : v;
    }
}

void sl_epilogue_run(const sl_epilogue *e, const sl_tensor *t)
{
    int64_t count = (int64_t)(t->size / sizeof(float));
    int64_t n = e->scale || e->bias ? e->channels : count;
    float *y = t->data;
    for (int64_t at = 0; at < count; at += n, y += n) {
        if (e->scale != NULL)
            scale_row(y, e->scale, e->bias, n);
        else if (e->bias != NULL)
            add_row(y, e->bias, n);
        if (e->act == SL_ACT_RELU)
            relu(y, n);
        else if (e->act == SL_ACT_RELU6)
            relu6(y, n);
    }
}
