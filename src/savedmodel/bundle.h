/*
 * bundle.h - a tensor bundle: variables.index and its data shards
 *
 * The index is read whole when the bundle is opened, and every entry is held against the size of
 * its shard; a tensor's bytes are read when it is asked for. An opened bundle is immutable.
 */
#ifndef SL_SAVEDMODEL_BUNDLE_H
#define SL_SAVEDMODEL_BUNDLE_H

#include "savedmodel/savedmodel.h"

typedef struct sl_bundle sl_bundle;

/* `prefix` is "<dir>/variables/variables": ".index" and ".data-00000-of-00001" are appended. Maps
 * the shards where that is safe (base/hold.h). NOT_FOUND if there is no index; DATA_LOSS (a missing
 * shard, too), UNIMPLEMENTED (big-endian). */
sl_code sl_bundle_open(const char *prefix, sl_bundle **out, sl_status *st);
/* Are the files there that sl_bundle_open wants? NOT_FOUND: no index. UNAVAILABLE: a shard is
 * missing or shorter than the index says. Otherwise as sl_bundle_open. Reads the index, maps
 * nothing. */
sl_code sl_bundle_check_files(const char *prefix, sl_status *st);
/* sl_bundle_open from bytes, with one shard at most (data may be NULL). Takes references. */
sl_code sl_bundle_open_bytes(const char *prefix, sl_buffer *index, sl_buffer *data, sl_bundle **out,
                             sl_status *st);
void sl_bundle_close(sl_bundle *b); /* accepts NULL */

/* Ascending by key; special keys left out. */
const sl_bundle_entry *sl_bundle_entries(const sl_bundle *b, int *count);
/* NULL if there is none. */
const sl_bundle_entry *sl_bundle_find(const sl_bundle *b, sl_str key);
uint64_t sl_bundle_data_bytes(const sl_bundle *b);

/* See sl_saved_model_read. */
sl_code sl_bundle_read(const sl_bundle *b, sl_str key, sl_str shape_and_slice, sl_tensor *out,
                       sl_status *st);

#endif
