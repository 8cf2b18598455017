/*
 * jwt_maker.h - keys, key sets and signed tokens for tests, made by OpenSSL as an issuer would
 */
#ifndef SL_TESTS_JWT_MAKER_H
#define SL_TESTS_JWT_MAKER_H

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>

#include "base/str.h"
#include "format/base64.h"
#include "guard/keys.h"

typedef struct maker {
    EVP_PKEY *rsa, *ec, *ed;
} maker;

static inline void maker_init(maker *m)
{
    m->rsa = EVP_RSA_gen(2048);
    m->ec = EVP_EC_gen("P-256");
    m->ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
}

static inline void maker_fini(maker *m)
{
    EVP_PKEY_free(m->rsa);
    EVP_PKEY_free(m->ec);
    EVP_PKEY_free(m->ed);
}

static inline void add_b64url(sl_text *t, const void *p, size_t n)
{
    char buf[4096];
    char *end = sl_base64_encode((sl_str){p, n}, buf);
    while (end > buf && end[-1] == '=')
        end--;
    for (char *c = buf; c < end; c++)
        sl_text_putc(t, *c == '+' ? '-' : *c == '/' ? '_' : *c);
}

static inline void add_bn(sl_text *t, EVP_PKEY *key, const char *param, int size)
{
    BIGNUM *bn = NULL;
    unsigned char buf[1024];
    EVP_PKEY_get_bn_param(key, param, &bn);
    int n = size ? size : BN_num_bytes(bn);
    BN_bn2binpad(bn, buf, n);
    add_b64url(t, buf, (size_t)n);
    BN_free(bn);
}

/* The key set of all three: "r", "e", "d". */
static inline void maker_jwks(const maker *m, sl_text *t)
{
    unsigned char raw[32];
    size_t n = sizeof raw;
    sl_text_puts(t, "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\",\"kid\":\"h\"},{\"kty\":\"RSA\","
                    "\"kid\":\"r\",\"use\":\"sig\",\"n\":\"");
    add_bn(t, m->rsa, OSSL_PKEY_PARAM_RSA_N, 0);
    sl_text_puts(t, "\",\"e\":\"");
    add_bn(t, m->rsa, OSSL_PKEY_PARAM_RSA_E, 0);
    sl_text_puts(t,
                 "\"},{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"e\",\"alg\":\"ES256\",\"x\":\"");
    add_bn(t, m->ec, OSSL_PKEY_PARAM_EC_PUB_X, 32);
    sl_text_puts(t, "\",\"y\":\"");
    add_bn(t, m->ec, OSSL_PKEY_PARAM_EC_PUB_Y, 32);
    sl_text_puts(t, "\"},{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"d\",\"x5c\":[\"a\",{\"b\":"
                    "1}],\"x\":\"");
    EVP_PKEY_get_raw_public_key(m->ed, raw, &n);
    add_b64url(t, raw, n);
    sl_text_puts(t, "\"}]}");
}

static inline void add_signature(sl_text *t, EVP_PKEY *key, sl_key_alg alg, sl_str signed_)
{
    unsigned char sig[1024], raw[64];
    size_t n = sizeof sig;
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    EVP_DigestSignInit(c, NULL, alg == SL_EDDSA ? NULL : EVP_sha256(), NULL, key);
    EVP_DigestSign(c, sig, &n, (const unsigned char *)signed_.p, signed_.n);
    EVP_MD_CTX_free(c);
    if (alg == SL_ES256) {
        const unsigned char *at = sig;
        ECDSA_SIG *s = d2i_ECDSA_SIG(NULL, &at, (long)n);
        BN_bn2binpad(ECDSA_SIG_get0_r(s), raw, 32);
        BN_bn2binpad(ECDSA_SIG_get0_s(s), raw + 32, 32);
        ECDSA_SIG_free(s);
        add_b64url(t, raw, sizeof raw);
    } else {
        add_b64url(t, sig, n);
    }
}

/* A token with this header and these claims, signed with the key of `alg` whatever the header says.
 */
static inline void maker_token(const maker *m, sl_key_alg alg, const char *header,
                               const char *claims, sl_text *t)
{
    t->n = 0;
    add_b64url(t, header, strlen(header));
    sl_text_putc(t, '.');
    add_b64url(t, claims, strlen(claims));
    char *copy = strndup(t->p, t->n);
    size_t n = t->n;
    sl_text_putc(t, '.');
    add_signature(t,
                  alg == SL_RS256   ? m->rsa
                  : alg == SL_ES256 ? m->ec
                                    : m->ed,
                  alg, (sl_str){copy, n});
    free(copy);
}

#endif
