/*
 * helper.h - sluice-fetch as a process: found, started, ended
 *
 *     sl_helper_find(f->remote_helper, &path, st)     is there one?
 *     sl_helper_open(&h, &socket, st)                 it runs; `socket` is its descriptor 0
 *     ... fetch/protocol.h ...
 *     sl_helper_close(&h)                             it does not, whatever it was doing
 *
 * Its descriptors 1 and 2 are our stderr. It keeps our environment, since that is where credentials
 * and proxies come from. It is started by the launcher, where there is one: a server that has
 * locked itself up cannot do it.
 *
 * One thread at a time.
 */
#ifndef SL_SERVER_HELPER_H
#define SL_SERVER_HELPER_H

#include <sys/types.h>

#include "base/launcher.h"

typedef struct sl_helper {
    sl_launcher *launcher; /* NULL: we start it */
    int launch_op;         /* the first of its SL_HELPER_LAUNCHES operations */
    char *path;            /* as sl_helper_find found it */
    pid_t pid;             /* 0: it does not run */
} sl_helper;

/* `named`, or with "" or NULL the one beside this program or in libexec; freed with sl_free.
 * FAILED_PRECONDITION: there is none. */
sl_code sl_helper_find(const char *named, char **out, sl_status *st);

/* The operations of a launcher that starts one helper at a time and ends it. The caller frees what
 * it returns, when the launcher has been forked. */
enum { SL_HELPER_LAUNCHES = 2 };
void *sl_helper_launches(const char *named, sl_launch ops[SL_HELPER_LAUNCHES]);

/* Starts it. The socket blocks and is the caller's to close, before sl_helper_close. */
sl_code sl_helper_open(sl_helper *h, int *socket, sl_status *st);
void sl_helper_close(sl_helper *h); /* also if it does not run */

#endif
