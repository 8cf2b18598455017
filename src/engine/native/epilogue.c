/* epilogue.c - bias and activation on an output that has just been written */
#include "engine/native/plan.h"

static void add_bias(float *y, int64_t rows, const float *bias, int64_t n)
{
    for (int64_t r = 0; r < rows; r++, y += n)
        for (int64_t i = 0; i < n; i++)
            y[i] += bias[i];
}

/* A NaN stays a NaN: the comparison is false and the value is kept. */
static void relu(float *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = y[i] < 0 ? 0 : y[i];
}

static void relu6(float *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        float v = y[i] < 0 ? 0 : y[i];
        y[i] = v > 6 ? 6 : v;
    }
}

void sl_epilogue_run(const sl_epilogue *e, const sl_tensor *t)
{
    int64_t n = (int64_t)(t->size / sizeof(float));
    if (e->bias != NULL)
        add_bias(t->data, n / e->channels, e->bias, e->channels);
    if (e->act == SL_ACT_RELU)
        relu(t->data, n);
    else if (e->act == SL_ACT_RELU6)
        relu6(t->data, n);
}
