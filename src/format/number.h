/*
 * number.h - numbers and their decimal text
 *
 * Reading: one token into the narrowest of int64, uint64, double (what a JSON parser tells apart),
 * or whole runs of tokens, "1, 2.5, -3e4", straight into an array. A double is the correctly
 * rounded one; a float is that double, rounded again to float.
 *
 * Writing: the digits of rest.md 7.4: `%g` if that reads back as the same value, else `%.9g`
 * (float) or `%.17g` (double); ".0" behind what would look like an integer.
 */
#ifndef SL_FORMAT_NUMBER_H
#define SL_FORMAT_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum sl_number_kind {
    SL_NUMBER_INT,   /* no '.', no exponent, fits int64: i */
    SL_NUMBER_UINT,  /* likewise, above INT64_MAX, fits uint64: u */
    SL_NUMBER_DOUBLE /* anything else: d */
} sl_number_kind;

typedef struct sl_number {
    sl_number_kind kind;
    int64_t i;
    uint64_t u;
    double d; /* set for each kind */
} sl_number;

/* Reads the number at p. Returns where it ends, or NULL: *error says what is wrong, in RapidJSON's
 * words, and *where. Never reads at or behind `end`. */
const char *sl_number_read(const char *p, const char *end, sl_number *out, const char **error,
                           const char **where);

/* The same, as a float. Returns where it ends, or NULL. */
const char *sl_number_read_float(const char *p, const char *end, float *out);

/* What a run has come to. */
typedef struct sl_run_end {
    const char *at; /* first byte that was not taken */
    size_t n;       /* numbers stored */
    bool wants;     /* `at` is where a number should stand but none that fits does, or room ran out;
                       false: `at` is what follows a number and its white space, and is no comma */
} sl_run_end;

/* Reads numbers separated by commas, p at the first. A run of integers ends at a number that is not
 * an integer token within the type's range. */
sl_run_end sl_run_floats(const char *p, const char *end, float *out, size_t room);
sl_run_end sl_run_doubles(const char *p, const char *end, double *out, size_t room);
sl_run_end sl_run_int8s(const char *p, const char *end, int8_t *out, size_t room);
sl_run_end sl_run_uint8s(const char *p, const char *end, uint8_t *out, size_t room);
sl_run_end sl_run_int16s(const char *p, const char *end, int16_t *out, size_t room);
sl_run_end sl_run_int32s(const char *p, const char *end, int32_t *out, size_t room);
sl_run_end sl_run_uint32s(const char *p, const char *end, uint32_t *out, size_t room);
sl_run_end sl_run_int64s(const char *p, const char *end, int64_t *out, size_t room);
sl_run_end sl_run_uint64s(const char *p, const char *end, uint64_t *out, size_t room);
/* For tests: runs go the way that they go on any processor, also on one that knows a faster one. */
void sl_run_plain_only(bool plain);

/* ---- exact conversions: number_exact.cc ---- */

/* The double nearest to the JSON number token [p, end), signed zero and infinity beyond its range.
 */
double sl_number_exact(const char *p, const char *end);
/* `digits` significant digits of a finite v > 0, correctly rounded; digits 0: as few as identify
 * it. Returns how many there are (out has room for 20), *exponent that of the first. */
int sl_number_digits(double v, int digits, char *out, int *exponent);

/* ---- writing: no terminator; returns one past the last byte written ---- */

enum { SL_NUMBER_ROOM = 48 }; /* no number needs more; some of it is written to in passing */
char *sl_number_write_float(char *p, float v);
char *sl_number_write_double(char *p, double v);
char *sl_number_write_int64(char *p, int64_t v);
char *sl_number_write_uint64(char *p, uint64_t v);
/* As RapidJSON's writer: shortest digits, 1e21 and 1e-7 with exponents. Finite v. */
char *sl_number_write_shortest(char *p, double v);

#endif
