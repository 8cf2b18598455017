/*
 * examples_decode.c - the body of :classify and :regress into serialized Examples
 *
 * The root object is walked first, which checks all of the JSON and finds the three members. Then
 * the context and the examples are read from their places. The Examples are written one behind the
 * other into one text; the tensor is made of it at the end, when all sizes are known.
 */
#include "base/mem.h"
#include "codec/dense.h"
#include "codec/examples_json.h"
#include "codec/fail.h"
#include "format/base64.h"
#include "format/example.h"

typedef struct request {
    sl_json *json;
    const sl_json_limits *limits;
    sl_arena *arena;
    sl_status *st;
    const char *root;
    sl_json_string name;
    const char *name_at, *context, *examples; /* values; NULL: not there */
    bool bad_name;
    sl_example example; /* the one that is being written */
    sl_text wire;       /* all of them */
    size_t *ends;       /* of each in `wire` */
    size_t count, cap;
} request;

static sl_code out_of_memory(request *r)
{
    return sl_fail(r->st, SL_RESOURCE_EXHAUSTED, "out of memory: decoding the request");
}

static sl_code walk_root(request *r)
{
    sl_json *j = r->json;
    sl_json_string key;
    while (sl_json_member(j, &key)) {
        sl_json_peek(j);
        const char *at = j->at;
        if (!r->name_at && sl_json_string_is(&key, SL_STR("signature_name"))) {
            r->name_at = at;
            r->bad_name = sl_json_peek_type(j) != SL_JSON_STRING;
            if (!r->bad_name && sl_json_read_string(j, &r->name))
                continue;
        } else if (!r->context && sl_json_string_is(&key, SL_STR("context"))) {
            r->context = at;
        } else if (!r->examples && sl_json_string_is(&key, SL_STR("examples"))) {
            r->examples = at;
        }
        sl_json_skip(j);
    }
    return j->error ? sl_json_fail_syntax(j, r->st) : SL_OK;
}

/* ---- features ---- */

static sl_code fail_type(request *r, sl_str name)
{
    sl_text t = {0};
    sl_text_puts(&t, "Feature: ");
    sl_text_add(&t, name.p, name.n);
    sl_text_printf(&t, " has element with unexpected JSON type: %s",
                   sl_json_type_name(sl_json_peek_type(r->json)));
    return sl_json_fail_text(r->arena, r->st, SL_INVALID_ARGUMENT, &t);
}

static sl_code fail_kind(request *r, sl_str name)
{
    sl_text t = {0};
    sl_text_puts(&t, "Unexpected element type in feature: ");
    sl_text_add(&t, name.p, name.n);
    sl_text_printf(&t, " expecting type: %s", sl_feature_kind_name(r->example.kind));
    return sl_json_fail_text(r->arena, r->st, SL_INVALID_ARGUMENT, &t);
}

static sl_code fail_uint64(request *r, sl_str name)
{
    sl_text t = {0};
    sl_text_puts(&t, "Feature: ");
    sl_text_add(&t, name.p, name.n);
    sl_text_puts(&t, " has uint64_t element. Only int64_t is supported.");
    return sl_json_fail_text(r->arena, r->st, SL_INVALID_ARGUMENT, &t);
}

static sl_code add_number(request *r, sl_str name)
{
    sl_number n;
    sl_json_read_number(r->json, &n);
    if (n.kind == SL_NUMBER_DOUBLE)
        return sl_feature_float(&r->example, (float)n.d) ? SL_OK : fail_kind(r, name);
    if (!sl_feature_int64(&r->example, n.i))
        return fail_kind(r, name);
    return n.kind == SL_NUMBER_UINT ? fail_uint64(r, name) : SL_OK;
}

static sl_code add_bytes(request *r, sl_str name, bool b64)
{
    sl_json_string s;
    sl_str text;
    size_t n;
    if (!b64)
        sl_json_read_string(r->json, &s);
    else if (!sl_json_read_b64(r->json, &s))
        return fail_type(r, name);
    char *room = sl_try_malloc(s.raw.n + 1);
    if (room == NULL)
        return out_of_memory(r);
    text = s.escaped ? (sl_str){room, sl_json_unescape(s.raw, room)} : s.raw;
    sl_code rc = SL_OK;
    if (b64 && !sl_base64_check(text, &n))
        rc = sl_fail(r->st, SL_INVALID_ARGUMENT, "Unable to base64 decode");
    else if (b64)
        text = (sl_str){room, sl_base64_decode(text, room)};
    if (rc == SL_OK && !sl_feature_bytes(&r->example, text))
        rc = fail_kind(r, name);
    sl_free(room);
    return rc;
}

static sl_code add_value(request *r, sl_str name)
{
    sl_json_type type = sl_json_peek_type(r->json);
    switch (type) {
    case SL_JSON_NUMBER:
        return add_number(r, name);
    case SL_JSON_STRING:
    case SL_JSON_OBJECT:
        return add_bytes(r, name, type == SL_JSON_OBJECT);
    case SL_JSON_TRUE:
    case SL_JSON_FALSE:
        sl_json_skip(r->json);
        return sl_feature_int64(&r->example, type == SL_JSON_TRUE) ? SL_OK : fail_kind(r, name);
    default:
        return fail_type(r, name);
    }
}

static sl_code add_feature(request *r, const sl_json_string *key)
{
    sl_json *j = r->json;
    sl_str name;
    sl_code rc = SL_OK;
    if (!sl_json_plain(r->arena, key, &name))
        return out_of_memory(r);
    sl_feature_begin(&r->example, name);
    if (!sl_json_enter(j, '['))
        rc = add_value(r, name);
    else
        while (rc == SL_OK && sl_json_element(j))
            rc = add_value(r, name);
    if (rc == SL_OK)
        sl_feature_end(&r->example);
    return rc;
}

/* ---- examples ---- */

/* The object that comes, as a serialized Example behind the others in r->wire. */
static sl_code add_example(request *r)
{
    sl_json *j = r->json;
    sl_json_string key;
    sl_json_type type = sl_json_peek_type(j);
    if (type != SL_JSON_OBJECT)
        return sl_fail(r->st, SL_INVALID_ARGUMENT, "Example must be JSON object but got JSON %s",
                       sl_json_type_name(type));
    sl_example_begin(&r->example);
    sl_json_enter(j, '{');
    while (sl_json_member(j, &key)) {
        sl_code rc = add_feature(r, &key);
        if (rc)
            return rc;
    }
    sl_example_end(&r->example, &r->wire);
    return r->wire.failed || sl_example_failed(&r->example) ? out_of_memory(r) : SL_OK;
}

static sl_code fail_request(request *r, const char *after)
{
    return sl_json_fail_dump(r->arena, r->st, "JSON Value: ", r->root, r->json->end, after);
}

static sl_code read_examples(request *r)
{
    sl_json *j = r->json;
    sl_code rc = SL_OK;
    if (!r->examples)
        return fail_request(r, " When method is classify, key 'examples' is expected and was not "
                               "found");
    sl_json_seek(j, r->examples, 1);
    if (!sl_json_enter(j, '['))
        return fail_request(r, " Expecting 'examples' value to be an list/array");
    while (rc == SL_OK && sl_json_element(j)) {
        rc = add_example(r);
        size_t *ends = rc ? NULL : sl_try_grow(r->ends, r->count, &r->cap, sizeof *ends);
        if (rc == SL_OK && ends == NULL)
            rc = out_of_memory(r);
        if (rc == SL_OK) {
            r->ends = ends;
            r->ends[r->count++] = r->wire.n;
        }
    }
    if (rc == SL_OK && r->count == 0)
        rc = fail_request(r, " 'examples' value is an empty array");
    return rc;
}

/* ---- the tensor ---- */

static sl_code too_large(request *r)
{
    return sl_fail(r->st, SL_RESOURCE_EXHAUSTED, "request holds more than %zu bytes of examples",
                   r->limits->max_string_bytes);
}

/* The first `context` bytes of r->wire go in front of each Example. */
static sl_code make_tensor(request *r, size_t context, sl_tensor *out)
{
    size_t table = r->count * sizeof(sl_str);
    int64_t dims[1] = {(int64_t)r->count};
    if (dims[0] > r->limits->max_elements)
        return sl_fail(r->st, SL_RESOURCE_EXHAUSTED, "request holds more than %lld examples",
                       (long long)r->limits->max_elements);
    size_t repeated = sl_mul_capped(context, r->count);
    if (repeated > r->limits->max_expanded_bytes)
        return sl_fail(r->st, SL_RESOURCE_EXHAUSTED,
                       "a context of %zu bytes for each of %zu examples is more than the %zu bytes "
                       "that a request may expand to",
                       context, r->count, r->limits->max_expanded_bytes);
    size_t bytes = sl_add_capped(repeated, r->wire.n - context);
    if (bytes > r->limits->max_string_bytes)
        return too_large(r);
    sl_buffer *b = sl_buffer_try_new(sl_add_capped(bytes, table));
    if (b == NULL)
        return out_of_memory(r);
    sl_str *list = b->data;
    char *to = (char *)(list + r->count);
    size_t begin = context;
    for (size_t i = 0; i < r->count; i++) {
        size_t n = r->ends[i] - begin;
        list[i] = (sl_str){to, context + n};
        memcpy(to, r->wire.p, context);
        memcpy(to + context, r->wire.p + begin, n);
        to += context + n;
        begin = r->ends[i];
    }
    *out = (sl_tensor){.dtype = SL_DT_STRING,
                       .rank = 1,
                       .dims = {dims[0]},
                       .size = table,
                       .data = list,
                       .buffer = b};
    return SL_OK;
}

static sl_code decode(request *r, sl_json_examples *out)
{
    sl_code rc = walk_root(r);
    if (rc)
        return rc;
    if (r->bad_name)
        return fail_request(
            r, " not formatted correctly. 'signature_name' key must be a string value.");
    if (r->name_at && !sl_json_copy(r->arena, &r->name, &out->signature_name))
        return out_of_memory(r);
    if (r->context) {
        sl_json_seek(r->json, r->context, 1);
        rc = add_example(r);
    }
    size_t context = r->wire.n;
    if (rc == SL_OK)
        rc = read_examples(r);
    return rc ? rc : make_tensor(r, context, &out->examples);
}

sl_code sl_json_decode_examples(sl_str body, const sl_json_limits *limits, sl_arena *arena,
                                sl_json_examples *out, sl_status *st)
{
    sl_json j;
    request r = {.json = &j, .limits = limits, .arena = arena, .st = st};
    *out = (sl_json_examples){.signature_name = {"", 0}};
    sl_code rc = sl_json_open_root(&j, body, limits->max_depth, arena, st);
    if (rc)
        return rc;
    r.root = j.at - 1;
    rc = decode(&r, out);
    sl_example_fini(&r.example);
    sl_text_fini(&r.wire);
    sl_free(r.ends);
    return rc;
}
