/*
 * jwt.c - see jwt.h
 *
 * Order: the payload is read first, but only for the issuer's name, which chooses the keys; nothing
 * else of it is believed before the signature has been verified.
 */
#include "guard/jwt.h"

#include "base/mem.h"
#include "format/base64.h"
#include "format/json.h"

enum { DEPTH = 32 };

typedef struct parts {
    sl_str header, payload, signature; /* as sent */
    sl_str signed_;                    /* the first two with their dot */
} parts;

static sl_code refuse(sl_status *st, const char *why)
{
    return sl_fail(st, SL_UNAUTHENTICATED, "the token is refused: %s", why);
}

static bool split(sl_str token, parts *p)
{
    const char *end = token.p + token.n;
    const char *a = memchr(token.p, '.', token.n);
    const char *b = a ? memchr(a + 1, '.', (size_t)(end - a) - 1) : NULL;
    if (b == NULL || memchr(b + 1, '.', (size_t)(end - b) - 1) != NULL)
        return false;
    p->header = (sl_str){token.p, (size_t)(a - token.p)};
    p->payload = (sl_str){a + 1, (size_t)(b - a) - 1};
    p->signature = (sl_str){b + 1, (size_t)(end - b) - 1};
    p->signed_ = (sl_str){token.p, (size_t)(b - token.p)};
    return p->header.n > 0 && p->payload.n > 0;
}

bool sl_jwt_looks_like(sl_str token)
{
    parts p;
    return split(token, &p);
}

static bool decode(sl_str text, sl_arena *arena, sl_str *out)
{
    char *room = sl_arena_try_alloc(arena, text.n / 4 * 3 + 3);
    out->p = room;
    return room != NULL && sl_base64url_decode(text, room, &out->n);
}

/* ---- the members of an object ---- */

/* A string's value with its escapes undone; false on lack of memory. */
static bool unescape(const sl_json_string *s, sl_arena *arena, sl_str *out)
{
    if (!s->escaped) {
        *out = s->raw;
        return true;
    }
    char *room = sl_arena_try_alloc(arena, s->raw.n + 1);
    if (room == NULL)
        return false;
    *out = (sl_str){room, sl_json_unescape(s->raw, room)};
    return true;
}

/* Calls `take` with each member; it must consume the value. False: malformed, or a `take` failed.
 */
static bool walk(sl_str json, sl_json *j,
                 bool (*take)(void *arg, sl_json *j, const sl_json_string *key), void *arg)
{
    sl_json_string key;
    bool ok = true;
    sl_json_open(j, json, DEPTH);
    if (!sl_json_enter(j, '{'))
        return false;
    while (ok && sl_json_member(j, &key))
        ok = take(arg, j, &key);
    return ok && j->error == NULL;
}

typedef struct header {
    sl_arena *arena;
    sl_str alg, kid;
    bool crit;
} header;

/* A name that comes twice is refused: which of the two counts is a matter of taste, and two parties
 * with different tastes are a hole. */
static bool take_once(sl_json *j, sl_arena *arena, sl_str *to)
{
    sl_json_string s;
    return to->p == NULL && sl_json_read_string(j, &s) && unescape(&s, arena, to);
}

static bool take_header(void *arg, sl_json *j, const sl_json_string *key)
{
    header *h = arg;
    if (sl_json_string_is(key, SL_STR("alg")))
        return take_once(j, h->arena, &h->alg);
    if (sl_json_string_is(key, SL_STR("kid")))
        return take_once(j, h->arena, &h->kid);
    h->crit |= sl_json_string_is(key, SL_STR("crit"));
    return sl_json_skip(j);
}

typedef struct payload {
    sl_arena *arena;
    const sl_issuer *issuer; /* NULL: only "iss" is looked for */
    sl_str iss, principal;
    sl_claims *claims;
    double exp, nbf, iat;
    bool has_exp, has_nbf, has_iat, audience_fits;
} payload;

static bool take_issuer(void *arg, sl_json *j, const sl_json_string *key)
{
    payload *p = arg;
    if (sl_json_string_is(key, SL_STR("iss")))
        return take_once(j, p->arena, &p->iss);
    return sl_json_skip(j);
}

static bool take_time(sl_json *j, double *to, bool *has)
{
    sl_number n;
    if (*has || !sl_json_read_number(j, &n))
        return false;
    *to = n.d;
    *has = true;
    return *to >= 0 && *to < 1e15;
}

/* A string or a list of strings: each goes to `take`. */
static bool take_strings(payload *p, sl_json *j, void (*take)(payload *p, sl_str value))
{
    sl_json_string s;
    sl_str value;
    bool list = sl_json_peek_type(j) != SL_JSON_STRING;
    if (list && !sl_json_enter(j, '['))
        return false;
    do {
        if (list && !sl_json_element(j))
            break; /* its end, or malformed: walk sees that */
        if (!sl_json_read_string(j, &s) || !unescape(&s, p->arena, &value))
            return false;
        take(p, value);
    } while (list);
    return true;
}

static void take_audience(payload *p, sl_str value)
{
    for (int i = 0; i < p->issuer->n_audiences; i++)
        p->audience_fits |= sl_str_is(value, p->issuer->audiences[i]);
}

static void take_group(payload *p, sl_str value)
{
    if (p->claims->n_groups < SL_JWT_GROUPS)
        p->claims->groups[p->claims->n_groups++] = value;
}

static bool take_claim(void *arg, sl_json *j, const sl_json_string *key)
{
    payload *p = arg;
    const sl_issuer *i = p->issuer;
    if (sl_json_string_is(key, sl_str_of(i->principal_claim)))
        return take_once(j, p->arena, &p->principal);
    if (sl_json_string_is(key, SL_STR("exp")))
        return take_time(j, &p->exp, &p->has_exp);
    if (sl_json_string_is(key, SL_STR("nbf")))
        return take_time(j, &p->nbf, &p->has_nbf);
    if (sl_json_string_is(key, SL_STR("iat")))
        return take_time(j, &p->iat, &p->has_iat);
    if (sl_json_string_is(key, SL_STR("aud")))
        return take_strings(p, j, take_audience);
    if (i->groups_claim != NULL && sl_json_string_is(key, sl_str_of(i->groups_claim)))
        return take_strings(p, j, take_group);
    return sl_json_skip(j);
}

/* ---- the signature ---- */

static bool alg_is(const sl_key *k, sl_str alg)
{
    static const char *const names[] = {"RS256", "ES256", "EdDSA"};
    return sl_str_is(alg, names[k->alg]);
}

/* `known`: is there a key that the token means? */
static bool verified(const sl_issuer *i, const header *h, const parts *p, sl_str signature,
                     bool *known)
{
    enum { MAX_TRIES = 8 };
    int tries = 0;
    *known = false;
    for (int k = 0; k < i->keys.count; k++) {
        const sl_key *key = &i->keys.list[k];
        bool named = h->kid.p == NULL || sl_str_is(h->kid, key->id);
        *known |= h->kid.p != NULL && named;
        if (named && alg_is(key, h->alg) && tries++ < MAX_TRIES &&
            sl_key_verify(key, p->signed_, signature))
            return true;
    }
    return false;
}

static sl_code check_times(const payload *p, int64_t now_s, sl_status *st)
{
    double now = (double)now_s, skew = (double)p->issuer->skew_s;
    if (!p->has_exp)
        return refuse(st, "it has no \"exp\"");
    if (now >= p->exp + skew)
        return refuse(st, "it has expired");
    if (p->has_nbf && now < p->nbf - skew)
        return refuse(st, "it is not valid yet");
    if (p->has_iat && now < p->iat - skew)
        return refuse(st, "it was issued in the future");
    return SL_OK;
}

static const sl_issuer *find_issuer(sl_str iss, const sl_issuer *issuers, int n)
{
    for (int i = 0; i < n; i++)
        if (iss.p != NULL && sl_str_is(iss, issuers[i].issuer))
            return &issuers[i];
    return NULL;
}

static sl_code verify(sl_str token, const sl_issuer *issuers, int n_issuers, int64_t now_s,
                      sl_json *j, sl_arena *arena, sl_claims *out, sl_status *st)
{
    parts p;
    sl_str header_json, payload_json, signature;
    header h = {.arena = arena};
    payload c = {.arena = arena, .claims = out};
    bool known;
    if (token.n > SL_JWT_MAX || !split(token, &p) || !decode(p.header, arena, &header_json) ||
        !decode(p.payload, arena, &payload_json) || !decode(p.signature, arena, &signature))
        return refuse(st, "it is not a JSON Web Token");
    if (!walk(header_json, j, take_header, &h) || h.alg.p == NULL)
        return refuse(st, "its header is malformed");
    if (h.crit)
        return refuse(st, "its header demands an extension (\"crit\")");
    if (!walk(payload_json, j, take_issuer, &c))
        return refuse(st, "its claims are malformed");
    c.issuer = find_issuer(c.iss, issuers, n_issuers);
    if (c.issuer == NULL)
        return sl_fail(st, SL_UNAUTHENTICATED,
                       "the token is refused: issuer \"%.*s\" is not known here",
                       (int)SL_MIN(c.iss.n, (size_t)200), c.iss.p ? c.iss.p : "");
    out->issuer = c.issuer;
    if (c.issuer->keys.count == 0) {
        out->unknown_key = true;
        return sl_fail(st, SL_UNAVAILABLE,
                       "the token cannot be verified: the keys of its issuer \"%s\" have not been "
                       "fetched yet",
                       c.issuer->name);
    }
    if (!verified(c.issuer, &h, &p, signature, &known)) {
        out->unknown_key = !known;
        return refuse(st, "no key of its issuer has signed it");
    }
    if (!walk(payload_json, j, take_claim, &c))
        return refuse(st, "its claims are malformed");
    sl_code rc = check_times(&c, now_s, st);
    if (rc)
        return rc;
    if (!c.audience_fits)
        return refuse(st, "it is meant for another audience");
    if (c.principal.p == NULL || c.principal.n == 0)
        return sl_fail(st, SL_UNAUTHENTICATED, "the token is refused: it has no \"%s\"",
                       c.issuer->principal_claim);
    out->principal = c.principal;
    out->expires_s = (int64_t)c.exp + c.issuer->skew_s;
    return SL_OK;
}

sl_code sl_jwt_verify(sl_str token, const sl_issuer *issuers, int n_issuers, int64_t now_s,
                      sl_arena *arena, sl_claims *out, sl_status *st)
{
    sl_json *j = sl_arena_try_alloc(arena, sizeof *j);
    *out = (sl_claims){0};
    if (j == NULL)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory");
    return verify(token, issuers, n_issuers, now_s, j, arena, out, st);
}
