/*
 * archive.h - base paths that are one archive: http(s)://host/model.tar.gz
 *
 * The archive is asked for with the tag that it had last time (If-None-Match, If-Modified-Since)
 * and opened only if its content is new, by a process of its own: a bug in a decompressor costs
 * that archive, not the helper.
 *
 * What is in it: version directories (1/saved_model.pb, 2/...), or one SavedModel itself, possibly
 * below a few directories that hold nothing else. A SavedModel without a number is the version of
 * the archive's Last-Modified time, in seconds since 1970, or 1 if the server tells none: so each
 * new archive is a new version, the same for all servers.
 *
 * A redirect is followed (five times at most) to the same host, or to what --remote_root names;
 * never from https to http.
 */
#ifndef SL_FETCH_HELPER_ARCHIVE_H
#define SL_FETCH_HELPER_ARCHIVE_H

#include "fetch/helper/fetch.h"

sl_code fetch_archive_list(fetch_op *op, fetch_names *names, sl_status *st);
/* Fetches the archive once more if the version that it held is no longer in the mirror. */
sl_code fetch_archive_get(fetch_op *op, sl_status *st);

enum { FETCH_MOST_ENTRIES = 100000 };

/*
 * Unpacks into the empty directory `fd`. Regular files and directories only; a link, a device, an
 * absolute path, "..", the same file twice, more than `entries` entries or `bytes` bytes in all:
 * refused (INVALID_ARGUMENT, OUT_OF_RANGE), whatever has been unpacked until then stays for the
 * caller to remove. Nobody's owner, mode or time is taken over.
 */
sl_code fetch_unpack(int archive, int fd, uint64_t bytes, unsigned entries, sl_status *st);
/* The same in another process; ends it if the request is cancelled. */
sl_code fetch_unpack_apart(fetch_op *op, const char *archive, const char *dir, sl_status *st);
/* That process: sluice-fetch unpack ARCHIVE DIRECTORY BYTES. */
int fetch_unpack_main(int argc, char **argv);

/* May `from` redirect to `to` (both whole URLs)? */
bool fetch_may_redirect(const fetch_settings *s, sl_str from, sl_str to);
/* The whole URL that a Location means. NULL if it is none. sl_free. */
char *fetch_resolve(const char *base, const char *location);

#endif
