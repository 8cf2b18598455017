/*
 * textpb.h - protobuf's text form, read over descriptors into the wire form
 *
 * Written once for every message: what a field is called, of which type it is and what is inside it
 * comes from protobuf-c's descriptors.
 *
 *     sl_text wire = {0};
 *     rc = sl_textpb_parse(text, &tensorflow__serving__model_server_config__descriptor, NULL, 0,
 * &wire, st);
 *
 * Understood: `field: value`, `field { }`, `field: { }`, `field < >`; fields separated by blanks,
 * one comma or one semicolon; # comments; lists [a, b] of values and of messages; strings in either
 * quote with C escapes, neighbours joined; enums by name or number; true, false, t, f, True, False,
 * 1, 0; integers in decimal, hex and octal; inf, nan; maps as repeated { key: value: }; Any in its
 * expanded form [type.googleapis.com/pkg.Msg] { } for the types in `known`.
 *
 * Nothing recurses; messages nest at most 100 deep.
 *
 * Source: protobuf.dev/reference/protobuf/textformat-spec; config.md section 1.
 */
#ifndef SL_FORMAT_TEXTPB_H
#define SL_FORMAT_TEXTPB_H

#include <protobuf-c/protobuf-c.h>

#include "base/str.h"

enum { SL_TEXTPB_DEPTH = 100 };

/*
 * Appends the wire form of the message that `text` spells to *out (which the caller frees, also
 * after a failure). Repeated numbers are written one by one, not packed. INVALID_ARGUMENT
 * "<line>:<column>: <what is wrong>", both from 1; a column is a character RESOURCE_EXHAUSTED  out
 * of memory
 */
sl_code sl_textpb_parse(sl_str text, const ProtobufCMessageDescriptor *type,
                        const ProtobufCMessageDescriptor *const *known, int n_known, sl_text *out,
                        sl_status *st);

#endif
