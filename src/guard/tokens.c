/*
 * tokens.c - see tokens.h
 *
 * Looking up compares hashes, never tokens: how long the search takes tells between which of our
 * hashes the hash of what the client sent lies. It cannot choose that one (to find a token for a
 * hash that begins alike is as much work as to guess), and none of it says anything about a token.
 * Whether the two are equal is compared in constant time all the same.
 */
#include "guard/tokens.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "format/base64.h"
#include "format/percent.h"

/* ---- hashing ---- */

static EVP_MD *sha256;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t context_of_thread;

static void free_context(void *c)
{
    EVP_MD_CTX_free(c);
}

/* Fetched once: looking an algorithm up by name costs more than hashing with it. */
static void prepare(void)
{
    if (pthread_key_create(&context_of_thread, free_context) == 0)
        sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
}

bool sl_digest(sl_str bytes, unsigned char out[SL_DIGEST_SIZE])
{
    pthread_once(&once, prepare);
    if (sha256 == NULL)
        return false;
    EVP_MD_CTX *c = pthread_getspecific(context_of_thread);
    if (c == NULL && (c = EVP_MD_CTX_new()) != NULL &&
        pthread_setspecific(context_of_thread, c) != 0) {
        EVP_MD_CTX_free(c);
        return false;
    }
    return c != NULL && EVP_DigestInit_ex2(c, sha256, NULL) == 1 &&
           EVP_DigestUpdate(c, bytes.p, bytes.n) == 1 && EVP_DigestFinal_ex(c, out, NULL) == 1;
}

/* ---- reading ---- */

static bool read_digest(sl_str word, unsigned char out[SL_DIGEST_SIZE])
{
    if (word.n != 2 * SL_DIGEST_SIZE)
        return false;
    for (size_t i = 0; i < SL_DIGEST_SIZE; i++) {
        int high = sl_hex(word.p[2 * i]), low = sl_hex(word.p[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

bool sl_token_name_is_sane(sl_str name)
{
    if (name.n < 1 || name.n > 64)
        return false;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && (c == '\0' || strchr("._@-", c) == NULL))
            return false;
    }
    return true;
}

static bool digits(const char *p, int n, int *out)
{
    *out = 0;
    for (int i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9')
            return false;
        *out = *out * 10 + p[i] - '0';
    }
    return true;
}

bool sl_time_parse(sl_str t, int64_t *out)
{
    int y, mo, d, h = 0, mi = 0, s = 0;
    if ((t.n != 10 && t.n != 20) || !digits(t.p, 4, &y) || t.p[4] != '-' ||
        !digits(t.p + 5, 2, &mo) || t.p[7] != '-' || !digits(t.p + 8, 2, &d))
        return false;
    if (t.n == 20 &&
        (t.p[10] != 'T' || !digits(t.p + 11, 2, &h) || t.p[13] != ':' ||
         !digits(t.p + 14, 2, &mi) || t.p[16] != ':' || !digits(t.p + 17, 2, &s) || t.p[19] != 'Z'))
        return false;
    if (y < 1970 || mo < 1 || mo > 12 || d < 1 || d > 31 || h > 23 || mi > 59 || s > 60)
        return false;
    struct tm tm = {.tm_year = y - 1900,
                    .tm_mon = mo - 1,
                    .tm_mday = d,
                    .tm_hour = h,
                    .tm_min = mi,
                    .tm_sec = s};
    *out = timegm(&tm);
    return tm.tm_mday == d; /* 31 February is 3 March: nothing moves by a whole month */
}

/* The next word of a line. */
static sl_str word(sl_str *line)
{
    while (line->n > 0 && (*line->p == ' ' || *line->p == '\t' || *line->p == '\r')) {
        line->p++;
        line->n--;
    }
    sl_str w = {line->p, 0};
    while (w.n < line->n && w.p[w.n] != ' ' && w.p[w.n] != '\t' && w.p[w.n] != '\r')
        w.n++;
    line->p += w.n;
    line->n -= w.n;
    return w;
}

static sl_code bad(const char *path, int line, sl_status *st, const char *what)
{
    return sl_fail(st, SL_INVALID_ARGUMENT, "%s:%d: %s", path, line, what);
}

static sl_code read_line(const char *path, int number, sl_str line, sl_tokens *t, size_t *cap,
                         sl_status *st)
{
    sl_str name = word(&line), digest = word(&line), until = word(&line), more = word(&line);
    sl_token token = {.expires_s = 0};
    if (name.n == 0 || name.p[0] == '#')
        return SL_OK;
    if (!sl_token_name_is_sane(name))
        return bad(path, number, st, "a name is 1 to 64 of the characters A-Z a-z 0-9 . _ @ -");
    if (sl_str_starts(digest, "slt_"))
        return bad(
            path, number, st,
            "this is a token, not its hash: whoever can read the file can use it; make a new one "
            "with `sluice token`");
    if (!read_digest(digest, token.digest))
        return bad(path, number, st,
                   "behind the name the token's SHA-256 is expected, 64 hexadecimal digits");
    if (until.n > 0 && until.p[0] != '#' && !sl_time_parse(until, &token.expires_s))
        return bad(path, number, st, "the time is written like 2027-01-31T00:00:00Z");
    if (more.n > 0 && more.p[0] != '#' && until.p[0] != '#')
        return bad(path, number, st, "a line holds a name, a hash and perhaps a time");
    sl_token *list = sl_try_grow(t->list, (size_t)t->count, cap, sizeof *list);
    if (list == NULL)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "%s: out of memory", path);
    t->list = list;
    sl_text full = {0};
    sl_text_printf(&full, "token:%.*s", SL_STR_ARG(name));
    if (full.failed) {
        sl_text_fini(&full);
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "%s: out of memory", path);
    }
    token.name = full.p;
    t->list[t->count++] = token;
    return SL_OK;
}

sl_code sl_tokens_read(const char *path, sl_str text, sl_tokens *t, sl_status *st)
{
    size_t cap = (size_t)t->count; /* grows from what is there */
    int number = 1;
    for (size_t at = 0; at < text.n; number++) {
        const char *end = memchr(text.p + at, '\n', text.n - at);
        size_t n = end ? (size_t)(end - text.p) - at : text.n - at;
        sl_code rc = read_line(path, number, (sl_str){text.p + at, n}, t, &cap, st);
        if (rc)
            return rc;
        at += n + 1;
    }
    return SL_OK;
}

static int by_digest(const void *a, const void *b)
{
    return memcmp(((const sl_token *)a)->digest, ((const sl_token *)b)->digest, SL_DIGEST_SIZE);
}

sl_code sl_tokens_sort(sl_tokens *t, sl_status *st)
{
    if (t->count > 0)
        qsort(t->list, (size_t)t->count, sizeof *t->list, by_digest);
    for (int i = 1; i < t->count; i++)
        if (by_digest(&t->list[i - 1], &t->list[i]) == 0)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "one token stands under two names: \"%s\" and \"%s\"",
                           t->list[i - 1].name, t->list[i].name);
    return SL_OK;
}

void sl_tokens_fini(sl_tokens *t)
{
    for (int i = 0; i < t->count; i++)
        sl_free(t->list[i].name);
    sl_free(t->list);
    *t = (sl_tokens){0};
}

const sl_token *sl_tokens_find(const sl_tokens *t, const unsigned char digest[SL_DIGEST_SIZE])
{
    int low = 0, high = t->count;
    while (low < high) { /* the first that is not before it */
        int mid = low + (high - low) / 2;
        if (memcmp(t->list[mid].digest, digest, SL_DIGEST_SIZE) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == t->count || CRYPTO_memcmp(t->list[low].digest, digest, SL_DIGEST_SIZE) != 0)
        return NULL;
    return &t->list[low];
}

/* ---- making ---- */

sl_code sl_token_make(char out[SL_TOKEN_SIZE + 1], sl_status *st)
{
    unsigned char secret[32];
    char text[48];
    if (RAND_bytes(secret, sizeof secret) != 1)
        return sl_fail(st, SL_UNAVAILABLE, "the system gives no random bytes");
    sl_base64_encode((sl_str){(const char *)secret, sizeof secret}, text); /* 43 and one '=' */
    memcpy(out, "slt_", 4);
    for (int i = 0; i < 43; i++)
        out[4 + i] = text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i];
    out[SL_TOKEN_SIZE] = '\0';
    OPENSSL_cleanse(secret, sizeof secret);
    OPENSSL_cleanse(text, sizeof text);
    return SL_OK;
}

void sl_token_line(const char *name, const char *token, int64_t expires_s, sl_text *out)
{
    unsigned char digest[SL_DIGEST_SIZE];
    if (!sl_digest(sl_str_of(token), digest)) {
        out->failed = true;
        return;
    }
    sl_text_printf(out, "%s ", name);
    for (int i = 0; i < SL_DIGEST_SIZE; i++)
        sl_text_printf(out, "%02x", digest[i]);
    if (expires_s > 0) {
        struct tm tm;
        time_t t = (time_t)expires_s;
        gmtime_r(&t, &tm);
        sl_text_printf(out, " %04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900, tm.tm_mon + 1,
                       tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
    }
}
