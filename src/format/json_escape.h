/*
 * json_escape.h - a string as JSON text
 *
 * Two dialects: RapidJSON's (rest.md 7.4: \b \f \n \r \t, other controls \u00XX in upper case) and
 * protobuf's (rest.md 4: lower case, and '<', '>', 0x7f too). Bytes from 0x80 on are copied as they
 * are.
 */
#ifndef SL_FORMAT_JSON_ESCAPE_H
#define SL_FORMAT_JSON_ESCAPE_H

#include "base/chain.h"
#include "base/str.h"

typedef enum sl_json_dialect { SL_JSON_RAPID, SL_JSON_PROTOBUF } sl_json_dialect;

/* Writes s without quotes; `out` has room for 6 * s.n bytes. Returns one past the last byte. */
char *sl_json_escape(sl_json_dialect dialect, sl_str s, char *out);

/* Append s with its quotes. */
void sl_json_escape_text(sl_json_dialect dialect, sl_str s, sl_text *out);
void sl_json_escape_chain(sl_json_dialect dialect, sl_str s, sl_chain *out);

#endif
