/*
 * config_models.c - ModelServerConfig: which models, where, which of their versions
 *
 * Whatever the source (file, command line, gRPC), the list is made from the wire form of a
 * ModelServerConfig, so all three get the same checks. Everything lies in the list's arena.
 */
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "format/textpb_print.h"
#include "format/wire.h"
#include "model/traffic.h"
#include "proto/model_server_config.pb-c.h"
#include "server/config.h"
#include "server/config_read.h"

typedef Tensorflow__Serving__ModelServerConfig pb_server;
typedef Tensorflow__Serving__ModelConfig pb_model;
typedef Tensorflow__Serving__FileSystemStoragePathSourceConfig__ServableVersionPolicy pb_policy;

static sl_code out_of_memory(sl_status *st)
{
    return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory");
}

void sl_model_list_fini(sl_model_list *l)
{
    sl_arena_fini(&l->arena);
    memset(l, 0, sizeof *l);
}

/* ---- checks, in the order of config.md section 4 ---- */

static sl_code check_names(pb_model *const *models, size_t n, sl_status *st)
{
    sl_map names = {0};
    sl_code rc = SL_OK;
    for (size_t i = 0; i < n && rc == SL_OK; i++) {
        sl_str name = sl_str_of(models[i]->name);
        if (sl_map_get(&names, name) != NULL)
            rc = sl_fail(st, SL_INVALID_ARGUMENT,
                         "Illegal to list model %s multiple times in config list", name.p);
        else if (!sl_map_try_set(&names, name, models[i]))
            rc = out_of_memory(st);
    }
    sl_map_fini(&names);
    return rc;
}

/* [A-Za-z][A-Za-z0-9.]*:// */
static bool is_uri(const char *path)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    static const char more[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.";
    return strspn(path, letters) > 0 && strncmp(path + strspn(path, more), "://", 3) == 0;
}

static sl_code check_paths(pb_model *const *models, size_t n, sl_status *st)
{
    for (size_t i = 0; i < n; i++)
        if (models[i]->base_path[0] != '/' && !is_uri(models[i]->base_path))
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "Expected model %s to have an absolute path or URI; got base_path()=%s",
                           models[i]->name, models[i]->base_path);
    return SL_OK;
}

static sl_code choose_platform(const pb_model *m, const char **out, sl_status *st)
{
    int type = (int)m->model_type;
    if (type != TENSORFLOW__SERVING__MODEL_TYPE__MODEL_TYPE_UNSPECIFIED && m->model_platform[0])
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Illegal setting both ModelServerConfig::model_type (deprecated) and "
                       "ModelServerConfig::model_platform, model name is %s",
                       m->name);
    *out = m->model_platform;
    if (m->model_platform[0])
        return SL_OK;
    if (type == TENSORFLOW__SERVING__MODEL_TYPE__MODEL_TYPE_UNSPECIFIED)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Illegal setting neither ModelServerConfig::model_type (deprecated) nor "
                       "ModelServerConfig::model_platform, model name is %s",
                       m->name);
    if (type != TENSORFLOW__SERVING__MODEL_TYPE__TENSORFLOW)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "ModelServerConfig::model_type choice %d not supported.", type);
    sl_log(SL_WARNING, "Deprecated ModelServerConfig::model_type field used. Prefer "
                       "ModelServerConfig::model_platform.");
    *out = "tensorflow";
    return SL_OK;
}

sl_code sl_model_list_check_change(const sl_model_list *now, const sl_model_list *wanted,
                                   sl_status *st)
{
    sl_map platforms = {0};
    sl_code rc = SL_OK;
    for (int i = 0; i < now->count && rc == SL_OK; i++)
        if (!sl_map_try_set(&platforms, sl_str_of(now->models[i].name),
                            (void *)(uintptr_t)now->platforms[i]))
            rc = out_of_memory(st);
    for (int i = 0; i < wanted->count && rc == SL_OK; i++) {
        const char *had = sl_map_get(&platforms, sl_str_of(wanted->models[i].name));
        if (had != NULL && strcmp(had, wanted->platforms[i]) != 0)
            rc = sl_fail(
                st, SL_INVALID_ARGUMENT,
                "Illegal to change a model's platform. For model %s platform was %s and new "
                "platform requested is %s",
                wanted->models[i].name, had, wanted->platforms[i]);
    }
    sl_map_fini(&platforms);
    return rc;
}

/* ---- from message to struct ---- */

/* A label that is repeated in the map counts as its last entry says. */
static sl_code take_labels(sl_arena *arena, const pb_model *m, sl_model_config *out, sl_status *st)
{
    sl_label *labels;
    sl_map places = {0};
    sl_code rc = SL_OK;
    int count = 0;
    labels = sl_arena_try_alloc(arena, (m->n_version_labels + 1) * sizeof *labels);
    if (labels == NULL)
        return out_of_memory(st);
    for (size_t i = 0; i < m->n_version_labels && rc == SL_OK; i++) {
        sl_label label = {m->version_labels[i]->key, m->version_labels[i]->value};
        sl_label *had = sl_map_get(&places, sl_str_of(label.label));
        if (had != NULL)
            had->version = label.version;
        else if (sl_map_try_set(&places, sl_str_of(label.label), &labels[count]))
            labels[count++] = label;
        else
            rc = out_of_memory(st);
    }
    sl_map_fini(&places);
    out->labels = labels;
    out->n_labels = count;
    return rc;
}

static void take_policy(const pb_policy *policy, sl_model_config *out)
{
    out->policy = SL_POLICY_LATEST;
    if (policy == NULL)
        return;
    switch (policy->policy_choice_case) {
    case TENSORFLOW__SERVING__FILE_SYSTEM_STORAGE_PATH_SOURCE_CONFIG__SERVABLE_VERSION_POLICY__POLICY_CHOICE_LATEST:
        out->num_versions = policy->latest->num_versions;
        break;
    case TENSORFLOW__SERVING__FILE_SYSTEM_STORAGE_PATH_SOURCE_CONFIG__SERVABLE_VERSION_POLICY__POLICY_CHOICE_ALL:
        out->policy = SL_POLICY_ALL;
        break;
    case TENSORFLOW__SERVING__FILE_SYSTEM_STORAGE_PATH_SOURCE_CONFIG__SERVABLE_VERSION_POLICY__POLICY_CHOICE_SPECIFIC:
        out->policy = SL_POLICY_SPECIFIC;
        out->versions = policy->specific->versions;
        out->n_versions = (int)policy->specific->n_versions;
        if (out->n_versions == 0)
            sl_log(SL_WARNING, "No specific versions requested for servable %s.", out->name);
        break;
    default:
        break;
    }
}

/* protoc-c's names are long. */
#define SHADOW_BY(what) TENSORFLOW__SERVING__SHADOW_CONFIG__TARGET_##what
#define SPLIT_BY(what) TENSORFLOW__SERVING__TRAFFIC_CONFIG__SPLIT__TARGET_##what

static sl_code take_split(sl_arena *arena, const pb_model *m, sl_traffic_config *out, sl_status *st)
{
    const Tensorflow__Serving__TrafficConfig *t = m->traffic;
    size_t n = t ? t->n_split : 0;
    sl_split_arm *arms = sl_arena_try_alloc(arena, (n + 1) * sizeof *arms);
    if (arms == NULL)
        return out_of_memory(st);
    for (size_t i = 0; i < n; i++) {
        if (t->split[i]->target_case == SPLIT_BY(_NOT_SET))
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "traffic of model %s: split %zu has neither version nor label", m->name,
                           i + 1);
        bool labelled = t->split[i]->target_case == SPLIT_BY(LABEL);
        arms[i].target.label = labelled ? t->split[i]->label : NULL;
        arms[i].target.version = labelled ? 0 : t->split[i]->version;
        arms[i].weight = t->split[i]->weight;
    }
    out->arms = arms;
    out->n_arms = (int)n;
    out->sticky_header = t ? t->sticky_header : "";
    return SL_OK;
}

static sl_code take_shadow(const pb_model *m, sl_traffic_config *out, sl_status *st)
{
    const Tensorflow__Serving__ShadowConfig *s = m->shadow;
    if (s == NULL)
        return SL_OK;
    if (s->target_case == SHADOW_BY(_NOT_SET))
        return sl_fail(st, SL_INVALID_ARGUMENT, "shadow of model %s: neither version nor label",
                       m->name);
    bool labelled = s->target_case == SHADOW_BY(LABEL);
    out->has_shadow = true;
    out->shadow = (sl_target){labelled ? s->label : NULL, labelled ? 0 : s->version};
    out->shadow_percent = s->percent_given_case ? s->percent : 100;
    out->rtol = s->rtol_given_case ? s->rtol : 1e-4;
    out->atol = s->atol_given_case ? s->atol : 1e-6;
    return SL_OK;
}

static sl_code take_traffic(sl_arena *arena, const pb_model *m, sl_model_config *out, sl_status *st)
{
    if (m->traffic == NULL && m->shadow == NULL)
        return SL_OK;
    sl_traffic_config *c = sl_arena_try_alloc(arena, sizeof *c);
    if (c == NULL)
        return out_of_memory(st);
    *c = (sl_traffic_config){0};
    out->traffic = c;
    sl_code rc = take_split(arena, m, c, st);
    if (rc == SL_OK)
        rc = take_shadow(m, c, st);
    return rc ? rc : sl_traffic_check(out, st);
}

static sl_code take_model(sl_model_list *l, const pb_model *m, sl_status *st)
{
    sl_model_config *out = &l->models[l->count];
    sl_code rc = choose_platform(m, &l->platforms[l->count], st);
    if (rc)
        return rc;
    if (strcmp(m->engine, "") != 0 && strcmp(m->engine, "auto") != 0 &&
        strcmp(m->engine, "native") != 0 && strcmp(m->engine, "tensorflow") != 0)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "model %s asks for engine \"%s\": choose auto, native or tensorflow",
                       m->name, m->engine);
    *out = (sl_model_config){.name = m->name,
                             .base_path = m->base_path,
                             .engine = *m->engine ? m->engine : NULL,
                             .transition = (sl_transition)m->version_transition,
                             .load = m->load == TENSORFLOW__SERVING__MODEL_CONFIG__LOAD__ON_DEMAND
                                         ? SL_LOAD_ON_DEMAND
                                         : SL_LOAD_EAGER};
    take_policy(m->model_version_policy, out);
    if (m->logging_config != NULL)
        sl_log(
            SL_WARNING,
            "logging_config of model %s has no effect: this server does not log requests in that "
            "form; see --access_log",
            m->name);
    l->count++;
    rc = take_labels(&l->arena, m, out, st);
    return rc ? rc : take_traffic(&l->arena, m, out, st);
}

/* Legal, and sometimes meant: the same model under an old name and a new one. But each loads for
 * itself. */
static void remark_shared_paths(const sl_model_list *l)
{
    sl_map paths = {0};
    for (int i = 0; i < l->count; i++) {
        sl_str path = sl_str_of(l->models[i].base_path);
        const sl_model_config *other = sl_map_get(&paths, path);
        if (other != NULL)
            sl_log(SL_WARNING, "models %s and %s have the same base path %s: both load all of it",
                   other->name, l->models[i].name, path.p);
        else if (!sl_map_try_set(&paths, path, &l->models[i]))
            break;
    }
    sl_map_fini(&paths);
}

static sl_code take_list(sl_model_list *l, pb_model *const *models, size_t n, sl_status *st)
{
    sl_code rc = check_names(models, n, st);
    if (rc == SL_OK)
        rc = check_paths(models, n, st);
    if (rc)
        return rc;
    sl_str *wires = sl_arena_try_alloc(&l->arena, (n + 1) * sizeof *wires);
    l->models = sl_arena_try_alloc(&l->arena, (n + 1) * sizeof *l->models);
    l->platforms = sl_arena_try_alloc(&l->arena, (n + 1) * sizeof *l->platforms);
    l->wires = wires;
    if (wires == NULL || l->models == NULL || l->platforms == NULL)
        return out_of_memory(st);
    for (size_t i = 0; i < n && rc == SL_OK; i++) {
        rc = sl_config_pack(&models[i]->base, &l->arena, &wires[i], st);
        if (rc == SL_OK)
            rc = take_model(l, models[i], st);
    }
    if (rc == SL_OK)
        remark_shared_paths(l);
    return rc;
}

/* What is kept is written anew from what was understood: a sender may repeat what there can be only
 * one of, or put an unknown field in, and no text could say that. */
static sl_code take_server(sl_model_list *l, pb_server *s, sl_status *st)
{
    sl_config_forget_unknown(&s->base);
    sl_code rc = sl_config_pack(&s->base, &l->arena, &l->wire, st);
    if (rc)
        return rc;
    switch (s->config_case) {
    case TENSORFLOW__SERVING__MODEL_SERVER_CONFIG__CONFIG_MODEL_CONFIG_LIST:
        return take_list(l, s->model_config_list->config, s->model_config_list->n_config, st);
    case TENSORFLOW__SERVING__MODEL_SERVER_CONFIG__CONFIG_CUSTOM_MODEL_CONFIG:
        return sl_fail(st, SL_UNIMPLEMENTED,
                       "ModelServer does not yet support custom model config.");
    default:
        l->empty = true;
        return SL_OK;
    }
}

/* ---- the three sources, and the way back ---- */

sl_code sl_model_list_print(const sl_model_list *l, sl_text *out, sl_status *st)
{
    return sl_textpb_print(l->wire, &tensorflow__serving__model_server_config__descriptor, out, st);
}

sl_code sl_model_list_read(const char *path, sl_model_list *out, sl_status *st)
{
    void *message;
    memset(out, 0, sizeof *out);
    sl_code rc = sl_arena_init(&out->arena, 0);
    if (rc)
        return sl_fail(st, rc, "out of memory");
    rc = sl_config_read(path, &tensorflow__serving__model_server_config__descriptor, &out->arena,
                        &message, NULL, st);
    if (rc == SL_OK)
        rc = take_server(out, message, st);
    if (rc)
        sl_model_list_fini(out);
    return rc;
}

static sl_code take_wire(sl_model_list *l, sl_str wire, sl_status *st)
{
    void *message = NULL;
    sl_code rc = sl_config_unpack(wire, &tensorflow__serving__model_server_config__descriptor,
                                  &l->arena, &message);
    if (rc)
        return sl_fail(st, rc, "%s",
                       rc == SL_INVALID_ARGUMENT ? "malformed ModelServerConfig" : "out of memory");
    if (((pb_server *)message)->config_case ==
        TENSORFLOW__SERVING__MODEL_SERVER_CONFIG__CONFIG_CUSTOM_MODEL_CONFIG)
        return sl_fail(
            st, SL_FAILED_PRECONDITION,
            "Cannot transition to requested config. It is only legal to transition from one "
            "ModelConfigList to another.");
    return take_server(l, message, st);
}

sl_code sl_model_list_from_wire(sl_str wire, sl_model_list *out, sl_status *st)
{
    memset(out, 0, sizeof *out);
    sl_code rc = sl_arena_init(&out->arena, 0);
    if (rc)
        return sl_fail(st, rc, "out of memory");
    rc = take_wire(out, wire, st);
    if (rc)
        sl_model_list_fini(out);
    return rc;
}

sl_code sl_model_list_from_text(sl_str text, sl_model_list *out, sl_status *st)
{
    sl_text wire = {0};
    sl_code rc =
        sl_config_parse(text, &tensorflow__serving__model_server_config__descriptor, &wire, st);
    if (rc == SL_OK)
        rc = sl_model_list_from_wire((sl_str){wire.p, wire.n}, out, st);
    sl_text_fini(&wire);
    return rc;
}

sl_code sl_model_list_single(const char *name, const char *base_path, sl_model_list *out,
                             sl_status *st)
{
    sl_text model = {0}, list = {0}, server = {0};
    sl_log(SL_INFO,
           "Building single TensorFlow model file config:  model_name: %s model_base_path: %s",
           name, base_path);
    sl_wire_put_bytes(&model, 1, name, strlen(name));
    sl_wire_put_bytes(&model, 2, base_path, strlen(base_path));
    sl_wire_put_bytes(&model, 4, "tensorflow", 10);
    sl_wire_put_bytes(&list, 1, model.p, model.n);
    sl_wire_put_bytes(&server, 1, list.p, list.n);
    bool failed = model.failed || list.failed || server.failed;
    sl_code rc =
        failed ? out_of_memory(st) : sl_model_list_from_wire((sl_str){server.p, server.n}, out, st);
    sl_text_fini(&model);
    sl_text_fini(&list);
    sl_text_fini(&server);
    return rc;
}
