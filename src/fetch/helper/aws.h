/*
 * aws.h - credentials for S3, found as AWS' own programs find them
 *
 * The first of these that says anything:
 *   1. AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN
 *   2. AWS_WEB_IDENTITY_TOKEN_FILE with AWS_ROLE_ARN (STS AssumeRoleWithWebIdentity: EKS)
 *   3. the shared files (~/.aws/credentials, ~/.aws/config; AWS_SHARED_CREDENTIALS_FILE,
 *      AWS_CONFIG_FILE), profile AWS_PROFILE or "default"
 *   4. AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI (ECS, EKS Pod Identity)
 *   5. the instance's metadata, version 2 only, unless AWS_EC2_METADATA_DISABLED=true
 *   6. none: requests are not signed
 *
 * They are kept, and found again five minutes before they expire or when the store says that they
 * are no longer good. Nothing here ever writes one to the log or into an error.
 */
#ifndef SL_FETCH_HELPER_AWS_H
#define SL_FETCH_HELPER_AWS_H

#include <pthread.h>

#include "fetch/helper/http.h"

/* What the chain sees of the world: a test gives it another one. The clock is base/clock.h's. */
typedef struct fetch_world {
    const char *(*env)(const char *name); /* NULL or the value */
    sl_code (*send)(fetch_op *op, const fetch_request *r, size_t limit, fetch_reply *reply,
                    sl_status *st);
} fetch_world;
extern const fetch_world fetch_real_world;

typedef struct fetch_aws {
    const fetch_world *world;
    pthread_mutex_t lock; /* held while they are looked for: whoever needs them waits */
    bool known;
    fetch_keys keys;       /* empty id: anonymous */
    int64_t look_again_us; /* where nothing was found, or with keys that expire */
} fetch_aws;

void fetch_aws_init(fetch_aws *a, const fetch_world *world);
/* Any thread; may ask a metadata server. */
sl_code fetch_aws_keys(fetch_aws *a, fetch_op *op, fetch_keys *out, sl_status *st);
/* The store did not take these: look again. False if they cannot be any fresher. */
bool fetch_aws_forget(fetch_aws *a);

/* AWS_REGION, AWS_DEFAULT_REGION, the profile's, us-east-1. */
void fetch_aws_region(const fetch_world *world, char *out, size_t size);

/* "2026-11-27T21:00:00Z" as microseconds since 1970; 0 if it is none. */
int64_t fetch_time_of(const char *text);

/* The value of `key` in [section] of an ini file's text; NULL if there is none. sl_free. */
char *fetch_ini_value(sl_str text, const char *section, const char *key);

#endif
