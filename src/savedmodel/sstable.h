/*
 * sstable.h - a sorted table of strings, as LevelDB and TensorFlow's variables.index write it
 *
 *     data block ... data block | metaindex block | index block | footer of 48 bytes
 *
 * Source: leveldb's doc/table_format.md; tensorflow/core/lib/io/table_format.txt.
 */
#ifndef SL_SAVEDMODEL_SSTABLE_H
#define SL_SAVEDMODEL_SSTABLE_H

#include "base/str.h"

/* One entry. `key` and `value` live until visit returns; `at` is the value's offset in the file (in
 * a compressed block: that of the block plus that in the unpacked block), for messages. A code
 * other than SL_OK ends the walk. */
typedef sl_code (*sl_sstable_visit)(void *arg, sl_str key, sl_str value, size_t at, sl_status *st);

/*
 * Calls visit for every entry of the table, keys strictly ascending by bytes. `file` is its name,
 * for messages. DATA_LOSS: truncated, a checksum that is wrong, keys out of order;
 * RESOURCE_EXHAUSTED. Blocks may be compressed with snappy. Takes time and memory in proportion to
 * the file.
 */
sl_code sl_sstable_each(const char *file, sl_str bytes, sl_sstable_visit visit, void *arg,
                        sl_status *st);

#endif
