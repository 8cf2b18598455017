/*
 * json.h - reading JSON without building anything
 *
 * An sl_json stands at a place of a text and moves forward over it: a value is skipped, a string or
 * a number is read, an object's members are walked. No tree is made, nothing is allocated, nothing
 * recurses: which of the open brackets are objects is one bit a level.
 *
 *     sl_json j;
 *     sl_json_open(&j, text, max_depth);
 *     if (sl_json_enter(&j, '{'))
 *         while (sl_json_member(&j, &key))
 *             sl_json_skip(&j);
 *     if (j.error) ... j.error at j.offset
 *
 * The dialect and the error texts with their offsets are those of RapidJSON 1.1 as TensorFlow
 * Serving uses it (rest.md 6.2): NaN, Inf and Infinity are numbers, a byte order mark is skipped, a
 * zero byte ends the text, UTF-8 is not checked, and what follows the value is not looked at. Ours
 * is only the limit on depth.
 */
#ifndef SL_FORMAT_JSON_H
#define SL_FORMAT_JSON_H

#include "base/str.h"
#include "format/number.h"

enum { SL_JSON_MAX_DEPTH = 16384 }; /* a higher limit counts as this one: 2 KB of bits */

typedef struct sl_json {
    const char *begin, *at, *end;
    int depth, max_depth; /* brackets that are open at `at` */
    bool fresh;           /* nothing was read yet behind the bracket that was entered last */
    const char *error;    /* NULL, or what is wrong: "Invalid value."; reading has then ended */
    size_t offset;        /* where, in bytes from the beginning */
    char text[48];
    uint64_t objects[SL_JSON_MAX_DEPTH / 64]; /* bit d: the bracket at depth d is a '{' */
} sl_json;

/* A string as it stands in the text: without its quotes, escapes not yet undone. */
typedef struct sl_json_string {
    sl_str raw;
    bool escaped;
} sl_json_string;

typedef enum sl_json_type {
    SL_JSON_NULL,
    SL_JSON_FALSE,
    SL_JSON_TRUE,
    SL_JSON_OBJECT,
    SL_JSON_ARRAY,
    SL_JSON_STRING,
    SL_JSON_NUMBER
} sl_json_type;

void sl_json_open(sl_json *j, sl_str text, int max_depth);
/* Continues at `at`, inside `depth` brackets: for a value whose place was remembered. */
void sl_json_seek(sl_json *j, const char *at, int depth);

/* The next byte that is no white space, which is not consumed; 0 at the end. */
char sl_json_peek(sl_json *j);
/* The type of the value that comes, judged by its first byte. */
sl_json_type sl_json_peek_type(sl_json *j);
/* "Null", "True", ... as error texts call it. */
const char *sl_json_type_name(sl_json_type t);

/* Moves past one value, checking all of it. False on an error. */
bool sl_json_skip(sl_json *j);
/* Moves past '{' or '['. False if something else stands there (no error) or it is too deep. */
bool sl_json_enter(sl_json *j, char bracket);
/* Moves to the value of the next member or to the next element. False past the last, with the
 * closing bracket consumed, or on an error. The value must be consumed before the next call. */
bool sl_json_member(sl_json *j, sl_json_string *key);
bool sl_json_element(sl_json *j);
/* Reads a string or a number that stands there. False on an error, or if it is something else. */
bool sl_json_read_string(sl_json *j, sl_json_string *out);
bool sl_json_read_number(sl_json *j, sl_number *out);

/* Undoes the escapes of a valid string; returns how many bytes it wrote, at most raw.n. */
size_t sl_json_unescape(sl_str raw, char *out);
/* Does the string, its escapes undone, equal `wanted`? */
bool sl_json_string_is(const sl_json_string *s, sl_str wanted);

#endif
