/*
 * init.c - the init op's graph and the ops that fill tables
 *
 * A vocabulary file is one key a line: lines end at '\n', every '\r' is dropped, a last line
 * without its newline counts, an empty line is an error. Which part of a line is key or value: -2
 * the whole line, -1 its number, otherwise that column.
 */
#include "engine/native/init.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/mem.h"
#include "engine/native/freeze.h"

enum { LARGEST_VOCABULARY = 1 << 30, WHOLE_LINE = -2, LINE_NUMBER = -1 };

static sl_code no_memory(sl_status *st)
{
    return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory while filling a table");
}

/* ---- a table from two tensors ---- */

static sl_code table_of(const sl_op_call *c, sl_resource **r, sl_status *st)
{
    *r = sl_resource_of(&c->in[0]);
    if (*r == NULL || (*r)->kind != SL_RES_TABLE)
        return sl_fail(st, SL_INVALID_ARGUMENT, "input 0 of %s is not a table", c->node->op->name);
    return SL_OK;
}

static sl_code copy_rank1(const sl_tensor *t, sl_tensor *out, sl_status *st)
{
    if (t->rank != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "keys and values of a table must be vectors");
    if (t->dtype == SL_DT_STRING)
        return sl_tensor_try_new_strings(t->data, t->dims, 1, out, st);
    sl_code rc = sl_tensor_try_new(t->dtype, t->dims, 1, out, st);
    if (rc == SL_OK && t->size)
        memcpy(out->data, t->data, t->size);
    return rc;
}

static sl_code import_configure(sl_op_node *n, sl_status *st)
{
    return n->n_in == 3
               ? SL_OK
               : sl_fail(st, SL_INVALID_ARGUMENT, "%s has %d inputs, not 3", n->op->name, n->n_in);
}

static sl_code import_run(sl_op_call *c, sl_status *st)
{
    sl_resource *r;
    sl_tensor keys = {0}, values = {0};
    sl_code rc = table_of(c, &r, st);
    if (rc == SL_OK)
        rc = copy_rank1(&c->in[1], &keys, st);
    if (rc == SL_OK)
        rc = copy_rank1(&c->in[2], &values, st);
    if (rc == SL_OK)
        rc = sl_table_fill(r, &keys, &values, st);
    sl_tensor_release(&keys);
    sl_tensor_release(&values);
    return rc;
}

/* ---- a table from a file ---- */

typedef struct file_config {
    int64_t key_index, value_index, vocab_size, offset;
    char delimiter;
    const sl_saved_model *model; /* whose assets may be read */
} file_config;

static sl_code file_configure(sl_op_node *n, sl_status *st)
{
    file_config *f = sl_arena_try_alloc(n->arena, sizeof *f);
    if (f == NULL)
        return no_memory(st);
    sl_str delimiter = sl_node_str(n->source, "delimiter", "\t");
    *f = (file_config){.key_index = sl_node_int(n->source, "key_index", 0),
                       .value_index = sl_node_int(n->source, "value_index", 0),
                       .vocab_size = sl_node_int(n->source, "vocab_size", -1),
                       .offset = sl_node_int(n->source, "offset", 0),
                       .delimiter = delimiter.n == 1 ? delimiter.p[0] : '\t',
                       .model = n->config};
    n->config = f;
    if (n->n_in != 2 || n->in_types[1] != SL_DT_STRING || f->key_index < WHOLE_LINE ||
        f->value_index < WHOLE_LINE || delimiter.n != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "%s: wrong inputs or attributes", n->op->name);
    return SL_OK;
}

/* Lines of the file, as views; '\r' is dropped in place. */
static sl_code split_lines(sl_buffer *file, const file_config *f, sl_str **lines, int64_t *count,
                           sl_status *st)
{
    char *p = file->data, *end = p + file->size;
    size_t n = 0, cap = 0;
    *lines = NULL;
    for (int64_t at = 0; p < end; at++) {
        char *stop = memchr(p, '\n', (size_t)(end - p)), *to = p;
        char *next = stop ? stop + 1 : end;
        for (char *q = p; q < (stop ? stop : end); q++)
            if (*q != '\r')
                *to++ = *q;
        sl_str *grown = at < f->offset ? *lines : sl_try_grow(*lines, n, &cap, sizeof **lines);
        if (grown == NULL && at >= f->offset)
            return no_memory(st);
        *lines = grown;
        if (at >= f->offset && to == p)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "Invalid content: empty line found in the vocabulary file");
        if (at >= f->offset && (f->vocab_size < 0 || (int64_t)n < f->vocab_size))
            (*lines)[n++] = (sl_str){p, (size_t)(to - p)};
        p = next;
    }
    *count = (int64_t)n;
    return SL_OK;
}

static bool column(sl_str line, int64_t index, char delimiter, sl_str *out)
{
    const char *end = line.p + line.n;
    for (int64_t i = 0; line.p <= end; i++) {
        const char *stop = line.p < end ? memchr(line.p, delimiter, (size_t)(end - line.p)) : NULL;
        *out = (sl_str){line.p, (size_t)((stop ? stop : end) - line.p)};
        if (i == index)
            return true;
        if (stop == NULL)
            return false;
        line.p = stop + 1;
    }
    return false;
}

static sl_code put_number(sl_str text, sl_tensor *t, int64_t i, sl_status *st)
{
    char buf[64], *end;
    int64_t n;
    bool ok = text.n < sizeof buf;
    if (ok && (t->dtype == SL_DT_FLOAT || t->dtype == SL_DT_DOUBLE)) {
        memcpy(buf, text.p, text.n);
        buf[text.n] = '\0';
        double d = strtod(buf, &end);
        ok = text.n > 0 && *end == '\0';
        if (ok && t->dtype == SL_DT_FLOAT)
            ((float *)t->data)[i] = (float)d;
        else if (ok)
            ((double *)t->data)[i] = d;
    } else if (ok) {
        ok = sl_str_to_int64(text, &n) &&
             (t->dtype == SL_DT_INT64 || (n >= INT32_MIN && n <= INT32_MAX));
        if (ok && t->dtype == SL_DT_INT64)
            ((int64_t *)t->data)[i] = n;
        else if (ok)
            ((int32_t *)t->data)[i] = (int32_t)n;
    }
    return ok ? SL_OK
              : sl_fail(st, SL_INVALID_ARGUMENT,
                        "\"%.*s\" in the vocabulary file is not a valid %s", SL_STR_ARG(text),
                        sl_dtype_name(t->dtype));
}

/* One column of the file as a tensor of that dtype. */
static sl_code make_column(const sl_str *lines, int64_t count, int64_t index, const file_config *f,
                           sl_dtype dtype, sl_tensor *out, sl_status *st)
{
    bool numeric = dtype == SL_DT_INT64 || dtype == SL_DT_INT32 || dtype == SL_DT_FLOAT ||
                   dtype == SL_DT_DOUBLE;
    if (!numeric && dtype != SL_DT_STRING)
        return sl_fail(st, SL_FAILED_PRECONDITION, "a table of %s from a file is not supported",
                       sl_dtype_name(dtype));
    sl_str *parts = sl_try_calloc((size_t)count, sizeof *parts);
    if (parts == NULL)
        return no_memory(st);
    sl_tensor t = {0};
    sl_code rc = dtype == SL_DT_STRING ? SL_OK : sl_tensor_try_new(dtype, &count, 1, &t, st);
    for (int64_t i = 0; i < count && rc == SL_OK; i++) {
        char number[24];
        parts[i] = lines[i];
        if (index == LINE_NUMBER)
            parts[i] =
                (sl_str){number, (size_t)snprintf(number, sizeof number, "%lld", (long long)i)};
        else if (index >= 0 && !column(lines[i], index, f->delimiter, &parts[i]))
            rc = sl_fail(st, SL_INVALID_ARGUMENT,
                         "line %lld of the vocabulary file has no column %lld", (long long)i,
                         (long long)index);
        if (rc == SL_OK && numeric)
            rc = put_number(parts[i], &t, i, st);
        else if (index == LINE_NUMBER)
            rc = sl_fail(st, SL_INVALID_ARGUMENT, "line numbers cannot be strings");
    }
    if (rc == SL_OK && !numeric)
        rc = sl_tensor_try_new_strings(parts, &count, 1, &t, st);
    sl_free(parts);
    if (rc)
        sl_tensor_release(&t);
    else
        *out = t;
    return rc;
}

/* The asset of that path, NULL if the model has none. */
static const char *find_asset(const sl_saved_model *m, sl_str path)
{
    int count;
    const sl_asset *assets = sl_saved_model_assets(m, &count);
    for (int i = 0; i < count; i++)
        if (sl_str_is(path, assets[i].path))
            return assets[i].path;
    return NULL;
}

static sl_code read_asset(const sl_op_call *c, const file_config *f, sl_buffer **file,
                          sl_status *st)
{
    if (c->in[1].size != sizeof(sl_str))
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "the name of the vocabulary file must be one string");
    sl_str name = *(const sl_str *)c->in[1].data;
    const char *path = find_asset(f->model, name);
    if (path == NULL)
        return sl_fail(st, SL_PERMISSION_DENIED, "\"%.*s\" is not an asset of the model",
                       SL_STR_ARG(name));
    return sl_file_read(path, LARGEST_VOCABULARY, file, st);
}

static sl_code file_run(sl_op_call *c, sl_status *st)
{
    const file_config *f = c->node->config;
    sl_resource *r;
    sl_buffer *file = NULL;
    sl_str *lines = NULL;
    int64_t count = 0;
    sl_tensor keys = {0}, values = {0};
    sl_code rc = table_of(c, &r, st);
    if (rc == SL_OK)
        rc = read_asset(c, f, &file, st);
    if (rc == SL_OK)
        rc = split_lines(file, f, &lines, &count, st);
    if (rc == SL_OK)
        rc = make_column(lines, count, f->key_index, f, r->key_type, &keys, st);
    if (rc == SL_OK)
        rc = make_column(lines, count, f->value_index, f, r->value_type, &values, st);
    if (rc == SL_OK)
        rc = sl_table_fill(r, &keys, &values, st);
    sl_tensor_release(&keys);
    sl_tensor_release(&values);
    sl_free(lines);
    sl_buffer_release(file);
    return rc;
}

static const sl_op import_v2 = {
    "LookupTableImportV2", SL_OP_STATEFUL, 0, import_configure, NULL, import_run, NULL};
static const sl_op init_v2 = {
    "InitializeTableV2", SL_OP_STATEFUL, 0, import_configure, NULL, import_run, NULL};
static const sl_op init_v1 = {
    "InitializeTable", SL_OP_STATEFUL, 0, import_configure, NULL, import_run, NULL};
static const sl_op file_v2 = {
    "InitializeTableFromTextFileV2", SL_OP_STATEFUL, 0, file_configure, NULL, file_run, NULL};
static const sl_op file_v1 = {
    "InitializeTableFromTextFile", SL_OP_STATEFUL, 0, file_configure, NULL, file_run, NULL};
static const sl_op *const own_ops[] = {
    &import_v2, &init_v2, &init_v1, &file_v2, &file_v1, NULL};

/* ---- the graph ---- */

static sl_code asset_path(const sl_asset *a, sl_tensor *out, sl_status *st)
{
    sl_str path = sl_str_of(a->path);
    return sl_tensor_try_new_strings(&path, NULL, 0, out, st);
}

/* The asset's tensor may have been optimised away: then nobody needs it. */
static bool is_in_graph(const sl_saved_model *m, sl_str tensor)
{
    const char *colon = tensor.n ? memrchr(tensor.p, ':', tensor.n) : NULL;
    if (colon != NULL)
        tensor.n = (size_t)(colon - tensor.p);
    return sl_graph_find_node(sl_saved_model_graph(m), tensor) != NULL;
}

sl_code sl_init_build(const sl_saved_model *m, sl_ngraph **out, sl_status *st)
{
    int count, n = 0;
    const sl_asset *assets = sl_saved_model_assets(m, &count);
    *out = NULL;
    sl_ngraph_want want = {
        .target = sl_saved_model_init_op(m), .own_ops = own_ops, .own_ops_context = (void *)m};
    if (want.target.n == 0)
        return SL_OK;
    sl_str *names = sl_try_calloc((size_t)count, sizeof *names);
    sl_tensor *paths = sl_try_calloc((size_t)count, sizeof *paths);
    sl_code rc = names && paths ? SL_OK : no_memory(st);
    for (int i = 0; i < count && rc == SL_OK; i++) {
        if (!is_in_graph(m, assets[i].tensor))
            continue;
        names[n] = assets[i].tensor;
        rc = asset_path(&assets[i], &paths[n++], st);
    }
    want.feeds = names;
    want.feed_values = paths;
    want.n_feeds = n;
    if (rc == SL_OK)
        rc = sl_ngraph_build(m, &want, out, st);
    for (int i = 0; i < n; i++)
        sl_tensor_release(&paths[i]);
    sl_free(names);
    sl_free(paths);
    return rc;
}
