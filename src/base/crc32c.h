/*
 * crc32c.h - the checksum of checkpoints and TFRecords
 *
 * Castagnoli's polynomial, reflected 0x82F63B78, in one machine instruction where the processor has
 * it. What stands in files is masked: the checksum of data that holds checksums would else be weak.
 */
#ifndef SL_BASE_CRC32C_H
#define SL_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* crc of what gave `crc` (0: nothing yet) followed by p[0..n). */
uint32_t sl_crc32c(uint32_t crc, const void *p, size_t n);

static inline uint32_t sl_crc32c_mask(uint32_t crc)
{
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

/* The same by table, on every machine: what a test holds the other against. */
uint32_t sl_crc32c_portable(uint32_t crc, const void *p, size_t n);

#endif
