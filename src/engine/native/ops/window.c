/*
 * window.c - attributes and geometry that convolutions and pools share
 */
#include "engine/native/ops/window.h"

#include "engine/native/ops/ops.h"

sl_code sl_window_middle(const sl_node *n, const char *attr, int64_t *to, bool optional,
                         sl_status *st)
{
    int count = sl_node_list_count(n, attr);
    if (count <= 0 && optional)
        return SL_OK;
    if (count != 4)
        return sl_fail(st, SL_INVALID_ARGUMENT, "attribute \"%s\" must have 4 numbers", attr);
    if (sl_node_list_int(n, attr, 0) != 1 || sl_node_list_int(n, attr, 3) != 1)
        return sl_fail(st, SL_FAILED_PRECONDITION,
                       "%s in the batch and depth dimensions is not supported", attr);
    for (int i = 0; i < 2; i++) {
        to[i] = sl_node_list_int(n, attr, i + 1);
        if (to[i] < 1 || to[i] > INT32_MAX)
            return sl_fail(st, SL_INVALID_ARGUMENT, "attribute \"%s\" holds %lld", attr,
                           (long long)to[i]);
    }
    return SL_OK;
}

sl_code sl_window_configure(const sl_node *n, bool pool, sl_window *w, sl_status *st)
{
    sl_str format = sl_node_str(n, "data_format", "NHWC");
    sl_str padding = sl_node_str(n, "padding", "");
    *w = (sl_window){.dilation = {1, 1}};
    if (!sl_str_is(format, "NHWC"))
        return sl_fail(st, SL_FAILED_PRECONDITION, "data_format %.*s is not supported",
                       SL_STR_ARG(format));
    if (sl_str_is(padding, "SAME"))
        w->padding = SL_PAD_SAME;
    else if (sl_str_is(padding, "EXPLICIT"))
        w->padding = SL_PAD_EXPLICIT;
    else if (!sl_str_is(padding, "VALID"))
        return sl_fail(st, SL_INVALID_ARGUMENT, "padding \"%.*s\" is not known",
                       SL_STR_ARG(padding));
    sl_code rc = sl_window_middle(n, "strides", w->stride, false, st);
    if (!rc && pool)
        rc = sl_window_middle(n, "ksize", w->size, false, st);
    if (!rc && !pool)
        rc = sl_window_middle(n, "dilations", w->dilation, true, st);
    if (rc || w->padding != SL_PAD_EXPLICIT)
        return rc;
    if (sl_node_list_count(n, "explicit_paddings") != 8)
        return sl_fail(st, SL_INVALID_ARGUMENT, "explicit_paddings must have 8 numbers");
    for (int i = 0; i < 8; i++) {
        int64_t p = sl_node_list_int(n, "explicit_paddings", i);
        if (p < 0 || p > INT32_MAX || ((i < 2 || i > 5) && p != 0))
            return sl_fail(st, SL_INVALID_ARGUMENT, "explicit_paddings holds %lld", (long long)p);
        if (i >= 2 && i < 6)
            w->explicit_pads[i - 2] = p;
    }
    return SL_OK;
}

sl_code sl_window_extent(const sl_window *w, int d, int64_t in, int64_t size, int64_t *out,
                         int64_t *before, sl_status *st)
{
    int64_t stride = w->stride[d];
    if (size < 1 || size > INT32_MAX)
        return sl_fail(st, SL_INVALID_ARGUMENT, "filter must not have zero elements");
    if (in > INT64_MAX / 4)
        return sl_fail(st, SL_INVALID_ARGUMENT, "a side of %lld is too large", (long long)in);
    int64_t reach = (size - 1) * w->dilation[d] + 1;
    *before = 0;
    if (w->padding == SL_PAD_SAME) {
        *out = in ? (in - 1) / stride + 1 : 0;
        int64_t total = *out ? (*out - 1) * stride + reach - in : 0;
        *before = total > 0 ? total / 2 : 0;
        return SL_OK;
    }
    int64_t pads = w->explicit_pads[2 * d] + w->explicit_pads[2 * d + 1];
    *before = w->explicit_pads[2 * d];
    *out = (in + pads - reach + stride) / stride;
    if (*out < 0)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Computed output size would be negative: %lld [input_size: %lld, "
                       "effective_filter_size: %lld, stride: %lld]",
                       (long long)*out, (long long)in, (long long)reach, (long long)stride);
    return SL_OK;
}
