/*
 * jwks.h - issuers' keys that lie elsewhere: jwks_url in --auth_config_file
 *
 * A thread has them fetched (document.h): at once, then every jwks_refresh_seconds, which the
 * answer's Cache-Control may shorten to a minute or lengthen to an hour; after a failure in 1, 2, 4
 * ... seconds, at most a minute; and when a token names a key that is not there, at most once in 30
 * seconds. What is not a key set is a failure. The last good set stays, however long fetching
 * fails; that is logged once, and counted.
 *
 *     sl_jwks_check        may these URLs be, and is there a helper?
 *     sl_jwks_texts        what has been fetched, for sl_guard_configure
 *     sl_jwks_follow       when the guard has taken the configuration: these from now on
 *     sl_jwks_unknown_key  the guard's callback
 */
#ifndef SL_SERVER_JWKS_H
#define SL_SERVER_JWKS_H

#include "base/launcher.h"
#include "base/str.h"

struct Sluice__AuthConfig;

typedef struct sl_jwks sl_jwks;

typedef struct sl_jwks_options {
    const char *helper;    /* path of sluice-fetch, or "" */
    sl_launcher *launcher; /* starts it, as operation launch_op and the next; NULL: we do */
    int launch_op;
    void (*changed)(void *arg); /* a set is there that was not; this module's thread */
    void *arg;
} sl_jwks_options;

sl_jwks *sl_jwks_new(const sl_jwks_options *o);
void sl_jwks_free(sl_jwks *j); /* accepts NULL */

/* INVALID_ARGUMENT: a URL that is none, or that may not be (plain HTTP to another machine).
 * FAILED_PRECONDITION: there is no sluice-fetch. */
sl_code sl_jwks_check(const struct Sluice__AuthConfig *c, const char *helper, sl_status *st);
/* `out`: as many as c->jwt; to be freed. Any thread. */
void sl_jwks_texts(sl_jwks *j, const struct Sluice__AuthConfig *c, const char *dir, sl_text *out);
/* Starts the thread where it is needed and not there yet. One thread at a time. */
sl_code sl_jwks_follow(sl_jwks *j, const struct Sluice__AuthConfig *c, const char *dir,
                       sl_status *st);
/* Any thread; waits for nothing. */
void sl_jwks_unknown_key(void *jwks, const char *url);

/* All of them, now. Any thread. */
void sl_jwks_poke(sl_jwks *j);

/* For the commands: fetches all of them, once. `out` and `sts`: as many as c->jwt; a code of OK
 * without text: it has no URL. */
void sl_jwks_fetch_once(const struct Sluice__AuthConfig *c, const char *dir, const char *helper,
                        sl_text *out, sl_status *sts);

/* ---- for tests ---- */

/* Nanoseconds until the next time, after a success, and after so many failures in a row. */
uint64_t sl_jwks_wait_ns(unsigned refresh_s, bool has_age, uint64_t age_s);
uint64_t sl_jwks_retry_ns(unsigned failures);

#endif
