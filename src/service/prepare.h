/*
 * prepare.h - a decoded request, checked against the version's signature and made ready to run
 *
 * The steps and the texts of gRPC, which differ from those of REST (service.h) where it says which
 * signature or which input is missing. `p` has its method and its version already; afterwards
 * sl_predict_start can follow, any number of times, until
 * sl_prepared_release.
 *
 * Source: grpc.md 3 to 5.
 */
#ifndef SL_SERVICE_PREPARE_H
#define SL_SERVICE_PREPARE_H

#include "service/request_wire.h"
#include "service/service.h"

/* The tensors that are fed. All zeros at first; released after success and after failure, before
 * the arena is reset. */
typedef struct sl_prepared {
    sl_tensor *tensors; /* in the arena */
    size_t count;
} sl_prepared;

void sl_prepared_release(sl_prepared *t);

/* grpc.md 3, steps 2 to 9. A TensorProto whose values are fewer than its shape wants may grow to
 * `max_tensor_bytes`. */
sl_code sl_prepare_predict(sl_predict *p, const sl_predict_request *r, size_t max_tensor_bytes,
                           sl_prepared *t);

/* grpc.md 4, up to the run; p->method is classify or regress. */
sl_code sl_prepare_examples(sl_predict *p, const sl_example_request *r, sl_prepared *t);

/* grpc.md 5, step 2: makes *count runs, one for each task, which share the examples. `like` has the
 * service, arena, status and version for all of them; *out is in its arena. */
sl_code sl_prepare_multi(const sl_predict *like, const sl_multi_request *r, sl_prepared *t,
                         sl_predict **out, size_t *count);

#endif
