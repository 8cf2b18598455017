/* bundle_inside.h - what bundle.c (opening) and bundle_read.c (reading) share */
#ifndef SL_SAVEDMODEL_BUNDLE_INSIDE_H
#define SL_SAVEDMODEL_BUNDLE_INSIDE_H

#include "base/arena.h"
#include "base/hold.h"
#include "base/str.h"
#include "savedmodel/bundle.h"

/* Where the bytes of one entry stand. */
typedef struct sl_place {
    int shard;
    uint64_t offset, size;
    uint32_t crc;  /* masked */
    sl_str slices; /* of a sliced entry: its BundleEntryProto, which lists them */
} sl_place;

/* An array of entries, ascending by key, and beside it their places. */
typedef struct sl_entry_list {
    sl_bundle_entry *entry;
    sl_place *place;
    size_t n, entry_cap, place_cap;
} sl_entry_list;

struct sl_bundle {
    sl_arena arena; /* keys */
    const char *prefix;
    sl_buffer *index;
    sl_held_file *shard;
    int n_shards;
    sl_entry_list whole;  /* under their own keys */
    sl_place objects;     /* of the object graph, which nobody reads; size 0: there is none */
    sl_entry_list slices; /* under encoded keys, which begin with a zero byte */
};

/* "<prefix>.data-00000-of-00001", freed with sl_free; NULL: no memory. */
char *sl_bundle_shard_name(const sl_bundle *b, int shard);

/* Position of the key in the list, or -1. */
int sl_entry_list_find(const sl_entry_list *l, sl_str key);

/* DATA_LOSS "<prefix>.data-00000-of-00001; <what> at byte <n>, tensor "<key>"". */
sl_code sl_bundle_damaged(const sl_bundle *b, const sl_bundle_entry *e, const sl_place *p,
                          const char *what, sl_status *st);
#define sl_bundle_damaged(...) sl_failed(sl_bundle_damaged(__VA_ARGS__))

/* The crc of a string's length as the writer saw it: of 4 bytes, or of 8 where it does not fit. */
uint32_t sl_bundle_crc_of_length(uint32_t crc, uint64_t n);

#endif
