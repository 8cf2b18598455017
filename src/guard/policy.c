/* policy.c - see policy.h: from the message to what requests are judged by */
#include "guard/policy.h"

#include <assert.h>
#include <openssl/crypto.h>

#include "base/file.h"
#include "base/mem.h"
#include "guard/glob.h"
#include "proto/auth_config.pb-c.h"

enum { MAX_TOKEN_FILE = 16 << 20, MAX_JWKS_FILE = 1 << 20 };

/* ---- identities ---- */

sl_identity *sl_identity_new(const sl_str *names, int n, int64_t expires_s)
{
    size_t texts = 0;
    for (int i = 0; i < n; i++)
        texts += names[i].n;
    sl_identity *id = sl_try_malloc(sizeof *id + (size_t)n * sizeof(sl_str) + texts);
    if (id == NULL)
        return NULL;
    id->n = n;
    id->expires_s = expires_s;
    atomic_init(&id->refs, 1);
    char *at = (char *)&id->names[n];
    for (int i = 0; i < n; i++) {
        memcpy(at, names[i].p, names[i].n);
        id->names[i] = (sl_str){at, names[i].n};
        at += names[i].n;
    }
    return id;
}

void sl_identity_release(sl_identity *i)
{
    if (i != NULL && atomic_fetch_sub(&i->refs, 1) == 1)
        sl_free(i);
}

/* ---- the cache of verified JWTs ---- */

static sl_cache_set *set_of(sl_policy *p, const unsigned char digest[SL_DIGEST_SIZE])
{
    return &p->cache[digest[0] % SL_CACHE_SETS];
}

sl_identity *sl_policy_cached(sl_policy *p, const unsigned char digest[SL_DIGEST_SIZE],
                              int64_t now_s)
{
    sl_identity *found = NULL;
    sl_cache_set *s = set_of(p, digest);
    pthread_mutex_lock(&s->lock);
    /* Two threads may have verified the same token at once: it stands here twice then. */
    for (int w = 0; found == NULL && w < SL_CACHE_WAYS; w++) {
        sl_cached *c = &s->ways[w];
        if (c->identity == NULL || CRYPTO_memcmp(c->digest, digest, SL_DIGEST_SIZE) != 0)
            continue;
        if (c->identity->expires_s > now_s) {
            found = c->identity;
            atomic_fetch_add(&found->refs, 1);
        } else {
            sl_identity_release(c->identity);
            c->identity = NULL;
        }
    }
    pthread_mutex_unlock(&s->lock);
    return found;
}

void sl_policy_remember(sl_policy *p, const unsigned char digest[SL_DIGEST_SIZE], sl_identity *i)
{
    sl_cache_set *s = set_of(p, digest);
    pthread_mutex_lock(&s->lock);
    sl_cached *c = &s->ways[s->next++ % SL_CACHE_WAYS];
    sl_identity *old = c->identity;
    memcpy(c->digest, digest, SL_DIGEST_SIZE);
    c->identity = i;
    atomic_fetch_add(&i->refs, 1);
    pthread_mutex_unlock(&s->lock);
    sl_identity_release(old);
}

static sl_code make_cache(sl_policy *p, sl_status *st)
{
    if (p->n_issuers == 0)
        return SL_OK;
    p->cache = sl_try_calloc(SL_CACHE_SETS, sizeof *p->cache);
    if (p->cache == NULL)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory");
    for (int i = 0; i < SL_CACHE_SETS; i++)
        pthread_mutex_init(&p->cache[i].lock, NULL);
    return SL_OK;
}

/* ---- copying ---- */

static sl_code no_memory(sl_status *st)
{
    return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory");
}

static sl_code copy_list(sl_policy *p, char *const *from, size_t n, const char *const **to,
                         int *count, sl_status *st)
{
    const char **list = sl_arena_try_alloc(&p->arena, (n + 1) * sizeof *list);
    assert(n <= INT32_MAX); /* of a file of at most some megabytes */
    if (list == NULL)
        return no_memory(st);
    for (size_t i = 0; i < n; i++)
        if ((list[i] = sl_arena_try_strndup(&p->arena, from[i], strlen(from[i]))) == NULL)
            return no_memory(st);
    *to = list;
    *count = (int)n;
    return SL_OK;
}

static const char *copy(sl_policy *p, const char *s, const char *otherwise)
{
    return sl_arena_try_strndup(&p->arena, *s ? s : otherwise, strlen(*s ? s : otherwise));
}

/* ---- files ---- */

static sl_code read_beside(const char *dir, const char *name, size_t limit, sl_buffer **out,
                           sl_status *st)
{
    char *joined = *name == '/' || *dir == '\0' ? sl_strdup(name) : sl_path_join(dir, name);
    if (joined == NULL)
        return no_memory(st);
    sl_code rc = sl_file_read(joined, limit, out, st);
    sl_free(joined);
    return rc;
}

static sl_code read_tokens(sl_policy *p, const Sluice__AuthConfig *c, const char *dir,
                           sl_status *st)
{
    for (size_t i = 0; i < c->n_token_file; i++) {
        sl_buffer *b;
        sl_code rc = read_beside(dir, c->token_file[i], MAX_TOKEN_FILE, &b, st);
        if (rc)
            return rc;
        rc = sl_tokens_read(c->token_file[i], (sl_str){b->data, b->size}, &p->tokens, st);
        sl_buffer_release(b);
        if (rc)
            return rc;
    }
    return sl_tokens_sort(&p->tokens, st);
}

static sl_code check_issuer(const Sluice__JwtIssuer *j, size_t number, sl_status *st)
{
    bool has_keys = *j->jwks_file != '\0' || *j->jwks_url != '\0';
    const char *missing = *j->name == '\0'     ? "name"
                          : *j->issuer == '\0' ? "issuer"
                          : j->n_audience == 0 ? "audience"
                          : !has_keys          ? "jwks_file and no jwks_url"
                                               : NULL;
    if (missing != NULL)
        return sl_fail(st, SL_INVALID_ARGUMENT, "jwt %zu (\"%s\") has no %s", number + 1, j->name,
                       missing);
    if (j->clock_skew_seconds < 0 || j->clock_skew_seconds > 3600)
        return sl_fail(st, SL_INVALID_ARGUMENT, "jwt \"%s\": clock_skew_seconds is 0 to 3600",
                       j->name);
    return SL_OK;
}

/* What was fetched goes before the file. */
static sl_code read_keys(const Sluice__JwtIssuer *j, const char *dir, sl_str fetched, sl_keys *out,
                         sl_status *st)
{
    sl_buffer *b;
    if (*j->jwks_url && fetched.p != NULL)
        return sl_keys_read(fetched, out, st) ? sl_wrap(st, "%s: ", j->jwks_url) : SL_OK;
    if (*j->jwks_file == '\0')
        return SL_OK; /* not yet */
    sl_code rc = read_beside(dir, j->jwks_file, MAX_JWKS_FILE, &b, st);
    if (rc)
        return rc;
    rc = sl_keys_read((sl_str){b->data, b->size}, out, st);
    sl_buffer_release(b);
    return rc ? sl_wrap(st, "%s: ", j->jwks_file) : SL_OK;
}

static sl_code read_issuer(sl_policy *p, const Sluice__JwtIssuer *j, size_t number, const char *dir,
                           sl_str fetched, sl_status *st)
{
    sl_issuer *i = &p->issuers[p->n_issuers];
    sl_code rc = check_issuer(j, number, st);
    if (rc == SL_OK)
        rc = copy_list(p, j->audience, j->n_audience, &i->audiences, &i->n_audiences, st);
    if (rc)
        return rc;
    i->name = copy(p, j->name, "");
    i->issuer = copy(p, j->issuer, "");
    i->principal_claim = copy(p, j->principal_claim, "sub");
    i->groups_claim = *j->groups_claim ? copy(p, j->groups_claim, "") : NULL;
    i->jwks_url = *j->jwks_url ? copy(p, j->jwks_url, "") : NULL;
    i->skew_s = j->clock_skew_seconds ? j->clock_skew_seconds : 60;
    if (!i->name || !i->issuer || !i->principal_claim || (*j->groups_claim && !i->groups_claim) ||
        (*j->jwks_url && !i->jwks_url))
        return no_memory(st);
    rc = read_keys(j, dir, fetched, &i->keys, st);
    p->n_issuers += rc == SL_OK;
    return rc;
}

static sl_code read_issuers(sl_policy *p, const Sluice__AuthConfig *c, const char *dir,
                            const sl_str *fetched, sl_status *st)
{
    sl_code rc = SL_OK;
    p->issuers = sl_arena_try_alloc(&p->arena, (c->n_jwt + 1) * sizeof *p->issuers);
    if (p->issuers == NULL)
        return no_memory(st);
    memset(p->issuers, 0, (c->n_jwt + 1) * sizeof *p->issuers);
    for (size_t i = 0; rc == SL_OK && i < c->n_jwt; i++)
        rc = read_issuer(p, c->jwt[i], i, dir, fetched ? fetched[i] : (sl_str){0}, st);
    return rc ? rc : make_cache(p, st);
}

/* ---- rules, limits, networks ---- */

static sl_code read_rule(sl_policy *p, const Sluice__Rule *r, size_t number, sl_status *st)
{
    sl_rule *to = &p->rules[p->n_rules++];
    *to = (sl_rule){0};
    if (r->n_principal == 0)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "rule %zu names no principal: \"token:NAME\", \"jwt:ISSUER/*\", "
                       "\"anonymous\", \"*\" ...",
                       number + 1);
    if (r->n_allow == 0)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "rule %zu allows nothing: PREDICT, METADATA, STATUS, METRICS, ADMIN, HEALTH",
                       number + 1);
    for (size_t i = 0; i < r->n_allow; i++) {
        if (r->allow[i] < SLUICE__PERMISSION__PREDICT || r->allow[i] > SLUICE__PERMISSION__HEALTH)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "rule %zu: there is no permission with number %d", number + 1,
                           (int)r->allow[i]);
        to->allow |= 1u << r->allow[i];
    }
    sl_code rc = copy_list(p, r->principal, r->n_principal, &to->principals, &to->n_principals, st);
    if (rc == SL_OK)
        rc = copy_list(p, r->model, r->n_model, &to->models, &to->n_models, st);
    return rc ? rc
              : copy_list(p, r->version_label, r->n_version_label, &to->labels, &to->n_labels, st);
}

static sl_code read_rules(sl_policy *p, const Sluice__AuthConfig *c, sl_status *st)
{
    p->rules = sl_arena_try_alloc(&p->arena, (c->n_rule + 1) * sizeof *p->rules);
    if (p->rules == NULL)
        return no_memory(st);
    for (size_t i = 0; i < c->n_rule; i++) {
        sl_code rc = read_rule(p, c->rule[i], i, st);
        if (rc)
            return rc;
    }
    if (p->identities && p->n_rules == 0)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "there are identities but no rule, so nobody may do anything: add one, like "
                       "rule { principal: \"*\" allow: [PREDICT, METADATA, STATUS] }");
    if (!p->identities && p->n_rules > 0)
        return sl_fail(
            st, SL_INVALID_ARGUMENT,
            "there are rules but no identities: add token_file, jwt or client_certificates");
    if (!p->identities && p->closed_health)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "closed_health needs identities: token_file, jwt or client_certificates");
    return SL_OK;
}

static sl_code read_limit(sl_policy *p, const Sluice__Limit *l, size_t number, sl_status *st)
{
    sl_limit *to = &p->limits[p->n_limits++];
    double rate = l->requests_per_second, burst = l->burst;
    if (!(rate >= 0) || rate > 1e9 || !(burst >= 0) || burst > 1e9 || l->concurrent < 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "limit %zu: bounds are numbers from 0 to 1e9",
                       number + 1);
    if (rate == 0 && l->concurrent == 0)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "limit %zu bounds nothing: give requests_per_second or concurrent",
                       number + 1);
    if (l->per < SLUICE__LIMIT__PER__PRINCIPAL || l->per > SLUICE__LIMIT__PER__ALL)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "limit %zu: per is PRINCIPAL, ADDRESS, MODEL or ALL", number + 1);
    *to = (sl_limit){.per = (sl_per)l->per,
                     .rate = {.per_second = rate, .concurrent = l->concurrent}};
    to->rate.burst = burst > 0 ? burst : rate;
    to->rate.burst = SL_MAX(to->rate.burst, 1.0);
    sl_code rc = copy_list(p, l->principal, l->n_principal, &to->principals, &to->n_principals, st);
    return rc ? rc : copy_list(p, l->model, l->n_model, &to->models, &to->n_models, st);
}

static sl_code read_limits(sl_policy *p, const Sluice__AuthConfig *c, sl_status *st)
{
    sl_code rc = SL_OK;
    if (c->n_limit > SL_LIMITS_MAX)
        return sl_fail(st, SL_INVALID_ARGUMENT, "more than %d limits", SL_LIMITS_MAX);
    for (size_t i = 0; rc == SL_OK && i < c->n_limit; i++)
        rc = read_limit(p, c->limit[i], i, st);
    return rc;
}

static sl_code read_networks(sl_policy *p, char *const *from, size_t n, const char *field,
                             sl_networks *to, sl_status *st)
{
    to->list = sl_arena_try_alloc(&p->arena, (n + 1) * sizeof *to->list);
    assert(n <= INT32_MAX); /* see copy_list */
    if (to->list == NULL)
        return no_memory(st);
    for (size_t i = 0; i < n; i++)
        if (sl_network_parse(sl_str_of(from[i]), &to->list[i], st))
            return sl_wrap(st, "%s: ", field);
    to->count = (int)n;
    return SL_OK;
}

static sl_code read_listeners(sl_policy *p, const Sluice__AuthConfig *c, sl_status *st)
{
    sl_code rc = SL_OK;
    for (size_t i = 0; rc == SL_OK && i < c->n_listener; i++) {
        const Sluice__Listener *l = c->listener[i];
        if ((int)l->kind < 0 || (int)l->kind >= SL_LISTENERS)
            return sl_fail(st, SL_INVALID_ARGUMENT, "listener %zu: kind is REST, GRPC or ADMIN",
                           i + 1);
        if (p->allow_on[l->kind].list != NULL)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "listener %zu: there is another one of its kind", i + 1);
        rc = read_networks(p, l->allow_network, l->n_allow_network, "listener.allow_network",
                           &p->allow_on[l->kind], st);
        if (rc == SL_OK)
            rc = read_networks(p, l->deny_network, l->n_deny_network, "listener.deny_network",
                               &p->deny_on[l->kind], st);
        p->has_networks |= l->n_allow_network + l->n_deny_network > 0;
    }
    return rc;
}

static bool fits(const sl_networks *allow, const sl_networks *deny, const sl_ip *ip)
{
    return !sl_networks_have(deny, ip) && (allow->count == 0 || sl_networks_have(allow, ip));
}

bool sl_policy_admits(const sl_policy *p, sl_listener_kind listener, const sl_ip *ip)
{
    return fits(&p->allow, &p->deny, ip) && fits(&p->allow_on[listener], &p->deny_on[listener], ip);
}

/* ---- the whole ---- */

sl_policy *sl_policy_empty(void)
{
    sl_policy *p = sl_try_calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    if (sl_arena_init(&p->arena, 0) != SL_OK) {
        sl_free(p);
        return NULL;
    }
    atomic_init(&p->refs, 1);
    return p;
}

void sl_policy_release(sl_policy *p)
{
    if (p == NULL || atomic_fetch_sub(&p->refs, 1) != 1)
        return;
    for (int i = 0; p->cache != NULL && i < SL_CACHE_SETS; i++) {
        for (int w = 0; w < SL_CACHE_WAYS; w++)
            sl_identity_release(p->cache[i].ways[w].identity);
        pthread_mutex_destroy(&p->cache[i].lock);
    }
    sl_free(p->cache);
    for (int i = 0; i < p->n_issuers; i++)
        sl_keys_fini(&p->issuers[i].keys);
    sl_tokens_fini(&p->tokens);
    sl_arena_fini(&p->arena);
    sl_free(p);
}

sl_code sl_policy_new(const Sluice__AuthConfig *c, const char *dir, const sl_str *fetched,
                      sl_policy **out, sl_status *st)
{
    sl_policy *p = sl_policy_empty();
    if (p == NULL)
        return no_memory(st);
    p->client_certificates = c->client_certificates;
    p->closed_health = c->closed_health;
    p->identities = c->client_certificates || c->n_token_file > 0 || c->n_jwt > 0;
    sl_code rc = read_tokens(p, c, dir, st);
    if (rc == SL_OK)
        rc = read_issuers(p, c, dir, fetched, st);
    if (rc == SL_OK)
        rc = read_rules(p, c, st);
    if (rc == SL_OK)
        rc = read_limits(p, c, st);
    if (rc == SL_OK)
        rc = read_networks(p, c->allow_network, c->n_allow_network, "allow_network", &p->allow, st);
    if (rc == SL_OK)
        rc = read_networks(p, c->deny_network, c->n_deny_network, "deny_network", &p->deny, st);
    if (rc == SL_OK)
        rc = read_networks(p, c->trusted_proxy, c->n_trusted_proxy, "trusted_proxy", &p->proxies,
                           st);
    p->has_networks = p->allow.count + p->deny.count + p->proxies.count > 0;
    if (rc == SL_OK)
        rc = read_listeners(p, c, st);
    if (rc == SL_OK && c->connections_per_address < 0)
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "connections_per_address is 0 or more");
    p->connections_per_address = c->connections_per_address;
    if (rc) {
        sl_policy_release(p);
        return rc;
    }
    *out = p;
    return SL_OK;
}
