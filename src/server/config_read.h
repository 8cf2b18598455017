/*
 * config_read.h - one file or message of configuration, unpacked into an arena; for config*.c
 */
#ifndef SL_SERVER_CONFIG_READ_H
#define SL_SERVER_CONFIG_READ_H

#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"
#include "base/str.h"

/* Reads a file of protobuf text. The message and (if `wire` is not NULL) its wire form are in
 * `arena`. NOT_FOUND ..., INVALID_ARGUMENT "Invalid protobuf file: '<path>': <line>:<column>:
 * <reason>". */
sl_code sl_config_read(const char *path, const ProtobufCMessageDescriptor *type, sl_arena *arena,
                       void **out, sl_str *wire, sl_status *st);

/* Protobuf text to its wire form, which is added to *wire. INVALID_ARGUMENT "<line>:<column>:
 * <reason>". */
sl_code sl_config_parse(sl_str text, const ProtobufCMessageDescriptor *type, sl_text *wire,
                        sl_status *st);

/* Unpacks a wire form into `arena`. INVALID_ARGUMENT: malformed; RESOURCE_EXHAUSTED. Writes no
 * status. */
sl_code sl_config_unpack(sl_str wire, const ProtobufCMessageDescriptor *type, sl_arena *arena,
                         void **out) SL_MUST_CHECK;

/* Forgets the fields that the message's types do not know, at every depth: they have not been
 * looked at, and need not even be well-formed. The types must not contain themselves. */
void sl_config_forget_unknown(ProtobufCMessage *message);

/* The wire form of a message, in `arena`. */
sl_code sl_config_pack(const ProtobufCMessage *message, sl_arena *arena, sl_str *out,
                       sl_status *st);

#endif
