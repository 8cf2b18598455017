/*
 * pb_inside.h - what the readers and writers of the serving messages share
 *
 * All of these read messages that sl_pb_check has found to be well-formed: a walk ends at the end.
 */
#ifndef SL_CODEC_PB_INSIDE_H
#define SL_CODEC_PB_INSIDE_H

#include "codec/predict_pb.h"
#include "format/wire_out.h"

static inline bool sl_pb_is(const sl_wire *w, unsigned field)
{
    return w->field == field && w->type == SL_WIRE_BYTES;
}

/* Adds one occurrence of a ModelSpec to what earlier ones said: they are merged. */
void sl_pb_read_spec(sl_str wire, sl_pb_model_spec *out);
/* "Missing ModelSpec", "ModelSpec has no name specified." */
sl_code sl_pb_require_spec(const sl_pb_model_spec *spec, sl_status *st);

/* How often a field of type bytes occurs. */
size_t sl_pb_count(sl_str wire, unsigned field);
/* All occurrences of a field of type bytes; the array is in the arena. */
sl_code sl_pb_repeated(sl_str wire, unsigned field, sl_arena *a, sl_str **out, size_t *count,
                       sl_status *st);
/* The message that a singular field holds: where it stands, or, if it came in parts, put together
 * in the arena. n == 0: it is not there, or empty. */
sl_code sl_pb_merged(sl_str wire, unsigned field, sl_arena *a, sl_str *out, sl_status *st);

/* n elements of `size` bytes in the arena, or RESOURCE_EXHAUSTED. */
sl_code sl_pb_array(sl_arena *a, size_t n, size_t size, void *out, sl_status *st);

/* The ModelSpec of a reply. */
size_t sl_pb_used_size(const sl_pb_used *used);
void sl_pb_put_used(const sl_pb_used *used, sl_chain *out);
/* The end of a writer: OK, or RESOURCE_EXHAUSTED if memory ran out. */
sl_code sl_pb_written(const sl_chain *out, sl_status *st);
/* No message is as large as this. */
#define SL_PB_TOO_LARGE ((size_t)INT32_MAX)
sl_code sl_pb_check_size(size_t size, sl_status *st);

#endif
