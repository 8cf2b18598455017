/*
 * signatures.c - SignatureDefs, sorted by key
 *
 * A map in a protobuf has no order, and of a key that stands twice the later value counts: both
 * are settled here by sorting with the place in the file as the second criterion.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "savedmodel/model.h"
#include "tensorproto/tensorproto.h"

typedef struct pair {
    sl_str key, value;
} pair;

static int pair_cmp(const void *x, const void *y)
{
    const pair *a = x, *b = y;
    int c = sl_str_cmp(a->key, b->key);
    return c ? c : (a->value.p < b->value.p) - (a->value.p > b->value.p);
}

/* The entries of a map field, ascending by key, each key once. Freed with sl_free. */
static sl_code read_map(const sl_saved_model *m, sl_str wire, unsigned field, pair **out, int *n,
                        sl_status *st)
{
    int count, filled = 0;
    *n = 0;
    sl_code rc = sl_model_count(m, wire, field, &count, st);
    if (rc)
        return rc;
    pair *list = sl_try_calloc((size_t)count + 1, sizeof *list);
    if (list == NULL)
        return sl_model_no_memory(m, st);
    sl_wire w = sl_wire_open(wire);
    while (rc == SL_OK && sl_wire_next(&w))
        if (w.field == field && w.type == SL_WIRE_BYTES) {
            pair *p = &list[filled++];
            rc = sl_model_map_entry(m, w.bytes, &p->key, &p->value, st);
        }
    if (rc) {
        sl_free(list);
        return rc;
    }
    qsort(list, (size_t)filled, sizeof *list, pair_cmp);
    for (int i = 0; i < filled; i++)
        if (*n == 0 || !sl_str_eq(list[*n - 1].key, list[i].key))
            list[(*n)++] = list[i];
    *out = list;
    return SL_OK;
}

/* ---- TensorInfo ---- */

static sl_code read_shape(const sl_saved_model *m, sl_str wire, sl_tensor_info *info, sl_status *st)
{
    int dims;
    sl_code rc = sl_model_count(m, wire, 2, &dims, st);
    if (rc)
        return rc;
    /* Declared shapes are not enforced, so one that we have no room for is an unknown one. */
    if (dims > SL_MAX_RANK || sl_tensorshape_decode(wire, &info->rank, info->dims, NULL))
        info->rank = -1;
    return SL_OK;
}

static sl_code read_info(sl_saved_model *m, const pair *p, sl_tensor_info *info, sl_status *st)
{
    sl_wire w = sl_wire_open(p->value);
    sl_str name = {NULL, 0};
    sl_code rc = sl_model_text(m, p->key, &info->key, st);
    info->rank = -1; /* no tensor_shape at all */
    while (rc == SL_OK && sl_wire_next(&w)) {
        if (w.field == 2 && w.type == SL_WIRE_VARINT)
            info->dtype = w.value < SL_DT_REF + SL_DT_COUNT ? (sl_dtype)w.value : SL_DT_INVALID;
        else if (w.type != SL_WIRE_BYTES)
            continue;
        else if (w.field == 1)
            name = w.bytes;
        else if (w.field == 4 || w.field == 5) /* one of: sparse and composite take name's place */
            name = (sl_str){NULL, 0};
        else if (w.field == 3)
            rc = read_shape(m, w.bytes, info, st);
    }
    if (rc == SL_OK && w.bad)
        rc = sl_model_bad_wire(m, &w, st);
    if (rc == SL_OK && name.p != NULL)
        rc = sl_model_text(m, name, &info->name, st);
    return rc;
}

static sl_code read_infos(sl_saved_model *m, sl_str def, unsigned field, const sl_tensor_info **out,
                          int *count, sl_status *st)
{
    pair *list;
    int n;
    sl_code rc = read_map(m, def, field, &list, &n, st);
    if (rc)
        return rc;
    sl_tensor_info *infos = sl_model_try_array(m, (size_t)n, sizeof *infos);
    if (infos == NULL)
        rc = sl_model_no_memory(m, st);
    for (int i = 0; rc == SL_OK && i < n; i++)
        rc = read_info(m, &list[i], &infos[i], st);
    sl_free(list);
    *out = infos;
    *count = n;
    return rc;
}

/* ---- SignatureDef ---- */

static sl_code read_default(const sl_signature *s, const pair *p, sl_tensor *defaults,
                            sl_status *st)
{
    const size_t max_bytes = 64 << 20;
    int i = sl_tensor_infos_find(s->inputs, s->n_inputs, p->key);
    if (i < 0)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "signature \"%s\" has a default for \"%.*s\", which is no input", s->key,
                       SL_STR_ARG(p->key));
    sl_code rc = sl_tensorproto_decode(p->value, max_bytes, &defaults[i], st);
    return rc && st ? sl_wrap(st, "signature \"%s\", default of \"%s\": ", s->key, s->inputs[i].key)
                    : rc;
}

static sl_code read_defaults(sl_saved_model *m, sl_signature *s, sl_status *st)
{
    pair *list;
    int n;
    sl_code rc = read_map(m, s->def, 4, &list, &n, st);
    if (rc)
        return rc;
    sl_tensor *defaults = NULL;
    if (n > 0) {
        defaults = sl_model_try_array(m, (size_t)s->n_inputs, sizeof *defaults);
        rc = defaults ? SL_OK : sl_model_no_memory(m, st);
    }
    s->defaults = defaults; /* from here on freed with the model */
    for (int i = 0; rc == SL_OK && i < n; i++)
        rc = read_default(s, &list[i], defaults, st);
    sl_free(list);
    return rc;
}

static sl_code read_signature(sl_saved_model *m, const pair *p, sl_signature *s, sl_status *st)
{
    sl_str method;
    s->def = p->value;
    sl_code rc = sl_model_text(m, p->key, &s->key, st);
    if (rc == SL_OK)
        rc = read_infos(m, s->def, 1, &s->inputs, &s->n_inputs, st);
    if (rc == SL_OK)
        rc = read_infos(m, s->def, 2, &s->outputs, &s->n_outputs, st);
    if (rc == SL_OK)
        rc = sl_model_field(m, s->def, 3, &method, st);
    if (rc == SL_OK)
        rc = sl_model_text(m, method, &s->method_name, st);
    return rc ? rc : read_defaults(m, s, st);
}

sl_code sl_model_read_signatures(sl_saved_model *m, sl_status *st)
{
    pair *list;
    int n;
    sl_code rc = read_map(m, m->meta.wire, 5, &list, &n, st);
    if (rc)
        return rc;
    sl_signature *all = sl_model_try_array(m, (size_t)n + 1, sizeof *all);
    if (all == NULL)
        rc = sl_model_no_memory(m, st);
    else
        m->signatures = (sl_signatures){.list = all, .count = n};
    for (int i = 0; rc == SL_OK && i < n; i++)
        rc = read_signature(m, &list[i], &all[i], st);
    sl_free(list);
    return rc ? rc : sl_model_unite_signatures(m, &all[n], st);
}

void sl_model_free_signatures(sl_saved_model *m)
{
    for (int i = 0; i < m->signatures.count; i++) {
        const sl_signature *s = &m->signatures.list[i];
        for (int k = 0; s->defaults != NULL && k < s->n_inputs; k++) {
            sl_tensor t = s->defaults[k];
            sl_tensor_release(&t);
        }
    }
}
