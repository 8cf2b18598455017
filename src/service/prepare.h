/*
 * prepare.h - a decoded request, checked against the version's signature and made ready to run
 *
 * The steps and the texts of gRPC, which differ from those of REST (service.h) where it says which
 * signature or which input is missing. `p` has its method and its version already; afterwards
 * sl_predict_start can follow, any number of times. Tensors live until the arena is reset.
 *
 * Source: grpc.md 3 to 5.
 */
#ifndef SL_SERVICE_PREPARE_H
#define SL_SERVICE_PREPARE_H

#include "service/request_wire.h"
#include "service/service.h"

/* grpc.md 3, steps 2 to 9. A TensorProto whose values are fewer than its shape wants may grow to
 * `max_tensor_bytes`. */
sl_code sl_prepare_predict(sl_predict *p, const sl_predict_request *r, size_t max_tensor_bytes);

/* grpc.md 4, up to the run; p->method is classify or regress. */
sl_code sl_prepare_examples(sl_predict *p, const sl_example_request *r);

/* grpc.md 5, step 2: makes *count runs, one for each task, which share the examples. `like` has the
 * service, arena, status and version for all of them; *out is in its arena. */
sl_code sl_prepare_multi(const sl_predict *like, const sl_multi_request *r, sl_predict **out,
                         size_t *count);

#endif
