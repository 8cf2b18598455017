/*
 * assets.c - asset files and the init op
 *
 * TF2 lists its assets in MetaGraphDef.asset_file_def; TF1 only in the collection
 * "saved_model_assets", each AssetFileDef packed into an Any.
 */
#include "base/mem.h"
#include "savedmodel/model.h"

/* The value of collection_def[name]; p == NULL if there is none. */
static sl_code find_collection(const sl_saved_model *m, const char *name, sl_str *out,
                               sl_status *st)
{
    sl_wire w = sl_wire_open(m->meta.wire);
    *out = (sl_str){NULL, 0};
    while (sl_wire_next(&w)) {
        sl_str key, value;
        if (w.field != 4 || w.type != SL_WIRE_BYTES)
            continue;
        sl_code rc = sl_model_map_entry(m, w.bytes, &key, &value, st);
        if (rc)
            return rc;
        if (sl_str_is(key, name))
            *out = value;
    }
    return SL_OK; /* a malformed meta graph was found out before */
}

/* ---- assets ---- */

/* A relative path that does not climb: what stands in a file must not lead out of assets/. */
static bool stays_inside(sl_str path)
{
    if (path.n == 0 || path.p[0] == '/' || memchr(path.p, 0, path.n) != NULL)
        return false;
    for (size_t i = 0; i <= path.n; i++) {
        size_t begin = i;
        while (i < path.n && path.p[i] != '/')
            i++;
        if (sl_str_is((sl_str){path.p + begin, i - begin}, ".."))
            return false;
    }
    return true;
}

static sl_code read_asset(sl_saved_model *m, sl_str wire, sl_status *st)
{
    sl_str tensor_info, file, tensor;
    sl_code rc = sl_model_field(m, wire, 1, &tensor_info, st);
    if (rc == SL_OK)
        rc = sl_model_field(m, tensor_info, 1, &tensor, st);
    if (rc == SL_OK)
        rc = sl_model_field(m, wire, 2, &file, st);
    if (rc)
        return rc;
    if (!stays_inside(file))
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "%s/saved_model.pb; asset file \"%.*s\" is not inside assets/", m->dir,
                       SL_STR_ARG(file));
    char *path = sl_arena_try_printf(&m->arena, "%s/assets/%.*s", m->dir, (int)file.n, file.p);
    if (path == NULL)
        return sl_model_no_memory(m, st);
    m->assets[m->n_assets++] = (sl_asset){.tensor = tensor, .path = path};
    return SL_OK;
}

/* Assets are `field` of `list`, either plain or in an Any. */
static sl_code read_asset_list(sl_saved_model *m, sl_str list, unsigned field, bool any,
                               sl_status *st)
{
    int count;
    sl_code rc = sl_model_count(m, list, field, &count, st);
    if (rc)
        return rc;
    m->assets = sl_model_try_array(m, (size_t)count, sizeof *m->assets);
    if (m->assets == NULL)
        return sl_model_no_memory(m, st);
    sl_wire w = sl_wire_open(list);
    while (rc == SL_OK && sl_wire_next(&w)) {
        sl_str wire = w.bytes;
        if (w.field != field || w.type != SL_WIRE_BYTES)
            continue;
        if (any)
            rc = sl_model_field(m, w.bytes, 2, &wire, st);
        if (rc == SL_OK)
            rc = read_asset(m, wire, st);
    }
    return rc;
}

sl_code sl_model_read_assets(sl_saved_model *m, sl_status *st)
{
    sl_str collection, list = {NULL, 0};
    sl_code rc = read_asset_list(m, m->meta.wire, 6, false, st);
    if (rc || m->n_assets > 0)
        return rc;
    rc = find_collection(m, "saved_model_assets", &collection, st);
    if (rc == SL_OK)
        rc = sl_model_field(m, collection, 5, &list, st);
    return rc ? rc : read_asset_list(m, list, 1, true, st);
}

/* ---- init op ---- */

/* The signature's output names a node, like any output "node:0" or plain "node". */
static sl_code init_op_of_signature(sl_saved_model *m, bool *there, sl_status *st)
{
    const sl_str key = SL_STR("__saved_model_init_op");
    int i = sl_signatures_find(&m->signatures, key);
    *there = i >= 0;
    if (i < 0)
        return SL_OK;
    const sl_signature *s = &m->signatures.list[i];
    int k = sl_tensor_infos_find(s->outputs, s->n_outputs, key);
    if (k < 0 || s->outputs[k].name == NULL)
        return sl_fail(st, SL_FAILED_PRECONDITION, "Could not find output __saved_model_init_op");
    m->init_op = sl_node_of_tensor(sl_str_of(s->outputs[k].name));
    return SL_OK;
}

static sl_code init_op_of_collection(sl_saved_model *m, const char *name, bool *there,
                                     sl_status *st)
{
    sl_str collection, list, node;
    int count;
    sl_code rc = find_collection(m, name, &collection, st);
    *there = collection.p != NULL;
    if (rc || !*there)
        return rc;
    rc = sl_model_field(m, collection, 1, &list, st);
    if (rc == SL_OK)
        rc = sl_model_count(m, list, 1, &count, st);
    if (rc == SL_OK)
        rc = sl_model_field(m, list, 1, &node, st);
    if (rc)
        return rc;
    if (count != 1)
        return sl_fail(st, SL_FAILED_PRECONDITION, "Expected exactly one main op in : %s", m->dir);
    m->init_op = sl_node_of_tensor(node);
    return SL_OK;
}

sl_code sl_model_read_init_op(sl_saved_model *m, sl_status *st)
{
    bool there;
    sl_code rc = init_op_of_signature(m, &there, st);
    if (rc == SL_OK && !there)
        rc = init_op_of_collection(m, "saved_model_main_op", &there, st);
    if (rc == SL_OK && !there)
        rc = init_op_of_collection(m, "legacy_init_op", &there, st);
    return rc;
}
