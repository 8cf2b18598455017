/*
 * textpb_token.c - splits protobuf's text form into tokens and remembers where each stood
 *
 * Lines end at \n; a column is a character, so the bytes 10xxxxxx that continue a UTF-8 sequence do
 * not count. An error quotes the offending text cut to what fits on a line.
 */
#include "format/textpb_token.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>

#include "base/mem.h"

static bool vfail(sl_textpb_scan *s, int line, int column, const char *fmt, va_list ap)
{
    if (s->rc == SL_OK) {
        s->rc = sl_vfail(s->st, SL_INVALID_ARGUMENT, fmt, ap);
        if (s->st != NULL)
            sl_wrap(s->st, "%d:%d: ", line, column);
    }
    return false;
}

bool sl_textpb_fail(sl_textpb_scan *s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vfail(s, s->token_line, s->token_column, fmt, ap);
    va_end(ap);
    return false;
}

/* Fails where the scanner stands, inside a token. */
SL_PRINTF(2, 3) static bool fail_here(sl_textpb_scan *s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vfail(s, s->line, s->column, fmt, ap);
    va_end(ap);
    return false;
}

bool sl_textpb_expected(sl_textpb_scan *s, const char *what)
{
    if (s->kind == SL_TEXTPB_END)
        return sl_textpb_fail(s, "expected %s, found the end of the file", what);
    int n = (int)SL_MIN(s->token.n, (size_t)60);
    /* A string already has its quotes. */
    const char *quote = s->kind == SL_TEXTPB_STRING ? "" : "\"";
    return sl_textpb_fail(s, "expected %s, found %s%.*s%s%s", what, quote, n, s->token.p, quote,
                          (size_t)n < s->token.n ? "..." : "");
}

static bool name_letter(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool digit(int c)
{
    return c >= '0' && c <= '9';
}

/* The byte at `ahead` from here, or 0 behind the end. */
static int peek(const sl_textpb_scan *s, size_t ahead)
{
    return (size_t)(s->end - s->at) > ahead ? (unsigned char)s->at[ahead] : 0;
}

static void step(sl_textpb_scan *s)
{
    if (*s->at == '\n') {
        s->line++;
        s->column = 1;
    } else if (((unsigned char)*s->at & 0xC0) != 0x80) {
        s->column++;
    }
    s->at++;
}

static void skip_blanks(sl_textpb_scan *s)
{
    while (s->at < s->end) {
        char c = *s->at;
        if (c == '#')
            while (s->at < s->end && *s->at != '\n')
                step(s);
        else if (c == ' ' || (c >= '\t' && c <= '\r'))
            step(s);
        else
            return;
    }
}

/* Number token: the grammar is protobuf's tokenizer's. A letter right behind it is an error. */
static bool scan_number(sl_textpb_scan *s)
{
    s->kind = SL_TEXTPB_INTEGER;
    if (peek(s, 0) == '0' && (peek(s, 1) | 32) == 'x') {
        step(s);
        step(s);
        if (!isxdigit(peek(s, 0)))
            return fail_here(s, "expected a hexadecimal digit behind \"0x\"");
        while (isxdigit(peek(s, 0)))
            step(s);
    } else {
        while (digit(peek(s, 0)))
            step(s);
        if (peek(s, 0) == '.') {
            s->kind = SL_TEXTPB_FLOAT;
            step(s);
            while (digit(peek(s, 0)))
                step(s);
        }
        if ((peek(s, 0) | 32) == 'e') {
            s->kind = SL_TEXTPB_FLOAT;
            step(s);
            if (peek(s, 0) == '+' || peek(s, 0) == '-')
                step(s);
            if (!digit(peek(s, 0)))
                return fail_here(s, "expected a digit of the exponent");
            while (digit(peek(s, 0)))
                step(s);
        }
        if ((peek(s, 0) | 32) == 'f') {
            s->kind = SL_TEXTPB_FLOAT;
            step(s);
        }
    }
    if (name_letter(peek(s, 0)) || digit(peek(s, 0)))
        return fail_here(s, "expected a blank between a number and \"%c\"", peek(s, 0));
    return true;
}

static bool scan_string(sl_textpb_scan *s)
{
    char quote = *s->at;
    s->kind = SL_TEXTPB_STRING;
    step(s);
    while (s->at < s->end && *s->at != quote) {
        if (*s->at == '\n')
            return fail_here(s, "a string does not go on in the next line; close it here and open "
                                "another");
        if (*s->at == '\\' && s->end - s->at > 1 && s->at[1] != '\n')
            step(s);
        step(s);
    }
    if (s->at == s->end)
        return sl_textpb_fail(s, "the string that begins here is never closed");
    step(s);
    return true;
}

static bool scan_token(sl_textpb_scan *s)
{
    int c = s->at < s->end ? (unsigned char)*s->at : 0;
    if (s->at == s->end) {
        s->kind = SL_TEXTPB_END;
    } else if (name_letter(c)) {
        s->kind = SL_TEXTPB_NAME;
        while (name_letter(peek(s, 0)) || digit(peek(s, 0)))
            step(s);
    } else if (digit(c) || (c == '.' && digit(peek(s, 1)))) {
        return scan_number(s);
    } else if (c == '"' || c == '\'') {
        return scan_string(s);
    } else if (c < ' ' || c == 127) {
        return sl_textpb_fail(s, "this is no text: byte 0x%02x", (unsigned)c);
    } else {
        s->kind = SL_TEXTPB_SYMBOL;
        step(s);
        while (s->at < s->end && ((unsigned char)*s->at & 0xC0) == 0x80)
            step(s); /* quote a character whole */
    }
    return true;
}

bool sl_textpb_next(sl_textpb_scan *s)
{
    if (s->rc)
        return false;
    skip_blanks(s);
    s->token_line = s->line;
    s->token_column = s->column;
    s->token = (sl_str){s->at, 0};
    bool ok = scan_token(s);
    s->token.n = (size_t)(s->at - s->token.p);
    return ok;
}

void sl_textpb_scan_open(sl_textpb_scan *s, sl_str text, sl_status *st)
{
    *s = (sl_textpb_scan){.line = 1, .column = 1, .st = st};
    s->at = text.n ? text.p : "";
    s->end = s->at + text.n;
    if (text.n >= 3 && memcmp(s->at, "\xEF\xBB\xBF", 3) == 0)
        s->at += 3; /* byte order mark */
    sl_textpb_next(s);
}

/* ---- escapes ---- */

static int hex_value(int c)
{
    return digit(c) ? c - '0' : (c | 32) - 'a' + 10;
}

/* Up to `most` digits of base 8 or 16; how many there were. */
static int read_digits(const char **p, const char *end, int base, int most, uint32_t *value)
{
    int n = 0;
    for (*value = 0; n < most && *p < end; n++, (*p)++) {
        int c = (unsigned char)**p;
        if (base == 16 ? !isxdigit(c) : c < '0' || c > '7')
            break;
        *value = *value * (uint32_t)base + (uint32_t)hex_value(c);
    }
    return n;
}

static bool add_utf8(sl_text *out, uint32_t c)
{
    char b[4];
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    if (c > 0x10FFFF || (c >= 0xD800 && c < 0xE000))
        return false;
    for (size_t i = n; i-- > 1; c >>= 6)
        b[i] = (char)(0x80 | (c & 63));
    b[0] = (char)(n == 1 ? c : (0xF00u >> n & 0xFF) | c);
    sl_text_add(out, b, n);
    return true;
}

/* \u with four digits, of which a pair of surrogates makes one character, or \U with eight. */
static bool unescape_unicode(const char **p, const char *end, char letter, sl_text *out)
{
    uint32_t c, low;
    int wanted = letter == 'u' ? 4 : 8;
    if (read_digits(p, end, 16, wanted, &c) != wanted)
        return false;
    if (c >= 0xD800 && c < 0xDC00 && letter == 'u' && end - *p >= 6 && (*p)[0] == '\\' &&
        (*p)[1] == 'u') {
        *p += 2;
        if (read_digits(p, end, 16, 4, &low) != 4 || low < 0xDC00 || low >= 0xE000)
            return false;
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
    }
    return add_utf8(out, c);
}

/* *p stands behind the backslash. */
static bool unescape(const char **p, const char *end, sl_text *out)
{
    static const char letters[] = "abfnrtv\\'\"?", bytes[] = "\a\b\f\n\r\t\v\\'\"?";
    uint32_t value;
    char c = **p;
    const char *found = c ? strchr(letters, c) : NULL;
    if (found != NULL) {
        (*p)++;
        sl_text_putc(out, bytes[found - letters]);
        return true;
    }
    if (read_digits(p, end, 8, 3, &value)) {
        sl_text_putc(out, (char)value);
        return value <= 0xFF;
    }
    (*p)++;
    if (c == 'x' || c == 'X') {
        if (!read_digits(p, end, 16, 2, &value))
            return false;
        sl_text_putc(out, (char)value);
        return true;
    }
    return (c == 'u' || c == 'U') && unescape_unicode(p, end, c, out);
}

bool sl_textpb_unquote(sl_textpb_scan *s, sl_text *out)
{
    const char *p = s->token.p + 1, *end = s->token.p + s->token.n - 1;
    while (p < end) {
        const char *from = p;
        while (p < end && *p != '\\')
            p++;
        sl_text_add(out, from, (size_t)(p - from));
        if (p == end)
            break;
        const char *escape = p++;
        assert(p < end); /* or the quote would not have ended the token */
        if (!unescape(&p, end, out)) {
            size_t n = SL_MIN((size_t)(end - escape), (size_t)6);
            return sl_textpb_fail(s, "wrong escape \"%.*s\" in a string", (int)n, escape);
        }
    }
    return true;
}
