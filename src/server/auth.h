/*
 * auth.h - --auth_config_file: read at start, and again when one of its files changes
 *
 *     sl_auth_new(&options, &auth, st)                    a bad file stops the start
 *     sl_auth_guard(auth)                                 for the front ends
 *     sl_auth_poke(auth)                                  SIGHUP: look now
 *
 * The file, and the token files and key sets that it names, are looked at once a second; a change
 * of size, time or inode (a symbolic link that was swapped, too) has all of them read again, when
 * they have stood still from one look to the next. What cannot be read or be meant changes nothing
 * and is logged once; so does what would let everybody in: a file with nothing in it, one without
 * identities where there are some, one that has lost its `end: true`. Keys that an issuer has at a URL
 * are fetched besides (jwks.h): the start does not wait for them.
 */
#ifndef SL_SERVER_AUTH_H
#define SL_SERVER_AUTH_H

#include "base/launcher.h"
#include "guard/guard.h"

typedef struct sl_auth sl_auth;

typedef struct sl_auth_options {
    const char *path; /* "": a guard without configuration, and nothing to look at */
    bool allow_remote_admin;
    const char *helper;    /* for jwks_url: path of sluice-fetch, or "" */
    sl_launcher *launcher; /* starts it, as operation launch_op and the next; NULL: we do */
    int launch_op;
    const struct sl_sandbox_options *sandbox; /* what may be read; NULL: everything */
} sl_auth_options;

/* NOT_FOUND, INVALID_ARGUMENT, FAILED_PRECONDITION (no sluice-fetch, or a file that the sandbox
 * closes) in words that name the file. */
sl_code sl_auth_new(const sl_auth_options *o, sl_auth **out, sl_status *st);
void sl_auth_free(sl_auth *a); /* accepts NULL */
sl_guard *sl_auth_guard(const sl_auth *a);
void sl_auth_poke(sl_auth *a);

/* Hands each file that the configuration at `path` names to `each`, as a path that can be opened,
 * until that fails: for the sandbox, which has to know them before. A configuration that cannot be
 * read names none; sl_auth_new says what is wrong with it. */
sl_code sl_auth_each_file(const char *path,
                          sl_code (*each)(void *arg, const char *file, sl_status *st), void *arg,
                          sl_status *st);

/* For the commands: reads the file into `g`, once. `helper`: the path of sluice-fetch, or "", for
 * keys that have to be fetched; NULL: they are not. `say` (may be NULL) hears what came of each
 * issuer's: a code of OK if they are there. */
sl_code sl_auth_read(const char *path, const char *helper, sl_guard *g,
                     void (*say)(const char *issuer, const char *url, const sl_status *st),
                     sl_status *st);

#endif
