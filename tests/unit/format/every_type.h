/*
 * every_type.h - a message with a field of each type, alone and repeated, maps, and a choice
 *
 * Fields are called f01, f02 ... by their numbers, so that numbers and names have the same order.
 */
#ifndef SL_TESTS_EVERY_TYPE_H
#define SL_TESTS_EVERY_TYPE_H

#include <protobuf-c/protobuf-c.h>

#include "base/mem.h"

static const ProtobufCEnumValue every_values[] = {{"ZERO", "ZERO", 0}, {"TWO", "TWO", 2}};
static const ProtobufCIntRange every_value_ranges[] = {{0, 0}, {2, 1}, {0, 2}};
static const ProtobufCEnumValueIndex every_value_names[] = {{"TWO", 1}, {"ZERO", 0}};
static const ProtobufCEnumDescriptor every_enum = {.magic = PROTOBUF_C__ENUM_DESCRIPTOR_MAGIC,
                                                   .name = "Choice",
                                                   .short_name = "Choice",
                                                   .n_values = 2,
                                                   .values = every_values,
                                                   .n_value_names = 2,
                                                   .values_by_name = every_value_names,
                                                   .n_value_ranges = 2,
                                                   .value_ranges = every_value_ranges};

static const ProtobufCMessageDescriptor every_type;

/* clang-format off: tables */
#define F(number, text, l, t, d, ...)                                                           \
    {                                                                                           \
        .name = text, .id = number, .label = PROTOBUF_C_LABEL_##l, .type = PROTOBUF_C_TYPE_##t, \
        .descriptor = d, __VA_ARGS__                                                            \
    }

/* A message of two fields as a map's entry has it, or nearly. */
#define ENTRY(symbol, full, first, first_id, first_type, second, second_id, second_type, d, count) \
    static const ProtobufCFieldDescriptor symbol##_fields[] = {                                    \
        F(first_id, first, NONE, first_type, NULL, ),                                              \
        F(second_id, second, NONE, second_type, d, )};                                             \
    static const unsigned symbol##_names[] = {0, 1};                                               \
    static const ProtobufCIntRange symbol##_ranges[] = {{first_id, 0}, {0, count}};                \
    static const ProtobufCMessageDescriptor symbol = {.magic =                                     \
                                                          PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC,    \
                                                      .name = full,                                \
                                                      .short_name = full,                          \
                                                      .n_fields = count,                           \
                                                      .fields = symbol##_fields,                   \
                                                      .fields_sorted_by_name = symbol##_names,     \
                                                      .n_field_ranges = 1,                         \
                                                      .field_ranges = symbol##_ranges};

ENTRY(entry_strings, "Every.F35Entry", "key", 1, STRING, "value", 2, STRING, NULL, 2)
ENTRY(entry_messages, "Every.F36Entry", "key", 1, INT64, "value", 2, MESSAGE, &every_type, 2)
ENTRY(entry_numbers, "Every.F37Entry", "key", 1, BOOL, "value", 2, FLOAT, NULL, 2)
ENTRY(entry_ints, "Every.F38Entry", "key", 1, SINT32, "value", 2, UINT64, NULL, 2)
ENTRY(entry_int32, "Every.F50Entry", "key", 1, INT32, "value", 2, BOOL, NULL, 2)
ENTRY(entry_sfixed32, "Every.F51Entry", "key", 1, SFIXED32, "value", 2, BOOL, NULL, 2)
ENTRY(entry_uint32, "Every.F52Entry", "key", 1, UINT32, "value", 2, BOOL, NULL, 2)
ENTRY(entry_fixed32, "Every.F53Entry", "key", 1, FIXED32, "value", 2, BOOL, NULL, 2)
ENTRY(entry_one, "Every.AEntry", "key", 1, STRING, "value", 2, STRING, NULL, 1)
ENTRY(entry_ids, "Every.BEntry", "key", 2, STRING, "value", 3, STRING, NULL, 2)
ENTRY(entry_second_id, "Every.CEntry", "key", 1, STRING, "value", 3, STRING, NULL, 2)
ENTRY(entry_key, "Every.DEntry", "kex", 1, STRING, "value", 2, STRING, NULL, 2)
ENTRY(entry_value, "Every.EEntry", "key", 1, STRING, "values", 2, STRING, NULL, 2)
ENTRY(entry_elsewhere, "Other.FEntry", "key", 1, STRING, "value", 2, STRING, NULL, 2)
ENTRY(entry_beside, "EveryFEntry", "key", 1, STRING, "value", 2, STRING, NULL, 2)
ENTRY(entry_named, "Every.Pair", "key", 1, STRING, "value", 2, STRING, NULL, 2)
ENTRY(entry_sentry, "Every.Sentry", "key", 1, STRING, "value", 2, STRING, NULL, 2)

static const ProtobufCFieldDescriptor every_fields[] = {
    F(1, "f01", NONE, INT32, NULL, ),
    F(2, "f02", NONE, SINT32, NULL, ),
    F(3, "f03", NONE, SFIXED32, NULL, ),
    F(4, "f04", NONE, INT64, NULL, ),
    F(5, "f05", NONE, SINT64, NULL, ),
    F(6, "f06", NONE, SFIXED64, NULL, ),
    F(7, "f07", NONE, UINT32, NULL, ),
    F(8, "f08", NONE, FIXED32, NULL, ),
    F(9, "f09", NONE, UINT64, NULL, ),
    F(10, "f10", NONE, FIXED64, NULL, ),
    F(11, "f11", NONE, FLOAT, NULL, ),
    F(12, "f12", NONE, DOUBLE, NULL, ),
    F(13, "f13", NONE, BOOL, NULL, ),
    F(14, "f14", NONE, ENUM, &every_enum, ),
    F(15, "f15", NONE, STRING, NULL, ),
    F(16, "f16", NONE, BYTES, NULL, ),
    F(17, "f17", NONE, MESSAGE, &every_type, ),
    F(18, "f18", REPEATED, INT32, NULL, ),
    F(19, "f19", REPEATED, SINT32, NULL, ),
    F(20, "f20", REPEATED, SFIXED32, NULL, ),
    F(21, "f21", REPEATED, INT64, NULL, ),
    F(22, "f22", REPEATED, SINT64, NULL, ),
    F(23, "f23", REPEATED, SFIXED64, NULL, ),
    F(24, "f24", REPEATED, UINT32, NULL, ),
    F(25, "f25", REPEATED, FIXED32, NULL, ),
    F(26, "f26", REPEATED, UINT64, NULL, ),
    F(27, "f27", REPEATED, FIXED64, NULL, ),
    F(28, "f28", REPEATED, FLOAT, NULL, ),
    F(29, "f29", REPEATED, DOUBLE, NULL, ),
    F(30, "f30", REPEATED, BOOL, NULL, ),
    F(31, "f31", REPEATED, ENUM, &every_enum, ),
    F(32, "f32", REPEATED, STRING, NULL, ),
    F(33, "f33", REPEATED, BYTES, NULL, ),
    F(34, "f34", REPEATED, MESSAGE, &every_type, ),
    F(35, "f35", REPEATED, MESSAGE, &entry_strings, ),
    F(36, "f36", REPEATED, MESSAGE, &entry_messages, ),
    F(37, "f37", REPEATED, MESSAGE, &entry_numbers, ),
    F(38, "f38", REPEATED, MESSAGE, &entry_ints, ),
    F(39, "f39", NONE, INT32, NULL, .quantifier_offset = 8, .flags = PROTOBUF_C_FIELD_FLAG_ONEOF),
    F(40, "f40", NONE, STRING, NULL, .quantifier_offset = 8, .flags = PROTOBUF_C_FIELD_FLAG_ONEOF),
    F(41, "f41", NONE, STRING, NULL, .quantifier_offset = 16, .flags = PROTOBUF_C_FIELD_FLAG_ONEOF),
    F(42, "f42", REPEATED, MESSAGE, &entry_one, ),
    F(43, "f43", REPEATED, MESSAGE, &entry_ids, ),
    F(44, "f44", REPEATED, MESSAGE, &entry_second_id, ),
    F(45, "f45", REPEATED, MESSAGE, &entry_key, ),
    F(46, "f46", REPEATED, MESSAGE, &entry_value, ),
    F(47, "f47", REPEATED, MESSAGE, &entry_elsewhere, ),
    F(48, "f48", REPEATED, MESSAGE, &entry_beside, ),
    F(49, "f49", REPEATED, MESSAGE, &entry_named, ),
    F(50, "f50", REPEATED, MESSAGE, &entry_int32, ),
    F(51, "f51", REPEATED, MESSAGE, &entry_sfixed32, ),
    F(52, "f52", REPEATED, MESSAGE, &entry_uint32, ),
    F(53, "f53", REPEATED, MESSAGE, &entry_fixed32, ),
    F(54, "f54", REPEATED, MESSAGE, &entry_sentry, ),
};
static const unsigned every_names[] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12,
                                       13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25,
                                       26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38,
                                       39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53};
static const ProtobufCIntRange every_ranges[] = {{1, 0}, {0, SL_COUNTOF(every_fields)}};
static const ProtobufCMessageDescriptor every_type = {.magic = PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC,
                                                      .name = "Every",
                                                      .short_name = "Every",
                                                      .n_fields = SL_COUNTOF(every_fields),
                                                      .fields = every_fields,
                                                      .fields_sorted_by_name = every_names,
                                                      .n_field_ranges = 1,
                                                      .field_ranges = every_ranges};
#undef F
#undef ENTRY

#endif
