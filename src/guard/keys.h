/*
 * keys.h - the public keys of an issuer: a JSON Web Key Set
 *
 * RSA keys of 2048 to 8192 bits (RS256), P-256 keys (ES256) and Ed25519 keys (EdDSA). Keys of other
 * kinds, and those for encryption, are passed over. The algorithm is a property of the key: a token
 * never chooses it. Source: RFC 7517, RFC 7518 section 6, RFC 8037.
 */
#ifndef SL_GUARD_KEYS_H
#define SL_GUARD_KEYS_H

#include "base/str.h"

typedef enum sl_key_alg { SL_RS256, SL_ES256, SL_EDDSA } sl_key_alg;

typedef struct sl_key {
    char *id; /* "kid"; "" if it has none */
    sl_key_alg alg;
    struct evp_pkey_st *pkey;
} sl_key;

typedef struct sl_keys {
    sl_key *list;
    int count;
} sl_keys;

/* INVALID_ARGUMENT: not a key set, a broken key (named by its position), or none that can be used.
 * On failure *out is empty. */
sl_code sl_keys_read(sl_str json, sl_keys *out, sl_status *st);
void sl_keys_fini(sl_keys *k);

/* Is `signature`, as JWS has it, one of this key over `signed_`? */
bool sl_key_verify(const sl_key *k, sl_str signed_, sl_str signature);

#endif
