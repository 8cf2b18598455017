/*
 * binary.h - the row kernels of two operands
 */
#ifndef SL_ENGINE_NATIVE_OPS_BINARY_H
#define SL_ENGINE_NATIVE_OPS_BINARY_H

#include "engine/native/op.h"

/* Which side of a row is one number that stays. */
enum { SL_BINARY_BOTH, SL_BINARY_A_STAYS, SL_BINARY_B_STAYS };

/* out may be exactly a or b. */
typedef void (*sl_binary_fn)(const void *a, const void *b, void *out, int64_t n, int mode);

/* The kernel of an op for a dtype (not half, bfloat16), NULL if there is none; *to_bool: it writes
 * bool. */
sl_binary_fn sl_binary_kernel(const char *op, sl_dtype t, bool *to_bool);

/* What integer operands must satisfy (no division by zero, no negative exponent), or NULL. */
typedef sl_code (*sl_binary_check_fn)(const sl_op_call *c, sl_status *st);
sl_binary_check_fn sl_binary_check(const char *op);

#endif
