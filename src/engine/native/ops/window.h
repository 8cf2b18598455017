/*
 * window.h - attributes and geometry that convolutions and pools share
 */
#ifndef SL_ENGINE_NATIVE_OPS_WINDOW_H
#define SL_ENGINE_NATIVE_OPS_WINDOW_H

#include "engine/native/op.h"

/* Height and width, in this order. */
typedef struct sl_window {
    int64_t stride[2], dilation[2], size[2]; /* size: of a pool's window; set by ksize */
    int64_t explicit_pads[4];                /* top, bottom, left, right */
    enum { SL_PAD_VALID, SL_PAD_SAME, SL_PAD_EXPLICIT } padding;
} sl_window;

/* Reads strides, dilations, padding and, where `pool`, ksize. Only NHWC: NCHW is
 * FAILED_PRECONDITION. */
sl_code sl_window_configure(const sl_node *n, bool pool, sl_window *w, sl_status *st);

/* Reads a list of four with 1 at batch and channel; its middle goes into to[0..2). `optional`: it may be
 * left out. */
sl_code sl_window_middle(const sl_node *n, const char *attr, int64_t *to, bool optional,
                         sl_status *st);

/* Output extent and the padding before, for dimension d (0, 1) of extent `in` and window `size`.
 * INVALID_ARGUMENT when nothing can come out. */
sl_code sl_window_extent(const sl_window *w, int d, int64_t in, int64_t size, int64_t *out,
                         int64_t *before, sl_status *st);

#endif
