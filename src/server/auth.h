/*
 * auth.h - --auth_config_file: read at start, and again when one of its files changes
 *
 *     sl_auth_new(path, allow_remote_admin, &auth, st)    a bad file stops the start
 *     sl_auth_guard(auth)                                 for the front ends
 *     sl_auth_poke(auth)                                  SIGHUP: look now
 *
 * The file, and the token files and key sets that it names, are looked at once a second; a change
 * of size, time or inode (a symbolic link that was swapped, too) has all of them read again. What
 * cannot be read or be meant changes nothing and is logged once.
 */
#ifndef SL_SERVER_AUTH_H
#define SL_SERVER_AUTH_H

#include "guard/guard.h"

typedef struct sl_auth sl_auth;

/* path "": a guard without configuration, and nothing to look at. NOT_FOUND, INVALID_ARGUMENT, in
 * words that name the file. */
sl_code sl_auth_new(const char *path, bool allow_remote_admin, sl_auth **out, sl_status *st);
void sl_auth_free(sl_auth *a); /* accepts NULL */
sl_guard *sl_auth_guard(const sl_auth *a);
void sl_auth_poke(sl_auth *a);

/* Reads the file into `g`, once; for the commands. */
sl_code sl_auth_read(const char *path, sl_guard *g, sl_status *st);

#endif
