/* keys.c - see keys.h */
#include "guard/keys.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include "base/mem.h"
#include "format/base64.h"
#include "format/json.h"

enum { MAX_KEYS = 64, MAX_FIELD = 2048, JSON_DEPTH = 32 };

/* The members of one key that matter, as they stand in the text. */
typedef struct fields {
    sl_str kty, use, alg, kid, crv, n, e, x, y;
} fields;

typedef struct bytes {
    unsigned char p[MAX_FIELD];
    size_t n;
} bytes;

/* ---- from numbers to an EVP_PKEY ---- */

static bool decode(sl_str text, bytes *out)
{
    return text.n > 0 && text.n <= MAX_FIELD && sl_base64url_decode(text, (char *)out->p, &out->n);
}

static EVP_PKEY *from_params(const char *type, OSSL_PARAM_BLD *b)
{
    EVP_PKEY *key = NULL;
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(b);
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    if (params == NULL || c == NULL || EVP_PKEY_fromdata_init(c) != 1 ||
        EVP_PKEY_fromdata(c, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(c);
    OSSL_PARAM_free(params);
    return key;
}

static EVP_PKEY *rsa(const fields *f)
{
    bytes n, e;
    if (!decode(f->n, &n) || !decode(f->e, &e) || e.n > 8)
        return NULL;
    EVP_PKEY *key = NULL;
    OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
    BIGNUM *bn = BN_bin2bn(n.p, (int)n.n, NULL), *be = BN_bin2bn(e.p, (int)e.n, NULL);
    if (b != NULL && bn != NULL && be != NULL && BN_num_bits(bn) >= 2048 &&
        BN_num_bits(bn) <= 8192 && BN_is_odd(be) && !BN_is_one(be) &&
        OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_N, bn) == 1 &&
        OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_E, be) == 1)
        key = from_params("RSA", b);
    OSSL_PARAM_BLD_free(b);
    BN_free(bn);
    BN_free(be);
    return key;
}

static EVP_PKEY *p256(const fields *f)
{
    bytes x, y;
    unsigned char point[65] = {4}; /* uncompressed */
    if (!decode(f->x, &x) || !decode(f->y, &y) || x.n != 32 || y.n != 32)
        return NULL;
    memcpy(point + 1, x.p, 32);
    memcpy(point + 33, y.p, 32);
    EVP_PKEY *key = NULL;
    OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
    if (b != NULL &&
        OSSL_PARAM_BLD_push_utf8_string(b, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(b, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point) == 1)
        key = from_params("EC", b); /* refuses a point that is not on the curve */
    OSSL_PARAM_BLD_free(b);
    return key;
}

static EVP_PKEY *ed25519(const fields *f)
{
    bytes x;
    if (!decode(f->x, &x) || x.n != 32)
        return NULL;
    return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x.p, x.n);
}

/* ---- from JSON ---- */

static void take_field(fields *f, const sl_json_string *key, const sl_json_string *value)
{
    static const struct {
        const char *name;
        size_t at;
    } known[] = {{"kty", offsetof(fields, kty)}, {"use", offsetof(fields, use)},
                 {"alg", offsetof(fields, alg)}, {"kid", offsetof(fields, kid)},
                 {"crv", offsetof(fields, crv)}, {"n", offsetof(fields, n)},
                 {"e", offsetof(fields, e)},     {"x", offsetof(fields, x)},
                 {"y", offsetof(fields, y)}};
    for (size_t i = 0; i < SL_COUNTOF(known); i++)
        if (sl_json_string_is(key, sl_str_of(known[i].name)))
            *(sl_str *)((char *)f + known[i].at) = value->raw;
}

/* What the key is for, as its members say; false: not for us. */
static bool choose_alg(const fields *f, sl_key_alg *alg)
{
    const char *name;
    if (sl_str_is(f->kty, "RSA")) {
        *alg = SL_RS256;
        name = "RS256";
    } else if (sl_str_is(f->kty, "EC") && sl_str_is(f->crv, "P-256")) {
        *alg = SL_ES256;
        name = "ES256";
    } else if (sl_str_is(f->kty, "OKP") && sl_str_is(f->crv, "Ed25519")) {
        *alg = SL_EDDSA;
        name = "EdDSA";
    } else {
        return false;
    }
    return (f->use.n == 0 || sl_str_is(f->use, "sig")) &&
           (f->alg.n == 0 || sl_str_is(f->alg, name));
}

static sl_code add_key(const fields *f, int position, sl_keys *out, sl_status *st)
{
    sl_key k = {0};
    if (!choose_alg(f, &k.alg))
        return SL_OK;
    if (out->count == MAX_KEYS)
        return sl_fail(st, SL_INVALID_ARGUMENT, "more than %d keys", MAX_KEYS);
    k.pkey = k.alg == SL_RS256 ? rsa(f) : k.alg == SL_ES256 ? p256(f) : ed25519(f);
    if (k.pkey == NULL)
        return sl_fail(
            st, SL_INVALID_ARGUMENT,
            "key %d (\"%.*s\") is broken, or RSA of less than 2048 or more than 8192 bits",
            position, SL_STR_ARG(f->kid));
    k.id = sl_try_malloc(f->kid.n + 1);
    if (k.id == NULL) {
        EVP_PKEY_free(k.pkey);
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory");
    }
    k.id[f->kid.n ? sl_json_unescape(f->kid, k.id) : 0] = '\0';
    out->list[out->count++] = k;
    return SL_OK;
}

static sl_code read_key(sl_json *j, int position, sl_keys *out, sl_status *st)
{
    fields f = {0};
    sl_json_string name, value;
    if (!sl_json_enter(j, '{'))
        return sl_fail(st, SL_INVALID_ARGUMENT, "key %d is not an object", position);
    while (sl_json_member(j, &name)) {
        if (sl_json_peek_type(j) != SL_JSON_STRING)
            sl_json_skip(j);
        else if (sl_json_read_string(j, &value))
            take_field(&f, &name, &value);
    }
    return j->error ? SL_OK : add_key(&f, position, out, st);
}

static sl_code read_set(sl_json *j, sl_keys *out, sl_status *st)
{
    sl_json_string name;
    sl_code rc = SL_OK;
    if (!sl_json_enter(j, '{'))
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "not a JSON Web Key Set: expected {\"keys\": [...]}");
    while (rc == SL_OK && sl_json_member(j, &name)) {
        if (!sl_json_string_is(&name, SL_STR("keys")) || !sl_json_enter(j, '[')) {
            sl_json_skip(j);
            continue;
        }
        for (int i = 0; rc == SL_OK && sl_json_element(j); i++)
            rc = read_key(j, i, out, st);
    }
    return rc;
}

sl_code sl_keys_read(sl_str json, sl_keys *out, sl_status *st)
{
    sl_json *j = sl_try_malloc(sizeof *j);
    *out = (sl_keys){.list = sl_try_calloc(MAX_KEYS, sizeof(sl_key))};
    sl_code rc = SL_OK;
    if (j == NULL || out->list == NULL) {
        rc = sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory");
    } else {
        sl_json_open(j, json, JSON_DEPTH);
        rc = read_set(j, out, st);
        if (rc == SL_OK && j->error != NULL)
            rc = sl_fail(st, SL_INVALID_ARGUMENT, "not JSON: %s At offset: %zu", j->error,
                         j->offset);
    }
    if (rc == SL_OK && out->count == 0)
        rc = sl_fail(st, SL_INVALID_ARGUMENT,
                     "no key that can be used: expected RSA, P-256 or Ed25519 signature keys");
    sl_free(j);
    if (rc)
        sl_keys_fini(out);
    return rc;
}

void sl_keys_fini(sl_keys *k)
{
    for (int i = 0; i < k->count; i++) {
        sl_free(k->list[i].id);
        EVP_PKEY_free(k->list[i].pkey);
    }
    sl_free(k->list);
    *k = (sl_keys){0};
}

/* ---- verifying ---- */

/* JWS has r and s side by side; OpenSSL wants them in DER: at most two numbers of 33 bytes and three
 * heads of 2. Returns the size, or 0. */
static size_t ecdsa_der(sl_str signature, unsigned char der[72])
{
    if (signature.n != 64)
        return 0;
    const unsigned char *p = (const unsigned char *)signature.p;
    int n = 0;
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(p, 32, NULL), *s = BN_bin2bn(p + 32, 32, NULL);
    if (sig != NULL && r != NULL && s != NULL) {
        ECDSA_SIG_set0(sig, r, s); /* fails only without r or s */
        r = s = NULL;              /* sig's now */
        n = i2d_ECDSA_SIG(sig, &der);
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(sig);
    return n > 0 ? (size_t)n : 0;
}

bool sl_key_verify(const sl_key *k, sl_str signed_, sl_str signature)
{
    unsigned char der[72];
    const unsigned char *sig = (const unsigned char *)signature.p;
    size_t n = signature.n;
    if (k->alg == SL_ES256) {
        n = ecdsa_der(signature, der);
        sig = der;
    }
    if (n == 0)
        return false;
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    bool ok = c != NULL &&
              EVP_DigestVerifyInit(c, NULL, k->alg == SL_EDDSA ? NULL : EVP_sha256(), NULL,
                                   k->pkey) == 1 &&
              EVP_DigestVerify(c, sig, n, (const unsigned char *)signed_.p, signed_.n) == 1;
    EVP_MD_CTX_free(c);
    return ok;
}
