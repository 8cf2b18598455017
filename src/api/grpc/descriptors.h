/*
 * descriptors.h - the .proto files of the wire contract, as the server can show them
 *
 * The build compiles proto/ into one FileDescriptorSet and embeds it. Here it is walked as bytes: a
 * file is found by its name or by what it defines. Files are numbered in an order in which every
 * file comes after those that it imports.
 *
 * Source: google/protobuf/descriptor.proto.
 */
#ifndef SL_API_GRPC_DESCRIPTORS_H
#define SL_API_GRPC_DESCRIPTORS_H

#include <stdbool.h>

#include "base/str.h"

enum { SL_DESCRIPTORS_MAX = 128 };

typedef struct sl_descriptor_file {
    sl_str bytes; /* FileDescriptorProto */
    sl_str name, package;
} sl_descriptor_file;

/* Number of the file, or -1. Any thread. */
int sl_descriptor_by_name(sl_str name);
/* ... that defines a message, enum, service, method, field, oneof or value of an enum: its full
 * name, without a leading dot. */
int sl_descriptor_by_symbol(sl_str symbol);
/* Is that the name of a message? */
bool sl_descriptor_is_message(sl_str symbol);
const sl_descriptor_file *sl_descriptor_get(int number);
int sl_descriptor_count(void);
/* Marks the file and everything that it imports, directly or not. */
void sl_descriptor_closure(int number, bool marked[SL_DESCRIPTORS_MAX]);

#endif
