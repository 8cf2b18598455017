/*
 * config.c - start-up step 2: from flags to everything that the server is told by files
 *
 * The order of the steps decides which of several errors is reported; it is the original's.
 */
#include "server/config.h"

#include "server/config_dir.h"
#include "server/config_files.h"

const sl_platform *sl_config_platform(const sl_server_config *c, const char *name)
{
    for (int i = 0; i < c->n_platforms; i++)
        if (strcmp(c->platforms[i].name, name) == 0)
            return &c->platforms[i];
    return NULL;
}

const sl_platform *sl_config_serving_platform(const sl_server_config *c)
{
    const sl_platform *p = sl_config_platform(c, "tensorflow");
    return p ? p : c->platforms;
}

static sl_code check_platform(const sl_server_config *c, const sl_model_list *l, int i,
                              sl_status *st)
{
    if (sl_config_platform(c, l->platforms[i]) != NULL)
        return SL_OK;
    return sl_fail(st, SL_INVALID_ARGUMENT, "Model %s requests unsupported platform %s",
                   l->models[i].name, l->platforms[i]);
}

sl_code sl_config_check_platforms(const sl_server_config *c, const sl_model_list *l, sl_status *st)
{
    for (int i = 0; i < l->count; i++) {
        sl_code rc = check_platform(c, l, i, st);
        if (rc)
            return rc;
    }
    return SL_OK;
}

static sl_code load_models(const sl_flags *f, sl_model_list *out, sl_status *st)
{
    sl_model_source s = {.config = f->model_config_file, .models = f->models_dir};
    if (s.config[0] || s.models[0])
        return sl_model_list_from(&s, NULL, out, st);
    return sl_model_list_single(f->model_name, f->model_base_path, out, st);
}

static sl_code load_rest(sl_flags *f, sl_server_config *c, sl_status *st)
{
    if (!f->monitoring_config_file[0] || (f->rest_api_port == 0 && !f->rest_address[0]))
        return SL_OK;
    return sl_monitoring_read(f->monitoring_config_file, &c->arena, &c->metrics_path, st);
}

static sl_code load(sl_flags *f, sl_server_config *c, sl_status *st)
{
    sl_flags_tell_no_effect(f);
    sl_code rc = sl_flags_check(f, st);
    if (rc)
        return rc;
    rc = load_models(f, &c->models, st);
    if (rc)
        return rc;
    rc = sl_platforms_read(f, &c->arena, &c->platforms, &c->n_platforms, st);
    if (rc)
        return rc;
    rc = sl_config_check_platforms(c, &c->models, st);
    if (rc)
        return rc;
    return load_rest(f, c, st);
}

sl_code sl_config_load(sl_flags *flags, sl_server_config *out, sl_status *st)
{
    memset(out, 0, sizeof *out);
    sl_code rc = sl_arena_init(&out->arena, 0);
    if (rc)
        return sl_fail(st, rc, "out of memory");
    rc = load(flags, out, st);
    if (rc)
        sl_config_fini(out);
    return rc;
}

/* ---- for `sluice check` ---- */

static void survey_models(const sl_flags *f, sl_server_config *c, const sl_config_complaint *to)
{
    sl_status st = {0}, first;
    sl_model_source s = {.config = f->model_config_file, .models = f->models_dir};
    if (!s.config[0] && !s.models[0] && !f->model_base_path[0])
        return; /* checking the flags has said so */
    if (load_models(f, &c->models, &st) == SL_OK)
        return;
    memset(&c->models, 0, sizeof c->models);
    first = st;
    if (s.models[0] || !s.config[0] || !sl_model_list_salvage(s.config, &c->models, to))
        to->tell(to->arg, &first);
}

/* The flags' platform without what may be wrong with it: models can be opened by its tags. */
static void plain_platform(const sl_flags *f, sl_server_config *c)
{
    sl_flags plain = *f;
    if (f->platform_config_file[0])
        return; /* the tags are what could not be read */
    plain.enable_batching = false;
    plain.batching_parameters_file = plain.tensorflow_session_config_file = "";
    plain.tensorflow_session_parallelism = 0;
    if (sl_platforms_read(&plain, &c->arena, &c->platforms, &c->n_platforms, NULL))
        c->n_platforms = 0;
}

static void survey(sl_flags *f, sl_server_config *c, const sl_config_complaint *to)
{
    sl_status st = {0};
    sl_flags_tell_no_effect(f);
    if (sl_flags_check(f, &st))
        to->tell(to->arg, &st);
    survey_models(f, c, to);
    if (sl_platforms_read(f, &c->arena, &c->platforms, &c->n_platforms, &st)) {
        to->tell(to->arg, &st);
        c->n_platforms = 0;
        plain_platform(f, c);
    }
    for (int i = 0; i < c->models.count && c->n_platforms > 0; i++)
        if (check_platform(c, &c->models, i, &st))
            to->tell(to->arg, &st);
    if (load_rest(f, c, &st))
        to->tell(to->arg, &st);
}

sl_code sl_config_survey(sl_flags *flags, sl_server_config *out, const sl_config_complaint *to,
                         sl_status *st)
{
    memset(out, 0, sizeof *out);
    sl_code rc = sl_arena_init(&out->arena, 0);
    if (rc)
        return sl_fail(st, rc, "out of memory");
    survey(flags, out, to);
    return SL_OK;
}

void sl_config_fini(sl_server_config *c)
{
    if (c->models.arena.top != NULL)
        sl_model_list_fini(&c->models);
    if (c->arena.top != NULL)
        sl_arena_fini(&c->arena);
    memset(c, 0, sizeof *c);
}
