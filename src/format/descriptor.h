/*
 * descriptor.h - what the descriptors of protobuf-c do not say themselves
 *
 * pbjson.c and textpb_print.c print messages by descriptor, but walk them differently: proto-JSON
 * in the order of the type's fields, each searched for, its defaults too; text format in the order
 * of the bytes. This is what they have in common.
 */
#ifndef SL_FORMAT_DESCRIPTOR_H
#define SL_FORMAT_DESCRIPTOR_H

#include <protobuf-c/protobuf-c.h>

#include "format/wire.h"

/* The wire type that a value of this type has when it is not packed. */
static inline unsigned sl_descriptor_wire_type(ProtobufCType t)
{
    switch (t) {
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return SL_WIRE_FIXED32;
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return SL_WIRE_FIXED64;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return SL_WIRE_BYTES;
    default:
        return SL_WIRE_VARINT;
    }
}

#endif
