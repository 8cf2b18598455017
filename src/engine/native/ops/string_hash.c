/*
 * string_hash.c - StringToHashBucketStrong: SipHash-2-4 under a key of two numbers, and
 * StringToHashBucket of old: MurmurHash64A
 */
#include "engine/native/ops/string_hash.h"

#include <openssl/core_names.h>
#include <openssl/params.h>

#include "engine/native/ops/ops.h"

bool sl_sip_begin(sl_sip *sip, const int64_t key[2])
{
    for (int i = 0; i < 16; i++)
        sip->key[i] = (unsigned char)((uint64_t)key[i / 8] >> 8 * (i % 8));
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
    sip->ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;
    EVP_MAC_free(mac);
    return sip->ctx != NULL;
}

/* The key is given anew for each string: OpenSSL 3.0 does not begin again without. */
bool sl_sip_hash(sl_sip *sip, sl_str s, uint64_t *hash)
{
    size_t size = 8, got = 0;
    unsigned char digest[8];
    OSSL_PARAM params[] = {OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size),
                           OSSL_PARAM_construct_end()};
    if (EVP_MAC_init(sip->ctx, sip->key, sizeof sip->key, params) != 1 ||
        (s.n && EVP_MAC_update(sip->ctx, (const unsigned char *)s.p, s.n) != 1) ||
        EVP_MAC_final(sip->ctx, digest, &got, sizeof digest) != 1 || got != sizeof digest)
        return false;
    *hash = 0;
    for (int i = 0; i < 8; i++)
        *hash |= (uint64_t)digest[i] << 8 * i;
    return true;
}

void sl_sip_end(sl_sip *sip)
{
    EVP_MAC_CTX_free(sip->ctx);
    sip->ctx = NULL;
}

bool sl_sip_is_there(void)
{
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
    EVP_MAC_free(mac);
    return mac != NULL;
}

typedef struct hash_config {
    uint64_t buckets;
    int64_t key[2];
} hash_config;

static sl_code read_buckets(sl_op_node *n, hash_config **out, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 1, SL_T(STRING), st);
    int64_t buckets = sl_node_int(n->source, "num_buckets", 0);
    if (!rc && buckets < 1)
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "num_buckets must be positive");
    if (rc)
        return rc;
    *out = sl_ops_config(n, sizeof **out);
    (*out)->buckets = (uint64_t)buckets;
    n->config = *out;
    n->out_types[0] = SL_DT_INT64;
    return SL_OK;
}

static sl_code strong_configure(sl_op_node *n, sl_status *st)
{
    hash_config *cfg;
    sl_code rc = read_buckets(n, &cfg, st);
    if (rc)
        return rc;
    if (sl_node_list_ints(n->source, "key", cfg->key, 2) != 2)
        return sl_fail(st, SL_INVALID_ARGUMENT, "Key must have 2 elements");
    return sl_sip_is_there() ? SL_OK
                             : sl_fail(st, SL_FAILED_PRECONDITION, "OpenSSL has no SipHash here");
}

static sl_code strong_run(sl_op_call *c, sl_status *st)
{
    const hash_config *cfg = c->node->config;
    const sl_str *in = c->in[0].data;
    sl_sip sip;
    bool ok = sl_sip_begin(&sip, cfg->key);
    uint64_t hash = 0;
    for (int64_t i = 0, n = sl_tensor_count(&c->in[0]); i < n && ok; i++) {
        ok = sl_sip_hash(&sip, in[i], &hash);
        ((int64_t *)c->out[0].data)[i] = (int64_t)(hash % cfg->buckets);
    }
    sl_sip_end(&sip);
    return ok ? SL_OK : sl_ops_no_memory(st);
}

/* ---- StringToHashBucket ---- */

static sl_code old_configure(sl_op_node *n, sl_status *st)
{
    hash_config *cfg;
    return read_buckets(n, &cfg, st);
}

/* MurmurHash64A (Austin Appleby, public domain): eight bytes a step, little endian. */
static uint64_t murmur(sl_str s, uint64_t seed)
{
    const uint64_t m = 0xc6a4a7935bd1e995;
    uint64_t h = seed ^ s.n * m;
    size_t i = 0;
    for (; s.n - i >= 8; i += 8) {
        uint64_t k = 0;
        for (int b = 0; b < 8; b++)
            k |= (uint64_t)(unsigned char)s.p[i + (size_t)b] << 8 * b;
        k *= m;
        k ^= k >> 47;
        h = (h ^ k * m) * m;
    }
    for (size_t b = 0; i + b < s.n; b++)
        h ^= (uint64_t)(unsigned char)s.p[i + b] << 8 * b;
    if (i < s.n)
        h *= m;
    h = (h ^ h >> 47) * m;
    return h ^ h >> 47;
}

static sl_code old_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    const hash_config *cfg = c->node->config;
    for (int64_t i = 0, n = sl_tensor_count(&c->in[0]); i < n; i++)
        ((int64_t *)c->out[0].data)[i] =
            (int64_t)(murmur(((const sl_str *)c->in[0].data)[i], 0xdecafcaffe) % cfg->buckets);
    return SL_OK;
}

const sl_op sl_ops_string_hash[] = {
    {"StringToHashBucket", 0, 0, old_configure, sl_ops_shape_like_first, old_run, NULL},
    {"StringToHashBucketStrong", 0, 0, strong_configure, sl_ops_shape_like_first, strong_run, NULL},
    {0},
};
