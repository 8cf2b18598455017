/*
 * picture.c - DecodeJpeg, DecodePng and DecodeImage: of JPEG and PNG
 *
 * Each of them takes either kind, as in TensorFlow: the bytes say what they are. GIF, BMP and WebP
 * are left to the TensorFlow engine, and say so. What was built without libjpeg or libpng has none
 * of these ops.
 */
#include "engine/native/picture.h"

#include <inttypes.h>

#include "engine/native/ops/ops.h"

#ifdef SLUICE_PICTURES

static sl_code decode_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 1, SL_T(STRING), st);
    if (rc)
        return rc;
    bool jpeg = strcmp(n->op->name, "DecodeJpeg") == 0, png = strcmp(n->op->name, "DecodePng") == 0;
    sl_picture_how *how = sl_ops_config(n, sizeof *how);
    *how = (sl_picture_how){
        .channels = (int)sl_node_int(n->source, "channels", 0),
        .ratio = jpeg ? (int)sl_node_int(n->source, "ratio", 1) : 1,
        .fancy_upscaling = jpeg ? sl_node_bool(n->source, "fancy_upscaling", true) : true,
        .accurate = jpeg && sl_str_is(sl_node_str(n->source, "dct_method", ""), "INTEGER_ACCURATE"),
    };
    n->out_types[0] = jpeg ? SL_DT_UINT8 : sl_node_type(n->source, "dtype", SL_DT_UINT8);
    n->config = how;
    how->wide = n->out_types[0] != SL_DT_UINT8;
    how->bytes = (int)sl_dtype_size(n->out_types[0]);
    if (how->channels != 0 && how->channels != 1 && how->channels != 3 && how->channels != 4)
        return sl_fail(st, SL_INVALID_ARGUMENT, "`channels` must be 0, 1, 3 or 4 but got %d",
                       how->channels);
    if (how->ratio != 1 && how->ratio != 2 && how->ratio != 4 && how->ratio != 8)
        return sl_fail(st, SL_INVALID_ARGUMENT, "ratio must be 1, 2, 4, or 8, got %d", how->ratio);
    if (jpeg && (sl_node_bool(n->source, "try_recover_truncated", false) ||
                 sl_node_float(n->source, "acceptable_fraction", 1) < 1))
        return sl_fail(st, SL_FAILED_PRECONDITION, "JPEGs that are cut off are not supported");
    if (!sl_types_has(SL_T(UINT8) | SL_T(UINT16) | (png ? 0 : SL_T(FLOAT)), n->out_types[0]))
        return sl_ops_unsupported(n->out_types[0], st);
    return SL_OK;
}

typedef struct result {
    sl_op_call *call;
    sl_status *st;
    sl_code rc;
    sl_picture_kind kind;
} result;

static int64_t samples(const sl_picture *p)
{
    return p->height * p->width * p->channels;
}

/* What the run's late steps may still take; 0: as much as they like. */
static size_t left(const result *r)
{
    const sl_arena *a = r->call->arena;
    return a->limit ? a->limit - SL_MIN(a->used, a->limit - 1) : 0;
}

static sl_code needs_more(const result *r, size_t needs)
{
    return sl_fail(r->st, SL_RESOURCE_EXHAUSTED,
                   "decoding this %s needs at least %zu bytes of memory: %zu of the %zu that a run "
                   "may take are left",
                   sl_picture_kind_name(r->kind), needs, left(r), r->call->arena->limit);
}

static void *make(void *arg, const sl_picture *p)
{
    const int64_t longest = INT64_C(1) << 27, largest = INT64_C(1) << 29;
    result *r = arg;
    sl_tensor *out = &r->call->out[0];
    if (r->kind == SL_PICTURE_PNG &&
        (p->width >= longest || p->height >= longest || p->width * p->height >= largest)) {
        r->rc = sl_fail(r->st, SL_INVALID_ARGUMENT,
                        "PNG size too large for int: %" PRId64 " by %" PRId64, p->width, p->height);
        return NULL;
    }
    out->rank = 3;
    out->dims[0] = p->height;
    out->dims[1] = p->width;
    out->dims[2] = p->channels;
    r->rc = sl_ops_make(r->call, 0, r->st);
    if (r->rc == SL_RESOURCE_EXHAUSTED && left(r) > 0 && out->size > left(r))
        r->rc = needs_more(r, out->size);
    if (r->rc)
        return NULL;
    /* Samples are decoded where they end up; those that become larger into the end of that. */
    size_t size = r->kind == SL_PICTURE_JPEG || out->dtype == SL_DT_UINT8 ? 1 : 2;
    return (char *)out->data + out->size - (size_t)samples(p) * size;
}

/* The samples at the end of the output become its elements, from the first on: each is written
 * before those that have not been read yet, or over itself. */
static void scale(const result *r)
{
    const sl_tensor *out = &r->call->out[0];
    int64_t n = sl_tensor_count(out);
    bool bytes = r->kind == SL_PICTURE_JPEG;
    const unsigned char *in = (unsigned char *)out->data + out->size - (size_t)n * (bytes ? 1 : 2);
    const float of_bytes = 1. / 255, of_words = 1. / 65535;
    for (int64_t i = 0; i < n; i++) {
        uint16_t v = in[bytes ? i : 2 * i];
        if (!bytes)
            memcpy(&v, in + 2 * i, sizeof v);
        if (out->dtype == SL_DT_UINT16)
            ((uint16_t *)out->data)[i] = bytes ? (uint16_t)(v * 256) : v;
        else
            ((float *)out->data)[i] = (float)v * (bytes ? of_bytes : of_words);
    }
}

static sl_code decode_jpeg(result *r, sl_str file)
{
    const sl_picture_how *how = r->call->node->config;
    size_t needs;
    if (how->channels == 4)
        return sl_fail(r->st, SL_INVALID_ARGUMENT, "JPEG does not support 4 channels");
    sl_code rc = sl_jpeg_decode(file, how, left(r), make, r, &needs);
    if (rc == SL_OK || r->rc)
        return r->rc;
    if (needs > 0)
        return needs_more(r, needs);
    if (rc == SL_RESOURCE_EXHAUSTED)
        return sl_ops_no_memory(r->st);
    return sl_fail(r->st, rc, "jpeg::Uncompress failed. Invalid JPEG data or crop window.");
}

static sl_code decode_png(result *r, sl_str file)
{
    sl_code rc = sl_png_decode(file, r->call->node->config, make, r);
    if (rc == SL_OK || r->rc)
        return r->rc;
    if (rc == SL_RESOURCE_EXHAUSTED)
        return sl_ops_no_memory(r->st);
    if (r->call->out[0].data == NULL)
        return sl_fail(r->st, rc, "Invalid PNG. Failed to initialize decoder.");
    return sl_fail(r->st, rc, "Invalid PNG data, size %zu", file.n);
}

static sl_code decode_one(result *r, sl_str file)
{
    sl_status *st = r->st;
    r->kind = sl_picture_kind_of(file);
    switch (r->kind) {
    case SL_PICTURE_JPEG:
        return decode_jpeg(r, file);
    case SL_PICTURE_PNG:
        return decode_png(r, file);
    case SL_PICTURE_UNKNOWN:
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Unknown image file format. One of JPEG, JPEG XL, PNG, GIF, BMP, WebP "
                       "required.");
    default:
        return sl_fail(st, SL_UNIMPLEMENTED,
                       "this server decodes JPEG and PNG by itself, not %s: serve the model with "
                       "--engine=tensorflow",
                       sl_picture_kind_name(r->kind));
    }
}

static sl_code decode_run(sl_op_call *c, sl_status *st)
{
    sl_shape_buf b;
    if (c->in[0].rank != 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "`contents` must be scalar but got shape%s",
                       sl_ops_shape(&c->in[0], &b));
    sl_str file = *(const sl_str *)c->in[0].data;
    if (file.n == 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "Input is empty.");
    result r = {.call = c, .st = st};
    c->out[0].data = NULL;
    sl_code rc = decode_one(&r, file);
    if (rc == SL_OK && c->out[0].dtype != SL_DT_UINT8)
        scale(&r);
    return rc;
}

static int64_t decode_cost(const sl_op_call *c)
{
    (void)c;
    return 1000000;
}
#endif

const sl_op sl_ops_picture[] = {
#ifdef SLUICE_PICTURES
    {"DecodeJpeg", SL_OP_MAKES | SL_OP_BLOCKS, 0, decode_configure, NULL, decode_run, decode_cost},
    {"DecodePng", SL_OP_MAKES | SL_OP_BLOCKS, 0, decode_configure, NULL, decode_run, decode_cost},
    {"DecodeImage", SL_OP_MAKES | SL_OP_BLOCKS, 0, decode_configure, NULL, decode_run, decode_cost},
#endif
    {0},
};
