/*
 * jwt.h - JSON Web Tokens: who signed this, for whom, until when
 *
 * The compact form of RFC 7519, signed (RFC 7515). Which algorithm is used is decided by the
 * issuer's key alone; the token's "alg" must agree with it, so "none" and HS256 never verify. "exp"
 * is required; "nbf" and "iat" are held to when they are there; "crit" is refused, since we
 * understand no extension.
 */
#ifndef SL_GUARD_JWT_H
#define SL_GUARD_JWT_H

#include "base/arena.h"
#include "guard/keys.h"

enum { SL_JWT_MAX = 16 * 1024, SL_JWT_GROUPS = 32 };

typedef struct sl_issuer {
    const char *name;   /* for the principal's name */
    const char *issuer; /* "iss" */
    const char *const *audiences;
    int n_audiences;
    int64_t skew_s;
    const char *principal_claim, *groups_claim; /* groups: NULL, none */
    const char *jwks_url; /* where the keys are fetched from, by somebody else; NULL: nowhere */
    sl_keys keys;         /* none: they have not been fetched yet */
} sl_issuer;

typedef struct sl_claims {
    const sl_issuer *issuer;
    sl_str principal; /* the claim's value */
    sl_str groups[SL_JWT_GROUPS];
    int n_groups;
    int64_t expires_s; /* seconds since 1970, skew included */
    bool unknown_key;  /* it was refused because `issuer` has no such key: fresh ones may help */
} sl_claims;

/* Verifies `token` at the time `now_s`. The texts of *out are in the arena. UNAUTHENTICATED, with a
 * reason that holds nothing of the token's content but an unknown issuer's or key's name.
 * UNAVAILABLE: the issuer has no keys yet. */
sl_code sl_jwt_verify(sl_str token, const sl_issuer *issuers, int n_issuers, int64_t now_s,
                      sl_arena *arena, sl_claims *out, sl_status *st);

/* Does this look like a JWT at all: three parts with dots between? */
bool sl_jwt_looks_like(sl_str token);

#endif
