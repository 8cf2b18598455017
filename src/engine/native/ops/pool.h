/* pool.h - what pools of pictures and of volumes do with the channels of one place */
#ifndef SL_ENGINE_NATIVE_OPS_POOL_H
#define SL_ENGINE_NATIVE_OPS_POOL_H

#include <stdint.h>

#include "sluice/tensor.h"

/* o[i] becomes the greater of o[i] and x[i] (what is not a number does not win), or their sum. */
void sl_pool_max(float *o, const float *x, int64_t n);
void sl_pool_sum(float *o, const float *x, int64_t n);

/* The greatest finite number of a dtype, as a float. */
float sl_pool_greatest(sl_dtype t);

#endif
