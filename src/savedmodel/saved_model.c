/*
 * saved_model.c - opening a version directory and choosing its meta graph
 *
 * saved_model.pb is read into memory, not mapped: a file that shrinks while it is being read would
 * else end the process. Everything that is read off it points into that copy.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "format/utf8.h"
#include "savedmodel/files.h"
#include "savedmodel/model.h"

/* Protobuf's own limit of a message. */
static const size_t largest_pb = INT32_MAX;

/* ---- helpers that the readers share ---- */

sl_code(sl_model_bad)(const sl_saved_model *m, const void *at, const char *what, sl_status *st)
{
    if (m->is_text)
        return sl_fail(st, SL_DATA_LOSS, "Can't parse %s/saved_model.pbtxt as text proto: %s",
                       m->dir, what);
    return sl_fail(st, SL_DATA_LOSS,
                   "Can't parse %s/saved_model.pb as binary proto: %s at byte %zu", m->dir, what,
                   (size_t)((const char *)at - (const char *)m->pb->data));
}

sl_code(sl_model_no_memory)(const sl_saved_model *m, sl_status *st)
{
    return sl_fail(st, SL_RESOURCE_EXHAUSTED, "%s/saved_model.pb%s; out of memory", m->dir,
                   m->is_text ? "txt" : "");
}

void *sl_model_try_array(sl_saved_model *m, size_t count, size_t size)
{
    size_t bytes = sl_mul_capped(SL_MAX(count, 1), size);
    void *p = sl_arena_try_alloc(&m->arena, bytes);
    if (p != NULL)
        memset(p, 0, bytes);
    return p;
}

sl_code sl_model_text(sl_saved_model *m, sl_str s, const char **out, sl_status *st)
{
    if (!sl_utf8_ok(s)) /* such a name would break the JSON that shows it */
        return sl_model_bad(m, s.p, "name that is not UTF-8", st);
    if (s.n && memchr(s.p, 0, s.n) != NULL)
        return sl_model_bad(m, s.p, "name with a zero byte", st);
    *out = sl_arena_try_strndup(&m->arena, s.n ? s.p : "", s.n);
    return *out ? SL_OK : sl_model_no_memory(m, st);
}

sl_code sl_model_map_entry(const sl_saved_model *m, sl_str entry, sl_str *key, sl_str *value,
                           sl_status *st)
{
    sl_wire w = sl_wire_open(entry);
    *key = *value = (sl_str){entry.p, 0};
    while (sl_wire_next(&w))
        if (w.type == SL_WIRE_BYTES) {
            if (w.field == 1)
                *key = w.bytes;
            else if (w.field == 2)
                *value = w.bytes;
        }
    return w.bad ? sl_model_bad_wire(m, &w, st) : SL_OK;
}

sl_code sl_model_count(const sl_saved_model *m, sl_str message, unsigned field, int *count,
                       sl_status *st)
{
    sl_wire w = sl_wire_open(message);
    *count = 0; /* fits: a file holds less than 2^31 bytes */
    while (sl_wire_next(&w))
        *count += w.field == field && w.type == SL_WIRE_BYTES;
    return w.bad ? sl_model_bad_wire(m, &w, st) : SL_OK;
}

sl_code sl_model_field(const sl_saved_model *m, sl_str message, unsigned field, sl_str *out,
                       sl_status *st)
{
    sl_wire w = sl_wire_open(message);
    *out = (sl_str){NULL, 0};
    while (sl_wire_next(&w))
        if (w.field == field && w.type == SL_WIRE_BYTES)
            *out = w.bytes;
    return w.bad ? sl_model_bad_wire(m, &w, st) : SL_OK;
}

/* ---- tags ---- */

static bool has_tag(const sl_str *tags, int n, sl_str tag)
{
    for (int i = 0; i < n; i++)
        if (sl_str_eq(tags[i], tag))
            return true;
    return false;
}

static bool same_set(const sl_str *a, int n_a, const sl_str *b, int n_b)
{
    for (int i = 0; i < n_a; i++)
        if (!has_tag(b, n_b, a[i]))
            return false;
    for (int i = 0; i < n_b; i++)
        if (!has_tag(a, n_a, b[i]))
            return false;
    return true;
}

static void add_tags(sl_text *t, const sl_str *tags, int n)
{
    sl_text_puts(t, "{");
    for (int i = 0; i < n; i++) {
        sl_text_putc(t, ' ');
        sl_text_add(t, tags[i].n ? tags[i].p : "", SL_MIN(tags[i].n, 64));
    }
    sl_text_puts(t, " }");
}

static sl_code read_tags(sl_saved_model *m, sl_str info, sl_status *st)
{
    enum { MOST = 64 }; /* so that comparing sets takes no time */
    int count, n = 0;
    sl_code rc = sl_model_count(m, info, 4, &count, st);
    if (rc)
        return rc;
    if (count > MOST)
        return sl_model_bad(m, info.p, "more than 64 tags", st);
    sl_str *tags = sl_model_try_array(m, (size_t)count, sizeof *tags);
    sl_wire w = sl_wire_open(info);
    if (tags == NULL)
        return sl_model_no_memory(m, st);
    while (sl_wire_next(&w))
        if (w.field == 4 && w.type == SL_WIRE_BYTES)
            tags[n++] = w.bytes;
    m->info.tags = tags;
    m->info.n_tags = n;
    return SL_OK;
}

/* ---- the meta graph ---- */

static sl_code split_meta_graph(const sl_saved_model *m, sl_str wire, sl_meta_graph *g,
                                sl_status *st)
{
    *g = (sl_meta_graph){.wire = wire};
    sl_wire w = sl_wire_open(wire);
    while (sl_wire_next(&w)) {
        if (w.type != SL_WIRE_BYTES)
            continue;
        if (w.field == 1)
            g->info = w.bytes;
        else if (w.field == 3)
            g->saver = w.bytes;
        else if (w.field == 7)
            g->objects = w.bytes;
        else if (w.field == 2 && g->graph.p == NULL)
            g->graph = w.bytes;
        else if (w.field == 2) /* protobuf would merge them; no writer splits a graph */
            return sl_model_bad(m, w.bytes.p, "second graph_def in a meta graph", st);
    }
    return w.bad ? sl_model_bad_wire(m, &w, st) : SL_OK;
}

static sl_code no_such_tags(const sl_str *wanted, int n_wanted, const sl_text *there, sl_status *st)
{
    sl_text t = {0};
    add_tags(&t, wanted, n_wanted);
    sl_code rc = sl_fail(st, SL_NOT_FOUND,
                         "Could not find meta graph def matching supplied tags: %s. To inspect "
                         "available tag-sets in the SavedModel, please use the SavedModel CLI: "
                         "`saved_model_cli`%s%s",
                         t.n ? t.p : "", there->n ? ". There are: " : "", there->n ? there->p : "");
    sl_text_fini(&t);
    return rc;
}

/* Takes the meta graph if its tags are the wanted ones; else notes them in `there`. */
static sl_code consider(sl_saved_model *m, sl_str wire, const sl_str *wanted, int n_wanted,
                        bool *found, sl_text *there, sl_status *st)
{
    const sl_str *before = m->info.tags;
    int n_before = m->info.n_tags;
    sl_meta_graph g;
    sl_code rc = split_meta_graph(m, wire, &g, st);
    if (rc == SL_OK)
        rc = read_tags(m, g.info, st);
    if (rc)
        return rc;
    if (same_set(m->info.tags, m->info.n_tags, wanted, n_wanted)) {
        if (*found)
            return sl_model_bad(m, wire.p, "second meta graph with the same tags", st);
        *found = true;
        m->meta = g;
        return SL_OK;
    }
    if (there->n < 512) {
        sl_text_puts(there, there->n ? ", " : "");
        add_tags(there, m->info.tags, m->info.n_tags);
    }
    m->info.tags = before;
    m->info.n_tags = n_before;
    return SL_OK;
}

static sl_code choose_meta_graph(sl_saved_model *m, const char *const *tags, int n_tags,
                                 sl_status *st)
{
    sl_str wanted[64] = {SL_STR("serve")};
    int n_wanted = 1;
    sl_text there = {0};
    bool found = false;
    sl_code rc = SL_OK;
    if (tags != NULL && n_tags > 0) {
        if (n_tags > (int)SL_COUNTOF(wanted))
            return sl_fail(st, SL_INVALID_ARGUMENT, "more than 64 tags are wanted");
        for (int i = 0; i < n_tags; i++)
            wanted[i] = sl_str_of(tags[i]);
        n_wanted = n_tags;
    }
    sl_wire w = sl_wire_open((sl_str){m->pb->data, m->pb->size});
    while (rc == SL_OK && sl_wire_next(&w))
        if (w.field == 2 && w.type == SL_WIRE_BYTES) {
            m->n_meta_graphs++;
            rc = consider(m, w.bytes, wanted, n_wanted, &found, &there, st);
        }
    if (rc == SL_OK && w.bad)
        rc = sl_model_bad_wire(m, &w, st);
    if (rc == SL_OK && !found)
        rc = no_such_tags(wanted, n_wanted, &there, st);
    sl_text_fini(&there);
    return rc;
}

static sl_code read_info(sl_saved_model *m, sl_status *st)
{
    sl_code rc = sl_model_field(m, m->meta.saver, 1, &m->filename_tensor, st);
    if (rc == SL_OK)
        rc = sl_model_field(m, m->meta.saver, 3, &m->restore_op, st);
    if (rc == SL_OK)
        rc = sl_model_field(m, m->meta.info, 5, &m->info.tensorflow_version, st);
    if (rc == SL_OK)
        rc = sl_model_field(m, m->meta.info, 6, &m->info.tensorflow_git_version, st);
    m->info.is_tf2 = m->meta.objects.n > 0;
    return rc;
}

/* Everything that saved_model.pb says, once m->pb and m->bundle are there. */
static sl_code read_model(sl_saved_model *m, const char *const *tags, int n_tags, sl_status *st)
{
    sl_code rc = choose_meta_graph(m, tags, n_tags, st);
    if (rc == SL_OK)
        rc = read_info(m, st);
    if (rc == SL_OK)
        rc = sl_model_read_graph(m, st);
    if (rc == SL_OK)
        rc = sl_model_read_signatures(m, st);
    if (rc == SL_OK)
        rc = sl_model_read_assets(m, st);
    if (rc == SL_OK)
        rc = sl_model_read_init_op(m, st);
    if (rc == SL_OK && m->bundle != NULL) {
        sl_bundle_entries(m->bundle, &m->info.n_variables);
        m->info.variables_bytes = sl_bundle_data_bytes(m->bundle);
        rc = sl_model_read_restored(m, st);
    }
    return rc;
}

/* ---- opening ---- */

static sl_code new_model(const char *dir, sl_saved_model **out, sl_status *st)
{
    size_t n = strlen(dir);
    while (n > 1 && dir[n - 1] == '/')
        n--;
    sl_saved_model *m = sl_try_calloc(1, sizeof *m);
    if (m == NULL || sl_arena_init(&m->arena, 16384)) {
        sl_free(m);
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "%s; out of memory", dir);
    }
    m->dir = sl_arena_try_strndup(&m->arena, dir, n);
    m->variables_prefix =
        m->dir ? sl_arena_try_printf(&m->arena, "%s/variables/variables", m->dir) : NULL;
    if (m->variables_prefix == NULL) {
        sl_saved_model_close(m);
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "%s; out of memory", dir);
    }
    *out = m;
    return SL_OK;
}

/* Says why there is no saved_model.pb. */
static sl_code no_pb(const sl_saved_model *m, sl_status *st)
{
    if (sl_files_exists(m->dir, "saved_model.cpb"))
        return sl_fail(st, SL_UNIMPLEMENTED,
                       "%s/saved_model.cpb; a chunked SavedModel is not supported", m->dir);
    return sl_fail(
        st, SL_NOT_FOUND,
        "Specified file path does not appear to contain a SavedModel bundle (should have "
        "a file called `saved_model.pb`)\nSpecified file path: %s",
        m->dir);
}

static sl_code read_pb(sl_saved_model *m, sl_status *st)
{
    if (sl_files_exists(m->dir, "export.meta"))
        return sl_fail(st, SL_UNIMPLEMENTED, "Session Bundle is deprecated and removed.");
    char *path = sl_path_join(m->dir, "saved_model.pb");
    if (path == NULL)
        return sl_model_no_memory(m, st);
    sl_code rc = sl_file_read(path, largest_pb, &m->pb, st);
    sl_free(path);
    if (rc == SL_NOT_FOUND)
        rc = sl_model_read_text(m, st);
    return rc == SL_NOT_FOUND ? no_pb(m, st) : rc;
}

/* No index is no error: there is nothing to restore. */
static sl_code read_bundle(sl_saved_model *m, sl_status *st)
{
    sl_code rc = sl_bundle_open(m->variables_prefix, &m->bundle, st);
    if (rc != SL_NOT_FOUND)
        return rc;
    if (st != NULL)
        *st = (sl_status){0};
    return SL_OK;
}

sl_code sl_model_open_graph(const char *dir, const char *const *tags, int n_tags,
                            sl_saved_model **out, sl_status *st)
{
    sl_saved_model *m = NULL;
    sl_code rc = new_model(dir, &m, st);
    if (rc == SL_OK)
        rc = read_pb(m, st);
    if (rc == SL_OK)
        rc = read_model(m, tags, n_tags, st);
    if (rc == SL_NOT_FOUND && m->pb != NULL && m->n_meta_graphs == 0)
        rc = sl_model_bad(m, m->pb->data, "no meta graph", st);
    if (rc == SL_OK)
        *out = m;
    else
        sl_saved_model_close(m);
    return rc;
}

sl_code sl_saved_model_open(const char *dir, const char *const *tags, int n_tags,
                            sl_saved_model **out, sl_status *st)
{
    sl_saved_model *m = NULL;
    sl_code rc = new_model(dir, &m, st);
    if (rc == SL_OK)
        rc = read_pb(m, st);
    if (rc == SL_OK)
        rc = read_bundle(m, st);
    if (rc == SL_OK)
        rc = read_model(m, tags, n_tags, st);
    if (rc == SL_OK) {
        m->info.bytes = sl_files_bytes(m->dir);
        m->info.fingerprint_uuid = sl_files_fingerprint(m->dir, &m->arena);
        *out = m;
        return SL_OK;
    }
    sl_saved_model_close(m);
    return rc;
}

sl_code sl_model_open_bytes(const char *dir, sl_buffer *pb, sl_buffer *index, sl_buffer *data,
                            sl_saved_model **out, sl_status *st)
{
    sl_saved_model *m = NULL;
    sl_code rc = new_model(dir, &m, st);
    if (rc)
        return rc;
    m->pb = sl_buffer_acquire(pb);
    if (index != NULL)
        rc = sl_bundle_open_bytes(m->variables_prefix, index, data, &m->bundle, st);
    if (rc == SL_OK)
        rc = read_model(m, NULL, 0, st);
    if (rc == SL_OK)
        *out = m;
    else
        sl_saved_model_close(m);
    return rc;
}

void sl_saved_model_close(sl_saved_model *m)
{
    if (m == NULL)
        return;
    sl_model_free_signatures(m);
    sl_model_free_restored(m);
    sl_bundle_close(m->bundle);
    sl_buffer_release(m->pb);
    sl_arena_fini(&m->arena);
    sl_free(m);
}

/* ---- answers ---- */

const char *sl_saved_model_dir(const sl_saved_model *m)
{
    return m->dir;
}

const sl_signatures *sl_saved_model_signatures(const sl_saved_model *m)
{
    return &m->signatures;
}

const sl_graph *sl_saved_model_graph(const sl_saved_model *m)
{
    return &m->graph;
}

const sl_asset *sl_saved_model_assets(const sl_saved_model *m, int *count)
{
    *count = m->n_assets;
    return m->assets;
}

sl_str sl_saved_model_init_op(const sl_saved_model *m)
{
    return m->init_op;
}

sl_str sl_saved_model_restore_op(const sl_saved_model *m)
{
    return m->restore_op;
}

sl_str sl_saved_model_filename_tensor(const sl_saved_model *m)
{
    return m->filename_tensor;
}

bool sl_saved_model_has_variables(const sl_saved_model *m)
{
    return m->bundle != NULL;
}

const char *sl_saved_model_variables_prefix(const sl_saved_model *m)
{
    return m->variables_prefix;
}

const sl_restored *sl_saved_model_restored(const sl_saved_model *m, int *count)
{
    *count = m->n_restored;
    return m->restored;
}

const sl_saved_model_info *sl_saved_model_about(const sl_saved_model *m)
{
    return &m->info;
}

const sl_bundle_entry *sl_saved_model_entries(const sl_saved_model *m, int *count)
{
    *count = 0;
    return m->bundle ? sl_bundle_entries(m->bundle, count) : NULL;
}

sl_code sl_saved_model_read(const sl_saved_model *m, sl_str key, sl_str shape_and_slice,
                            sl_tensor *out, sl_status *st)
{
    if (m->bundle == NULL)
        return sl_fail(st, SL_NOT_FOUND, "%s.index; there are no variables: key \"%.*s\" is wanted",
                       m->variables_prefix, SL_STR_ARG(key));
    return sl_bundle_read(m->bundle, key, shape_and_slice, out, st);
}
