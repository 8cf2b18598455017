/*
 * google.h - access tokens for Google Cloud Storage
 *
 * The first of these that says anything:
 *   1. GOOGLE_APPLICATION_CREDENTIALS, a file: of a service account (a JWT signed with RS256 is
 *      exchanged for a token) or of a user (gcloud auth application-default login)
 *   2. ~/.config/gcloud/application_default_credentials.json
 *   3. the metadata server (GCE, GKE workload identity), unless NO_GCE_CHECK=true
 *   4. none: requests are anonymous
 *
 * A token is kept until a minute before its end. Nothing here writes one to the log or an error.
 */
#ifndef SL_FETCH_HELPER_GOOGLE_H
#define SL_FETCH_HELPER_GOOGLE_H

#include "fetch/helper/aws.h"

enum { FETCH_TOKEN = 4096 };

typedef struct fetch_google {
    const fetch_world *world;
    pthread_mutex_t lock; /* held while a token is fetched */
    bool known;
    char token[FETCH_TOKEN];
    int64_t good_until_us; /* also where there is none: then it is looked for again */
} fetch_google;

void fetch_google_init(fetch_google *g, const fetch_world *world);
/* *out is "" where there are no credentials. Any thread. */
sl_code fetch_google_token(fetch_google *g, fetch_op *op, char *out, size_t size, sl_status *st);
/* The store did not take it. False if another one cannot be had. */
bool fetch_google_forget(fetch_google *g);

/* The signed assertion for a service account's file; sl_free. For tests, too. */
sl_code fetch_google_assertion(sl_str file, int64_t now_s, char **out, sl_status *st);

#endif
