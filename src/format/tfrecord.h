/*
 * tfrecord.h - reading and writing a TFRecord file that is in memory
 *
 *     sl_tfrecord r = {.file = bytes};
 *     while (sl_tfrecord_next(&r, &record, &rc, st))
 *         ...                            record points into the file
 *     if (rc) ...                        why it ended early
 *
 * A record is its length (uint64), the masked CRC-32C of those eight bytes, the data, and the
 * masked CRC-32C of the data; all little-endian. Uncompressed only.
 *
 * Source: lifecycle.md 8.3; tf.io.TFRecordWriter; the texts are those of TensorFlow 2.21.
 */
#ifndef SL_FORMAT_TFRECORD_H
#define SL_FORMAT_TFRECORD_H

#include "base/str.h"

typedef struct sl_tfrecord {
    sl_str file;
    size_t at; /* where the next record begins */
} sl_tfrecord;

/*
 * True: *record is the next one. False: there is none, and *rc is SL_OK at the end of the file,
 * which may be inside the twelve bytes in front of a record, or DATA_LOSS:
 *
 *     corrupted record at <offset>     the offset is the data's if only that is corrupted
 *     corrupted record at 0 (Is this even a TFRecord file?)
 *     truncated record at <offset>' failed with Read less bytes than requested
 */
bool sl_tfrecord_next(sl_tfrecord *r, sl_str *record, sl_code *rc, sl_status *st);

/* Appends one record to what will be a file. */
void sl_tfrecord_put(sl_text *file, sl_str record);

#endif
