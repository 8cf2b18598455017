/*
 * string_hash.h - SipHash-2-4, for the ops that hash under a key
 *
 * OpenSSL's, fetched once for many strings: begin, hash ..., end. end() also after a begin() that failed.
 */
#ifndef SL_ENGINE_NATIVE_OPS_STRING_HASH_H
#define SL_ENGINE_NATIVE_OPS_STRING_HASH_H

#include <openssl/evp.h>

#include "base/str.h"

typedef struct sl_sip {
    EVP_MAC_CTX *ctx;
    unsigned char key[16];
} sl_sip;

/* Has this OpenSSL the hash at all? */
bool sl_sip_is_there(void);
/* False: no memory. */
bool sl_sip_begin(sl_sip *sip, const int64_t key[2]) SL_MUST_CHECK;
bool sl_sip_hash(sl_sip *sip, sl_str s, uint64_t *hash) SL_MUST_CHECK;
void sl_sip_end(sl_sip *sip);

#endif
