/* tfrecord.c - see tfrecord.h */
#include "format/tfrecord.h"

#include "base/crc32c.h"

enum { HEADER = 12, FOOTER = 4 };

/* Do n bytes, and the checksum behind them, belong together? Both are there. */
static bool intact(const char *p, size_t n)
{
    uint32_t stored;
    memcpy(&stored, p + n, sizeof stored);
    return sl_crc32c_mask(sl_crc32c(0, p, n)) == stored;
}

static sl_code corrupted(size_t at, sl_status *st)
{
    return sl_fail(st, SL_DATA_LOSS, "corrupted record at %zu%s", at,
                   at ? "" : " (Is this even a TFRecord file?)");
}

bool sl_tfrecord_next(sl_tfrecord *r, sl_str *record, sl_code *rc, sl_status *st)
{
    uint64_t length;
    size_t left = r->file.n - r->at;
    *rc = SL_OK;
    if (left < HEADER)
        return false;
    const char *p = r->file.p + r->at;
    if (!intact(p, sizeof length)) {
        *rc = corrupted(r->at, st);
        return false;
    }
    memcpy(&length, p, sizeof length);
    left -= HEADER;
    if (left < FOOTER || length > left - FOOTER) {
        *rc = sl_fail(st, SL_DATA_LOSS,
                      "truncated record at %zu' failed with Read less bytes than requested", r->at);
        return false;
    }
    if (!intact(p + HEADER, (size_t)length)) {
        *rc = corrupted(r->at + HEADER, st);
        return false;
    }
    *record = (sl_str){p + HEADER, (size_t)length};
    r->at += HEADER + (size_t)length + FOOTER;
    return true;
}

static void put_checksummed(sl_text *file, const void *p, size_t n)
{
    uint32_t crc = sl_crc32c_mask(sl_crc32c(0, p, n));
    sl_text_add(file, p, n);
    sl_text_add(file, (const char *)&crc, sizeof crc);
}

void sl_tfrecord_put(sl_text *file, sl_str record)
{
    uint64_t length = record.n;
    put_checksummed(file, &length, sizeof length);
    put_checksummed(file, record.n ? record.p : "", record.n);
}
