/*
 * string_hash.c - StringToHashBucketStrong: SipHash-2-4 under a key of two numbers
 */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "engine/native/ops/ops.h"

typedef struct hash_config {
    uint64_t buckets;
    unsigned char key[16];
} hash_config;

static void put_little_endian(unsigned char *to, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        to[i] = (unsigned char)(v >> 8 * i);
}

static sl_code hash_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 1, SL_T(STRING), st);
    if (rc)
        return rc;
    int64_t key[2], buckets = sl_node_int(n->source, "num_buckets", 0);
    if (buckets < 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "num_buckets must be positive");
    if (sl_node_list_ints(n->source, "key", key, 2) != 2)
        return sl_fail(st, SL_INVALID_ARGUMENT, "Key must have 2 elements");
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
    if (mac == NULL)
        return sl_fail(st, SL_FAILED_PRECONDITION, "OpenSSL has no SipHash here");
    EVP_MAC_free(mac);
    hash_config *cfg = sl_ops_config(n, sizeof *cfg);
    cfg->buckets = (uint64_t)buckets;
    for (int i = 0; i < 2; i++)
        put_little_endian(cfg->key + 8 * i, (uint64_t)key[i]);
    n->config = cfg;
    n->out_types[0] = SL_DT_INT64;
    return SL_OK;
}

/* The key is given anew for each string: OpenSSL 3.0 does not begin again without. */
static bool sip_hash(EVP_MAC_CTX *ctx, const hash_config *cfg, sl_str s, uint64_t *hash)
{
    size_t size = 8, got = 0;
    unsigned char digest[8];
    OSSL_PARAM params[] = {OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size),
                           OSSL_PARAM_construct_end()};
    if (EVP_MAC_init(ctx, cfg->key, sizeof cfg->key, params) != 1 ||
        (s.n && EVP_MAC_update(ctx, (const unsigned char *)s.p, s.n) != 1) ||
        EVP_MAC_final(ctx, digest, &got, sizeof digest) != 1 || got != sizeof digest)
        return false;
    *hash = 0;
    for (int i = 0; i < 8; i++)
        *hash |= (uint64_t)digest[i] << 8 * i;
    return true;
}

static sl_code hash_run(sl_op_call *c, sl_status *st)
{
    const hash_config *cfg = c->node->config;
    const sl_str *in = c->in[0].data;
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
    EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;
    bool ok = ctx != NULL;
    uint64_t hash = 0;
    for (int64_t i = 0, n = sl_tensor_count(&c->in[0]); i < n && ok; i++) {
        ok = sip_hash(ctx, cfg, in[i], &hash);
        ((int64_t *)c->out[0].data)[i] = (int64_t)(hash % cfg->buckets);
    }
    EVP_MAC_CTX_free(ctx);
    EVP_MAC_free(mac);
    return ok ? SL_OK : sl_ops_no_memory(st);
}

const sl_op sl_ops_string_hash[] = {
    {"StringToHashBucketStrong", 0, 0, hash_configure, sl_ops_shape_like_first, hash_run, NULL},
    {0},
};
