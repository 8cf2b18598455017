/*
 * fail.h - error messages of the JSON codec
 *
 * A message is composed in an sl_text, since it may quote any amount of the request, and then
 * becomes the request's status: what does not fit there goes into the arena (st->more).
 */
#ifndef SL_CODEC_FAIL_H
#define SL_CODEC_FAIL_H

#include "base/arena.h"
#include "format/json.h"

/* INVALID_ARGUMENT "JSON Parse error: <text> at offset: <n>". j->error is set. */
sl_code sl_json_fail_syntax(const sl_json *j, sl_status *st);
/* INVALID_ARGUMENT: `before`, the dump of the value at `at`, `after`. */
sl_code sl_json_fail_dump(sl_arena *arena, sl_status *st, const char *before, const char *at,
                          const char *end, const char *after);
/* The text becomes the status; it is given up. */
sl_code sl_json_fail_text(sl_arena *arena, sl_status *st, sl_code code, sl_text *message);

/* Common to all requests. Empty body, syntax, root not an object: these fail. Otherwise j stands
 * inside the root object. */
sl_code sl_json_open_root(sl_json *j, sl_str body, int max_depth, sl_arena *arena, sl_status *st);

#endif
