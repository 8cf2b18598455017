/*
 * parse.c - ParseExample and ParseExampleV2: tf.Example to tensors
 *
 * Two walks over the bytes. The first finds the features of each example, checks them against what
 * the node wants and remembers where they lie; then all shapes are known. The second writes the
 * outputs. Strings are not copied: they point into the serialized examples.
 *
 * Like the original: of a feature that is there twice the last one counts; a feature without a kind
 * counts as missing; messages name the example, the key and the place.
 */
#include "engine/native/ops/ops.h"
#include "format/wire.h"

typedef struct dense_key {
    sl_dtype type;
    bool varying; /* first dim open: padded to the longest of the batch */
    int rank;     /* of its shape */
    int64_t dims[SL_MAX_RANK];
    int64_t stride; /* elements of one example; of one step, if varying */
} dense_key;

typedef struct parse_config {
    bool v2;
    int n_dense, n_sparse;
    dense_key *dense;
    sl_dtype *sparse_types;
} parse_config;

#define FEATURE_TYPES (SL_T(FLOAT) | SL_T(INT64) | SL_T(STRING))

static sl_code configure_dense(sl_op_node *n, parse_config *cfg, sl_status *st)
{
    for (int d = 0; d < cfg->n_dense; d++) {
        dense_key *k = &cfg->dense[d];
        k->type = sl_node_list_type(n->source, "Tdense", d);
        if (!sl_types_has(FEATURE_TYPES, k->type))
            return sl_ops_unsupported(k->type, st);
        if (!sl_node_list_shape(n->source, "dense_shapes", d, &k->rank, k->dims) || k->rank < 0)
            return sl_fail(st, SL_INVALID_ARGUMENT, "dense_shapes[%d] has unknown rank", d);
        k->varying = k->rank > 0 && k->dims[0] < 0;
        k->stride = sl_shape_count(k->dims + k->varying, k->rank - k->varying, 16);
        if (k->stride < 0)
            return sl_fail(st, SL_INVALID_ARGUMENT, "dense_shapes[%d] is not defined", d);
        if (k->rank + 1 > SL_MAX_RANK)
            return sl_fail(st, SL_FAILED_PRECONDITION, "dense_shapes[%d] has too high a rank", d);
    }
    return SL_OK;
}

static int list_count(const sl_node *n, const char *attr)
{
    int count = sl_node_list_count(n, attr);
    return count < 0 ? 0 : count;
}

static sl_code parse_configure(sl_op_node *n, sl_status *st)
{
    parse_config *cfg = sl_ops_config(n, sizeof *cfg);
    cfg->v2 = strcmp(n->op->name, "ParseExampleV2") == 0;
    cfg->n_dense = list_count(n->source, "Tdense");
    cfg->n_sparse = list_count(n->source, "sparse_types");
    if (cfg->v2 && list_count(n->source, "ragged_value_types") > 0)
        return sl_fail(st, SL_FAILED_PRECONDITION, "ragged features are not supported");
    int64_t named = sl_node_int(n->source, cfg->v2 ? "num_sparse" : "Nsparse", 0);
    int keys = cfg->v2 ? 3 : cfg->n_sparse + cfg->n_dense;
    if (named != cfg->n_sparse || list_count(n->source, "dense_shapes") != cfg->n_dense ||
        n->n_in != 2 + keys + cfg->n_dense || n->n_out != 3 * cfg->n_sparse + cfg->n_dense)
        return sl_fail(st, SL_INVALID_ARGUMENT, "the numbers of keys, types and shapes differ");
    for (int i = 0; i < 2 + keys; i++)
        if (n->in_types[i] != SL_DT_STRING)
            return sl_fail(st, SL_INVALID_ARGUMENT, "input %d is not a string", i);
    cfg->dense = sl_ops_config(n, (size_t)(cfg->n_dense + 1) * sizeof *cfg->dense);
    cfg->sparse_types = sl_ops_config(n, (size_t)(cfg->n_sparse + 1) * sizeof(sl_dtype));
    sl_code rc = configure_dense(n, cfg, st);
    for (int s = 0; s < cfg->n_sparse && !rc; s++) {
        sl_dtype t = cfg->sparse_types[s] = sl_node_list_type(n->source, "sparse_types", s);
        if (!sl_types_has(FEATURE_TYPES, t))
            return sl_ops_unsupported(t, st);
        n->out_types[s] = n->out_types[2 * cfg->n_sparse + s] = SL_DT_INT64;
        n->out_types[cfg->n_sparse + s] = t;
    }
    for (int d = 0; d < cfg->n_dense && !rc; d++) {
        n->out_types[3 * cfg->n_sparse + d] = cfg->dense[d].type;
        if (n->in_types[2 + keys + d] != cfg->dense[d].type)
            return sl_fail(st, SL_INVALID_ARGUMENT, "default %d is of type %s, not %s", d,
                           sl_dtype_name(n->in_types[2 + keys + d]),
                           sl_dtype_name(cfg->dense[d].type));
    }
    n->config = cfg;
    return rc;
}

/* ---- one feature on the wire ---- */

typedef struct feature {
    sl_dtype type; /* INVALID: there, but without a kind */
    sl_str list;   /* BytesList, FloatList or Int64List */
    int64_t count;
} feature;

/* Calls for each varint of a packed or single number. to may be NULL: only counts. */
static bool walk_ints(sl_str list, int64_t *to, int64_t *count)
{
    sl_wire w = sl_wire_open(list);
    *count = 0;
    while (sl_wire_next(&w)) {
        if (w.field != 1)
            continue;
        if (w.type == SL_WIRE_VARINT) {
            if (to)
                to[*count] = (int64_t)w.value;
            ++*count;
        } else if (w.type == SL_WIRE_BYTES) {
            const unsigned char *p = (const unsigned char *)w.bytes.p, *end = p + w.bytes.n;
            uint64_t v;
            while (p < end) {
                if (!sl_wire_varint(&p, end, &v))
                    return false;
                if (to)
                    to[*count] = (int64_t)v;
                ++*count;
            }
        } else {
            return false;
        }
    }
    return !w.bad;
}

static bool walk_floats(sl_str list, float *to, int64_t *count)
{
    sl_wire w = sl_wire_open(list);
    *count = 0;
    while (sl_wire_next(&w)) {
        if (w.field != 1)
            continue;
        if (w.type == SL_WIRE_FIXED32) {
            if (to)
                to[*count] = sl_wire_float(w.value);
            ++*count;
        } else if (w.type == SL_WIRE_BYTES && w.bytes.n % 4 == 0) {
            if (to && w.bytes.n)
                memcpy(to + *count, w.bytes.p, w.bytes.n);
            *count += (int64_t)(w.bytes.n / 4);
        } else {
            return false;
        }
    }
    return !w.bad;
}

static bool walk_bytes(sl_str list, sl_str *to, int64_t *count)
{
    sl_wire w = sl_wire_open(list);
    *count = 0;
    while (sl_wire_next(&w)) {
        if (w.field != 1)
            continue;
        if (w.type != SL_WIRE_BYTES)
            return false;
        if (to)
            to[*count] = w.bytes;
        ++*count;
    }
    return !w.bad;
}

static bool walk(const feature *f, void *to, int64_t *count)
{
    switch (f->type) {
    case SL_DT_STRING:
        return walk_bytes(f->list, to, count);
    case SL_DT_FLOAT:
        return walk_floats(f->list, to, count);
    case SL_DT_INT64:
        return walk_ints(f->list, to, count);
    default:
        *count = 0;
        return true;
    }
}

/* A Feature message. */
static bool read_feature(sl_str wire, feature *f)
{
    static const sl_dtype kinds[] = {SL_DT_INVALID, SL_DT_STRING, SL_DT_FLOAT, SL_DT_INT64};
    *f = (feature){.type = SL_DT_INVALID};
    sl_wire w = sl_wire_open(wire);
    while (sl_wire_next(&w)) {
        if (w.field < 1 || w.field > 3)
            continue;
        if (w.type != SL_WIRE_BYTES)
            return false;
        f->type = kinds[w.field];
        f->list = w.bytes;
    }
    return !w.bad;
}

/* ---- keys ---- */

/* Key number k < n_dense is dense, else sparse. Open addressing, in the run's arena. */
typedef struct key_table {
    sl_str *keys;
    int n;
    int *slots; /* key + 1, or 0 */
    size_t mask;
} key_table;

static sl_code make_keys(const sl_op_call *c, const parse_config *cfg, key_table *t, sl_status *st)
{
    t->n = cfg->n_dense + cfg->n_sparse;
    size_t size = 4;
    while (size < (size_t)t->n * 2)
        size *= 2;
    t->mask = size - 1;
    t->keys = sl_arena_try_alloc(c->arena, (size_t)(t->n + 1) * sizeof *t->keys);
    t->slots = sl_arena_try_alloc(c->arena, size * sizeof *t->slots);
    if (t->keys == NULL || t->slots == NULL)
        return sl_ops_no_memory(st);
    memset(t->slots, 0, size * sizeof *t->slots);
    if (cfg->v2 && (sl_shape_count(c->in[2].dims, c->in[2].rank, 1) != cfg->n_sparse ||
                    sl_shape_count(c->in[3].dims, c->in[3].rank, 1) != cfg->n_dense ||
                    sl_shape_count(c->in[4].dims, c->in[4].rank, 1) != 0))
        return sl_fail(st, SL_INVALID_ARGUMENT, "the numbers of keys and types differ");
    for (int k = 0; k < t->n; k++) {
        bool dense = k < cfg->n_dense;
        int at = dense ? k : k - cfg->n_dense;
        const sl_tensor *in = cfg->v2 ? &c->in[dense ? 3 : 2]
                              : dense ? &c->in[2 + cfg->n_sparse + at]
                                      : &c->in[2 + at];
        if (!cfg->v2 && sl_shape_count(in->dims, in->rank, 1) != 1)
            return sl_fail(st, SL_INVALID_ARGUMENT, "a key is not a scalar");
        t->keys[k] = ((const sl_str *)in->data)[cfg->v2 ? at : 0];
        size_t h = sl_hash(t->keys[k].p, t->keys[k].n) & t->mask;
        while (t->slots[h])
            h = (h + 1) & t->mask;
        t->slots[h] = k + 1;
    }
    return SL_OK;
}

static int find_key(const key_table *t, sl_str key)
{
    for (size_t h = sl_hash(key.p, key.n) & t->mask; t->slots[h]; h = (h + 1) & t->mask)
        if (sl_str_eq(t->keys[t->slots[h] - 1], key))
            return t->slots[h] - 1;
    return -1;
}

/* ---- first walk ---- */

typedef struct parser {
    sl_op_call *c;
    const parse_config *cfg;
    key_table keys;
    int64_t n;        /* examples */
    feature *found;   /* [n, keys] */
    feature *entries; /* of one example, in the order of the file */
    int *entry_keys;
    size_t n_entries, cap;
    sl_status *st;
} parser;

static const char *name_of(const parser *p, int64_t i, int *length)
{
    const sl_tensor *names = &p->c->in[1];
    if (sl_shape_count(names->dims, names->rank, 1) <= i) {
        *length = 9;
        return "<unknown>";
    }
    sl_str s = ((const sl_str *)names->data)[i];
    *length = (int)SL_MIN(s.n, 512);
    return s.n ? s.p : "";
}

static sl_code bad_example(const parser *p, sl_str example)
{
    return sl_fail_in(p->c->arena, p->st, SL_INVALID_ARGUMENT,
                      "Could not parse example input, value: '%.*s'", SL_STR_ARG(example));
}

/* Keeps an entry of the features map if somebody wants it. */
static bool keep_entry(parser *p, sl_str entry)
{
    sl_str key = {NULL, 0}, value = {NULL, 0};
    sl_wire w = sl_wire_open(entry);
    while (sl_wire_next(&w)) {
        if ((w.field == 1 || w.field == 2) && w.type != SL_WIRE_BYTES)
            return false;
        if (w.field == 1)
            key = w.bytes;
        else if (w.field == 2)
            value = w.bytes;
    }
    feature f;
    if (w.bad || !read_feature(value, &f) || !walk(&f, NULL, &f.count))
        return false;
    int k = find_key(&p->keys, key);
    if (k < 0)
        return true;
    if (p->n_entries == p->cap) {
        size_t cap = p->cap ? 2 * p->cap : 64;
        feature *more = sl_arena_try_alloc(p->c->arena, cap * sizeof *more);
        int *more_keys = sl_arena_try_alloc(p->c->arena, cap * sizeof *more_keys);
        if (more == NULL || more_keys == NULL) {
            sl_ops_no_memory(p->st);
            return false;
        }
        if (p->n_entries) {
            memcpy(more, p->entries, p->n_entries * sizeof *more);
            memcpy(more_keys, p->entry_keys, p->n_entries * sizeof *more_keys);
        }
        p->entries = more;
        p->entry_keys = more_keys;
        p->cap = cap;
    }
    p->entries[p->n_entries] = f;
    p->entry_keys[p->n_entries++] = k;
    return true;
}

static bool read_example(parser *p, sl_str example)
{
    sl_wire w = sl_wire_open(example);
    p->n_entries = 0;
    while (sl_wire_next(&w)) {
        if (w.field != 1)
            continue;
        if (w.type != SL_WIRE_BYTES)
            return false;
        sl_wire map = sl_wire_open(w.bytes);
        while (sl_wire_next(&map))
            if (map.field == 1 && (map.type != SL_WIRE_BYTES || !keep_entry(p, map.bytes)))
                return false;
        if (map.bad)
            return false;
    }
    return !w.bad;
}

static const char *kind_name(sl_dtype t)
{
    return t == SL_DT_STRING ? "bytes" : sl_dtype_name(t);
}

static sl_code check_feature(const parser *p, const feature *f, int k, int64_t i)
{
    bool dense = k < p->cfg->n_dense;
    const dense_key *d = &p->cfg->dense[dense ? k : 0];
    sl_dtype want = dense ? d->type : p->cfg->sparse_types[k - p->cfg->n_dense];
    sl_str key = p->keys.keys[k];
    int length;
    const char *name = name_of(p, i, &length);
    char shape[256];
    if (f->type != want)
        return sl_fail(p->st, SL_INVALID_ARGUMENT,
                       dense ? "Name: %.*s, Key: %.*s, Index: %lld.  Data types don't match. Data "
                               "type: %s but expected type: %s"
                             : "Name: %.*s, Key: %.*s, Index: %lld.  Data types don't match. "
                               "Expected type: %s, Actual type: %s",
                       length, name, SL_STR_ARG(key), (long long)i,
                       sl_dtype_name(dense ? f->type : want),
                       sl_dtype_name(dense ? want : f->type));
    if (!dense)
        return SL_OK;
    sl_shape_text(d->dims, d->rank, shape, sizeof shape);
    if (!d->varying && f->count != d->stride)
        return sl_fail(p->st, SL_INVALID_ARGUMENT,
                       "Name: %.*s, Key: %.*s, Index: %lld.  Number of %s values != expected.  "
                       "Values size: %lld but output shape: %s",
                       length, name, SL_STR_ARG(key), (long long)i, kind_name(want),
                       (long long)f->count, shape);
    if (d->varying && (d->stride == 0 || f->count % d->stride != 0))
        return sl_fail(p->st, SL_INVALID_ARGUMENT,
                       "Name: %.*s, Key: %.*s, Index: %lld.  Number of %s values is not a multiple "
                       "of stride length. Saw %lld values but output shape is: %s",
                       length, name, SL_STR_ARG(key), (long long)i, kind_name(want),
                       (long long)f->count, shape);
    return SL_OK;
}

static const sl_tensor *default_of(const parser *p, int k)
{
    return &p->c->in[p->c->node->n_in - p->cfg->n_dense + k];
}

/* The features of example i: from the last to the first, so that the last of equals counts. */
static sl_code find_features(parser *p, sl_str example, int64_t i)
{
    feature *found = p->found + i * p->keys.n;
    for (int k = 0; k < p->keys.n; k++)
        found[k] = (feature){.type = SL_DT_INVALID};
    p->st->code = SL_OK;
    if (!read_example(p, example))
        return p->st->code ? p->st->code : bad_example(p, example);
    for (size_t e = p->n_entries; e-- > 0;) {
        int k = p->entry_keys[e];
        const feature *f = &p->entries[e];
        if (found[k].list.p != NULL || f->type == SL_DT_INVALID)
            continue;
        sl_code rc = check_feature(p, f, k, i);
        if (rc)
            return rc;
        found[k] = *f;
        if (found[k].list.p == NULL)
            found[k].list.p = "";
    }
    for (int k = 0; k < p->cfg->n_dense; k++) {
        const dense_key *d = &p->cfg->dense[k];
        const sl_tensor *otherwise = default_of(p, k);
        int length;
        if (found[k].type == SL_DT_INVALID && !d->varying &&
            sl_shape_count(otherwise->dims, otherwise->rank, 1) == 0) {
            const char *name = name_of(p, i, &length);
            return sl_fail(p->st, SL_INVALID_ARGUMENT,
                           "Name: %.*s, Feature: %.*s (data type: %s) is required but could not be "
                           "found.",
                           length, name, SL_STR_ARG(p->keys.keys[k]), sl_dtype_name(d->type));
        }
    }
    return SL_OK;
}

/* ---- second walk ---- */

static void fill(char *to, const char *value, int64_t n, size_t element)
{
    for (int64_t i = 0; i < n; i++)
        memcpy(to + (size_t)i * element, value, element);
}

static sl_code write_dense(parser *p, int k, bool batched)
{
    const dense_key *d = &p->cfg->dense[k];
    const sl_tensor *otherwise = default_of(p, k);
    int out = 3 * p->cfg->n_sparse + k;
    sl_tensor *t = &p->c->out[out];
    size_t element = sl_dtype_size(d->type);
    int64_t defaults = sl_shape_count(otherwise->dims, otherwise->rank, 1), longest = 0;
    for (int64_t i = 0; i < p->n; i++)
        longest = SL_MAX(longest, p->found[i * p->keys.n + k].count);
    t->rank = 0;
    if (batched)
        t->dims[t->rank++] = p->n;
    for (int i = 0; i < d->rank; i++)
        t->dims[t->rank++] = i == 0 && d->varying ? longest / SL_MAX(d->stride, 1) : d->dims[i];
    int64_t each = d->varying ? longest : d->stride;
    if (defaults != 0 && defaults != (d->varying ? 1 : d->stride))
        return sl_fail(p->st, SL_INVALID_ARGUMENT, "dense_defaults[%d] has %lld values", k,
                       (long long)defaults);
    sl_code rc = sl_ops_make(p->c, out, p->st);
    for (int64_t i = 0; i < p->n && !rc; i++) {
        const feature *f = &p->found[i * p->keys.n + k];
        char *to = (char *)t->data + (size_t)(i * each) * element;
        int64_t count = 0;
        if (f->type != SL_DT_INVALID)
            walk(f, to, &count);
        else if (!d->varying && each)
            memcpy(to, otherwise->data, (size_t)each * element);
        if (!d->varying)
            continue;
        if (defaults == 1)
            fill(to + (size_t)count * element, otherwise->data, each - count, element);
        else if (each > count)
            memset(to + (size_t)count * element, 0, (size_t)(each - count) * element);
    }
    return rc;
}

static sl_code write_sparse(parser *p, int s, bool batched)
{
    int k = p->cfg->n_dense + s;
    sl_tensor *indices = &p->c->out[s], *values = &p->c->out[p->cfg->n_sparse + s];
    sl_tensor *shape = &p->c->out[2 * p->cfg->n_sparse + s];
    int64_t total = 0, longest = 0, at = 0;
    for (int64_t i = 0; i < p->n; i++) {
        total += p->found[i * p->keys.n + k].count;
        longest = SL_MAX(longest, p->found[i * p->keys.n + k].count);
    }
    indices->rank = 2;
    indices->dims[0] = total;
    indices->dims[1] = 1 + batched;
    values->rank = shape->rank = 1;
    values->dims[0] = total;
    shape->dims[0] = 1 + batched;
    sl_code rc = sl_ops_make(p->c, s, p->st);
    if (!rc)
        rc = sl_ops_make(p->c, p->cfg->n_sparse + s, p->st);
    if (!rc)
        rc = sl_ops_make(p->c, 2 * p->cfg->n_sparse + s, p->st);
    if (rc)
        return rc;
    int64_t *index = indices->data;
    for (int64_t i = 0; i < p->n; i++) {
        const feature *f = &p->found[i * p->keys.n + k];
        int64_t count;
        walk(f, (char *)values->data + (size_t)at * sl_dtype_size(values->dtype), &count);
        at += count;
        for (int64_t j = 0; j < count; j++) {
            if (batched)
                *index++ = i;
            *index++ = j;
        }
    }
    ((int64_t *)shape->data)[0] = batched ? p->n : longest;
    if (batched)
        ((int64_t *)shape->data)[1] = longest;
    return SL_OK;
}

static sl_code parse_run(sl_op_call *c, sl_status *st)
{
    const sl_tensor *serialized = &c->in[0];
    sl_status own;
    parser p = {.c = c, .cfg = c->node->config, .st = st ? st : &own};
    sl_shape_buf b;
    if (serialized->rank > 1 || (!p.cfg->v2 && serialized->rank != 1))
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       p.cfg->v2 ? "Expected serialized to be a scalar or vector, got shape: %s"
                                 : "Expected serialized to be a vector, got shape: %s",
                       sl_ops_shape(serialized, &b));
    bool batched = serialized->rank == 1;
    size_t count;
    p.n = sl_shape_count(serialized->dims, serialized->rank, 1);
    sl_code rc = make_keys(c, p.cfg, &p.keys, st);
    if (rc)
        return rc;
    if (!sl_mul_size((size_t)p.n, (size_t)p.keys.n, &count) ||
        !sl_mul_size(count + 1, sizeof *p.found, &count) ||
        (p.found = sl_arena_try_alloc(c->arena, count)) == NULL)
        return sl_ops_no_memory(st);
    for (int64_t i = 0; i < p.n && !rc; i++)
        rc = find_features(&p, ((const sl_str *)serialized->data)[i], i);
    for (int s = 0; s < p.cfg->n_sparse && !rc; s++)
        rc = write_sparse(&p, s, batched);
    for (int k = 0; k < p.cfg->n_dense && !rc; k++)
        rc = write_dense(&p, k, batched);
    return rc;
}

const sl_op sl_ops_parse[] = {
    {"ParseExample", SL_OP_MAKES, 0, parse_configure, NULL, parse_run, NULL},
    {"ParseExampleV2", SL_OP_MAKES, 0, parse_configure, NULL, parse_run, NULL},
    {0},
};
