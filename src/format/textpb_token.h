/*
 * textpb_token.h - the tokens of protobuf's text form; for textpb.c
 */
#ifndef SL_FORMAT_TEXTPB_TOKEN_H
#define SL_FORMAT_TEXTPB_TOKEN_H

#include "base/str.h"

typedef enum sl_textpb_kind {
    SL_TEXTPB_END,
    SL_TEXTPB_NAME,    /* letters, digits, _ */
    SL_TEXTPB_INTEGER, /* 12, 0x1F, 017 */
    SL_TEXTPB_FLOAT,   /* 1.5, .5, 1e3, 1f */
    SL_TEXTPB_STRING,  /* with its quotes, escapes not undone */
    SL_TEXTPB_SYMBOL   /* any other single character */
} sl_textpb_kind;

/* Holds the token that was read last, which is the one to be looked at next. */
typedef struct sl_textpb_scan {
    const char *at, *end;
    int line, column; /* of `at` */

    sl_textpb_kind kind;
    sl_str token;
    int token_line, token_column;
    sl_code rc; /* sticky; the status has been written */
    sl_status *st;
} sl_textpb_scan;

/* Opens the text and reads its first token. */
void sl_textpb_scan_open(sl_textpb_scan *s, sl_str text, sl_status *st);
/* Reads the next token; false on a lexical error. */
bool sl_textpb_next(sl_textpb_scan *s);
/* Is the token this symbol? */
static inline bool sl_textpb_is(const sl_textpb_scan *s, char symbol)
{
    return s->kind == SL_TEXTPB_SYMBOL && s->token.p[0] == symbol;
}
/* Fails at the token that is being looked at; returns false. The first failure stays. */
bool sl_textpb_fail(sl_textpb_scan *s, const char *fmt, ...) SL_PRINTF(2, 3);
/* Fails with "expected <what>, found <the token>". */
bool sl_textpb_expected(sl_textpb_scan *s, const char *what);

/* Undoes the escapes of the STRING token and appends its bytes; false on a wrong escape. */
bool sl_textpb_unquote(sl_textpb_scan *s, sl_text *out);

#endif
