/* codec_c.h - what json_codec.cc measures, behind a C interface that C++ can include */
#ifndef BENCH_CODEC_C_H
#define BENCH_CODEC_C_H

#include <stddef.h>

/* Decodes a request with one float input; copies the tensor to `copy` unless it is NULL. Returns
 * how many elements there were. */
size_t bench_decode(const char *text, size_t n, float *copy);
/* Encodes [n / 1000, 1000] floats in row format; returns the size of the text. */
size_t bench_encode(float *v, size_t n);
/* One small request: decoded, answered with its own input, released. */
void bench_small_request(void);

#endif
