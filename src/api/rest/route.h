/*
 * route.h - what a path below /v1/ asks for
 *
 * The patterns and their quirks are those of rest.md section 3: the whole target counts, query and
 * fragment included; literal parts match in any letter case; names are percent-decoded afterwards.
 */
#ifndef SL_API_REST_ROUTE_H
#define SL_API_REST_ROUTE_H

#include "base/arena.h"
#include "base/str.h"
#include "http/http.h"
#include "service/service.h"

typedef enum sl_route_kind {
    SL_ROUTE_MALFORMED,   /* 400 "Malformed request: POST /v1/..." */
    SL_ROUTE_NO_NAME,     /* 400 "Missing model name in request." */
    SL_ROUTE_BAD_VERSION, /* 400, empty body: digits beyond int64, or an escape that is none */
    SL_ROUTE_NO_MEMORY,   /* to decode a name */
    SL_ROUTE_INFER,       /* POST ...:predict, :classify, :regress */
    SL_ROUTE_STATUS,
    SL_ROUTE_METADATA
} sl_route_kind;

typedef struct sl_rest_route {
    sl_route_kind kind;
    sl_method method;   /* INFER */
    sl_model_spec spec; /* name and label decoded, in the arena or in the target */
} sl_rest_route;

/* Does this target belong to the REST interface at all ("/v1/" and more)? */
bool sl_route_is_rest(sl_str target);
void sl_route_parse(sl_http_method method, sl_str target, sl_arena *arena, sl_rest_route *out);

#endif
