/*
 * remote.h - base paths that lie elsewhere: s3://, gs://, archives by http(s)://
 *
 * Each such base path has a mirror, a directory below the cache directory, and the model's source
 * looks at that (sl_model_config.mirror): nothing below model/ knows of networks. This module keeps
 * mirrors up to date, through sluice-fetch (fetch/protocol.h), a program of its own:
 *
 *     every poll_seconds, for each base path:
 *         LIST    which versions are there
 *         GET     each that the models' policies want: does nothing if it is there already
 *         TIDY    versions that are gone, or no longer wanted, are hidden, and removed when no
 *                 model serves them any more
 *
 * A listing that fails, or is empty, changes nothing. A version that is not all there yet does not
 * count. What the cache holds is served at once after a restart, also when the store is away. A
 * mirror that has never been filled does not exist, and a source waits for it.
 *
 *     sl_remote_start       early: the helper is a child process
 *     sl_remote_attach      a list of models, before it goes to the manager
 *     sl_remote_follow      after the manager has taken it
 *     sl_remote_stop        before the manager is freed; sl_remote_free afterwards
 */
#ifndef SL_SERVER_REMOTE_H
#define SL_SERVER_REMOTE_H

#include "base/launcher.h"
#include "server/config.h"

typedef struct sl_remote sl_remote;

typedef struct sl_remote_options {
    const char *helper;    /* path of sluice-fetch; "": beside this program, or in libexec */
    sl_launcher *launcher; /* starts the helper, as operation launch_op and the next; NULL: we do */
    int launch_op;
    const char *cache_dir; /* as sl_remote_cache has chosen it */
    const char *roots;     /* comma list: what a reload may name */
    int poll_seconds;      /* 0: until it succeeded once; < 0: never, the cache as it is */
    unsigned patience_s;   /* a transfer that stands still for so long has failed */
    uint64_t max_bytes;    /* of one version */
    /* Something has changed in a mirror: the source shall look. This module's thread. */
    void (*changed)(void *arg);
    /* Appends to *numbers (sl_realloc; *count of them so far) the versions of a model that have not
     * ended; returns how many there are now, -1 if that cannot be found out. This module's
     * thread. */
    int (*in_use)(void *arg, const char *model, int64_t **numbers, int count);
    void *arg;
} sl_remote_options;

/* Where models that were fetched are kept: `given`, or with "" /var/cache/sluice, or the user's
 * cache. Made if need be; freed with sl_free. FAILED_PRECONDITION if it cannot be written to by us
 * alone. */
sl_code sl_remote_cache(const char *given, char **out, sl_status *st);
/* For `sluice check`: the same answer without making anything. *room: free bytes there. */
sl_code sl_remote_cache_try(const char *given, char **out, uint64_t *room, sl_status *st);
/* Starts the helper and a thread. FAILED_PRECONDITION if there is no helper. */
sl_code sl_remote_start(const sl_remote_options *opts, sl_remote **out, sl_status *st);
void sl_remote_stop(sl_remote *r);
void sl_remote_free(sl_remote *r);

/* Does any of them lie elsewhere? */
bool sl_remote_is_wanted(const sl_model_list *l);

/* For `sluice check`: is the base path one, and is there a helper? Looks at no store. */
sl_code sl_remote_check(const char *base_path, const char *helper, sl_status *st);

/* Checks the base paths and fills in `mirror` of those that lie elsewhere. For a reload each must
 * lie below one of the roots, or be one that was there at the start: INVALID_ARGUMENT otherwise.
 * `r` may be NULL: then none may be remote. Main thread. */
sl_code sl_remote_attach(sl_remote *r, sl_model_list *l, bool reload, sl_status *st);
/* From now on these are kept up to date, and no others. Main thread. */
void sl_remote_follow(sl_remote *r, const sl_model_list *l);

/* Adds why there is nothing at a base path, "" if it is not known. Any thread. */
void sl_remote_explain(void *remote, const char *base_path, sl_text *out);

#endif
