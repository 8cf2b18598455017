/* percent.h - "%41" in the path of a URL; RFC 3986 section 2.1 */
#ifndef SL_FORMAT_PERCENT_H
#define SL_FORMAT_PERCENT_H

#include "base/arena.h"
#include "base/str.h"

/* The value of a hexadecimal digit, or -1. */
int sl_hex(char c);
/* Decodes *s, into the arena if there is anything to decode. INVALID_ARGUMENT: an escape that is
 * none. RESOURCE_EXHAUSTED. *s is then as it was, and nothing is said: the caller knows what it is
 * about. */
sl_code sl_percent_decode(sl_str *s, sl_arena *arena) SL_MUST_CHECK;

#endif
