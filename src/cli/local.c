/* local.c - see local.h */
#include "cli/local.h"

#include "base/mem.h"
#include "cli/cli.h"
#include "server/config_files.h"
#include "server/model_dir.h"

/* A tool prints what it found; what a server would log about the load is of no interest. */
static void quiet(const sl_local *l)
{
    sl_log_set_level(sl_flags_given(&l->flags, "log_level") ? (sl_log_level)l->flags.log_level
                                                            : SL_FATAL);
}

sl_code sl_local_open(sl_local *l, const char *dir, int argc, char **argv, bool *usage,
                      sl_status *st)
{
    memset(l, 0, sizeof *l);
    *usage = false;
    sl_flags_init(&l->flags, argv[0]);
    sl_code rc = sl_flags_parse(&l->flags, argc, argv, st);
    if (rc) {
        *usage = true;
        return rc;
    }
    quiet(l);
    rc = sl_arena_init(&l->arena, 0);
    if (rc)
        return sl_fail(st, rc, "out of memory");
    rc = sl_model_dir_find(dir, &l->path, &l->has_version, &l->version, st);
    if (rc)
        return rc;
    rc = sl_platforms_read(&l->flags, &l->arena, &l->platform, &l->n_platforms, st);
    if (rc == SL_OK && l->n_platforms == 0)
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "the platform file names no platform");
    if (rc)
        return rc;
    rc = sl_engines_start(&l->engines, &l->flags, &l->platform[0], &l->loader, st);
    l->engines_made = rc == SL_OK;
    l->loader.warm_up = false; /* one request does not wait for recorded ones */
    return rc;
}

void sl_local_fini(sl_local *l)
{
    if (l->engines_made)
        sl_engines_stop(&l->engines);
    sl_free(l->path);
    sl_arena_fini(&l->arena);
}

int sl_local_with_version(const char *dir, int argc, char **argv, sl_local_use *use, void *arg)
{
    sl_local l;
    sl_status st = {0};
    sl_text why = {0};
    bool usage;
    sl_model_config config = {.name = "model", .base_path = dir};
    sl_code rc = sl_local_open(&l, dir, argc, argv, &usage, &st);
    if (rc == SL_OK) {
        sl_version v = {.model = config.name, .number = l.version, .path = l.path};
        rc = sl_loader_load(&l.loader, &config, &v, &why, &st);
        if (rc == SL_OK) {
            rc = use(arg, &l, &v, &st);
            sl_loader_unload(&l.loader, &v);
        }
    }
    sl_text_fini(&why);
    sl_local_fini(&l);
    if (rc == SL_OK)
        return SL_EXIT_OK;
    return usage ? sl_cli_usage("%s", st.msg) : sl_cli_refuse(&st);
}
