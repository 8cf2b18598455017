/*
 * fuzz_guard_jwt.c - any bytes as a key set, and any bytes as a token for a key set that is good
 *
 * The first byte chooses. No token that a fuzzer can make is signed by the key, so none is
 * believed.
 */
#include <stdint.h>
#include <stdlib.h>

#include "guard/jwt.h"

#include "faults.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char good[] =
    "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"d\","
    "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}"; /* RFC 8037, A.2 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static sl_issuer issuer = {
        .name = "i", .issuer = "i", .principal_claim = "sub", .groups_claim = "g"};
    sl_status st;
    sl_keys keys;
    if (size == 0)
        return 0;
    sl_str rest = {(const char *)data + 1, size - 1};
    if (data[0] == 'k') {
        if (sl_keys_read(rest, &keys, &st) == SL_OK) {
            if (keys.count == 0)
                abort();
            sl_keys_fini(&keys);
        }
        return 0;
    }
    sl_arena arena;
    sl_claims claims;
    if (sl_keys_read(sl_str_of(good), &issuer.keys, &st) != SL_OK) {
        broken();
        return 0;
    }
    if (sl_arena_init(&arena, 0) != SL_OK) {
        broken();
        sl_keys_fini(&issuer.keys);
        return 0;
    }
    if (sl_jwt_verify(rest, &issuer, 1, 1800000000, &arena, &claims, &st) == SL_OK)
        abort();
    sl_keys_fini(&issuer.keys);
    sl_arena_fini(&arena);
    return 0;
}
