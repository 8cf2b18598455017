/*
 * matmul.h - a product of two matrices of any dtype that MatMul knows, for the ops that end in one
 */
#ifndef SL_ENGINE_NATIVE_OPS_MATMUL_H
#define SL_ENGINE_NATIVE_OPS_MATMUL_H

#include "engine/native/kernels/gemm.h"
#include "engine/native/op.h"

/* Bytes of scratch; RESOURCE_EXHAUSTED when they do not fit into memory at all. */
sl_code sl_matmul_scratch(const sl_gemm *g, sl_dtype t, size_t *bytes, sl_status *st);
/* c = a b; every element of c is written. */
void sl_matmul_run(const sl_gemm *g, sl_dtype t, const void *a, const void *b, void *c,
                   void *scratch);

#endif
