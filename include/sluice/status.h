/*
 * status.h - how an operation says that it failed, and why
 *
 * A function that can fail returns an sl_code: SL_OK (zero), or one of the canonical codes that
 * gRPC and TensorFlow share. The reason goes into the caller's sl_status. A request owns exactly
 * one sl_status, so reporting an error allocates nothing and still works when memory has run out.
 *
 * Messages start in lower case, say what is wrong first, quote the culprit and have no full stop,
 * except where a client of TensorFlow Serving may depend on another text.
 */
#ifndef SLUICE_STATUS_H
#define SLUICE_STATUS_H

#include <stdarg.h>
#include <stddef.h>

#define SL_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define SL_MUST_CHECK __attribute__((warn_unused_result))

/* code, number, and the name that TensorFlow Serving shows */
#define SL_CODES(X)                                     \
    X(SL_OK, 0, "OK")                                   \
    X(SL_CANCELLED, 1, "CANCELLED")                     \
    X(SL_UNKNOWN, 2, "UNKNOWN")                         \
    X(SL_INVALID_ARGUMENT, 3, "INVALID_ARGUMENT")       \
    X(SL_DEADLINE_EXCEEDED, 4, "DEADLINE_EXCEEDED")     \
    X(SL_NOT_FOUND, 5, "NOT_FOUND")                     \
    X(SL_ALREADY_EXISTS, 6, "ALREADY_EXISTS")           \
    X(SL_PERMISSION_DENIED, 7, "PERMISSION_DENIED")     \
    X(SL_RESOURCE_EXHAUSTED, 8, "RESOURCE_EXHAUSTED")   \
    X(SL_FAILED_PRECONDITION, 9, "FAILED_PRECONDITION") \
    X(SL_ABORTED, 10, "ABORTED")                        \
    X(SL_OUT_OF_RANGE, 11, "OUT_OF_RANGE")              \
    X(SL_UNIMPLEMENTED, 12, "UNIMPLEMENTED")            \
    X(SL_INTERNAL, 13, "INTERNAL")                      \
    X(SL_UNAVAILABLE, 14, "UNAVAILABLE")                \
    X(SL_DATA_LOSS, 15, "DATA_LOSS")                    \
    X(SL_UNAUTHENTICATED, 16, "UNAUTHENTICATED")

typedef enum sl_code {
#define X(code, number, name) code = number,
    SL_CODES(X)
#undef X
} sl_code;

typedef struct sl_status {
    sl_code code;
    char msg[1024];   /* sent to the client; always terminated */
    const char *more; /* the rest of a longer message, in the request's arena, or NULL: REST sends
                         it all, gRPC cuts at 1024 bytes and appends "...TRUNCATED" */
} sl_status;

/* Records the failure and returns `code`, so that a caller can `return sl_fail(...)`. A message of
 * more than 1023 bytes is cut. `st` may be NULL: then only the code is kept. A failure is never
 * SL_OK: who says so gets SL_INTERNAL. */
sl_code sl_fail(sl_status *st, sl_code code, const char *fmt, ...) SL_PRINTF(3, 4);
sl_code sl_vfail(sl_status *st, sl_code code, const char *fmt, va_list ap) SL_PRINTF(3, 0);

/* Puts text in front of the message that is there and keeps the code:
 * sl_wrap(st, "model \"%s\": ", name). Returns st->code, never SL_OK. What no longer fits is cut at the end. */
sl_code sl_wrap(sl_status *st, const char *fmt, ...) SL_PRINTF(2, 3);

/* Tells compilers and analyzers the same of these and of others that only ever fail. */
static inline sl_code sl_failed(sl_code code)
{
    if (code == SL_OK)
        __builtin_unreachable();
    return code;
}
#define sl_fail(...) sl_failed(sl_fail(__VA_ARGS__))
#define sl_wrap(...) sl_failed(sl_wrap(__VA_ARGS__))

/* "INVALID_ARGUMENT"; "UNKNOWN" for a number that is no code. Never NULL. */
const char *sl_code_name(sl_code code);

#endif
