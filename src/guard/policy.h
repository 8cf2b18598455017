/*
 * policy.h - a configuration that has been read and checked; internal to guard/
 *
 * Immutable but for the cache of verified JWTs, and counted: a request holds the one that it began
 * with.
 */
#ifndef SL_GUARD_POLICY_H
#define SL_GUARD_POLICY_H

#include <pthread.h>
#include <stdatomic.h>

#include "guard/guard.h"
#include "guard/jwt.h"
#include "guard/tokens.h"

/* Whom a JWT or a certificate has shown somebody to be. */
typedef struct sl_identity {
    atomic_int refs;
    int n; /* names: the principal, then its groups */
    int64_t expires_s;
    sl_str names[];
} sl_identity;
/* Copies the names. NULL: no memory. */
sl_identity *sl_identity_new(const sl_str *names, int n, int64_t expires_s);
void sl_identity_release(sl_identity *i); /* accepts NULL */

typedef struct sl_rule {
    const char *const *principals, *const *models, *const *labels;
    int n_principals, n_models, n_labels;
    unsigned allow; /* bit 1 << sl_permission */
} sl_rule;

typedef enum sl_per { SL_PER_PRINCIPAL, SL_PER_ADDRESS, SL_PER_MODEL, SL_PER_ALL } sl_per;

typedef struct sl_limit {
    sl_per per;
    const char *const *principals, *const *models;
    int n_principals, n_models;
    sl_rate rate;
} sl_limit;

enum { SL_CACHE_SETS = 256, SL_CACHE_WAYS = 4, SL_LIMITS_MAX = 8 };

typedef struct sl_cached {
    unsigned char digest[SL_DIGEST_SIZE];
    sl_identity *identity; /* NULL: free */
} sl_cached;

typedef struct sl_cache_set {
    pthread_mutex_t lock;
    sl_cached ways[SL_CACHE_WAYS];
    unsigned next; /* the way that is replaced next */
} sl_cache_set;

typedef struct sl_policy {
    atomic_int refs;
    sl_arena arena; /* all texts and lists below */
    bool identities, client_certificates, closed_health;
    sl_tokens tokens;
    sl_issuer *issuers;
    int n_issuers;
    sl_rule *rules;
    int n_rules;
    sl_limit limits[SL_LIMITS_MAX];
    int n_limits;
    sl_networks allow, deny, proxies;
    sl_networks allow_on[SL_LISTENERS], deny_on[SL_LISTENERS]; /* besides those */
    bool has_networks;                                         /* is there any list? */
    int connections_per_address;                               /* 0: no bound */
    sl_cache_set *cache;                                       /* NULL without issuers */
} sl_policy;

/* An empty one: everybody may do everything but administer. */
sl_policy *sl_policy_empty(void);
/* `fetched`: as of sl_guard_configure. */
sl_code sl_policy_new(const struct Sluice__AuthConfig *config, const char *dir,
                      const sl_str *fetched, sl_policy **out, sl_status *st);
void sl_policy_release(sl_policy *p); /* accepts NULL */
/* May somebody with this address talk to that kind of listener? */
bool sl_policy_admits(const sl_policy *p, sl_listener_kind listener, const sl_ip *ip);

/* The identity of a JWT that was verified before and holds at now_s; counted. Or NULL. */
sl_identity *sl_policy_cached(sl_policy *p, const unsigned char digest[SL_DIGEST_SIZE],
                              int64_t now_s);
void sl_policy_remember(sl_policy *p, const unsigned char digest[SL_DIGEST_SIZE], sl_identity *i);

#endif
