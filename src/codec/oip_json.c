/*
 * oip_json.c - reading an infer request (oip_json.h)
 *
 * One pass, if an input's datatype and shape stand before its data, as all clients write them; data
 * that comes before is remembered where it stands and read at the input's end. Numbers are read in
 * runs, straight into the tensor; brackets only have to be well-formed: what counts is the order of
 * the numbers and how many there are.
 */
#include "codec/oip_json.h"

#include <assert.h>

#include "base/mem.h"
#include "codec/dense.h"
#include "codec/fail.h"

typedef struct reader {
    sl_json json;
    sl_str binary; /* what is left behind the JSON */
    sl_buffer *buffer;
    size_t text; /* bytes of JSON: no tensor has more elements than that */
    sl_arena *arena;
    sl_oip_request *out;
    size_t room_inputs, room_outputs; /* of out's arrays */
    bool has_inputs, has_outputs, no_memory;
    sl_status *st;
} reader;

/* Syntax comes first: `what` is said of something else that is JSON. */
static sl_code bad(reader *r, const char *what)
{
    if (r->json.error)
        return sl_json_fail_syntax(&r->json, r->st);
    return sl_fail(r->st, SL_INVALID_ARGUMENT, "%s", what);
}

/* The same where the value has not been touched yet. */
static sl_code not_a(reader *r, const char *what)
{
    if (!r->json.error)
        (void)sl_json_skip(&r->json);
    return bad(r, what);
}

static sl_code no_memory(reader *r)
{
    return sl_fail(r->st, SL_RESOURCE_EXHAUSTED, "out of memory: inference request");
}

static sl_code read_text(reader *r, const char *what, sl_str *out)
{
    sl_json_string s;
    if (!sl_json_read_string(&r->json, &s))
        return not_a(r, what);
    return sl_json_plain(r->arena, &s, out) ? SL_OK : no_memory(r);
}

static bool read_bool(sl_json *j, bool *out)
{
    sl_json_type t = sl_json_peek_type(j);
    *out = t == SL_JSON_TRUE;
    return (t == SL_JSON_TRUE || t == SL_JSON_FALSE) && sl_json_skip(j);
}

/* A whole number from 0 to `max`. Something else that is JSON is no error of syntax. */
static bool read_size(sl_json *j, int64_t max, int64_t *out)
{
    sl_number n;
    if (sl_json_peek_type(j) != SL_JSON_NUMBER || !sl_json_read_number(j, &n) ||
        n.kind != SL_NUMBER_INT || n.i < 0 || n.i > max)
        return false;
    *out = n.i;
    return true;
}

/* ---- parameters ---- */

/* The ones that mean something here; all others are skipped. */
typedef struct parameters {
    bool has_binary, binary; /* "binary_data" of an output, "binary_data_output" of a request */
    bool has_size;
    int64_t size;     /* "binary_data_size" of an input */
    sl_str signature; /* "signature_name" of a request */
} parameters;

static sl_code read_parameter(reader *r, const sl_json_string *key, parameters *p)
{
    sl_json *j = &r->json;
    if (sl_json_string_is(key, SL_STR("binary_data")) ||
        sl_json_string_is(key, SL_STR("binary_data_output"))) {
        p->has_binary = true;
        return read_bool(j, &p->binary) ? SL_OK : bad(r, "binary_data is not a boolean");
    }
    if (sl_json_string_is(key, SL_STR("binary_data_size"))) {
        p->has_size = true;
        return read_size(j, INT64_MAX, &p->size)
                   ? SL_OK
                   : bad(r, "binary_data_size is not a number of bytes");
    }
    if (sl_json_string_is(key, SL_STR("signature_name")))
        return read_text(r, "signature_name is not a string", &p->signature);
    return sl_json_skip(j) ? SL_OK : bad(r, "");
}

static sl_code read_parameters(reader *r, parameters *p)
{
    sl_json_string key;
    if (!sl_json_enter(&r->json, '{'))
        return not_a(r, "parameters are not an object");
    while (sl_json_member(&r->json, &key)) {
        sl_code rc = read_parameter(r, &key, p);
        if (rc)
            return rc;
    }
    return r->json.error ? bad(r, "") : SL_OK;
}

/* ---- data ---- */

typedef struct input {
    sl_str name, datatype;
    bool has_shape;
    int rank;
    int64_t dims[SL_MAX_RANK];
    const char *data; /* where it stands, if it is not read yet; NULL: it is not there */
    int depth;
    sl_tensor tensor; /* if it is: its dtype is then set */
    parameters parameters;
} input;

static sl_code wrong_value(reader *r, const input *in, size_t i)
{
    if (r->no_memory)
        return no_memory(r);
    if (r->json.error)
        return sl_json_fail_syntax(&r->json, r->st);
    return sl_fail(r->st, SL_INVALID_ARGUMENT,
                   "input \"%.*s\": element %zu of its data is not of datatype %.*s",
                   SL_STR_ARG(in->name), i, SL_STR_ARG(in->datatype));
}

static sl_code wrong_count(reader *r, const input *in, size_t count)
{
    char text[256];
    return sl_fail(
        r->st, SL_INVALID_ARGUMENT, "input \"%.*s\": its data has not the %zu elements of shape %s",
        SL_STR_ARG(in->name), count, sl_shape_text(in->dims, in->rank, text, sizeof text));
}

static bool reads_in_runs(sl_dtype t)
{
    return t != SL_DT_STRING && t != SL_DT_BOOL && t != SL_DT_UINT16;
}

/* One element that is read alone. */
static bool read_leaf(reader *r, sl_dtype dtype, void *data, size_t i)
{
    sl_json_string s;
    int64_t n;
    switch (dtype) {
    case SL_DT_STRING:
        if (!sl_json_read_string(&r->json, &s))
            return false;
        r->no_memory = !sl_json_plain(r->arena, &s, (sl_str *)data + i);
        return !r->no_memory;
    case SL_DT_BOOL:
        return read_bool(&r->json, (bool *)data + i);
    default:
        assert(dtype == SL_DT_UINT16);
        if (!read_size(&r->json, UINT16_MAX, &n))
            return false;
        ((uint16_t *)data)[i] = (uint16_t)n;
        return true;
    }
}

/* As many numbers as follow one another here. False: there is none where one should be. */
static bool read_run(reader *r, sl_dtype dtype, void *data, size_t room, size_t *n)
{
    sl_json *j = &r->json;
    sl_run_end e;
    (void)sl_json_peek(j);
    switch (dtype) {
#define RUN(DT, type, read)                          \
    case DT:                                         \
        e = read(j->at, j->end, (type *)data, room); \
        break;
        RUN(SL_DT_FLOAT, float, sl_run_floats)
        RUN(SL_DT_DOUBLE, double, sl_run_doubles)
        RUN(SL_DT_INT8, int8_t, sl_run_int8s)
        RUN(SL_DT_UINT8, uint8_t, sl_run_uint8s)
        RUN(SL_DT_INT16, int16_t, sl_run_int16s)
        RUN(SL_DT_INT32, int32_t, sl_run_int32s)
        RUN(SL_DT_UINT32, uint32_t, sl_run_uint32s)
        RUN(SL_DT_INT64, int64_t, sl_run_int64s)
#undef RUN
    default:
        assert(dtype == SL_DT_UINT64);
        e = sl_run_uint64s(j->at, j->end, data, room);
    }
    *n = e.n;
    j->at = e.at;
    return !e.wants;
}

/* The data, flat or nested, into `data`, which has room for `count` elements. */
static sl_code read_data(reader *r, const input *in, sl_dtype dtype, void *data, size_t count)
{
    sl_json *j = &r->json;
    size_t element = sl_dtype_size(dtype), have = 0, n = 1;
    int open = 1;
    sl_json_seek(j, in->data, in->depth);
    if (!sl_json_enter(j, '['))
        return not_a(r, "the data of an input is not an array");
    while (open > 0) {
        if (!sl_json_element(j)) {
            if (j->error)
                return bad(r, "");
            open--;
        } else if (sl_json_peek(j) == '[') {
            if (!sl_json_enter(j, '['))
                return bad(r, "");
            open++;
        } else if (have == count) {
            return wrong_count(r, in, count);
        } else if (reads_in_runs(dtype)) {
            bool ok = read_run(r, dtype, (char *)data + have * element, count - have, &n);
            have += n;
            if (!ok)
                return have == count ? wrong_count(r, in, count) : wrong_value(r, in, have);
        } else if (!read_leaf(r, dtype, data, have)) {
            return wrong_value(r, in, have);
        } else {
            have++;
        }
    }
    return have == count ? SL_OK : wrong_count(r, in, count);
}

static sl_code strings_from_json(reader *r, const input *in, size_t count, sl_tensor *out)
{
    sl_str *values = sl_arena_try_alloc(r->arena, sl_mul_capped(count, sizeof *values));
    if (values == NULL)
        return no_memory(r);
    sl_code rc = read_data(r, in, SL_DT_STRING, values, count);
    return rc ? rc : sl_tensor_try_new_strings(values, in->dims, in->rank, out, r->st);
}

static sl_code from_json(reader *r, const input *in, sl_dtype dtype, sl_tensor *out)
{
    size_t count;
    sl_code rc = sl_oip_check_shape(in->name, dtype, in->dims, in->rank, &count, r->st);
    if (rc)
        return rc;
    if (dtype == SL_DT_HALF || dtype == SL_DT_BFLOAT16)
        return sl_fail(r->st, SL_INVALID_ARGUMENT,
                       "input \"%.*s\": JSON cannot hold %.*s, send it as binary data",
                       SL_STR_ARG(in->name), SL_STR_ARG(in->datatype));
    if (count > r->text) /* each takes a byte at least: what a shape asks for is never made */
        return wrong_count(r, in, count);
    if (dtype == SL_DT_STRING)
        return strings_from_json(r, in, count, out);
    sl_tensor t;
    rc = sl_tensor_try_new(dtype, in->dims, in->rank, &t, r->st);
    if (rc)
        return rc;
    rc = read_data(r, in, dtype, t.data, count);
    if (rc)
        sl_tensor_release(&t);
    else
        *out = t;
    return rc;
}

static sl_code from_binary(reader *r, const input *in, sl_dtype dtype, sl_tensor *out)
{
    if ((uint64_t)in->parameters.size > r->binary.n)
        return sl_fail(r->st, SL_INVALID_ARGUMENT,
                       "input \"%.*s\": binary_data_size %lld goes beyond the body",
                       SL_STR_ARG(in->name), (long long)in->parameters.size);
    sl_str bytes = {r->binary.p, (size_t)in->parameters.size};
    r->binary = (sl_str){bytes.p + bytes.n, r->binary.n - bytes.n};
    return sl_oip_raw(in->name, dtype, in->dims, in->rank, bytes, r->buffer, out, r->st);
}

/* ---- inputs ---- */

static sl_code read_shape(reader *r, input *in)
{
    if (!sl_json_enter(&r->json, '['))
        return not_a(r, "the shape of an input is not an array");
    in->has_shape = true;
    for (in->rank = 0; sl_json_element(&r->json); in->rank++) {
        if (in->rank == SL_MAX_RANK)
            return sl_fail(r->st, SL_INVALID_ARGUMENT,
                           "a shape of more than %d dimensions is not supported", SL_MAX_RANK);
        if (!read_size(&r->json, INT64_MAX, &in->dims[in->rank]))
            return bad(r, "the shape of an input has something else than sizes");
    }
    return r->json.error ? bad(r, "") : SL_OK;
}

static sl_code read_input_member(reader *r, const sl_json_string *key, input *in)
{
    sl_json *j = &r->json;
    if (sl_json_string_is(key, SL_STR("name")))
        return read_text(r, "the name of an input is not a string", &in->name);
    if (sl_json_string_is(key, SL_STR("datatype")))
        return read_text(r, "the datatype of an input is not a string", &in->datatype);
    if (sl_json_string_is(key, SL_STR("shape")))
        return read_shape(r, in);
    if (sl_json_string_is(key, SL_STR("parameters")))
        return read_parameters(r, &in->parameters);
    if (sl_json_string_is(key, SL_STR("data"))) {
        if (in->data != NULL)
            return sl_fail(r->st, SL_INVALID_ARGUMENT, "an input has data twice");
        (void)sl_json_peek(j);
        in->data = j->at;
        in->depth = j->depth;
        if (in->has_shape && in->name.n && sl_oip_dtype(in->datatype) != SL_DT_INVALID)
            return from_json(r, in, sl_oip_dtype(in->datatype), &in->tensor);
    }
    return sl_json_skip(j) ? SL_OK : bad(r, "");
}

/* Room for one more in an array of the arena, which moves when it grows. */
static sl_code reserve(reader *r, void *array, size_t n, size_t *room, size_t size)
{
    void **old = array, *more;
    size_t want = *room ? 2 * *room : 4;
    if (n < *room)
        return SL_OK;
    more = sl_arena_try_alloc(r->arena, sl_mul_capped(want, size));
    if (more == NULL)
        return no_memory(r);
    if (n)
        memcpy(more, *old, n * size);
    *old = more;
    *room = want;
    return SL_OK;
}

static sl_code late_data(reader *r, const input *in, sl_dtype dtype, sl_tensor *out)
{
    const char *at = r->json.at;
    int depth = r->json.depth;
    sl_code rc = from_json(r, in, dtype, out);
    if (rc == SL_OK)
        sl_json_seek(&r->json, at, depth);
    return rc;
}

static sl_code make_tensor(reader *r, input *in)
{
    sl_dtype dtype = sl_oip_dtype(in->datatype);
    if (in->name.n == 0)
        return sl_fail(r->st, SL_INVALID_ARGUMENT, "an input has no name");
    if (dtype == SL_DT_INVALID)
        return sl_fail(r->st, SL_INVALID_ARGUMENT, "input \"%.*s\": unknown datatype \"%.*s\"",
                       SL_STR_ARG(in->name), SL_STR_ARG(in->datatype));
    if (!in->has_shape)
        return sl_fail(r->st, SL_INVALID_ARGUMENT, "input \"%.*s\" has no shape",
                       SL_STR_ARG(in->name));
    if (in->parameters.has_size && in->data != NULL)
        return sl_fail(r->st, SL_INVALID_ARGUMENT, "input \"%.*s\" has data and binary data",
                       SL_STR_ARG(in->name));
    if (in->parameters.has_size)
        return from_binary(r, in, dtype, &in->tensor);
    if (in->data == NULL)
        return sl_fail(r->st, SL_INVALID_ARGUMENT, "input \"%.*s\" has no data",
                       SL_STR_ARG(in->name));
    return in->tensor.dtype == SL_DT_INVALID ? late_data(r, in, dtype, &in->tensor) : SL_OK;
}

static sl_code read_input(reader *r)
{
    input in = {0};
    sl_json_string key;
    sl_code rc = SL_OK;
    if (!sl_json_enter(&r->json, '{'))
        return not_a(r, "an input is not an object");
    while (rc == SL_OK && sl_json_member(&r->json, &key))
        rc = read_input_member(r, &key, &in);
    if (rc == SL_OK && r->json.error)
        rc = bad(r, "");
    if (rc == SL_OK)
        rc = make_tensor(r, &in);
    if (rc == SL_OK)
        rc = reserve(r, &r->out->inputs, r->out->n_inputs, &r->room_inputs, sizeof *r->out->inputs);
    if (rc) {
        sl_tensor_release(&in.tensor);
        return rc;
    }
    r->out->inputs[r->out->n_inputs++] = (sl_oip_input){in.name, in.tensor};
    return SL_OK;
}

/* ---- outputs ---- */

static sl_code read_output(reader *r)
{
    sl_oip_output o = {.name = {"", 0}};
    parameters p = {0};
    sl_json_string key;
    sl_code rc = SL_OK;
    if (!sl_json_enter(&r->json, '{'))
        return not_a(r, "an output is not an object");
    while (rc == SL_OK && sl_json_member(&r->json, &key)) {
        if (sl_json_string_is(&key, SL_STR("name")))
            rc = read_text(r, "the name of an output is not a string", &o.name);
        else if (sl_json_string_is(&key, SL_STR("parameters")))
            rc = read_parameters(r, &p);
        else if (!sl_json_skip(&r->json))
            rc = bad(r, "");
    }
    if (rc == SL_OK && r->json.error)
        rc = bad(r, "");
    if (rc == SL_OK)
        rc = reserve(r, &r->out->outputs, r->out->n_outputs, &r->room_outputs,
                     sizeof *r->out->outputs);
    if (rc)
        return rc;
    o.says_so = p.has_binary;
    o.binary = p.binary;
    r->out->outputs[r->out->n_outputs++] = o;
    return SL_OK;
}

/* ---- the request ---- */

static sl_code read_list(reader *r, const char *what, bool *seen, sl_code (*read)(reader *r))
{
    sl_code rc = SL_OK;
    if (*seen || !sl_json_enter(&r->json, '['))
        return not_a(r, what);
    *seen = true;
    while (rc == SL_OK && sl_json_element(&r->json))
        rc = read(r);
    return rc == SL_OK && r->json.error ? bad(r, "") : rc;
}

static sl_code read_member(reader *r, const sl_json_string *key, parameters *p)
{
    sl_json *j = &r->json;
    bool null = sl_json_peek_type(j) == SL_JSON_NULL;
    if (sl_json_string_is(key, SL_STR("id")) && !null)
        return read_text(r, "the id is not a string", &r->out->id);
    if (sl_json_string_is(key, SL_STR("parameters")) && !null)
        return read_parameters(r, p);
    if (sl_json_string_is(key, SL_STR("inputs")))
        return read_list(r, "inputs are not one array", &r->has_inputs, read_input);
    if (sl_json_string_is(key, SL_STR("outputs")) && !null)
        return read_list(r, "outputs are not one array", &r->has_outputs, read_output);
    return sl_json_skip(j) ? SL_OK : bad(r, "");
}

static sl_code read_request(reader *r)
{
    sl_oip_request *out = r->out;
    sl_json_string key;
    parameters p = {0};
    sl_code rc = SL_OK;
    if (!sl_json_enter(&r->json, '{'))
        return not_a(r, "the request is not a JSON object");
    while (rc == SL_OK && sl_json_member(&r->json, &key))
        rc = read_member(r, &key, &p);
    if (rc || r->json.error)
        return rc ? rc : bad(r, "");
    out->binary = p.binary;
    out->signature = p.signature;
    for (size_t i = 0; i < out->n_outputs; i++)
        if (!out->outputs[i].says_so)
            out->outputs[i].binary = out->binary;
    if (!r->has_inputs)
        return sl_fail(r->st, SL_INVALID_ARGUMENT, "the request has no inputs");
    if (r->binary.n)
        return sl_fail(r->st, SL_INVALID_ARGUMENT,
                       "%zu bytes of binary data belong to none of the inputs", r->binary.n);
    return SL_OK;
}

sl_code sl_oip_json_decode(sl_str body, size_t json_bytes, sl_buffer *buffer, int max_depth,
                           sl_arena *arena, sl_oip_request *out, sl_status *st)
{
    reader r = {.buffer = buffer,
                .binary = {"", 0},
                .arena = arena,
                .out = out,
                .st = st,
                .text = json_bytes};
    *out = (sl_oip_request){0};
    if (json_bytes > body.n)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Inference-Header-Content-Length goes beyond the body");
    sl_json_open(&r.json, (sl_str){body.p, json_bytes}, max_depth);
    if (json_bytes < body.n) /* a body that is missing has no address to begin from */
        r.binary = (sl_str){body.p + json_bytes, body.n - json_bytes};
    sl_code rc = read_request(&r);
    if (rc)
        sl_oip_request_release(out);
    return rc;
}

sl_code sl_oip_json_decode_index(sl_str body, sl_arena *arena, bool *ready, sl_status *st)
{
    reader r = {.arena = arena, .st = st};
    sl_json_string key;
    *ready = false;
    if (body.n == 0)
        return SL_OK;
    sl_json_open(&r.json, body, SL_JSON_MAX_DEPTH);
    if (!sl_json_enter(&r.json, '{'))
        return not_a(&r, "the request is not a JSON object");
    while (sl_json_member(&r.json, &key)) {
        bool ok = sl_json_string_is(&key, SL_STR("ready")) ? read_bool(&r.json, ready)
                                                           : sl_json_skip(&r.json);
        if (!ok)
            return bad(&r, "\"ready\" is not a boolean");
    }
    return r.json.error ? bad(&r, "") : SL_OK;
}
