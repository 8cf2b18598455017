/*
 * predict_decode.c - the body of :predict into tensors
 *
 * The root object is walked once. Where "instances" or "inputs" stands, the signature is asked for
 * (by the name seen so far) and the value is decoded on the spot; all other members are only
 * checked. A value that cannot be decoded leaves its message in the status and is then skipped like
 * the others, so that a syntax error further on still wins. Errors of the request as a whole are
 * found behind its end, and then win over what the status holds.
 *
 * "instances" as a plain list is decoded like "inputs": a regular list of regular elements is a
 * regular list of one more level. Only when that fails are the elements taken one by one, to find
 * the first that is wrong and to say so in the row format's words.
 */
#include <stdio.h>

#include "base/mem.h"
#include "codec/dense.h"
#include "codec/fail.h"

typedef struct request {
    sl_dense d;
    sl_status *st;
    sl_arena *arena;
    sl_signature_resolver resolve;
    void *arg;
    const sl_signature *signature; /* NULL: not asked for, or refused */
    sl_builder *builders;          /* one an input */
    sl_dense_shape *shapes;        /* of the first value of each */
    int64_t *last_row;             /* 1 + the row that gave the input a value last; 0: none */
    int64_t rows;                  /* -1: column format */

    const char *root;
    sl_str name, assumed; /* signature_name; the one that was resolved */
    bool bad_name, asked;
    const char *name_at, *instances, *inputs; /* values; NULL: not there */
    sl_code rc, resolve_rc;
    bool decoded;
} request;

void sl_json_limits_default(sl_json_limits *l)
{
    *l = (sl_json_limits){.max_depth = 10000,
                          .max_elements = (int64_t)1 << 31,
                          .max_string_bytes = (size_t)1 << 30,
                          .max_expanded_bytes = 16 << 20};
}

static sl_code out_of_memory(sl_status *st)
{
    return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory: decoding the request");
}

/* ---- builders ---- */

static void drop_builders(request *r)
{
    for (int i = 0; r->builders && i < r->signature->n_inputs; i++)
        sl_builder_fini(&r->builders[i]);
    r->builders = NULL;
    r->d.elements = r->d.string_bytes = 0;
}

static bool make_builders(request *r)
{
    size_t n = (size_t)r->signature->n_inputs;
    r->builders = sl_arena_try_alloc(r->arena, n * sizeof *r->builders);
    r->shapes = sl_arena_try_alloc(r->arena, n * sizeof *r->shapes);
    r->last_row = sl_arena_try_alloc(r->arena, n * sizeof *r->last_row);
    if (!r->builders || !r->shapes || !r->last_row) {
        r->builders = NULL;
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        sl_builder_init(&r->builders[i], r->signature->inputs[i].dtype);
        r->last_row[i] = 0;
    }
    return true;
}

/* ---- errors inside a value ---- */

/* Turns what sl_dense_read found into the status, behind `where`; SL_OK for a syntax error, which
 * is left to the check of the whole. `wrapped`: the code becomes part of the text. */
static sl_code fail_value(request *r, sl_dense_result result, bool wrapped, sl_text *where)
{
    if (result == SL_DENSE_SYNTAX) {
        sl_text_fini(where);
        return SL_OK;
    }
    if (result == SL_DENSE_MEMORY)
        where->n = 0;
    else if (wrapped)
        sl_text_printf(where, "%s: ", sl_code_name(r->d.code));
    sl_text_add(where, r->d.why.p ? r->d.why.p : "", r->d.why.n);
    where->failed |= r->d.why.failed;
    sl_code code = wrapped && result == SL_DENSE_WRONG ? SL_INVALID_ARGUMENT : r->d.code;
    return sl_json_fail_text(r->arena, r->st, code, where);
}

static sl_code fail_element(request *r, sl_dense_result result, int64_t row, const sl_str *key)
{
    sl_text t = {0};
    sl_text_printf(&t, "Failed to process element: %lld", (long long)row);
    if (key) {
        sl_text_puts(&t, " key: ");
        sl_text_add(&t, key->p, key->n);
    }
    sl_text_puts(&t, " of 'instances' list. Error: ");
    return fail_value(r, result, true, &t);
}

/* Must a value of shape `s` fit to the first one? Says why it does not. */
static bool same_shape(request *r, const sl_dense_shape *first, const sl_dense_shape *s)
{
    char a[256], b[256];
    size_t bytes = (size_t)s->rank * sizeof s->dims[0];
    if (first->count == s->count && first->rank == s->rank &&
        memcmp(first->dims, s->dims, bytes) == 0)
        return true;
    r->d.why.n = 0;
    r->d.code = SL_INVALID_ARGUMENT;
    if (first->count != s->count)
        sl_text_printf(&r->d.why, "Expecting tensor size: %zu but got: %zu", first->count,
                       s->count);
    else
        sl_text_printf(&r->d.why, "Expecting shape %s but got: %s",
                       sl_shape_text(first->dims, first->rank, a, sizeof a),
                       sl_shape_text(s->dims, s->rank, b, sizeof b));
    return false;
}

/* ---- row format ---- */

/* Does an object that is no base64 object come? */
static bool plain_object(sl_json *j)
{
    sl_json_string text;
    if (sl_json_peek(j) != '{')
        return false;
    const char *at = j->at;
    int depth = j->depth;
    bool fresh = j->fresh, b64 = sl_json_read_b64(j, &text);
    sl_json_seek(j, at, depth);
    j->fresh = fresh;
    return !b64;
}

/* The plain list could not be decoded as a whole: which element is to blame? */
static sl_code blame_element(request *r)
{
    sl_json *j = r->d.json;
    sl_dense_shape first = {0}, s;
    sl_text t = {0};
    for (int64_t row = 0; sl_json_element(j); row++) {
        if (plain_object(j))
            return sl_fail(r->st, SL_INVALID_ARGUMENT,
                           "Expecting value/list but got object at item %lld of input list",
                           (long long)row);
        sl_builder_clear(&r->d, &r->builders[0]);
        sl_dense_result rc = sl_dense_read(&r->d, &r->builders[0], &s);
        if (rc == SL_DENSE_OK && row == 0)
            first = s;
        else if (rc == SL_DENSE_OK && !same_shape(r, &first, &s))
            rc = SL_DENSE_WRONG;
        if (rc)
            return fail_element(r, rc, row, NULL);
    }
    if (j->error)
        return SL_OK;
    /* Each is good by itself: too many levels together. */
    sl_text_printf(&t, "a tensor of rank %d is not supported: at most %d", first.rank + 1,
                   SL_MAX_RANK);
    return sl_json_fail_text(r->arena, r->st, SL_INVALID_ARGUMENT, &t);
}

static sl_code decode_plain_rows(request *r, const char *list, int depth)
{
    sl_json *j = r->d.json;
    sl_json_seek(j, list, depth);
    sl_dense_result rc = sl_dense_read(&r->d, &r->builders[0], &r->shapes[0]);
    r->last_row[0] = 1;
    if (rc == SL_DENSE_OK)
        r->decoded = true;
    if (rc != SL_DENSE_WRONG)
        return rc == SL_DENSE_MEMORY ? fail_value(r, rc, false, &(sl_text){0}) : SL_OK;
    r->d.string_bytes = 0;
    sl_json_seek(j, list, depth);
    sl_json_enter(j, '[');
    return blame_element(r);
}

static int find_input(request *r, const sl_json_string *key, int guess, sl_str *name)
{
    const sl_signature *s = r->signature;
    if (guess < s->n_inputs && !key->escaped && sl_str_is(key->raw, s->inputs[guess].key)) {
        *name = key->raw;
        return guess;
    }
    if (!sl_json_plain(r->arena, key, name))
        return -2;
    return sl_tensor_infos_find(s->inputs, s->n_inputs, *name);
}

/* One member of a row; *guess is the input that is likely to come. */
static sl_code decode_member(request *r, const sl_json_string *key, int64_t row, int *guess,
                             int *seen)
{
    sl_str name;
    sl_dense_shape s;
    int i = find_input(r, key, *guess, &name);
    if (i == -2)
        return out_of_memory(r->st);
    if (i < 0) {
        r->d.code = SL_INVALID_ARGUMENT;
        r->d.why.n = 0;
        sl_text_puts(&r->d.why, "JSON object: does not have named input: ");
        sl_text_add(&r->d.why, name.p, name.n);
        return fail_element(r, SL_DENSE_WRONG, row, &name);
    }
    *guess = i + 1;
    if (r->last_row[i] == row + 1) { /* twice in one object: the first counts */
        sl_json_skip(r->d.json);
        return SL_OK;
    }
    sl_dense_result rc = sl_dense_read(&r->d, &r->builders[i], &s);
    if (rc == SL_DENSE_OK && row == 0)
        r->shapes[i] = s;
    else if (rc == SL_DENSE_OK && !same_shape(r, &r->shapes[i], &s))
        rc = SL_DENSE_WRONG;
    if (rc == SL_DENSE_SYNTAX)
        r->d.json->error = "";
    if (rc)
        return fail_element(r, rc, row, &name);
    r->last_row[i] = row + 1;
    ++*seen;
    return SL_OK;
}

static sl_code fail_keys(request *r, int64_t row, const char *object)
{
    sl_text t = {0};
    char before[96];
    const sl_signature *s = r->signature;
    snprintf(before, sizeof before,
             "Failed to process element: %lld of 'instances' list. JSON object: ", (long long)row);
    sl_text_puts(&t, " keys must be equal to: ");
    for (int i = 0; i < s->n_inputs; i++)
        sl_text_printf(&t, "%s%s", i ? "," : "", s->inputs[i].key);
    sl_code rc = t.failed ? out_of_memory(r->st)
                          : sl_json_fail_dump(r->arena, r->st, before, object, r->d.json->end, t.p);
    sl_text_fini(&t);
    return rc;
}

/* j stands in the list. Returns SL_OK with j->error set on a syntax error. */
static sl_code decode_object_rows(request *r)
{
    sl_json *j = r->d.json;
    sl_json_string key;
    int64_t row = 0;
    for (; sl_json_element(j); row++) {
        if (!plain_object(j))
            return sl_fail(r->st, SL_INVALID_ARGUMENT,
                           "Expecting object but got list at item %lld of input list",
                           (long long)row);
        const char *object = j->at;
        int guess = 0, seen = 0;
        sl_json_enter(j, '{');
        while (sl_json_member(j, &key)) {
            sl_code rc = decode_member(r, &key, row, &guess, &seen);
            if (rc || j->error)
                return rc;
        }
        if (j->error)
            return SL_OK;
        if (seen != r->signature->n_inputs)
            return fail_keys(r, row, object);
    }
    r->rows = row;
    r->decoded = j->error == NULL;
    return SL_OK;
}

static sl_code decode_rows(request *r)
{
    sl_json *j = r->d.json;
    const char *list = r->instances, *after;
    int depth = j->depth;
    after = " Expecting 'instances' to be an list/array";
    if (!sl_json_enter(j, '['))
        return j->error
                   ? SL_OK
                   : sl_json_fail_dump(r->arena, r->st, "JSON Value: ", r->root, j->end, after);
    after = " No values in 'instances' array";
    if (sl_json_peek(j) == ']')
        return sl_json_fail_dump(r->arena, r->st, "JSON Value: ", r->root, j->end, after);
    bool objects = plain_object(j), b64 = sl_json_peek(j) == '{' && !objects;
    if (r->signature->n_inputs > 1 && !objects && !b64)
        return sl_fail(r->st, SL_INVALID_ARGUMENT,
                       "instances is a plain list, but expecting list of objects as multiple input "
                       "tensors required as per tensorinfo_map");
    return objects ? decode_object_rows(r) : decode_plain_rows(r, list, depth);
}

/* ---- column format ---- */

static sl_code decode_named(request *r)
{
    sl_json *j = r->d.json;
    sl_json_string key;
    sl_str name;
    int guess = 0;
    sl_json_enter(j, '{');
    while (sl_json_member(j, &key)) {
        int i = find_input(r, &key, guess, &name);
        if (i == -2)
            return out_of_memory(r->st);
        if (i < 0 || r->last_row[i]) { /* not ours, or given twice: the first counts */
            sl_json_skip(j);
            continue;
        }
        sl_dense_result rc = sl_dense_read(&r->d, &r->builders[i], &r->shapes[i]);
        if (rc)
            return fail_value(r, rc, false, &(sl_text){0});
        r->last_row[i] = 1;
        guess = i + 1;
    }
    if (j->error)
        return SL_OK;
    for (int i = 0; i < r->signature->n_inputs; i++)
        if (!r->last_row[i])
            return sl_fail(r->st, SL_INVALID_ARGUMENT,
                           "Missing named input: %s in 'inputs' object.",
                           r->signature->inputs[i].key);
    r->decoded = true;
    return SL_OK;
}

static sl_code decode_columns(request *r)
{
    sl_json *j = r->d.json;
    r->rows = -1;
    if (plain_object(j))
        return decode_named(r);
    if (r->signature->n_inputs > 1)
        return sl_fail(r->st, SL_INVALID_ARGUMENT,
                       "inputs is a plain value/list, but expecting an object as multiple input "
                       "tensors required as per tensorinfo_map");
    sl_dense_result rc = sl_dense_read(&r->d, &r->builders[0], &r->shapes[0]);
    r->last_row[0] = 1;
    r->decoded = rc == SL_DENSE_OK;
    return rc ? fail_value(r, rc, false, &(sl_text){0}) : SL_OK;
}

/* ---- the request ---- */

static void ask(request *r)
{
    r->asked = true;
    r->assumed = r->name;
    r->signature = NULL;
    r->resolve_rc = r->resolve(r->arg, r->name, &r->signature, r->st);
    if (r->resolve_rc == SL_OK && r->signature->n_inputs == 0)
        r->resolve_rc =
            sl_fail(r->st, SL_INVALID_ARGUMENT, "Failed to get input map for signature: %.*s",
                    SL_STR_ARG(r->name.n ? r->name : SL_STR("DEFAULT")));
}

/* Decodes the value that comes, and moves past it whatever is wrong with its meaning. */
static void decode_value(request *r)
{
    sl_json *j = r->d.json;
    const char *from = j->at;
    int depth = j->depth;
    r->decoded = false;
    drop_builders(r);
    if (!make_builders(r))
        r->rc = out_of_memory(r->st);
    else
        r->rc = r->instances ? decode_rows(r) : decode_columns(r);
    if (!r->decoded) {
        if (r->rc == SL_OK) /* bad syntax: to be found again below, or two grammars disagree */
            r->rc = sl_fail(r->st, SL_INTERNAL, "request body could not be decoded");
        sl_json_seek(j, from, depth);
        sl_json_skip(j);
    }
}

/* A value under "instances" or "inputs": decoded if it can be now. */
static void meet_value(request *r, const char **slot)
{
    sl_json *j = r->d.json;
    bool first = r->instances == NULL && r->inputs == NULL;
    *slot = j->at;
    if (first)
        ask(r);
    if (first && r->resolve_rc == SL_OK)
        decode_value(r);
    else
        sl_json_skip(j);
}

static void meet_name(request *r)
{
    sl_json *j = r->d.json;
    sl_json_string s;
    r->name_at = j->at;
    if (!sl_json_read_string(j, &s)) {
        r->bad_name = true;
        sl_json_skip(j);
    } else if (!sl_json_copy(r->arena, &s, &r->name)) {
        r->rc = out_of_memory(r->st);
    }
}

static sl_code walk_root(request *r)
{
    sl_json *j = r->d.json;
    sl_json_string key;
    while (sl_json_member(j, &key)) {
        sl_json_peek(j);
        if (!r->instances && sl_json_string_is(&key, SL_STR("instances")))
            meet_value(r, &r->instances);
        else if (!r->inputs && sl_json_string_is(&key, SL_STR("inputs")))
            meet_value(r, &r->inputs);
        else if (!r->name_at && sl_json_string_is(&key, SL_STR("signature_name")))
            meet_name(r);
        else
            sl_json_skip(j);
        if (r->rc == SL_RESOURCE_EXHAUSTED)
            return r->rc;
    }
    return j->error ? sl_json_fail_syntax(j, r->st) : SL_OK;
}

/* The document is good JSON: the checks that concern all of it, in their order. */
static sl_code check_request(request *r)
{
    sl_json *j = r->d.json;
    if (r->bad_name)
        return sl_json_fail_dump(
            r->arena, r->st, "JSON Value: ", r->root, j->end,
            " not formatted correctly. 'signature_name' key must be a string value.");
    bool again = !r->asked || !sl_str_eq(r->name, r->assumed);
    if (again) {
        drop_builders(r);
        ask(r);
    }
    if (r->resolve_rc)
        return r->resolve_rc;
    if (r->instances && r->inputs)
        return sl_json_fail_dump(r->arena, r->st, "JSON Value: ", r->root, j->end,
                                 " Not formatted correctly expecting only one of 'inputs' or "
                                 "'instances' keys to exist ");
    if (!r->instances && !r->inputs)
        return sl_fail(r->st, SL_INVALID_ARGUMENT, "Missing 'inputs' or 'instances' key");
    if (again) {
        sl_json_seek(j, r->instances ? r->instances : r->inputs, 1);
        decode_value(r);
    }
    return r->rc;
}

static sl_code finish_inputs(request *r, sl_json_predict *out)
{
    size_t n = (size_t)r->signature->n_inputs;
    out->input_index = sl_arena_try_alloc(r->arena, n * sizeof *out->input_index);
    out->inputs = sl_arena_try_alloc(r->arena, n * sizeof *out->inputs);
    if (!out->input_index || !out->inputs)
        return out_of_memory(r->st);
    for (int i = 0; i < r->signature->n_inputs; i++) {
        int64_t dims[SL_MAX_RANK];
        sl_dense_shape *s = &r->shapes[i];
        int lead = r->rows > 0; /* rows of objects: one more dimension */
        if (!r->last_row[i])
            continue;
        if (s->rank + lead > SL_MAX_RANK)
            return sl_fail(r->st, SL_INVALID_ARGUMENT,
                           "a tensor of rank %d is not supported: at most %d", s->rank + lead,
                           SL_MAX_RANK);
        dims[0] = r->rows;
        memcpy(dims + lead, s->dims, (size_t)s->rank * sizeof *dims);
        sl_code rc = sl_builder_finish(&r->builders[i], dims, s->rank + lead,
                                       &out->inputs[out->n_inputs], r->st);
        if (rc)
            return rc;
        out->input_index[out->n_inputs++] = i;
    }
    return SL_OK;
}

sl_code sl_json_decode_predict(sl_str body, const sl_json_limits *limits,
                               sl_signature_resolver resolve, void *arg, sl_arena *arena,
                               sl_json_predict *out, sl_status *st)
{
    sl_json j;
    request r = {.d = {.json = &j, .limits = limits, .arena = arena},
                 .st = st,
                 .arena = arena,
                 .resolve = resolve,
                 .arg = arg};
    *out = (sl_json_predict){0};
    sl_code rc = sl_json_open_root(&j, body, limits->max_depth, arena, st);
    if (rc)
        return rc;
    r.root = j.at - 1;
    rc = walk_root(&r);
    if (rc == SL_OK)
        rc = check_request(&r);
    if (rc == SL_OK)
        rc = finish_inputs(&r, out);
    out->row_format = r.instances != NULL;
    out->signature = r.signature;
    if (rc)
        sl_json_predict_release(out);
    if (r.signature)
        drop_builders(&r);
    sl_text_fini(&r.d.why);
    return rc;
}

void sl_json_predict_release(sl_json_predict *p)
{
    for (int i = 0; i < p->n_inputs; i++)
        sl_tensor_release(&p->inputs[i]);
    p->n_inputs = 0;
}
