/*
 * guard.c - see guard.h
 *
 * A request takes a reference on the policy of the moment under a read lock; all it asks afterwards
 * is answered from that policy. Limits count in a table of their own, which outlives policies.
 */
#include "guard/guard.h"

#include <limits.h>
#include <pthread.h>

#include "base/clock.h"
#include "base/mem.h"
#include "guard/glob.h"
#include "guard/policy.h"
#include "proto/auth_config.pb-c.h"

struct sl_guard {
    bool allow_remote_admin;
    pthread_rwlock_t lock; /* guards the pointer */
    sl_policy *policy;
    sl_rates *rates;
    void (*unknown_key)(void *arg, const char *jwks_url); /* or NULL */
    void *unknown_key_arg;
};

static const char *const permission_names[] = {"",        "predict", "metadata", "status",
                                               "metrics", "admin",   "health"};

const char *sl_permission_name(sl_permission p)
{
    return permission_names[p];
}

bool sl_permission_parse(sl_str name, sl_permission *out)
{
    for (int i = SL_MAY_PREDICT; i <= SL_MAY_HEALTH; i++)
        if (sl_str_is(name, permission_names[i])) {
            *out = (sl_permission)i;
            return true;
        }
    return false;
}

/* ---- making, replacing ---- */

sl_code sl_guard_new(bool allow_remote_admin, sl_guard **out, sl_status *st)
{
    sl_guard *g = sl_try_calloc(1, sizeof *g);
    if (g != NULL) {
        g->allow_remote_admin = allow_remote_admin;
        g->policy = sl_policy_empty();
        g->rates = sl_rates_new(SL_RATES_MAX);
        pthread_rwlock_init(&g->lock, NULL);
        if (g->policy != NULL && g->rates != NULL) {
            *out = g;
            return SL_OK;
        }
        sl_guard_free(g);
    }
    return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory");
}

void sl_guard_free(sl_guard *g)
{
    if (g == NULL)
        return;
    sl_policy_release(g->policy);
    sl_rates_free(g->rates);
    pthread_rwlock_destroy(&g->lock);
    sl_free(g);
}

static sl_policy *current(const sl_guard *g)
{
    pthread_rwlock_t *lock = (pthread_rwlock_t *)&g->lock;
    pthread_rwlock_rdlock(lock);
    sl_policy *p = g->policy;
    atomic_fetch_add(&p->refs, 1);
    pthread_rwlock_unlock(lock);
    return p;
}

void sl_guard_on_unknown_key(sl_guard *g, void (*fn)(void *arg, const char *jwks_url), void *arg)
{
    g->unknown_key = fn;
    g->unknown_key_arg = arg;
}

sl_code sl_guard_configure(sl_guard *g, const Sluice__AuthConfig *config, const char *dir,
                           const sl_str *fetched, sl_status *st)
{
    sl_policy *p;
    sl_code rc = sl_policy_new(config, dir, fetched, &p, st);
    if (rc)
        return rc;
    if (!p->identities && sl_guard_has_identities(g)) {
        sl_policy_release(p);
        return sl_fail(
            st, SL_FAILED_PRECONDITION,
            "it has no identities (token_file, jwt, client_certificates) any more, which "
            "would let everybody in: if that is meant, restart the server");
    }
    pthread_rwlock_wrlock(&g->lock);
    sl_policy *old = g->policy;
    g->policy = p;
    pthread_rwlock_unlock(&g->lock);
    sl_policy_release(old);
    return SL_OK;
}

bool sl_guard_has_identities(const sl_guard *g)
{
    sl_policy *p = current(g);
    bool has = p->identities;
    sl_policy_release(p);
    return has;
}

bool sl_guard_closes_health(const sl_guard *g)
{
    sl_policy *p = current(g);
    bool closed = p->closed_health;
    sl_policy_release(p);
    return closed;
}

/* ---- from where ---- */

static sl_str without_port(sl_str peer)
{
    if (peer.n > 0 && peer.p[0] == '[') {
        const char *close = memchr(peer.p, ']', peer.n);
        return close ? (sl_str){peer.p + 1, (size_t)(close - peer.p) - 1} : peer;
    }
    const char *colon = memrchr(peer.p, ':', peer.n);
    bool v4 = colon != NULL && memchr(peer.p, ':', peer.n) == colon;
    return v4 ? (sl_str){peer.p, (size_t)(colon - peer.p)} : peer;
}

enum { ADDRESS_KEY = 17 };

/* The bytes of an address that count as one client, behind a letter that says what is counted:
 * whoever has an IPv6 address has its whole /64. */
static sl_str address_key(const sl_ip *ip, char what, char key[ADDRESS_KEY])
{
    static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    key[0] = what;
    memcpy(key + 1, ip->b, 16);
    return (sl_str){key, memcmp(ip->b, mapped, sizeof mapped) == 0 ? ADDRESS_KEY : 9};
}

static sl_str trim(sl_str s)
{
    while (s.n > 0 && (*s.p == ' ' || *s.p == '\t')) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

/* X-Forwarded-For, from its end: each proxy has appended whom it saw. The first one that is no
 * trusted proxy is the client; what stands before that, anybody may have written. */
static void look_behind_proxies(const sl_policy *p, const sl_http_call *call, sl_admission *a)
{
    for (int h = call->n_headers - 1; h >= 0; h--) {
        if (!sl_str_eq_nocase(call->headers[h].name, SL_STR("x-forwarded-for")))
            continue;
        sl_str left = call->headers[h].value;
        while (left.n > 0) {
            const char *comma = memrchr(left.p, ',', left.n);
            size_t from = comma ? (size_t)(comma - left.p) + 1 : 0;
            sl_str item = trim((sl_str){left.p + from, left.n - from});
            sl_ip ip;
            if (!sl_ip_parse(item, &ip))
                return; /* not what a proxy of ours writes: the last one that was known counts */
            a->ip = ip;
            sl_str shown = without_port(item);
            a->address.n = SL_MIN(shown.n, sizeof a->text);
            memcpy(a->text, shown.p, a->address.n);
            a->address.p = a->text;
            if (!sl_networks_have(&p->proxies, &ip))
                return;
            left.n = comma ? from - 1 : 0;
        }
    }
}

static sl_code find_address(const sl_policy *p, const sl_http_call *call, sl_admission *a,
                            sl_status *st)
{
    sl_str peer = call->peer;
    a->address = without_port(peer);
    bool is_v4 = a->address.n < peer.n && peer.p[0] != '[';
    if (is_v4 && !p->has_networks) {
        /* The usual case: nothing to hold it against, so it need not be read. */
        a->local = sl_str_starts(peer, "127.");
        return SL_OK;
    }
    bool is_ip = sl_ip_parse(peer, &a->ip);
    bool proxied = is_ip && sl_networks_have(&p->proxies, &a->ip);
    if (proxied)
        look_behind_proxies(p, call, a);
    /* Behind a proxy on this machine everybody seems to come from it: the exception for local
     * administrators ends where proxies are configured. */
    a->local =
        p->proxies.count == 0 && (is_ip ? sl_ip_is_loopback(&a->ip) : sl_str_is(peer, "unix"));
    if (!is_ip)
        return SL_OK;
    if (!sl_policy_admits(p, (sl_listener_kind)call->listener, &a->ip))
        return sl_fail(st, SL_PERMISSION_DENIED, "address %.*s may not talk to this server",
                       SL_STR_ARG(a->address));
    return SL_OK;
}

/* ---- connections ---- */

static bool may_connect(sl_guard *g, const sl_policy *p, sl_listener_kind listener, const sl_ip *ip,
                        sl_counter **held)
{
    char key[ADDRESS_KEY];
    uint64_t wait_ns;
    /* Whom a trusted proxy stands for is seen later. */
    if (sl_networks_have(&p->proxies, ip))
        return true;
    if (!sl_policy_admits(p, listener, ip))
        return false;
    sl_rate rate = {.concurrent = p->connections_per_address, .burst = 1};
    return rate.concurrent == 0 ||
           sl_rates_enter(g->rates, &rate, address_key(ip, 'C', key), sl_now_ns(), held, &wait_ns);
}

bool sl_guard_connect(sl_guard *g, sl_listener_kind listener, sl_str peer, sl_counter **held)
{
    sl_ip ip;
    *held = NULL;
    if (!sl_ip_parse(peer, &ip))
        return true;
    sl_policy *p = current(g);
    bool ok = may_connect(g, p, listener, &ip, held);
    sl_policy_release(p);
    return ok;
}

void sl_guard_disconnect(sl_guard *g, sl_counter *held)
{
    sl_rates_leave(g->rates, held);
}

bool sl_guard_is_proxy(sl_guard *g, sl_str peer)
{
    sl_ip ip;
    if (!sl_ip_parse(peer, &ip))
        return false;
    sl_policy *p = current(g);
    bool is = sl_networks_have(&p->proxies, &ip);
    sl_policy_release(p);
    return is;
}

/* ---- who is meant, and what counts ---- */

static bool any_matches(const char *const *patterns, int n, sl_str name)
{
    for (int i = 0; i < n; i++)
        if (sl_glob_match(sl_str_of(patterns[i]), name))
            return true;
    return false;
}

/* One of the names that whoever asks goes by. "*" does not mean those who have shown nothing: they
 * are meant by "anonymous" alone. */
static bool is_one_of(const sl_admission *a, const char *const *patterns, int n)
{
    if (sl_str_is(a->principal, "anonymous")) {
        for (int i = 0; i < n; i++)
            if (strcmp(patterns[i], "anonymous") == 0)
                return true;
        return false;
    }
    if (a->identity == NULL)
        return any_matches(patterns, n, a->principal);
    for (int i = 0; i < a->identity->n; i++)
        if (any_matches(patterns, n, a->identity->names[i]))
            return true;
    return false;
}

static sl_str key_of(const sl_limit *l, int number, const sl_admission *a, sl_str model, char *buf,
                     size_t room)
{
    sl_ip ip;
    buf[0] = (char)('a' + number); /* limits count apart */
    if (l->per == SL_PER_ADDRESS && sl_ip_parse(a->address, &ip))
        return address_key(&ip, buf[0], buf);
    sl_str s = l->per == SL_PER_PRINCIPAL ? a->principal
               : l->per == SL_PER_ADDRESS ? a->address
               : l->per == SL_PER_MODEL   ? model
                                          : (sl_str){"", 0};
    /* A name that is too long shares its counter with those that begin alike. */
    s.n = SL_MIN(s.n, room - 1);
    if (s.n)
        memcpy(buf + 1, s.p, s.n);
    return (sl_str){buf, s.n + 1};
}

static bool limit_fits(const sl_limit *l, const sl_admission *a, sl_str model)
{
    return (l->n_principals == 0 || is_one_of(a, l->principals, l->n_principals)) &&
           (l->n_models == 0 || any_matches(l->models, l->n_models, model));
}

static sl_code over(const sl_limit *l, sl_admission *a, uint64_t wait_ns, sl_status *st)
{
    static const char *const whose[] = {"principal", "address", "model", "server"};
    uint64_t wait_s = wait_ns / 1000000000u + 1;
    a->retry_after_s = (unsigned)SL_MIN(wait_s, (uint64_t)3600);
    if (wait_ns == 0)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED,
                       "too many requests at once for this %s: the limit is %d", whose[l->per],
                       l->rate.concurrent);
    return sl_fail(st, SL_RESOURCE_EXHAUSTED,
                   "too many requests for this %s: the limit is %g per second", whose[l->per],
                   l->rate.per_second);
}

/* ---- guesses ---- */

enum { KEY_ROOM = 160 };

/* A guess is not in flight: the request will be, if it is let in. */
static sl_rate rate_of(const sl_limit *l, bool guess)
{
    sl_rate rate = l->rate;
    rate.concurrent = guess ? 0 : rate.concurrent;
    return rate;
}

/* `counted`: bit i for the policy's limit i. Keys are made again, from what they were made of:
 * there is room for one on the stack, not for one of each limit. */
static void take_back(sl_guard *g, const sl_admission *a, sl_str model, unsigned counted,
                      bool guess)
{
    char buf[KEY_ROOM];
    for (int i = 0; counted >> i != 0; i++) {
        const sl_limit *l = &a->policy->limits[i];
        const sl_rate rate = rate_of(l, guess);
        if (counted >> i & 1)
            sl_rates_undo(g->rates, &rate, key_of(l, i, a, model, buf, sizeof buf));
    }
}

/* One request by one limit. */
static sl_code count_by(sl_guard *g, sl_admission *a, int i, sl_str model, bool guess,
                        uint64_t now_ns, sl_counter **held, sl_status *st)
{
    const sl_limit *l = &a->policy->limits[i];
    const sl_rate rate = rate_of(l, guess);
    char buf[KEY_ROOM];
    uint64_t wait_ns;
    sl_str key = key_of(l, i, a, model, buf, sizeof buf);
    return sl_rates_enter(g->rates, &rate, key, now_ns, held, &wait_ns) ? SL_OK
                                                                        : over(l, a, wait_ns, st);
}

/*
 * One request, before credentials are looked at that may not hold: each guess counts for its
 * address, and whoever has guessed too often has no more signatures checked. For which model is not
 * known yet, so limits of some models do not count. RESOURCE_EXHAUSTED. *counted: for take_back.
 */
static sl_code charge_address(sl_guard *g, sl_admission *a, unsigned *counted, sl_status *st)
{
    const sl_policy *p = a->policy;
    uint64_t now = p->n_limits ? sl_now_ns() : 0;
    *counted = 0;
    for (int i = 0; i < p->n_limits; i++) {
        const sl_limit *l = &p->limits[i];
        sl_counter *none;
        if (l->per != SL_PER_ADDRESS || l->rate.per_second <= 0 || l->n_models > 0 ||
            !limit_fits(l, a, SL_STR("")))
            continue;
        sl_code rc = count_by(g, a, i, SL_STR(""), true, now, &none, st);
        if (rc) {
            take_back(g, a, SL_STR(""), *counted, true);
            return rc;
        }
        *counted |= 1u << i;
    }
    return SL_OK;
}

/* ---- who ---- */

/* The token behind "Bearer", any letter case. False: another scheme, or nothing. */
static bool bearer(sl_str value, sl_str *token)
{
    if (value.n < 7 || !sl_str_eq_nocase((sl_str){value.p, 6}, SL_STR("bearer")) ||
        value.p[6] != ' ')
        return false;
    *token = trim((sl_str){value.p + 7, value.n - 7});
    return token->n > 0;
}

static sl_code identify_jwt(sl_guard *g, sl_str token, const unsigned char digest[SL_DIGEST_SIZE],
                            int64_t now_s, sl_arena *arena, sl_admission *a, sl_status *st)
{
    sl_policy *p = a->policy;
    sl_claims c;
    sl_str names[1 + SL_JWT_GROUPS];
    sl_code rc = sl_jwt_verify(token, p->issuers, p->n_issuers, now_s, arena, &c, st);
    if (rc && c.unknown_key && c.issuer->jwks_url != NULL && g->unknown_key != NULL)
        g->unknown_key(g->unknown_key_arg, c.issuer->jwks_url);
    if (rc)
        return rc;
    for (int i = 0; i <= c.n_groups; i++) {
        sl_str claim = i == 0 ? c.principal : c.groups[i - 1];
        char *name = sl_arena_try_printf(arena, "%s:%s/%.*s", i == 0 ? "jwt" : "group",
                                         c.issuer->name, SL_STR_ARG(claim));
        if (name == NULL)
            return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory");
        names[i] = sl_str_of(name);
    }
    a->identity = sl_identity_new(names, 1 + c.n_groups, c.expires_s);
    if (a->identity == NULL)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory");
    sl_policy_remember(p, digest, a->identity);
    a->principal = a->identity->names[0];
    return SL_OK;
}

/* Somebody whose credentials need no look: a token of ours, a JWT that was verified before. */
static bool is_known(sl_policy *p, const unsigned char digest[SL_DIGEST_SIZE], int64_t now_s,
                     sl_admission *a)
{
    const sl_token *t = sl_tokens_find(&p->tokens, digest);
    if (t != NULL && (t->expires_s == 0 || t->expires_s > now_s)) {
        a->principal = sl_str_of(t->name);
        return true;
    }
    if (t != NULL || p->n_issuers == 0)
        return false;
    a->identity = sl_policy_cached(p, digest, now_s);
    if (a->identity != NULL)
        a->principal = a->identity->names[0];
    return a->identity != NULL;
}

static sl_code judge(sl_guard *g, sl_str token, const unsigned char digest[SL_DIGEST_SIZE],
                     int64_t now_s, sl_arena *arena, sl_admission *a, sl_status *st)
{
    const sl_policy *p = a->policy;
    if (sl_tokens_find(&p->tokens, digest) != NULL)
        return sl_fail(st, SL_UNAUTHENTICATED, "the token is refused: it has expired");
    if (p->n_issuers == 0 || !sl_jwt_looks_like(token))
        return sl_fail(st, SL_UNAUTHENTICATED, "the token is refused: it is not known here");
    return identify_jwt(g, token, digest, now_s, arena, a, st);
}

static sl_code identify_token(sl_guard *g, sl_str token, sl_arena *arena, sl_admission *a,
                              sl_status *st)
{
    unsigned char digest[SL_DIGEST_SIZE];
    int64_t now_s = sl_wall_us() / 1000000;
    unsigned counted;
    if (token.n <= SL_JWT_MAX && !sl_digest(token, digest))
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory");
    if (token.n <= SL_JWT_MAX && is_known(a->policy, digest, now_s, a))
        return SL_OK;
    sl_code rc = charge_address(g, a, &counted, st);
    if (rc)
        return rc;
    rc = token.n > SL_JWT_MAX
             ? sl_fail(st, SL_UNAUTHENTICATED, "the token is refused: it is longer than %d bytes",
                       SL_JWT_MAX)
             : judge(g, token, digest, now_s, arena, a, st);
    if (rc != SL_UNAUTHENTICATED)
        take_back(g, a, SL_STR(""), counted, true);
    return rc;
}

static sl_code identify_sent(sl_guard *g, sl_str sent, sl_arena *arena, sl_admission *a,
                             sl_status *st)
{
    sl_str token;
    unsigned counted;
    if (bearer(sent, &token))
        return identify_token(g, token, arena, a, st);
    sl_code rc = charge_address(g, a, &counted, st);
    return rc ? rc : sl_fail(st, SL_UNAUTHENTICATED, "expected \"Authorization: Bearer <token>\"");
}

/* A verified certificate: the connection's TLS has seen to that. Each kind of name has a prefix of
 * its own, so that no authority's slip in one field can be taken for another field. */
static sl_code identify_certificate(const sl_tls_peer *peer, sl_arena *arena, sl_admission *a,
                                    sl_status *st)
{
    enum { MOST = 66 };
    sl_str names[MOST];
    int n = 0;
    bool ok = true;
    for (int i = -2; i < peer->n_san && n < MOST; i++) {
        const char *value = i == -2 ? peer->common_name : i == -1 ? peer->subject : peer->san[i];
        if (value == NULL || *value == '\0')
            continue;
        char *name = sl_arena_try_printf(arena, "%s:%s",
                                         i == -2   ? "cert"
                                         : i == -1 ? "subject"
                                                   : "san",
                                         value);
        ok = ok && name != NULL;
        names[n++] = sl_str_of(name ? name : "");
    }
    if (n == 0)
        return SL_OK; /* it says nothing about whom it is for */
    a->identity = ok ? sl_identity_new(names, n, INT64_MAX) : NULL;
    if (a->identity == NULL)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory");
    a->principal = a->identity->names[0];
    return SL_OK;
}

sl_code sl_guard_identify(sl_guard *g, const sl_http_call *call, sl_admission *a, sl_status *st)
{
    *a = (sl_admission){.policy = current(g), .principal = SL_STR("anonymous")};
    sl_policy *p = a->policy;
    sl_code rc = find_address(p, call, a, st);
    if (rc || !p->identities)
        return rc;
    const sl_str *sent = sl_http_header_find(call, "authorization");
    bool certificate = p->client_certificates && call->tls != NULL && call->tls->subject != NULL;
    if (sent == NULL)
        return certificate ? identify_certificate(call->tls, call->arena, a, st) : SL_OK;
    return identify_sent(g, *sent, call->arena, a, st);
}

void sl_guard_leave(sl_guard *g, sl_admission *a)
{
    for (int i = 0; i < a->n_held; i++)
        sl_rates_leave(g->rates, a->held[i]);
    sl_identity_release(a->identity);
    sl_policy_release(a->policy);
    *a = (sl_admission){0};
}

/* ---- may they ---- */

static bool rule_allows(const sl_rule *r, const sl_admission *a, sl_permission what, sl_str model,
                        sl_str label)
{
    bool of_model = what == SL_MAY_PREDICT || what == SL_MAY_METADATA || what == SL_MAY_STATUS;
    return (r->allow & 1u << what) && is_one_of(a, r->principals, r->n_principals) &&
           (!of_model || r->n_models == 0 || any_matches(r->models, r->n_models, model)) &&
           (!of_model || r->n_labels == 0 || any_matches(r->labels, r->n_labels, label));
}

/* The position of the first rule that allows it, or -1. */
static int find_rule(const sl_admission *a, sl_permission what, sl_str model, sl_str label)
{
    const sl_policy *p = a->policy;
    for (int i = 0; i < p->n_rules; i++)
        if (rule_allows(&p->rules[i], a, what, model, label))
            return i;
    return -1;
}

static sl_code deny(const sl_admission *a, sl_permission what, sl_str model, sl_status *st)
{
    static const char *const wishes[] = {
        "",           "predict",       "read the metadata", "read the status", "read the metrics",
        "administer", "see the health"};
    bool named = model.n > 0;
    if (sl_str_is(a->principal, "anonymous"))
        return sl_fail(st, SL_UNAUTHENTICATED,
                       "credentials are needed to %s%s%.*s: send \"Authorization: Bearer <token>\"",
                       wishes[what],
                       !named                   ? ""
                       : what == SL_MAY_PREDICT ? " with model "
                                                : " of model ",
                       (int)SL_MIN(model.n, (size_t)200), named ? model.p : "");
    return sl_fail(st, SL_PERMISSION_DENIED, "%.*s has no permission \"%s\"%s%.*s",
                   (int)SL_MIN(a->principal.n, (size_t)200), a->principal.p,
                   sl_permission_name(what), named ? " for model " : "",
                   (int)SL_MIN(model.n, (size_t)200), named ? model.p : "");
}

sl_code sl_guard_may_something(sl_guard *g, const sl_admission *a, sl_status *st)
{
    const sl_policy *p = a->policy;
    (void)g;
    for (int i = 0; i < p->n_rules; i++)
        if (is_one_of(a, p->rules[i].principals, p->rules[i].n_principals))
            return SL_OK;
    if (!p->identities)
        return SL_OK;
    if (sl_str_is(a->principal, "anonymous"))
        return sl_fail(st, SL_UNAUTHENTICATED,
                       "credentials are needed: send \"Authorization: Bearer <token>\"");
    return sl_fail(st, SL_PERMISSION_DENIED, "%.*s is named by no rule",
                   (int)SL_MIN(a->principal.n, (size_t)200), a->principal.p);
}

sl_code sl_guard_may(sl_guard *g, const sl_admission *a, sl_permission what, sl_str model,
                     sl_str label, sl_status *st)
{
    if (what == SL_MAY_HEALTH && !a->policy->closed_health)
        return SL_OK;
    if (a->policy->identities)
        return find_rule(a, what, model, label) >= 0 ? SL_OK : deny(a, what, model, st);
    if (what != SL_MAY_ADMIN || a->local || g->allow_remote_admin)
        return SL_OK;
    return sl_fail(st, SL_PERMISSION_DENIED,
                   "administering is allowed from this machine only (loopback, unix socket); "
                   "--auth_config_file lets others in, --allow_remote_admin everybody");
}

sl_code sl_guard_refuse_pages(const sl_http_call *call, bool by_name, sl_status *st)
{
    by_name = by_name && !sl_str_is(call->peer, "unix");
    for (int i = 0; i < call->n_headers; i++) {
        const sl_http_header *h = &call->headers[i];
        if (sl_str_eq_nocase(h->name, SL_STR("origin")))
            return sl_fail(st, SL_PERMISSION_DENIED, "administering is not for web pages");
        if (by_name && sl_str_eq_nocase(h->name, SL_STR("host")) &&
            !sl_address_is_loopback(h->value))
            return sl_fail(st, SL_PERMISSION_DENIED,
                           "administering is done at a loopback address, not at host \"%.*s\"",
                           SL_STR_ARG(h->value));
    }
    return SL_OK;
}

sl_code sl_guard_may_administer(sl_guard *g, const sl_admission *a, const sl_http_call *call,
                                sl_status *st)
{
    /* With TLS the name is one that our certificate is for: nobody else's leads here. */
    bool by_name = !a->policy->identities && !g->allow_remote_admin && call->tls == NULL;
    sl_code rc = sl_guard_may(g, a, SL_MAY_ADMIN, SL_STR(""), SL_STR(""), st);
    return rc ? rc : sl_guard_refuse_pages(call, by_name, st);
}

/* ---- how much ---- */

sl_code sl_guard_count(sl_guard *g, sl_admission *a, sl_str model, sl_status *st)
{
    const sl_policy *p = a->policy;
    unsigned counted = 0;
    uint64_t now = p->n_limits ? sl_now_ns() : 0;
    for (int i = 0; i < p->n_limits; i++) {
        sl_counter *held;
        if (!limit_fits(&p->limits[i], a, model))
            continue;
        sl_code rc = count_by(g, a, i, model, false, now, &held, st);
        if (rc) {
            take_back(g, a, model, counted, false);
            a->n_held = 0;
            return rc;
        }
        counted |= 1u << i;
        if (held != NULL)
            a->held[a->n_held++] = held;
    }
    return SL_OK;
}

/* ---- explaining ---- */

sl_code sl_guard_explain(sl_guard *g, sl_str who, bool is_token, sl_permission what, sl_str model,
                         sl_str label, sl_text *why, sl_status *st)
{
    sl_arena arena;
    sl_admission a = {
        .policy = current(g), .principal = is_token ? SL_STR("anonymous") : who, .local = true};
    sl_code rc = sl_arena_init(&arena, 0);
    if (rc)
        rc = sl_fail(st, rc, "out of memory");
    if (rc == SL_OK && is_token && a.policy->identities)
        rc = identify_token(g, who, &arena, &a, st);
    if (rc == SL_OK)
        rc = sl_guard_may(g, &a, what, model, label, st);
    if (rc == SL_OK && !a.policy->identities)
        sl_text_puts(why, "no identities are configured: everybody may");
    else if (rc == SL_OK && what == SL_MAY_HEALTH && !a.policy->closed_health)
        sl_text_puts(why, "health probes are open: everybody may");
    else if (rc == SL_OK)
        sl_text_printf(why, "%.*s may, by rule %d", SL_STR_ARG(a.principal),
                       find_rule(&a, what, model, label) + 1);
    sl_guard_leave(g, &a);
    sl_arena_fini(&arena);
    return rc;
}
