/*
 * config_dir.c - see config_dir.h
 *
 * Either way the result is the wire form of one ModelServerConfig, so that everything behind it is
 * the same as for one file.
 */
#include "server/config_dir.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/map.h"
#include "base/mem.h"
#include "format/wire.h"
#include "model/version_dir.h"
#include "proto/model_server_config.pb-c.h"
#include "server/config_read.h"

typedef struct names {
    char **list;
    size_t count, cap;
} names;

static void fini_names(names *n)
{
    for (size_t i = 0; i < n->count; i++)
        sl_free(n->list[i]);
    sl_free(n->list);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static sl_code no_memory(sl_status *st)
{
    return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory");
}

static sl_code add_name(names *n, const char *name, sl_status *st)
{
    char **grown = sl_try_grow(n->list, n->count, &n->cap, sizeof *grown);
    if (grown == NULL)
        return no_memory(st);
    n->list = grown;
    n->list[n->count++] = sl_strdup(name);
    return SL_OK;
}

/* The names in a directory, sorted, without those that begin with a dot. */
static sl_code list_names(const char *dir, names *out, sl_status *st)
{
    sl_code rc = SL_OK;
    DIR *d = opendir(dir);
    if (d == NULL)
        return sl_fail(st, sl_code_of_errno(errno), "%s; %s", dir, strerror(errno));
    struct dirent *e;
    for (errno = 0; rc == SL_OK && (e = readdir(d)) != NULL; errno = 0)
        if (e->d_name[0] != '.')
            rc = add_name(out, e->d_name, st);
    if (rc == SL_OK && errno != 0) /* half of a listing is worse than none */
        rc = sl_fail(st, sl_code_of_errno(errno), "%s; %s", dir, strerror(errno));
    closedir(d);
    if (rc == SL_OK && out->count > 0)
        qsort(out->list, out->count, sizeof *out->list, by_name);
    return rc;
}

/* ---- a directory of files ---- */

typedef struct merge {
    sl_arena arena;  /* of the file names and messages */
    sl_text list;    /* the ModelConfigList */
    sl_map found_in; /* from a model's name to its file's */
    bool any;        /* a file had a list, perhaps an empty one */
} merge;

bool sl_model_list_is_config(const char *name)
{
    static const char *const ends[] = {".pbtxt", ".textproto", ".conf", ".config"};
    size_t n = strlen(name);
    for (size_t i = 0; i < SL_COUNTOF(ends); i++) {
        size_t k = strlen(ends[i]);
        if (n > k && strcmp(name + n - k, ends[i]) == 0)
            return true;
    }
    return false;
}

static sl_code check_names(merge *m, const Tensorflow__Serving__ModelConfigList *l,
                           const char *name, sl_status *st)
{
    for (size_t i = 0; i < l->n_config; i++) {
        sl_str model = sl_str_of(l->config[i]->name);
        const char *other = sl_map_get(&m->found_in, model);
        if (other != NULL)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "Illegal to list model %s multiple times in config list: it is in %s "
                           "and in %s",
                           model.p, other, name);
        if (!sl_map_try_set(&m->found_in, model, (void *)(uintptr_t)name))
            return no_memory(st);
    }
    return SL_OK;
}

static sl_code add_file(merge *m, const char *dir, const char *name, sl_status *st)
{
    void *message;
    sl_str wire;
    char *path = sl_path_join(dir, name);
    const char *kept = sl_arena_try_strndup(&m->arena, name, strlen(name));
    if (path == NULL || kept == NULL) {
        sl_free(path);
        return no_memory(st);
    }
    sl_code rc = sl_config_read(path, &tensorflow__serving__model_server_config__descriptor,
                                &m->arena, &message, &wire, st);
    if (rc) {
        sl_free(path);
        return rc;
    }
    const Tensorflow__Serving__ModelServerConfig *s = message;
    if (s->config_case == TENSORFLOW__SERVING__MODEL_SERVER_CONFIG__CONFIG_CUSTOM_MODEL_CONFIG)
        rc = sl_fail(st, SL_UNIMPLEMENTED,
                     "%s: ModelServer does not yet support custom model config.", path);
    sl_free(path);
    if (rc || s->config_case == TENSORFLOW__SERVING__MODEL_SERVER_CONFIG__CONFIG__NOT_SET)
        return rc;
    rc = check_names(m, s->model_config_list, kept, st);
    m->any = true;
    sl_wire w = sl_wire_open(wire);
    while (rc == SL_OK && sl_wire_next(&w)) {
        assert(w.field == 1 && w.type == SL_WIRE_BYTES); /* of a text, and field 2 is refused */
        sl_text_add(&m->list, w.bytes.n ? w.bytes.p : "", w.bytes.n);
    }
    return rc;
}

static sl_code from_list(const sl_text *list, bool any, sl_model_list *out, sl_status *st)
{
    sl_text server = {0};
    if (any)
        sl_wire_put_bytes(&server, 1, list->n ? list->p : "", list->n);
    sl_code rc = list->failed || server.failed
                     ? no_memory(st)
                     : sl_model_list_from_wire((sl_str){server.p, server.n}, out, st);
    sl_text_fini(&server);
    return rc;
}

static sl_code read_files(const char *dir, sl_model_list *out, sl_status *st)
{
    merge m = {0};
    names n = {0};
    int files = 0;
    sl_code rc = sl_arena_init(&m.arena, 0);
    if (rc)
        return no_memory(st);
    rc = list_names(dir, &n, st);
    for (size_t i = 0; i < n.count && rc == SL_OK; i++)
        if (sl_model_list_is_config(n.list[i])) {
            files++;
            rc = add_file(&m, dir, n.list[i], st);
        }
    if (rc == SL_OK && files == 0)
        sl_log(SL_WARNING,
               "%s has no configuration: no file *.pbtxt, *.textproto, *.conf, *.config", dir);
    if (rc == SL_OK)
        rc = from_list(&m.list, m.any, out, st);
    sl_text_fini(&m.list);
    sl_map_fini(&m.found_in);
    sl_arena_fini(&m.arena);
    fini_names(&n);
    return rc;
}

/* ---- a directory of models ---- */

static bool is_served(const sl_model_list *now, const char *name)
{
    for (int i = 0; now != NULL && i < now->count; i++)
        if (strcmp(now->models[i].name, name) == 0)
            return true;
    return false;
}

/* A directory that holds a version. One that is served already may be empty for a moment, or not
 * readable: that is no wish that it be unloaded. */
static bool is_model(const sl_model_list *now, const char *name, const char *path)
{
    struct stat info;
    sl_version_dirs d;
    if (stat(path, &info) != 0 ? errno == ENOENT : !S_ISDIR(info.st_mode))
        return false;
    if (is_served(now, name))
        return true;
    if (sl_version_dirs_read(path, &d, NULL))
        return false;
    bool any = d.count > 0;
    sl_version_dirs_fini(&d);
    return any;
}

static void put_model(sl_text *list, const char *name, const char *path)
{
    sl_text model = {0};
    sl_wire_put_bytes(&model, 1, name, strlen(name));
    sl_wire_put_bytes(&model, 2, path, strlen(path));
    sl_wire_put_bytes(&model, 4, "tensorflow", 10);
    sl_wire_put_bytes(list, 1, model.p, model.n);
    list->failed |= model.failed;
    sl_text_fini(&model);
}

static sl_code scan_models(const char *dir, const sl_model_list *now, sl_model_list *out,
                           sl_status *st)
{
    names n = {0};
    sl_text list = {0};
    if (dir[0] != '/')
        return sl_fail(st, SL_INVALID_ARGUMENT, "models_dir must be an absolute path; got %s", dir);
    sl_code rc = list_names(dir, &n, st);
    for (size_t i = 0; i < n.count && rc == SL_OK; i++) {
        char *path = sl_path_join(dir, n.list[i]);
        if (path == NULL)
            rc = no_memory(st);
        else if (is_model(now, n.list[i], path))
            put_model(&list, n.list[i], path);
        sl_free(path);
    }
    if (rc == SL_OK)
        rc = from_list(&list, list.n > 0, out, st);
    sl_text_fini(&list);
    fini_names(&n);
    return rc;
}

/* ---- either, or a file ---- */

sl_code sl_model_list_from(const sl_model_source *s, const sl_model_list *now, sl_model_list *out,
                           sl_status *st)
{
    struct stat info;
    if (s->models[0])
        return scan_models(s->models, now, out, st);
    const char *local = strncmp(s->config, "file://", 7) == 0 ? s->config + 7 : s->config;
    if (stat(local, &info) == 0 && S_ISDIR(info.st_mode))
        return read_files(local, out, st);
    return sl_model_list_read(s->config, out, st);
}
