/*
 * crc32c.c - by the processor's instruction, else by eight tables (slicing by 8)
 *
 * The instruction takes 3 cycles and can begin every cycle, so one chain of it reaches a third of
 * the speed. Three stretches are therefore computed side by side and joined: the crc of A followed
 * by n bytes is A's crc multiplied by x^8n, which is linear in its bits, so four tables of 256 do
 * it.
 */
#include "base/crc32c.h"

#include <pthread.h>
#include <string.h>

static const uint32_t polynomial = 0x82f63b78u;
static uint32_t slices[8][256];

#if defined(__x86_64__)
enum { STRETCH = 4096 };
static uint32_t skip[4][256]; /* multiplies by x^(8 * STRETCH) */
#endif

static uint32_t add_byte(uint32_t crc, uint32_t byte)
{
    crc ^= byte;
    for (int bit = 0; bit < 8; bit++)
        crc = crc >> 1 ^ (crc & 1 ? polynomial : 0);
    return crc;
}

#if defined(__x86_64__)
static void make_skip(void)
{
    uint32_t basis[32];
    for (int bit = 0; bit < 32; bit++) {
        uint32_t c = 1u << bit;
        for (int i = 0; i < STRETCH; i++)
            c = c >> 8 ^ slices[0][c & 0xff];
        basis[bit] = c;
    }
    for (int k = 0; k < 4; k++)
        for (uint32_t v = 0; v < 256; v++)
            for (int bit = 0; bit < 8; bit++)
                if (v >> bit & 1)
                    skip[k][v] ^= basis[8 * k + bit];
}
#endif

static void make_tables(void)
{
    for (uint32_t v = 0; v < 256; v++)
        slices[0][v] = add_byte(0, v);
    for (int k = 1; k < 8; k++)
        for (uint32_t v = 0; v < 256; v++)
            slices[k][v] = slices[k - 1][v] >> 8 ^ slices[0][slices[k - 1][v] & 0xff];
#if defined(__x86_64__)
    make_skip();
#endif
}

static void need_tables(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_tables);
}

static uint32_t by_table(uint32_t c, const unsigned char *p, size_t n)
{
    for (; n >= 8; p += 8, n -= 8) {
        uint64_t v;
        memcpy(&v, p, 8);
        v ^= c;
        c = 0;
        for (int k = 0; k < 8; k++)
            c ^= slices[7 - k][v >> 8 * k & 0xff];
    }
    for (; n; n--)
        c = c >> 8 ^ slices[0][(c ^ *p++) & 0xff];
    return c;
}

uint32_t sl_crc32c_portable(uint32_t crc, const void *p, size_t n)
{
    need_tables();
    return ~by_table(~crc, p, n);
}

#if defined(__x86_64__)
static uint32_t skip_stretch(uint32_t c)
{
    return skip[0][c & 0xff] ^ skip[1][c >> 8 & 0xff] ^ skip[2][c >> 16 & 0xff] ^ skip[3][c >> 24];
}

__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t crc,
                                                                 const unsigned char *p, size_t n)
{
    uint64_t a = crc, v, u, w;
    for (; n >= 3 * STRETCH; p += 3 * STRETCH, n -= 3 * STRETCH) {
        uint64_t b = 0, c = 0;
        for (size_t i = 0; i < STRETCH; i += 8) {
            memcpy(&v, p + i, 8);
            memcpy(&u, p + i + STRETCH, 8);
            memcpy(&w, p + i + 2 * STRETCH, 8);
            a = __builtin_ia32_crc32di(a, v);
            b = __builtin_ia32_crc32di(b, u);
            c = __builtin_ia32_crc32di(c, w);
        }
        a = skip_stretch(skip_stretch((uint32_t)a) ^ (uint32_t)b) ^ (uint32_t)c;
    }
    for (; n >= 8; p += 8, n -= 8) {
        memcpy(&v, p, 8);
        a = __builtin_ia32_crc32di(a, v);
    }
    for (; n; n--)
        a = __builtin_ia32_crc32qi((uint32_t)a, *p++);
    return (uint32_t)a;
}
#endif

uint32_t sl_crc32c(uint32_t crc, const void *p, size_t n)
{
    need_tables();
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2"))
        return ~by_instruction(~crc, p, n);
#endif
    return ~by_table(~crc, p, n);
}
