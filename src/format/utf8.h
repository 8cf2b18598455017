/*
 * utf8.h - is this text UTF-8? its characters one by one
 *
 * Source: RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
 */
#ifndef SL_FORMAT_UTF8_H
#define SL_FORMAT_UTF8_H

#include "base/str.h"

bool sl_utf8_ok(sl_str s);

/* The character at the front of s, which is not empty: sets *c, returns how many bytes it has. No
 * character begins there: *c is -1, and the bytes are those that decoders replace by one U+FFFD
 * (the longest beginning of a character, or one byte). */
size_t sl_utf8_take(sl_str s, int32_t *c);
/* Writes a character in [0, 0x10ffff] to `to`, which has room for four bytes; returns how many. */
size_t sl_utf8_put(int32_t c, char *to);

#endif
