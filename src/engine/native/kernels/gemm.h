/*
 * gemm.h - small and medium matrix products: C = A B (+ C)
 *
 * Matrices are given by a pointer and two strides, so that a transposed operand is only a matter of
 * swapping strides. C is row-major. The kernel for the machine (AVX-512, AVX2 with FMA, or plain
 * vectors) is chosen once.
 */
#ifndef SL_ENGINE_NATIVE_KERNELS_GEMM_H
#define SL_ENGINE_NATIVE_KERNELS_GEMM_H

#include <stddef.h>
#include <stdint.h>

typedef struct sl_gemm {
    int64_t m, n, k;
    int64_t a_row, a_col; /* strides of A [m,k], in elements */
    int64_t b_row, b_col; /* of B [k,n]; one of the two is 1 */
    int64_t c_row;        /* of C [m,n] */
} sl_gemm;

/* Bytes of scratch that the product wants, aligned to 64; may be 0. */
size_t sl_kernel_gemm_scratch(const sl_gemm *g, size_t element);

void sl_kernel_sgemm(const sl_gemm *g, const float *a, const float *b, float *c, void *scratch);
void sl_kernel_dgemm(const sl_gemm *g, const double *a, const double *b, double *c, void *scratch);

#endif
