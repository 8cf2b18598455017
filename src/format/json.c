/*
 * json.c - one grammar, walked by a loop
 *
 * sl_json_skip is the whole grammar: a loop that stands either before a value, behind one, or
 * before a key, and one bit a level that says what to return to. The walking functions (enter,
 * member, element) are the same steps taken one at a time. A read at or behind the end gives 0, and
 * a zero byte in the text is treated as the end, as the original does.
 */
#include "format/json.h"

#include <assert.h>
#include <stdio.h>

static const char invalid_value[] = "Invalid value.";

static bool fail(sl_json *j, const char *error, const char *where)
{
    assert(j->error == NULL); /* nothing is read behind the first */
    j->error = error;
    j->offset = (size_t)(where - j->begin);
    j->at = where;
    return false;
}

void sl_json_open(sl_json *j, sl_str text, int max_depth)
{
    const char *p = text.n ? text.p : "";
    j->begin = j->at = p;
    j->end = p + text.n;
    j->depth = 0;
    j->max_depth = max_depth < SL_JSON_MAX_DEPTH ? max_depth : SL_JSON_MAX_DEPTH;
    j->fresh = false;
    j->error = NULL;
    j->offset = 0;
    if (text.n >= 3 && memcmp(p, "\xEF\xBB\xBF", 3) == 0)
        j->at += 3;
    /* The original's parser has not begun a document when it meets one of these either. */
    char c = sl_json_peek(j);
    if (c == '\0' || strchr("]},:", c))
        fail(j, "The document is empty.", j->at);
}

void sl_json_seek(sl_json *j, const char *at, int depth)
{
    j->at = at;
    j->depth = depth;
    j->fresh = false;
    j->error = NULL;
}

static const char *skip_blank(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    return p;
}

static inline char at(const char *p, const char *end)
{
    return p < end ? *p : '\0';
}

char sl_json_peek(sl_json *j)
{
    j->at = skip_blank(j->at, j->end);
    return at(j->at, j->end);
}

sl_json_type sl_json_peek_type(sl_json *j)
{
    switch (sl_json_peek(j)) {
    case 'n':
        return SL_JSON_NULL;
    case 'f':
        return SL_JSON_FALSE;
    case 't':
        return SL_JSON_TRUE;
    case '{':
        return SL_JSON_OBJECT;
    case '[':
        return SL_JSON_ARRAY;
    case '"':
        return SL_JSON_STRING;
    default:
        return SL_JSON_NUMBER;
    }
}

const char *sl_json_type_name(sl_json_type t)
{
    static const char *const names[] = {"Null",  "False",  "True",  "Object",
                                        "Array", "String", "Number"};
    return names[t];
}

/* ---- strings ---- */

/* Value of four hex digits at p, or -1. */
static int hex4(const char *p, const char *end)
{
    int v = 0;
    for (int i = 0; i < 4; i++) {
        char c = at(p + i, end);
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        v = v << 4 | digit;
    }
    return v;
}

static bool is_high(int u)
{
    return u >= 0xD800 && u <= 0xDBFF;
}
static bool is_low(int u)
{
    return u >= 0xDC00 && u <= 0xDFFF;
}

/* Checks the escape at p, a backslash; returns what follows it, or NULL after fail(). */
static const char *check_escape(sl_json *j, const char *p)
{
    static const char hex[] = "Incorrect hex digit after \\u escape in string.";
    static const char surrogate[] = "The surrogate pair in string is invalid.";
    char c = at(p + 1, j->end);
    if (c != 'u') {
        if (c != '\0' && strchr("\"\\/bfnrt", c))
            return p + 2;
        fail(j, "Invalid escape character in string.", p);
        return NULL;
    }
    int u = hex4(p + 2, j->end);
    if (u < 0) {
        fail(j, hex, p);
        return NULL;
    }
    if (!is_high(u) && !is_low(u))
        return p + 6;
    if (is_low(u) || at(p + 6, j->end) != '\\' || at(p + 7, j->end) != 'u') {
        fail(j, surrogate, p);
        return NULL;
    }
    u = hex4(p + 8, j->end);
    if (!is_low(u)) {
        fail(j, u < 0 ? hex : surrogate, p);
        return NULL;
    }
    return p + 12;
}

/* Eight bytes at a time: is one of them a quote, a backslash or below 0x20? */
static bool all_plain(const char *p)
{
    const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
    uint64_t w;
    memcpy(&w, p, 8);
    uint64_t quote = w ^ ones * '"', slash = w ^ ones * '\\';
    uint64_t low = (w - ones * 0x20) & ~w;
    return (((quote - ones) & ~quote) | ((slash - ones) & ~slash) | low) & tops ? false : true;
}

/* `p` stands behind the opening quote. Returns where the closing one is, or NULL after fail(). */
static const char *string_end(sl_json *j, const char *p, bool *escaped)
{
    const char *end = j->end;
    *escaped = false;
    for (;;) {
        while (end - p >= 8 && all_plain(p))
            p += 8;
        char c = at(p, end);
        if (c == '"')
            return p;
        if (c == '\\') {
            *escaped = true;
            p = check_escape(j, p);
            if (p == NULL)
                return NULL;
        } else if ((unsigned char)c >= 0x20) {
            p++;
        } else {
            fail(j,
                 c ? "Invalid escape character in string."
                   : "Missing a closing quotation mark in string.",
                 p);
            return NULL;
        }
    }
}

bool sl_json_read_string(sl_json *j, sl_json_string *out)
{
    if (j->error || sl_json_peek(j) != '"')
        return false;
    const char *p = j->at + 1, *q = string_end(j, p, &out->escaped);
    if (q == NULL)
        return false;
    out->raw = (sl_str){p, (size_t)(q - p)};
    j->at = q + 1;
    return true;
}

static size_t put_utf8(char *out, int u)
{
    if (u < 0x80) {
        out[0] = (char)u;
        return 1;
    }
    if (u < 0x800) {
        out[0] = (char)(0xC0 | u >> 6);
        out[1] = (char)(0x80 | (u & 0x3F));
        return 2;
    }
    if (u < 0x10000) {
        out[0] = (char)(0xE0 | u >> 12);
        out[1] = (char)(0x80 | (u >> 6 & 0x3F));
        out[2] = (char)(0x80 | (u & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | u >> 18);
    out[1] = (char)(0x80 | (u >> 12 & 0x3F));
    out[2] = (char)(0x80 | (u >> 6 & 0x3F));
    out[3] = (char)(0x80 | (u & 0x3F));
    return 4;
}

size_t sl_json_unescape(sl_str raw, char *out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *p = raw.p, *end = raw.p + raw.n;
    char *o = out;
    while (p < end) {
        const char *slash = memchr(p, '\\', (size_t)(end - p));
        size_t plain = (size_t)((slash ? slash : end) - p);
        memmove(o, p, plain);
        o += plain;
        p += plain;
        if (slash == NULL)
            break;
        if (p[1] != 'u') {
            *o++ = to[strchr(from, p[1]) - from];
            p += 2;
            continue;
        }
        int u = hex4(p + 2, end);
        p += 6;
        if (is_high(u)) {
            u = 0x10000 + ((u - 0xD800) << 10) + (hex4(p + 2, end) - 0xDC00);
            p += 6;
        }
        o += put_utf8(o, u);
    }
    return (size_t)(o - out);
}

bool sl_json_string_is(const sl_json_string *s, sl_str wanted)
{
    char plain[256];
    if (!s->escaped)
        return sl_str_eq(s->raw, wanted);
    /* A byte is written as six at most. Names that long with escapes in them are not compared
     * whole: no name that we look for is. */
    if (s->raw.n > sizeof plain || s->raw.n < wanted.n)
        return false;
    return sl_str_eq((sl_str){plain, sl_json_unescape(s->raw, plain)}, wanted);
}

/* ---- the other scalars ---- */

static bool skip_literal(sl_json *j, const char *word)
{
    const char *p = j->at;
    for (; *word; word++, p++)
        if (at(p, j->end) != *word)
            return fail(j, invalid_value, p);
    j->at = p;
    return true;
}

bool sl_json_read_number(sl_json *j, sl_number *out)
{
    const char *error, *where;
    if (j->error)
        return false;
    j->at = skip_blank(j->at, j->end);
    const char *p = sl_number_read(j->at, j->end, out, &error, &where);
    if (p == NULL)
        return fail(j, error, where);
    j->at = p;
    return true;
}

/* ---- structure ---- */

static bool push(sl_json *j, bool object)
{
    if (j->depth >= j->max_depth) {
        snprintf(j->text, sizeof j->text, "nested deeper than %d levels", j->max_depth);
        return fail(j, j->text, j->at);
    }
    uint64_t bit = (uint64_t)1 << (j->depth & 63), *word = &j->objects[j->depth >> 6];
    *word = object ? *word | bit : *word & ~bit;
    j->depth++;
    j->at++;
    return true;
}

static bool in_object(const sl_json *j)
{
    int d = j->depth - 1;
    return j->objects[d >> 6] >> (d & 63) & 1;
}

/* A key and its colon. */
static bool read_key(sl_json *j, sl_json_string *key)
{
    if (sl_json_peek(j) != '"')
        return fail(j, "Missing a name for object member.", j->at);
    if (!sl_json_read_string(j, key))
        return false;
    if (sl_json_peek(j) != ':')
        return fail(j, "Missing a colon after a name of object member.", j->at);
    j->at++;
    return true;
}

/* Behind an element or a member's value: true if there is another one, with the comma consumed;
 * false at the closing bracket, which is consumed, or on an error. */
static bool another(sl_json *j, bool object)
{
    char c = sl_json_peek(j);
    if (c == ',') {
        j->at++;
        return true;
    }
    if (c == (object ? '}' : ']')) {
        j->at++;
        j->depth--;
        return false;
    }
    return fail(j,
                object ? "Missing a comma or '}' after an object member."
                       : "Missing a comma or ']' after an array element.",
                j->at);
}

static bool skip_scalar(sl_json *j, char c)
{
    sl_json_string s;
    sl_number n;
    switch (c) {
    case '"':
        return sl_json_read_string(j, &s);
    case 't':
        return skip_literal(j, "true");
    case 'f':
        return skip_literal(j, "false");
    case 'n':
        return skip_literal(j, "null");
    default:
        return sl_json_read_number(j, &n);
    }
}

bool sl_json_skip(sl_json *j)
{
    int outside = j->depth;
    sl_json_string key;
    if (j->error)
        return false;
    for (;;) {
        /* before a value */
        char c = sl_json_peek(j);
        if (c == '{' || c == '[') {
            if (!push(j, c == '{'))
                return false;
            if (sl_json_peek(j) != (c == '{' ? '}' : ']')) {
                if (c == '{' && !read_key(j, &key))
                    return false;
                continue;
            }
            j->at++;
            j->depth--;
        } else if (!skip_scalar(j, c)) {
            return false;
        }
        /* behind a value */
        for (;;) {
            if (j->depth == outside)
                return true;
            bool object = in_object(j);
            if (another(j, object)) {
                if (object && !read_key(j, &key))
                    return false;
                break;
            }
            if (j->error)
                return false;
        }
    }
}

bool sl_json_enter(sl_json *j, char bracket)
{
    if (j->error || sl_json_peek(j) != bracket || !push(j, bracket == '{'))
        return false;
    j->fresh = true;
    return true;
}

/* Is there something to come, behind the bracket that was entered or behind a value? */
static bool more(sl_json *j, bool object)
{
    if (j->error)
        return false;
    if (!j->fresh)
        return another(j, object);
    j->fresh = false;
    if (sl_json_peek(j) != (object ? '}' : ']'))
        return true;
    j->at++;
    j->depth--;
    return false;
}

bool sl_json_member(sl_json *j, sl_json_string *key)
{
    return more(j, true) && read_key(j, key);
}

bool sl_json_element(sl_json *j)
{
    return more(j, false);
}
