/*
 * oip_pb.c - reading the requests of GRPCInferenceService (oip_pb.h)
 *
 * sl_pb_check has found the message to be well-formed. Contents are counted by the shape: a tensor
 * is made only if the message has bytes enough for it, and all its places must be filled.
 */
#include "codec/oip_pb.h"

#include <assert.h>

#include "base/mem.h"
#include "codec/pb_check.h"
#include "codec/pb_inside.h"

/* ---- tensors ---- */

typedef struct reader {
    sl_str wire;
    sl_buffer *buffer;
    sl_arena *arena;
    sl_oip_request *out;
    sl_status *st;
    size_t n_raw;
} reader;

typedef struct input {
    sl_str wire, name, datatype;
    int rank;
    bool too_high; /* more dims than a tensor can have */
    int64_t dims[SL_MAX_RANK];
    size_t contents; /* bytes of all parts */
} input;

/* The next number of a packed list that sl_pb_check has walked over. */
static uint64_t next_packed(const unsigned char **at, const unsigned char *end)
{
    uint64_t v = 0;
    bool read = sl_wire_varint(at, end, &v);
    assert(read);
    return v;
}

static void add_dim(input *in, uint64_t size)
{
    if (in->rank == SL_MAX_RANK)
        in->too_high = true;
    else
        in->dims[in->rank++] = (int64_t)size;
}

static void read_head(input *in)
{
    enum { NAME = 1, DATATYPE = 2, SHAPE = 3, CONTENTS = 5 };
    sl_wire w = sl_wire_open(in->wire);
    while (sl_wire_next(&w)) {
        if (w.field == SHAPE && w.type == SL_WIRE_VARINT)
            add_dim(in, w.value);
        if (w.type != SL_WIRE_BYTES)
            continue;
        const unsigned char *at = (const unsigned char *)w.bytes.p, *end = at + w.bytes.n;
        switch (w.field) {
        case NAME:
            in->name = w.bytes;
            break;
        case DATATYPE:
            in->datatype = w.bytes;
            break;
        case SHAPE:
            while (at < end)
                add_dim(in, next_packed(&at, end));
            break;
        case CONTENTS:
            in->contents += w.bytes.n;
            break;
        }
    }
}

/* In which field of InferTensorContents the values of a dtype stand, and how; 0: in none. */
typedef struct form {
    unsigned field, wire, width;
} form;

static form form_of(sl_dtype t)
{
    switch (t) {
    case SL_DT_BOOL:
        return (form){1, SL_WIRE_VARINT, 1};
    case SL_DT_INT8:
        return (form){2, SL_WIRE_VARINT, 1};
    case SL_DT_INT16:
        return (form){2, SL_WIRE_VARINT, 2};
    case SL_DT_INT32:
        return (form){2, SL_WIRE_VARINT, 4};
    case SL_DT_INT64:
        return (form){3, SL_WIRE_VARINT, 8};
    case SL_DT_UINT8:
        return (form){4, SL_WIRE_VARINT, 1};
    case SL_DT_UINT16:
        return (form){4, SL_WIRE_VARINT, 2};
    case SL_DT_UINT32:
        return (form){4, SL_WIRE_VARINT, 4};
    case SL_DT_UINT64:
        return (form){5, SL_WIRE_VARINT, 8};
    case SL_DT_FLOAT:
        return (form){6, SL_WIRE_FIXED32, 4};
    case SL_DT_DOUBLE:
        return (form){7, SL_WIRE_FIXED64, 8};
    case SL_DT_STRING:
        return (form){8, SL_WIRE_BYTES, sizeof(sl_str)};
    default:
        return (form){0, 0, 0};
    }
}

typedef struct filler {
    form form;
    sl_dtype dtype;
    char *data;
    size_t have, count; /* have goes on beyond count, so that too many are seen */
} filler;

static void put(filler *f, uint64_t v)
{
    if (f->dtype == SL_DT_BOOL)
        v = v != 0;
    if (f->have < f->count)
        memcpy(f->data + f->have * f->form.width, &v, f->form.width);
    f->have++;
}

static void put_packed(filler *f, sl_str packed)
{
    const unsigned char *at = (const unsigned char *)packed.p, *end = at + packed.n;
    if (f->form.wire == SL_WIRE_VARINT) {
        while (at < end)
            put(f, next_packed(&at, end));
        return;
    }
    size_t n = packed.n / f->form.width, room = f->have < f->count ? f->count - f->have : 0;
    size_t take = SL_MIN(n, room);
    if (take)
        memcpy(f->data + f->have * f->form.width, packed.p, take * f->form.width);
    f->have += n;
}

static void put_contents(filler *f, sl_str contents)
{
    sl_wire w = sl_wire_open(contents);
    while (sl_wire_next(&w)) {
        if (w.field != f->form.field)
            continue;
        if (f->form.wire == SL_WIRE_BYTES && w.type == SL_WIRE_BYTES) {
            if (f->have < f->count)
                ((sl_str *)f->data)[f->have] = w.bytes;
            f->have++;
        } else if (w.type == f->form.wire) {
            put(f, w.value);
        } else if (w.type == SL_WIRE_BYTES) {
            put_packed(f, w.bytes);
        }
    }
}

static sl_code wrong_count(reader *r, const input *in, size_t count)
{
    char text[256];
    return sl_fail(r->st, SL_INVALID_ARGUMENT,
                   "input \"%.*s\": its contents have not the %zu elements of shape %s",
                   SL_STR_ARG(in->name), count,
                   sl_shape_text(in->dims, in->rank, text, sizeof text));
}

static sl_code from_contents(reader *r, const input *in, sl_dtype dtype, sl_tensor *out)
{
    filler f = {.form = form_of(dtype), .dtype = dtype};
    sl_tensor t;
    sl_code rc = sl_oip_check_shape(in->name, dtype, in->dims, in->rank, &f.count, r->st);
    if (rc)
        return rc;
    if (f.form.field == 0)
        return sl_fail(r->st, SL_INVALID_ARGUMENT,
                       "input \"%.*s\": %.*s is sent in raw_input_contents", SL_STR_ARG(in->name),
                       SL_STR_ARG(in->datatype));
    if (f.count > in->contents) /* each takes a byte at least */
        return wrong_count(r, in, f.count);
    if (dtype == SL_DT_STRING && r->buffer != NULL)
        rc = sl_tensor_try_lend_strings(r->buffer, in->dims, in->rank, &t, r->st);
    else
        rc = sl_tensor_try_new(dtype, in->dims, in->rank, &t, r->st);
    if (rc)
        return rc;
    f.data = t.data;
    sl_wire w = sl_wire_open(in->wire);
    while (sl_wire_next(&w))
        if (sl_pb_is(&w, 5))
            put_contents(&f, w.bytes);
    if (f.have != f.count) {
        sl_tensor_release(&t);
        return wrong_count(r, in, f.count);
    }
    *out = t;
    if (dtype != SL_DT_STRING || r->buffer != NULL)
        return SL_OK;
    /* Without a buffer to hold on to, the strings get one of their own. */
    rc = sl_tensor_try_new_strings(t.data, in->dims, in->rank, out, r->st);
    sl_tensor_release(&t);
    return rc;
}

/* ---- the request ---- */

static sl_code read_input(reader *r, sl_str wire, const sl_str *raw)
{
    sl_oip_input *to = &r->out->inputs[r->out->n_inputs];
    input in = {.wire = wire, .name = {"", 0}, .datatype = {"", 0}};
    read_head(&in);
    sl_dtype dtype = sl_oip_dtype(in.datatype);
    if (dtype == SL_DT_INVALID)
        return sl_fail(r->st, SL_INVALID_ARGUMENT, "input \"%.*s\": unknown datatype \"%.*s\"",
                       SL_STR_ARG(in.name), SL_STR_ARG(in.datatype));
    if (in.too_high)
        return sl_fail(r->st, SL_INVALID_ARGUMENT,
                       "a shape of more than %d dimensions is not supported", SL_MAX_RANK);
    if (raw != NULL && in.contents)
        return sl_fail(r->st, SL_INVALID_ARGUMENT,
                       "input \"%.*s\" has contents although there are raw_input_contents",
                       SL_STR_ARG(in.name));
    sl_code rc = raw == NULL ? from_contents(r, &in, dtype, &to->tensor)
                             : sl_oip_raw(in.name, dtype, in.dims, in.rank, *raw, r->buffer,
                                          &to->tensor, r->st);
    if (rc)
        return rc;
    to->name = in.name;
    r->out->n_inputs++;
    return SL_OK;
}

/* The string value of an InferParameter; the last kind that is there counts. */
static sl_str string_of(sl_str parameter)
{
    sl_str s = {"", 0};
    sl_wire w = sl_wire_open(parameter);
    while (sl_wire_next(&w))
        s = sl_pb_is(&w, 3) ? w.bytes : (sl_str){"", 0};
    return s;
}

/* "signature_name" is the one that means something here. */
static void read_parameter(sl_str entry, sl_oip_request *out)
{
    sl_str key = {"", 0}, value = {"", 0};
    sl_wire w = sl_wire_open(entry);
    while (sl_wire_next(&w)) {
        if (sl_pb_is(&w, 1))
            key = w.bytes;
        else if (sl_pb_is(&w, 2))
            value = w.bytes;
    }
    if (sl_str_is(key, "signature_name"))
        out->signature = string_of(value);
}

static sl_str name_of(sl_str output)
{
    sl_str name = {"", 0};
    sl_wire w = sl_wire_open(output);
    while (sl_wire_next(&w))
        if (sl_pb_is(&w, 1))
            name = w.bytes;
    return name;
}

enum { MODEL = 1, VERSION = 2, ID = 3, PARAMETERS = 4, INPUTS = 5, OUTPUTS = 6, RAW = 7 };

static void read_top(reader *r, size_t *n_inputs, size_t *n_outputs)
{
    sl_oip_request *out = r->out;
    sl_wire w = sl_wire_open(r->wire);
    *n_inputs = *n_outputs = 0;
    while (sl_wire_next(&w)) {
        if (w.type != SL_WIRE_BYTES)
            continue;
        switch (w.field) {
        case MODEL:
            out->model = w.bytes;
            break;
        case VERSION:
            out->version = w.bytes;
            break;
        case ID:
            out->id = w.bytes;
            break;
        case PARAMETERS:
            read_parameter(w.bytes, out);
            break;
        case INPUTS:
            ++*n_inputs;
            break;
        case OUTPUTS:
            ++*n_outputs;
            break;
        case RAW:
            r->n_raw++;
            break;
        }
    }
}

static sl_code read_inputs(reader *r, size_t n)
{
    sl_oip_request *out = r->out;
    sl_str *raw = NULL;
    size_t n_raw = 0, i = 0;
    sl_code rc = sl_pb_array(r->arena, n, sizeof *out->inputs, &out->inputs, r->st);
    if (rc == SL_OK && r->n_raw)
        rc = sl_pb_repeated(r->wire, RAW, r->arena, &raw, &n_raw, r->st);
    if (rc)
        return rc;
    if (n_raw && n_raw != n)
        return sl_fail(r->st, SL_INVALID_ARGUMENT,
                       "%zu raw_input_contents for %zu inputs: there must be one for each", n_raw,
                       n);
    out->binary = n_raw > 0;
    sl_wire w = sl_wire_open(r->wire);
    while (rc == SL_OK && sl_wire_next(&w))
        if (sl_pb_is(&w, INPUTS)) {
            rc = read_input(r, w.bytes, raw != NULL ? &raw[i] : NULL);
            i++;
        }
    return rc;
}

static sl_code read_outputs(reader *r, size_t n)
{
    sl_oip_request *out = r->out;
    sl_code rc = sl_pb_array(r->arena, n, sizeof *out->outputs, &out->outputs, r->st);
    if (rc)
        return rc;
    sl_wire w = sl_wire_open(r->wire);
    while (sl_wire_next(&w))
        if (sl_pb_is(&w, OUTPUTS))
            out->outputs[out->n_outputs++] = (sl_oip_output){.name = name_of(w.bytes)};
    return SL_OK;
}

sl_code sl_oip_pb_decode(sl_str wire, sl_buffer *buffer, sl_arena *arena, sl_oip_request *out,
                         sl_status *st)
{
    reader r = {.wire = wire, .buffer = buffer, .arena = arena, .out = out, .st = st};
    size_t n_inputs, n_outputs;
    *out = (sl_oip_request){0};
    sl_code rc = sl_pb_must(wire, &sl_pb_infer_request, st);
    if (rc)
        return rc;
    read_top(&r, &n_inputs, &n_outputs);
    rc = read_outputs(&r, n_outputs);
    if (rc == SL_OK)
        rc = read_inputs(&r, n_inputs);
    if (rc)
        sl_oip_request_release(out);
    return rc;
}

/* ---- the small requests ---- */

sl_code sl_oip_pb_decode_model(sl_str wire, sl_str *name, sl_str *version, sl_status *st)
{
    *name = *version = (sl_str){"", 0};
    sl_code rc = sl_pb_must(wire, &sl_pb_model_request, st);
    if (rc)
        return rc;
    sl_wire w = sl_wire_open(wire);
    while (sl_wire_next(&w)) {
        if (sl_pb_is(&w, 1))
            *name = w.bytes;
        else if (sl_pb_is(&w, 2))
            *version = w.bytes;
    }
    return SL_OK;
}

sl_code sl_oip_pb_decode_change(sl_str wire, sl_str *name, sl_status *st)
{
    *name = (sl_str){"", 0};
    sl_code rc = sl_pb_must(wire, &sl_pb_change_request, st);
    if (rc)
        return rc;
    sl_wire w = sl_wire_open(wire);
    while (sl_wire_next(&w))
        if (sl_pb_is(&w, 2))
            *name = w.bytes;
    return SL_OK;
}

sl_code sl_oip_pb_decode_index(sl_str wire, bool *ready, sl_status *st)
{
    *ready = false;
    sl_code rc = sl_pb_must(wire, &sl_pb_model_request, st); /* a string is field 1 here, too */
    if (rc)
        return rc;
    sl_wire w = sl_wire_open(wire);
    while (sl_wire_next(&w))
        if (w.field == 2 && w.type == SL_WIRE_VARINT)
            *ready = w.value != 0;
    return SL_OK;
}
