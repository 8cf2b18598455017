/* Any target: a route comes out, and what it names lies within what was given. */
#include <stdint.h>
#include <stdlib.h>

#include "api/rest/route.h"

#include "faults.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sl_arena arena;
    sl_rest_route r;
    sl_str target = {(const char *)data, size};
    if (sl_arena_init(&arena, 0)) {
        broken();
        return 0;
    }
    for (int method = SL_HTTP_GET; method <= SL_HTTP_PATCH; method++) {
        sl_route_parse((sl_http_method)method, target, &arena, &r);
        if (r.kind >= SL_ROUTE_INFER && (r.spec.model.n == 0 || r.spec.model.n > size))
            abort();
        if (r.spec.label.n > size || (r.kind >= SL_ROUTE_INFER && !sl_route_is_rest(target)))
            abort();
    }
    sl_arena_fini(&arena);
    return 0;
}
