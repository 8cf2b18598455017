/*
 * fuzz_format_number.c - any bytes as a number, and any eight as what is to be written
 *
 * What is written must be read back as the same value. The input is copied to memory of its very
 * size, so that a byte too far is seen.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "format/number.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_and_read(double d)
{
    char text[SL_NUMBER_ROOM];
    sl_number n;
    const char *error, *where;
    if (!isfinite(d))
        return;
    char *end = sl_number_write_double(text, d);
    if (sl_number_read(text, end, &n, &error, &where) != end || n.d != d)
        abort();
    end = sl_number_write_shortest(text, d);
    if (sl_number_read(text, end, &n, &error, &where) != end || n.d != d)
        abort();
    float f = (float)d, back;
    if (!isfinite(f))
        return;
    end = sl_number_write_float(text, f);
    if (sl_number_read_float(text, end, &back) != end || back != f)
        abort();
}

static void read(const char *p, const char *end)
{
    sl_number n;
    const char *error, *where;
    float f;
    const char *to = sl_number_read(p, end, &n, &error, &where);
    if (to != NULL && (to <= p || to > end))
        abort();
    if (to == NULL && (error == NULL || where < p || where > end))
        abort();
    to = sl_number_read_float(p, end, &f);
    if (to != NULL && (to <= p || to > end))
        abort();
    float floats[8];
    double doubles[8];
    int8_t i8[8];
    uint8_t u8[8];
    int64_t i64[8];
    uint64_t u64[8];
    sl_run_floats(p, end, floats, 8);
    sl_run_doubles(p, end, doubles, 8);
    sl_run_int8s(p, end, i8, 8);
    sl_run_uint8s(p, end, u8, 8);
    sl_run_int64s(p, end, i64, 8);
    sl_run_uint64s(p, end, u64, 8);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    double d;
    if (size == 0)
        return 0;
    if (size >= sizeof d) {
        memcpy(&d, data, sizeof d);
        write_and_read(d);
    }
    char *copy = malloc(size);
    if (copy == NULL)
        return 0;
    memcpy(copy, data, size);
    read(copy, copy + size);
    free(copy);
    return 0;
}
