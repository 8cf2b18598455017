/*
 * http.h - the one place that knows libcurl
 *
 * A request is described by a struct and answered into a struct; fetch_ask tries again, with
 * back-off, what may succeed the next time (no connection, a transfer that stands still, 429, 5xx).
 * A request is made anew for each attempt, by a function of the store: credentials may have
 * changed.
 *
 * Only http and https; certificates are verified; redirects are not followed (archive.c decides
 * about those itself). Proxies come from the environment, as curl reads it.
 */
#ifndef SL_FETCH_HELPER_HTTP_H
#define SL_FETCH_HELPER_HTTP_H

#include "fetch/helper/fetch.h"

/* What signs a request of S3. */
typedef struct fetch_keys {
    char id[256], secret[256];
    char token[4096];   /* of temporary credentials; "" */
    int64_t expires_us; /* by the wall clock; 0: never */
} fetch_keys;

typedef struct fetch_request {
    sl_text url;
    sl_text headers; /* "Name: value\n", each */
    sl_text body;
    bool post, put;      /* else GET; `put` (IMDSv2's token) sends an empty body */
    bool direct;         /* through no proxy: metadata servers */
    bool netrc;          /* user and password from a netrc file, if it has one for the host */
    bool signs;          /* with `keys`, AWS' SigV4 */
    char scope[96];      /* "aws:amz:us-east-1:s3" */
    fetch_keys keys;     /* empty id: anonymous */
    unsigned tries;      /* 0: the usual number */
    unsigned timeout_s;  /* for the whole; 0: none but the patience */
    const char *ca_file; /* PEM: these authorities instead of the usual ones; NULL */
} fetch_request;
void fetch_request_fini(fetch_request *r);

enum { FETCH_TAG = 128, FETCH_CHECKSUM = 64 };

typedef struct fetch_reply {
    long status;
    sl_text body;
    uint64_t length; /* Content-Length, UINT64_MAX: unknown */
    uint64_t from;   /* where a Content-Range begins, UINT64_MAX: there is none */
    uint64_t total;  /* of how many bytes it is a part, UINT64_MAX: unknown */
    char etag[FETCH_TAG];
    char region[64];        /* x-amz-bucket-region */
    char last_modified[64]; /* as it came */
    char location[2048];
    char cache_control[256];
    bool etag_is_md5; /* no key management service encrypted it */
    /* base64, "" where absent or where it is one of a multipart upload ("...-3") */
    char crc32c[FETCH_CHECKSUM], crc32[FETCH_CHECKSUM], sha256[FETCH_CHECKSUM],
        sha1[FETCH_CHECKSUM];
} fetch_reply;
void fetch_reply_fini(fetch_reply *r);

/* Makes the request for one attempt. */
typedef sl_code (*fetch_build)(fetch_op *op, const void *arg, fetch_request *out, sl_status *st);

/* What a store does with an answer that is no success: may it be tried again at once, since
 * something was learnt from it (a region, fresh credentials)? At most twice. */
typedef bool (*fetch_learn)(fetch_op *op, const fetch_reply *reply);

/* Asks until there is an answer below 300, 304, or one that will not change; the answer is at most
 * `limit` bytes. Fails with what the store says: NOT_FOUND, PERMISSION_DENIED, UNAVAILABLE ...
 * `learn` may be NULL. */
sl_code fetch_ask(fetch_op *op, fetch_build build, const void *arg, fetch_learn learn, size_t limit,
                  fetch_reply *reply, sl_status *st);

/* One attempt, for what has its own idea of trying again (the credentials' chains). */
sl_code fetch_send(fetch_op *op, const fetch_request *r, size_t limit, fetch_reply *reply,
                   sl_status *st);

/* ---- files ---- */

typedef struct fetch_object {
    char *key;  /* in the store */
    char *path; /* relative to the version's directory */
    uint64_t size;
    char tag[FETCH_TAG]; /* its ETag or generation */
    bool has_crc32c;
    uint32_t crc32c;
    bool has_md5;
    unsigned char md5[16];
} fetch_object;

typedef struct fetch_listing {
    fetch_object *list;
    int count;
    size_t cap;
    uint64_t bytes;
} fetch_listing;
sl_code fetch_listing_add(fetch_listing *l, sl_str key, sl_str path, uint64_t size, sl_str tag,
                          sl_status *st);
void fetch_listing_fini(fetch_listing *l);

/* Fetches all objects into the directory `fd`, some at a time, each checked against its size and
 * whatever checksum there is. A transfer that breaks goes on where it was. Nothing is synchronised
 * with the disk yet: fetch_publish does that. */
sl_code fetch_files(fetch_op *op, const fetch_listing *l, int fd, fetch_build build,
                    fetch_learn learn, sl_status *st);

/* One file of unknown size (an archive). `reply` gets the head of the answer; 304 leaves no file.
 */
sl_code fetch_one_file(fetch_op *op, int fd, const char *path, fetch_build build, const void *arg,
                       uint64_t limit, fetch_reply *reply, sl_status *st);

/* Once, before there are threads. */
sl_code fetch_http_start(sl_status *st);

#endif
