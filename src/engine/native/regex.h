/*
 * regex.h - regular expressions, as TensorFlow has them: RE2's
 *
 * RE2 takes time linear in the text and bounded memory whatever the pattern, so patterns and texts
 * may come from anybody. Only where the library was there when this was built (SLUICE_RE2).
 */
#ifndef SL_ENGINE_NATIVE_REGEX_H
#define SL_ENGINE_NATIVE_REGEX_H

#include <stdbool.h>
#include <stddef.h>

#include "sluice/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sl_regex sl_regex;

/* NULL: the pattern is wrong, and `why` says how; an empty `why`: no memory. Immutable, any thread
 * may use it. */
sl_regex *sl_regex_new(sl_str pattern, char *why, size_t size);
void sl_regex_free(sl_regex *r); /* accepts NULL */

/* Does the whole text match? Not if there is no memory. */
bool sl_regex_matches(const sl_regex *r, sl_str text);

/*
 * `text` with the first match, or all of them, replaced; \1 in `rewrite` is the first group. Calls
 * `take` once with the result, which is gone when it returns. False: no memory, or take said so.
 */
bool sl_regex_replace(const sl_regex *r, sl_str text, sl_str rewrite, bool all,
                      bool (*take)(void *arg, sl_str result), void *arg);

#ifdef __cplusplus
}
#endif

#endif
