/*
 * check.c - `sluice check`: would the server start with these flags and files, and find its models?
 *
 * Reads what `serve` would read, with the same complaints, and then looks at what the server would
 * only find out while it runs: base paths that are not there or have no version.
 */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/flags_cli.h"
#include "server/config.h"
#include "server/model_dir.h"

/* How many models have something wrong with their directory; loading has logged what. */
static int count_wrong(const sl_model_list *l)
{
    int wrong = 0;
    for (int i = 0; i < l->count; i++)
        wrong += sl_model_dir_check(l->models[i].base_path, NULL) != SL_OK;
    return wrong;
}

int sl_cmd_check(int argc, char **argv)
{
    sl_flags f;
    sl_status st = {0};
    sl_server_config config;
    int exit_status;
    if (!sl_cli_flags(argc, argv, &f, &exit_status))
        return exit_status;
    sl_log_set_level(sl_flags_given(&f, "log_level") ? (sl_log_level)f.log_level : SL_WARNING);
    if (sl_config_load(&f, &config, &st))
        return sl_cli_refuse(&st);
    int models = config.models.count, wrong = count_wrong(&config.models);
    sl_config_fini(&config);
    if (wrong) {
        fprintf(stderr, "sluice: %d of %d models cannot be served as they are\n", wrong, models);
        return SL_EXIT_REFUSED;
    }
    printf("ok: %d model%s\n", models, models == 1 ? "" : "s");
    return SL_EXIT_OK;
}
