/* fuzz_api_oip.c - any bytes as a path below /v2; the first one is the method */
#include <stdlib.h>

#include "api/oip/oip.h"
#include "api/oip/route.h"
#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static sl_arena arena;
    static bool ready;
    sl_oip_route r;
    if (!ready && sl_arena_init(&arena, 0))
        abort();
    ready = true;
    if (size == 0)
        return 0;
    sl_str path = {(const char *)data + 1, size - 1};
    sl_oip_route_parse((sl_http_method)(data[0] % 7), path, &arena, &r);
    if (r.kind != SL_OIP_UNKNOWN && !sl_oip_is_path(path))
        abort();
    if (r.model.n > path.n || r.version.n > path.n)
        abort();
    sl_arena_reset(&arena);
    return 0;
}
