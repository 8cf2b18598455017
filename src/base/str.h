/*
 * str.h - bytes with a length, and text that grows
 *
 * sl_str (sluice/tensor.h) points at bytes that somebody else owns. sl_text owns its bytes and
 * grows; when memory runs out it stays as it is and remembers that it failed, so a writer checks
 * once, at the end.
 */
#ifndef SL_BASE_STR_H
#define SL_BASE_STR_H

#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include "sluice/tensor.h"

#define SL_STR(literal) ((sl_str){"" literal, sizeof(literal) - 1})
/* For printf's "%.*s". Cut at 4096 bytes: quoted culprits need no more. */
#define SL_STR_ARG(s) sl_str_arg_n(s), sl_str_arg_p(s)

static inline int sl_str_arg_n(sl_str s)
{
    return (int)(s.n > 4096 ? 4096 : s.n);
}
static inline const char *sl_str_arg_p(sl_str s)
{
    return s.n ? s.p : "";
}

static inline sl_str sl_str_of(const char *s)
{
    return (sl_str){s, strlen(s)};
}
static inline bool sl_str_eq(sl_str a, sl_str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
static inline bool sl_str_is(sl_str a, const char *b)
{
    return sl_str_eq(a, sl_str_of(b));
}
static inline bool sl_str_starts(sl_str s, const char *prefix)
{
    size_t n = strlen(prefix);
    return s.n >= n && memcmp(s.p, prefix, n) == 0;
}
/* ASCII letters only. */
bool sl_str_eq_nocase(sl_str a, sl_str b);
/* Bytewise, as memcmp, then by length. */
int sl_str_cmp(sl_str a, sl_str b);
/* Whole text, decimal, optional '-': false if it is anything else or does not fit. */
bool sl_str_to_int64(sl_str s, int64_t *out);

typedef struct sl_text {
    char *p; /* terminated as soon as anything was added; NULL when empty */
    size_t n, cap;
    bool failed; /* memory ran out somewhere; p is what was written until then */
} sl_text;

void sl_text_add(sl_text *t, const char *p, size_t n);
void sl_text_puts(sl_text *t, const char *s);
void sl_text_putc(sl_text *t, char c);
void sl_text_printf(sl_text *t, const char *fmt, ...) SL_PRINTF(2, 3);
void sl_text_fini(sl_text *t);

/* Hash for tables whose keys a stranger chose: seeded once per process. Any of its bits will do. */
uint64_t sl_hash(const void *p, size_t n);
/* The same with a seed of one's own. */
uint64_t sl_hash_seeded(uint64_t seed, const void *p, size_t n);

#endif
