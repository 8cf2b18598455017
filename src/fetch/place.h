/*
 * place.h - where a remote base path lies
 *
 *     s3://bucket/prefix          an object store that speaks S3
 *     gs://bucket/prefix          Google Cloud Storage
 *     http(s)://host/path.tar.gz  an archive
 *
 * A base path holds no credentials: a user or a query in it (a presigned URL is one) is refused, so
 * that it can be logged and shown as it is. No part of it is "." or "..".
 */
#ifndef SL_FETCH_PLACE_H
#define SL_FETCH_PLACE_H

#include "base/str.h"
#include "sluice/status.h"

typedef enum sl_fetch_scheme { SL_FETCH_S3, SL_FETCH_GS, SL_FETCH_HTTP } sl_fetch_scheme;

typedef struct sl_fetch_place {
    sl_fetch_scheme scheme;
    sl_str bucket; /* HTTP: "host:port" */
    sl_str path;   /* without '/' at either end */
    bool tls;      /* HTTP: is it https */
} sl_fetch_place;

/* Is this base path one for sluice-fetch: does it begin with one of the schemes? */
bool sl_fetch_is_remote(const char *base_path);

/* Takes a base path apart; the parts point into it. INVALID_ARGUMENT with what is wrong with it. */
sl_code sl_fetch_place_parse(sl_str url, sl_fetch_place *out, sl_status *st);

/* Takes the URL of a document apart: http or https, a host, no user, no fragment; a query is
 * allowed. `bucket` and `tls` of *out are set, and its scheme. INVALID_ARGUMENT with what is wrong
 * with it. */
sl_code sl_fetch_url_parse(sl_str url, sl_fetch_place *out, sl_status *st);
/* Is a "host:port" this machine: localhost, 127.0.0.0/8, [::1]? By its text: nothing is looked up.
 */
bool sl_fetch_is_loopback(sl_str host);

/* Does `url` lie below `root`: equal to it, or root followed by '/' and more? A root may itself end
 * in '/'. */
bool sl_fetch_below(sl_str url, sl_str root);

/* Appends s with all but unreserved characters (RFC 3986) as %XX; '/' too, unless keep_slash. */
void sl_fetch_encode(sl_text *t, sl_str s, bool keep_slash);

/* A name relative to a version's directory: no empty part, no "." or "..", no leading '/', no byte
 * below 0x20, at most 1024 bytes. */
bool sl_fetch_is_safe_path(sl_str path);

/* May this name be a version's: an optional sign and digits? */
bool sl_fetch_is_version(sl_str name);

#endif
