/*
 * dense.h - one JSON value into the elements of a tensor
 *
 * A builder is a tensor that is still growing: values of one dtype, and the shape of the first
 * value that was put into it. sl_dense_read puts in one more value: a scalar, or lists nested
 * regularly.
 *
 *     sl_builder_init(&b, SL_DT_FLOAT);
 *     sl_dense_read(&d, &b, &shape)      as often as there are values
 *     sl_builder_finish(&b, dims, rank, &tensor)
 *     sl_builder_fini(&b)                gives up what was not finished
 *
 * Which error is found is part of the contract: as if every list's length were checked before its
 * first element is looked at. Source: rest.md 6.6.
 */
#ifndef SL_CODEC_DENSE_H
#define SL_CODEC_DENSE_H

#include "base/arena.h"
#include "codec/predict_json.h"
#include "format/json.h"

typedef struct sl_dense {
    sl_json *json; /* stands before the value; behind it afterwards */
    const sl_json_limits *limits;
    sl_arena *arena;
    size_t string_bytes, elements; /* in all values that were read so far, of all builders */
    sl_code code;                  /* of the value that was wrong */
    sl_text why;                   /* and the message */
} sl_dense;

typedef struct sl_builder {
    sl_dtype dtype;
    size_t element;    /* bytes; 0: no JSON value becomes this dtype */
    sl_buffer *buffer; /* room for `room` elements; string elements still point into the text */
    size_t count, room;
    size_t counted;    /* of count: what sl_dense.elements includes */
    const char *began; /* in the text, for guessing how many are to come */
} sl_builder;

typedef struct sl_dense_shape {
    int rank;
    int64_t dims[SL_MAX_RANK];
    size_t count;
} sl_dense_shape;

typedef enum sl_dense_result {
    SL_DENSE_OK,
    SL_DENSE_WRONG,  /* d->code and d->why say what; where d->json stands is not defined */
    SL_DENSE_SYNTAX, /* not JSON: the document's check will say what */
    SL_DENSE_MEMORY  /* RESOURCE_EXHAUSTED: d->why says what */
} sl_dense_result;

void sl_builder_init(sl_builder *b, sl_dtype dtype);
void sl_builder_fini(sl_builder *b);
/* Forgets the values, keeps the memory. */
void sl_builder_clear(sl_dense *d, sl_builder *b);

sl_dense_result sl_dense_read(sl_dense *d, sl_builder *b, sl_dense_shape *shape);

/* Makes the tensor: takes the buffer over, or for strings makes one with the bytes in it. */
sl_code sl_builder_finish(sl_builder *b, const int64_t *dims, int rank, sl_tensor *out,
                          sl_status *st);

/* If the value that comes is an object with the single member "b64" that is a string, consumes it.
 */
bool sl_json_read_b64(sl_json *j, sl_json_string *text);

/* A string's bytes, escapes undone, in the arena if there are any; false when memory is out. */
bool sl_json_plain(sl_arena *arena, const sl_json_string *s, sl_str *out);
/* The same, always in the arena. */
bool sl_json_copy(sl_arena *arena, const sl_json_string *s, sl_str *out);

#endif
