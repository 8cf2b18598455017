/*
 * mirror.h - the local copy of one base path
 *
 * The layout is in fetch/protocol.h. A version is published in two renames, each of something
 * finished and written out to the disk: its files into data/, then its link. So what a source sees
 * is whole at any moment, also after a power cut.
 *
 * Two servers may share a cache directory: staging directories have names of their own and are
 * locked (flock) while in use, and whoever publishes the same content second finds it there.
 */
#ifndef SL_FETCH_HELPER_MIRROR_H
#define SL_FETCH_HELPER_MIRROR_H

#include "fetch/helper/http.h"

enum { FETCH_FINGERPRINT = 33 };

/* What the listing of a version amounts to: its files' names, sizes and tags. Sorts the listing.
 * RESOURCE_EXHAUSTED: OpenSSL cannot be had. */
sl_code fetch_fingerprint(fetch_listing *l, char out[FETCH_FINGERPRINT], sl_status *st);

/* Makes the directories of a mirror that are missing. */
sl_code fetch_mirror_make(const char *dir, sl_status *st);

/* Does versions/NAME lead to data/NAME-FINGERPRINT, which is there? */
bool fetch_mirror_has(const char *dir, const char *name, const char *fingerprint);

/* Is there room for so many bytes, and a little more? RESOURCE_EXHAUSTED with both numbers. */
sl_code fetch_mirror_room(const char *dir, uint64_t bytes, sl_status *st);

typedef struct fetch_staging {
    char path[4096];
    int fd; /* locked */
} fetch_staging;
sl_code fetch_staging_open(const char *dir, fetch_staging *s, sl_status *st);
/* Removes it with all that is still in it. */
void fetch_staging_close(fetch_staging *s);

/* Writes out all that is below `path`, moves it to data/ and sets the link. `path` is gone then. */
sl_code fetch_publish(const char *dir, const char *path, const char *name, const char *fingerprint,
                      sl_status *st);

/* TIDY of the protocol; also removes what a helper that died left in staging. */
sl_code fetch_tidy(fetch_op *op, sl_status *st);

/* Removes a tree; missing is fine. Follows no link. */
void fetch_remove_tree(const char *path);
/* Returns when all of it is on the disk. */
sl_code fetch_sync_tree(const char *path, sl_status *st);

#endif
