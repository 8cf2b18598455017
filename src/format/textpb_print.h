/*
 * textpb_print.h - protobuf's wire form printed as protobuf text, over descriptors
 *
 * The opposite of textpb.h: what is printed is read back to the same wire form. One field a line,
 * two blanks a level, in the order of the wire form; repeated numbers one by one; unknown fields
 * are left out. Nothing recurses; messages may nest SL_TEXTPB_DEPTH deep.
 */
#ifndef SL_FORMAT_TEXTPB_PRINT_H
#define SL_FORMAT_TEXTPB_PRINT_H

#include <protobuf-c/protobuf-c.h>

#include "base/str.h"

/* Appends the text to *out, which the caller frees, also after a failure. DATA_LOSS if it is no
 * such message, or nests too deep; RESOURCE_EXHAUSTED. */
sl_code sl_textpb_print(sl_str wire, const ProtobufCMessageDescriptor *type, sl_text *out,
                        sl_status *st);

#endif
