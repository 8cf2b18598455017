/*
 * fuzz_savedmodel_bundle.c - any bytes as variables.index and a data shard
 *
 * The input begins with the index's length (2 bytes, little-endian); the index is what follows, the
 * rest is the shard. Checksums are right in the corpus and in nothing that is made from it, so the
 * block's and the entries' are made to fit first: a fuzzer cannot guess them.
 */
#include <stdlib.h>

#include "base/crc32c.h"
#include "format/wire.h"
#include "savedmodel/bundle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static sl_buffer *buffer_of(const uint8_t *p, size_t n)
{
    sl_buffer *b = sl_buffer_try_new(n);
    if (b != NULL && n)
        memcpy(b->data, p, n);
    return b;
}

static void mend_block(unsigned char *file, size_t size, uint64_t at, uint64_t n)
{
    if (at > size || n > size - at || size - at - n < 5)
        return;
    uint32_t crc = sl_crc32c_mask(sl_crc32c(0, file + at, n + 1));
    memcpy(file + at + n + 1, &crc, 4);
}

/* Makes the checksums of metaindex, index and of the blocks that stand before them right. */
static void mend(sl_buffer *index)
{
    unsigned char *file = index->data;
    size_t size = index->size;
    if (size < 48)
        return;
    const unsigned char *p = file + size - 48, *end = p + 40;
    uint64_t v[4];
    for (int i = 0; i < 4; i++)
        if (!sl_wire_varint(&p, end, &v[i]))
            return;
    mend_block(file, size, v[0], v[1]);
    mend_block(file, size, v[2], v[3]);
    if (v[0] >= 5)
        mend_block(file, size, 0, v[0] - 5); /* one data block, as small files have */
}

static void read_all(const sl_bundle *b)
{
    int count;
    sl_status st;
    const sl_bundle_entry *e = sl_bundle_entries(b, &count);
    for (int i = 0; i < count; i++) {
        sl_tensor t;
        if (sl_bundle_read(b, e[i].key, (sl_str){"", 0}, &t, &st) == SL_OK)
            sl_tensor_release(&t);
        if (sl_bundle_read(b, e[i].key, SL_STR("10 4 2,5:-"), &t, &st) == SL_OK)
            sl_tensor_release(&t);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    size_t n = (size_t)data[0] | (size_t)data[1] << 8;
    n = n > size - 2 ? size - 2 : n;
    sl_buffer *index = buffer_of(data + 2, n), *shard = buffer_of(data + 2 + n, size - 2 - n);
    sl_bundle *b;
    sl_status st;
    if (index != NULL && shard != NULL) {
        mend(index);
        if (sl_bundle_open_bytes("v", index, shard, &b, &st) == SL_OK) {
            read_all(b);
            sl_bundle_close(b);
        }
    }
    sl_buffer_release(index);
    sl_buffer_release(shard);
    return 0;
}
