/*
 * gather.h - rows by index, for GatherV2 and GatherNd, and for ResourceGather and ResourceGatherNd, whose
 * params are a variable
 */
#ifndef SL_ENGINE_NATIVE_OPS_GATHER_H
#define SL_ENGINE_NATIVE_OPS_GATHER_H

#include "engine/native/op.h"

/* params are [batch, outer, limit, row bytes], indices [batch, count]. */
typedef struct sl_gather {
    int64_t batch, outer, limit, count;
    size_t row;
} sl_gather;

/* Sets out's rank and dims and *g. */
sl_code sl_gather_shape(const sl_tensor *params, const sl_tensor *indices, int64_t axis,
                        int64_t batch_dims, sl_tensor *out, sl_gather *g, sl_status *st);
sl_code sl_gather_run(const sl_tensor *params, const sl_tensor *indices, const sl_gather *g,
                      void *out, sl_status *st);

/* GatherNd: sets out's rank and dims. */
sl_code sl_gather_nd_shape(const sl_tensor *params, const sl_tensor *indices, sl_tensor *out,
                           sl_status *st);
/* `name` of the node, for the message. */
sl_code sl_gather_nd_run(const char *name, const sl_tensor *params, const sl_tensor *indices,
                         void *out, sl_status *st);

#endif
