/* route.h - what a path below /v2 asks for (oip.h has the list) */
#ifndef SL_API_OIP_ROUTE_H
#define SL_API_OIP_ROUTE_H

#include "base/arena.h"
#include "http/http.h"

typedef enum sl_oip_kind {
    SL_OIP_UNKNOWN,
    SL_OIP_NO_MEMORY,    /* to decode a name */
    SL_OIP_WRONG_METHOD, /* there is such a path, for GET or for POST */
    SL_OIP_SERVER,
    SL_OIP_LIVE,
    SL_OIP_READY,
    SL_OIP_MODEL,
    SL_OIP_MODEL_READY,
    SL_OIP_INFER,
    SL_OIP_INDEX,
    SL_OIP_LOAD,
    SL_OIP_UNLOAD
} sl_oip_kind;

typedef struct sl_oip_route {
    sl_oip_kind kind;
    const char *allow;     /* the methods of a path that there is */
    sl_str model, version; /* percent-decoded, in the path or in the arena; version n == 0: none */
} sl_oip_route;

void sl_oip_route_parse(sl_http_method method, sl_str path, sl_arena *arena, sl_oip_route *out);

#endif
