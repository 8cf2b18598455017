/*
 * base64.h - base64 as TensorFlow Serving takes and gives it
 *
 * Standard alphabet. Reading: ASCII white space is skipped, '.' counts as '=', padding may be left
 * out but if it is there it must be right. Writing: with padding. Source: rest.md 6.6.
 */
#ifndef SL_FORMAT_BASE64_H
#define SL_FORMAT_BASE64_H

#include "base/str.h"

/* Checks `text` and counts the bytes that it stands for. */
bool sl_base64_check(sl_str text, size_t *n);
/* Decodes valid text; returns how many bytes it wrote. `out` may be text's own bytes. */
size_t sl_base64_decode(sl_str text, char *out);

/* Bytes of the text for n bytes; 0 for none, SIZE_MAX if it does not fit. */
size_t sl_base64_size(size_t n);
/* Returns one past the last byte written. Pieces whose size is a multiple of 3 may be joined. */
char *sl_base64_encode(sl_str bytes, char *out);

/* base64url without padding, RFC 4648 section 5, as JSON Web Tokens have it. Strict: no other
 * character, no bit set behind the last byte. Decodes into `out`, which has room for
 * text.n / 4 * 3 + 2 bytes; false if the text is malformed. */
bool sl_base64url_decode(sl_str text, char *out, size_t *n);

#endif
