/*
 * pbjson.h - protobuf's wire form printed as JSON, over descriptors
 *
 * proto3's JSON mapping as TensorFlow Serving prints it: the names of the .proto file, one blank a
 * level, every field without presence printed even if it is not set, 64-bit integers as strings,
 * bytes in base64, enums by name. Members come in the order of their numbers, a map's entries
 * sorted by key. A message is read from its wire form, never unpacked: unknown fields cost nothing,
 * nothing recurses, and messages may nest 100 deep.
 *
 * If a singular message field occurs more than once, the last one is printed, not the merge of all:
 * no writer of SavedModels does that.
 *
 * Source: protobuf.dev/programming-guides/json; rest.md 4 and 5.
 */
#ifndef SL_FORMAT_PBJSON_H
#define SL_FORMAT_PBJSON_H

#include <protobuf-c/protobuf-c.h>

#include "base/chain.h"
#include "base/str.h"

/* Writes `{...}` of one message; `depth` levels are around it. DATA_LOSS if it is no such message,
 * or nests too deep; RESOURCE_EXHAUSTED. On failure `out` holds rubbish. */
sl_code sl_pbjson_print(sl_str wire, const ProtobufCMessageDescriptor *type, int depth,
                        sl_chain *out, sl_status *st);

/* A line break and one blank a level. */
void sl_pbjson_line(sl_chain *out, int depth);

#endif
