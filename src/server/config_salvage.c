/*
 * config_salvage.c - what can be taken of a list of models that the server would refuse
 *
 * The server refuses a list as a whole, for the first thing that is wrong with it. Whoever mends it
 * wants to hear all of them, and of the models beside them. So each model is made a list of its
 * own, and goes through the same checks.
 */
#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/map.h"
#include "base/mem.h"
#include "format/wire.h"
#include "proto/model_server_config.pb-c.h"
#include "server/config_dir.h"
#include "server/config_read.h"

typedef Tensorflow__Serving__ModelServerConfig pb_server;
typedef Tensorflow__Serving__ModelConfig pb_model;

typedef struct salvage {
    sl_arena arena;
    sl_text list;    /* the ModelConfigList of what can be taken */
    sl_map found_in; /* from a model's name to its file's */
    const sl_config_complaint *to;
    bool told;
} salvage;

static void tell(salvage *s, const sl_status *st)
{
    s->told = true;
    s->to->tell(s->to->arg, st);
}

static sl_code from_list(const sl_text *list, sl_model_list *out, sl_status *st)
{
    sl_text server = {0};
    sl_wire_put_bytes(&server, 1, list->n ? list->p : "", list->n);
    sl_code rc = list->failed || server.failed
                     ? sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory")
                     : sl_model_list_from_wire((sl_str){server.p, server.n}, out, st);
    sl_text_fini(&server);
    return rc;
}

static sl_code check_name(salvage *s, const char *name, const char *file, sl_status *st)
{
    const char *other = sl_map_get(&s->found_in, sl_str_of(name));
    if (other == file)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Illegal to list model %s multiple times in config list", name);
    if (other != NULL)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Illegal to list model %s multiple times in config list: it is in %s and "
                       "in %s",
                       name, other, file);
    return sl_map_try_set(&s->found_in, sl_str_of(name), (void *)(uintptr_t)file)
               ? SL_OK
               : sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory");
}

static void take_model(salvage *s, const pb_model *m, const char *file)
{
    sl_text one = {0};
    sl_model_list alone;
    sl_status st = {0};
    sl_str wire;
    sl_code rc = check_name(s, m->name, file, &st);
    if (rc == SL_OK)
        rc = sl_config_pack(&m->base, &s->arena, &wire, &st);
    if (rc == SL_OK) {
        sl_wire_put_bytes(&one, 1, wire.p, wire.n);
        rc = from_list(&one, &alone, &st);
    }
    if (rc == SL_OK) {
        sl_model_list_fini(&alone);
        sl_text_add(&s->list, one.p, one.n);
    } else {
        tell(s, &st);
    }
    sl_text_fini(&one);
}

static void take_file(salvage *s, const char *path)
{
    void *message;
    sl_status st = {0};
    sl_code rc = sl_config_read(path, &tensorflow__serving__model_server_config__descriptor,
                                &s->arena, &message, NULL, &st);
    const char *kept = sl_arena_try_strndup(&s->arena, path, strlen(path));
    const pb_server *server = rc == SL_OK ? message : NULL;
    if (rc == SL_OK &&
        server->config_case == TENSORFLOW__SERVING__MODEL_SERVER_CONFIG__CONFIG_CUSTOM_MODEL_CONFIG)
        rc = sl_fail(&st, SL_UNIMPLEMENTED,
                     "%s: ModelServer does not yet support custom model config.", path);
    if (rc == SL_OK && kept == NULL)
        rc = sl_fail(&st, SL_RESOURCE_EXHAUSTED, "out of memory");
    if (rc)
        tell(s, &st);
    if (rc ||
        server->config_case != TENSORFLOW__SERVING__MODEL_SERVER_CONFIG__CONFIG_MODEL_CONFIG_LIST)
        return;
    for (size_t i = 0; i < server->model_config_list->n_config; i++)
        take_model(s, server->model_config_list->config[i], kept);
}

static int choose(const struct dirent *e)
{
    return e->d_name[0] != '.' && sl_model_list_is_config(e->d_name);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void take_files(salvage *s, const char *dir)
{
    struct dirent **names = NULL;
    int n = scandir(dir, &names, choose, by_name);
    for (int i = 0; i < n; i++) {
        char *path = sl_path_join(dir, names[i]->d_name);
        if (path != NULL)
            take_file(s, path);
        sl_free(path);
        free(names[i]);
    }
    free(names);
}

bool sl_model_list_salvage(const char *config, sl_model_list *out, const sl_config_complaint *to)
{
    salvage s = {.to = to};
    sl_status st = {0};
    struct stat info;
    const char *local = strncmp(config, "file://", 7) == 0 ? config + 7 : config;
    memset(out, 0, sizeof *out);
    if (sl_arena_init(&s.arena, 0))
        return false;
    if (stat(local, &info) == 0 && S_ISDIR(info.st_mode))
        take_files(&s, local);
    else
        take_file(&s, config);
    if (s.told && from_list(&s.list, out, &st)) {
        memset(out, 0, sizeof *out);
        tell(&s, &st);
    }
    sl_text_fini(&s.list);
    sl_map_fini(&s.found_in);
    sl_arena_fini(&s.arena);
    return s.told;
}
