/*
 * health.h - what is serving, by name
 *
 * Names: "" is the server as a whole, as is PredictionService: it serves when the first
 * configuration has been loaded, at least one model (if there are any) is available, and it is not
 * draining. ModelService and the others answer as long as the server is not draining. Any other
 * name is that of a model, which serves when one of its versions is available. Services are known
 * by their full names and without their package.
 *
 * Source: grpc/doc/health-checking.md; grpc.md 1.2.
 */
#ifndef SL_API_GRPC_HEALTH_H
#define SL_API_GRPC_HEALTH_H

#include "api/grpc/grpc.h"

typedef enum sl_health {
    SL_HEALTH_UNKNOWN = 0,
    SL_HEALTH_SERVING = 1,
    SL_HEALTH_NOT_SERVING = 2,
    SL_HEALTH_SERVICE_UNKNOWN = 3
} sl_health;

/* Takes a short lock of the manager. */
sl_health sl_grpc_health_of(const sl_grpc *g, sl_str name);

#endif
