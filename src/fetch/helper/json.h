/* json.h - single members of the small JSON documents that metadata servers and Google send */
#ifndef SL_FETCH_HELPER_JSON_H
#define SL_FETCH_HELPER_JSON_H

#include "base/str.h"

/* The string at a dotted path of member names ("error.message"), unescaped and terminated; NULL if
 * there is none, or it holds a zero byte, or is longer than 64 KiB. Freed with sl_free. */
char *fetch_json_string(sl_str document, const char *path);
/* A whole number there, also one written as a string; false if there is none. */
bool fetch_json_int(sl_str document, const char *path, int64_t *out);

/* Is there anything at that path but null? */
bool fetch_json_has(sl_str document, const char *path);

/* Calls fn with the text of each element of an array at `path`; false from it ends the walk. Is the
 * whole document valid JSON? */
bool fetch_json_each(sl_str document, const char *path, bool (*fn)(void *arg, sl_str element),
                     void *arg);

#endif
