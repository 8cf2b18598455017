/* oip_pb_encode.c - writing the answers of GRPCInferenceService (oip_pb.h) */
#include <stdio.h>

#include "base/mem.h"
#include "codec/oip_pb.h"
#include "codec/pb_inside.h"
#include "sluice/version.h"
#include "tensorproto/tensorproto.h"

typedef struct output {
    sl_str name, datatype;
    size_t shape;    /* bytes of the packed sizes */
    size_t contents; /* of the InferTensorContents */
    sl_tensorproto_form form;
    size_t size; /* of the InferOutputTensor */
    size_t raw;
} output;

static size_t shape_size(const int64_t *dims, int rank)
{
    size_t n = 0;
    for (int i = 0; i < rank; i++)
        n += sl_wire_varint_size((uint64_t)dims[i]);
    return n;
}

static void put_shape(unsigned field, const int64_t *dims, int rank, sl_chain *out)
{
    if (rank == 0)
        return;
    sl_wire_out_head(out, field, shape_size(dims, rank));
    unsigned char *p = (unsigned char *)sl_chain_reserve(out, 10 * SL_MAX_RANK);
    size_t n = 0;
    if (p == NULL)
        return;
    for (int i = 0; i < rank; i++)
        n += (size_t)sl_wire_write_varint(p + n, (uint64_t)dims[i]);
    sl_chain_commit(out, n);
}

/* The field of InferTensorContents, whose values stand as those of TensorProto's list do. */
static unsigned contents_field(sl_dtype t)
{
    switch ((int)t) {
    case SL_DT_BOOL:
        return 1;
    case SL_DT_INT64:
        return 3;
    case SL_DT_UINT8:
    case SL_DT_QUINT8:
    case SL_DT_UINT16:
    case SL_DT_QUINT16:
    case SL_DT_UINT32:
        return 4;
    case SL_DT_UINT64:
        return 5;
    case SL_DT_FLOAT:
        return 6;
    case SL_DT_DOUBLE:
        return 7;
    default:
        return 2;
    }
}

static size_t field_if(unsigned field, size_t n)
{
    return n ? sl_wire_size_bytes(field, n) : 0;
}

static sl_code measure(const sl_oip_answer *a, int i, bool raw, output *o, sl_status *st)
{
    const sl_tensor *t = &a->outputs[i];
    o->name = sl_str_of(a->signature->outputs[a->output_index[i]].key);
    o->datatype = sl_str_of(sl_oip_datatype(t->dtype));
    o->shape = shape_size(t->dims, t->rank);
    o->raw = raw ? sl_oip_raw_size(t) : 0;
    o->contents = 0;
    sl_code rc = sl_pb_check_size(o->raw, st);
    if (rc)
        return rc;
    if (!raw && t->size) {
        rc = sl_tensorproto_measure(t, false, &o->form, st);
        if (rc)
            return rc;
        /* strings, field 8 there and here, bring their tags along */
        o->contents = t->dtype == SL_DT_STRING
                          ? o->form.values
                          : sl_wire_size_bytes(contents_field(t->dtype), o->form.values);
    }
    o->size = field_if(1, o->name.n) + sl_wire_size_bytes(2, o->datatype.n) +
              field_if(3, o->shape) + field_if(5, o->contents);
    return sl_pb_check_size(o->size, st);
}

static void put_output(const sl_tensor *t, const output *o, sl_chain *out)
{
    enum { OUTPUTS = 5 };
    sl_wire_out_head(out, OUTPUTS, o->size);
    if (o->name.n)
        sl_wire_out_bytes(out, 1, o->name);
    sl_wire_out_bytes(out, 2, o->datatype);
    put_shape(3, t->dims, t->rank, out);
    if (o->contents == 0)
        return;
    sl_wire_out_head(out, 5, o->contents);
    if (t->dtype != SL_DT_STRING)
        sl_wire_out_head(out, contents_field(t->dtype), o->form.values);
    sl_tensorproto_write_values(t, out);
}

static bool needs_raw(const sl_oip_answer *a)
{
    for (int i = 0; i < a->n_outputs; i++)
        if (a->outputs[i].dtype == SL_DT_HALF || a->outputs[i].dtype == SL_DT_BFLOAT16)
            return true;
    return false;
}

sl_code sl_oip_pb_encode(const sl_oip_answer *a, bool raw, sl_chain *out, sl_arena *arena,
                         sl_status *st)
{
    enum { OUTPUTS = 5, RAW = 6 };
    output *o;
    char version[24];
    raw |= needs_raw(a);
    sl_code rc = sl_oip_check_answer(a, st);
    if (rc == SL_OK)
        rc = sl_pb_array(arena, (size_t)a->n_outputs, sizeof *o, &o, st);
    if (rc)
        return rc;
    int n = snprintf(version, sizeof version, "%lld", (long long)a->version);
    size_t all = field_if(1, a->model.n) + sl_wire_size_bytes(2, (size_t)n) + field_if(3, a->id.n);
    for (int i = 0; i < a->n_outputs; i++) {
        rc = measure(a, i, raw, &o[i], st);
        if (rc)
            return rc;
        all += sl_wire_size_bytes(OUTPUTS, o[i].size);
        if (raw)
            all += sl_wire_size_bytes(RAW, o[i].raw);
        rc = sl_pb_check_size(all, st);
        if (rc)
            return rc;
    }
    if (a->model.n)
        sl_wire_out_bytes(out, 1, a->model);
    sl_wire_out_bytes(out, 2, (sl_str){version, (size_t)n});
    if (a->id.n)
        sl_wire_out_bytes(out, 3, a->id);
    for (int i = 0; i < a->n_outputs; i++)
        put_output(&a->outputs[i], &o[i], out);
    for (int i = 0; raw && i < a->n_outputs; i++) {
        sl_wire_out_head(out, RAW, o[i].raw);
        sl_oip_put_raw(&a->outputs[i], out);
    }
    return sl_pb_written(out, st);
}

/* ---- the small answers ---- */

void sl_oip_pb_encode_bool(bool value, sl_chain *out)
{
    if (value)
        sl_wire_out_varint(out, 1, 1);
}

void sl_oip_pb_encode_server(const char *const *extensions, size_t count, sl_chain *out)
{
    sl_wire_out_bytes(out, 1, SL_STR("sluice"));
    sl_wire_out_bytes(out, 2, SL_STR(SL_VERSION));
    for (size_t i = 0; i < count; i++)
        sl_wire_out_bytes(out, 3, sl_str_of(extensions[i]));
}

static void put_info(unsigned field, const sl_tensor_info *info, sl_chain *out)
{
    static const int64_t unknown[] = {-1};
    const char *datatype = sl_oip_datatype(info->dtype);
    sl_str name = sl_str_of(info->key);
    sl_str type = sl_str_of(datatype ? datatype : sl_dtype_wire_name(info->dtype));
    const int64_t *dims = info->rank >= 0 ? info->dims : unknown;
    int rank = info->rank >= 0 ? info->rank : 1;
    sl_wire_out_head(out, field,
                     field_if(1, name.n) + sl_wire_size_bytes(2, type.n) +
                         field_if(3, shape_size(dims, rank)));
    if (name.n)
        sl_wire_out_bytes(out, 1, name);
    sl_wire_out_bytes(out, 2, type);
    put_shape(3, dims, rank, out);
}

sl_code sl_oip_pb_encode_metadata(sl_str model, const int64_t *versions, int n_versions,
                                  const sl_signature *sig, sl_chain *out, sl_status *st)
{
    enum { NAME = 1, VERSIONS = 2, PLATFORM = 3, INPUTS = 4, OUTPUTS = 5 };
    char text[24];
    if (model.n)
        sl_wire_out_bytes(out, NAME, model);
    for (int i = 0; i < n_versions; i++) {
        int n = snprintf(text, sizeof text, "%lld", (long long)versions[i]);
        sl_wire_out_bytes(out, VERSIONS, (sl_str){text, (size_t)n});
    }
    sl_wire_out_bytes(out, PLATFORM, SL_STR("tensorflow_savedmodel"));
    for (int i = 0; i < sig->n_inputs; i++)
        put_info(INPUTS, &sig->inputs[i], out);
    for (int i = 0; i < sig->n_outputs; i++)
        put_info(OUTPUTS, &sig->outputs[i], out);
    return sl_pb_written(out, st);
}

sl_code sl_oip_pb_encode_index(const sl_oip_model *models, size_t count, sl_chain *out,
                               sl_status *st)
{
    for (size_t i = 0; i < count; i++) {
        char text[24] = "";
        int n = models[i].version < 0
                    ? 0
                    : snprintf(text, sizeof text, "%lld", (long long)models[i].version);
        const sl_str fields[] = {sl_str_of(models[i].name),
                                 {text, (size_t)n},
                                 sl_str_of(models[i].state),
                                 sl_str_of(models[i].reason)};
        size_t size = 0;
        for (unsigned k = 0; k < 4; k++)
            size += field_if(k + 1, fields[k].n);
        sl_wire_out_head(out, 1, size);
        for (unsigned k = 0; k < 4; k++)
            if (fields[k].n)
                sl_wire_out_bytes(out, k + 1, fields[k]);
    }
    return sl_pb_written(out, st);
}
