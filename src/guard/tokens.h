/*
 * tokens.h - API tokens: made, kept as hashes, looked up
 *
 * A token is "slt_" and 43 characters of base64url: 256 random bits. The file keeps its SHA-256, so
 * who reads the file cannot use it:
 *
 *     # name   sha256 of the whole token                                         until
 *     ci       9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
 *     alice    2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
 * 2027-01-31T00:00:00Z
 *
 * A name may stand on several lines: its old and its new token, while clients change over.
 */
#ifndef SL_GUARD_TOKENS_H
#define SL_GUARD_TOKENS_H

#include "base/str.h"

enum { SL_DIGEST_SIZE = 32, SL_TOKEN_SIZE = 4 + 43 };

typedef struct sl_token {
    unsigned char digest[SL_DIGEST_SIZE];
    int64_t expires_s; /* seconds since 1970; 0: never */
    char *name;        /* "token:ci" */
} sl_token;

typedef struct sl_tokens {
    sl_token *list; /* by digest */
    int count;
} sl_tokens;

/* Adds the tokens of a file's text. INVALID_ARGUMENT "<path>:<line>: <what is wrong>". A secret
 * that was put there instead of its hash is named as such, and not quoted. */
sl_code sl_tokens_read(const char *path, sl_str text, sl_tokens *t, sl_status *st);
/* After the last read, before the first find. INVALID_ARGUMENT: one hash under two names. */
sl_code sl_tokens_sort(sl_tokens *t, sl_status *st);
void sl_tokens_fini(sl_tokens *t);

/* The token whose digest this is, also if it has expired; NULL. */
const sl_token *sl_tokens_find(const sl_tokens *t, const unsigned char digest[SL_DIGEST_SIZE]);

/* SHA-256. Any thread; false when OpenSSL has no memory. */
bool sl_digest(sl_str bytes, unsigned char out[SL_DIGEST_SIZE]);

/* Makes a token; `out` is terminated. UNAVAILABLE: no randomness. */
sl_code sl_token_make(char out[SL_TOKEN_SIZE + 1], sl_status *st);
/* The line for the file, without its newline. `expires_s` 0: never. */
void sl_token_line(const char *name, const char *token, int64_t expires_s, sl_text *out);
/* 1 to 64 of [A-Za-z0-9._@-]. */
bool sl_token_name_is_sane(sl_str name);
/* "2027-01-31", "2027-01-31T10:00:00Z": seconds since 1970. */
bool sl_time_parse(sl_str text, int64_t *out);

#endif
