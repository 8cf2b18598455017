/*
 * ops.h - what the library knows: its GraphDef version, its ops
 *
 * The first may start threads: call it in a forked process that does nothing else.
 */
#ifndef SL_TF_HOST_OPS_H
#define SL_TF_HOST_OPS_H

#include <stdbool.h>
#include <stdint.h>

#include "sluice/tensor.h"

/* Writes TF_GRAPH_DEF_VERSION and the names of all ops, in order, one a line, and closes. */
bool tf_write_ops(int fd);

typedef struct tf_ops {
    uint64_t version; /* 0: it could not be found out */
    sl_str *names;    /* point into what was read, which stays */
    size_t n;
} tf_ops;

/* What tf_write_ops has written; nothing if that is not to be read, or there is no memory for it. */
void tf_read_ops(tf_ops *o, int fd);

/* Reads names, one a line, from `fd`, and writes those that are not among `o` over them. How many
 * bytes that is; UINT64_MAX if there is nothing to go by. */
uint64_t tf_strike_out(const tf_ops *o, int fd);

#endif
