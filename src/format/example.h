/*
 * example.h - writing tensorflow.Example's wire form
 *
 *     sl_example e = {0};
 *     sl_example_begin(&e);
 *     sl_feature_begin(&e, name); sl_feature_float(&e, 2.5f); sl_feature_end(&e);
 *     sl_example_end(&e, &out);      appends one serialized Example
 *     sl_example_fini(&e);
 *
 * A feature takes the kind of its first value; a value of another kind is refused. Memory failures
 * are remembered in the texts: check out->failed and sl_example_failed at the end.
 *
 * Source: tensorflow/core/example/example.proto and feature.proto.
 */
#ifndef SL_FORMAT_EXAMPLE_H
#define SL_FORMAT_EXAMPLE_H

#include "base/str.h"

/* The numbers are the fields of Feature. */
typedef enum sl_feature_kind {
    SL_FEATURE_NONE = 0,
    SL_FEATURE_BYTES = 1,
    SL_FEATURE_FLOAT = 2,
    SL_FEATURE_INT64 = 3
} sl_feature_kind;

typedef struct sl_example {
    sl_text features; /* the Features message so far */
    sl_text list;     /* the values of the feature that is being written */
    sl_str name;      /* the caller's, until sl_feature_end */
    sl_feature_kind kind;
} sl_example;

void sl_example_begin(sl_example *e);
void sl_example_end(sl_example *e, sl_text *out);
void sl_example_fini(sl_example *e);
bool sl_example_failed(const sl_example *e);

void sl_feature_begin(sl_example *e, sl_str name);
/* False if the feature is of another kind. */
bool sl_feature_bytes(sl_example *e, sl_str v) SL_MUST_CHECK;
bool sl_feature_float(sl_example *e, float v) SL_MUST_CHECK;
bool sl_feature_int64(sl_example *e, int64_t v) SL_MUST_CHECK;
void sl_feature_end(sl_example *e);
/* "bytes", "float", "int64" */
const char *sl_feature_kind_name(sl_feature_kind kind);

#endif
