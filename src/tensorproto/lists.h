/* lists.h - in which field of a TensorProto the values of a dtype stand, and how (grpc.md 8.2) */
#ifndef SL_TENSORPROTO_LISTS_H
#define SL_TENSORPROTO_LISTS_H

#include "sluice/tensor.h"

typedef struct sl_value_list {
    unsigned field;
    unsigned wire;   /* how one value stands in the message */
    unsigned values; /* per element: 2 for complex numbers */
    unsigned width;  /* bytes of one value in the tensor */
} sl_value_list;

/* field 0: the dtype has no list that is supported. */
sl_value_list sl_value_list_of(sl_dtype t);

#endif
