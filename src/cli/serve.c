/*
 * serve.c - `sluice serve`, and the program under the name tensorflow_model_server
 *
 * What differs between the two names is only what a script could see of a refusal: text on stdout
 * and status 255, or a line on stderr and status 2 (bad usage) or 1 (cannot start).
 */
#include "server/server.h"

#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/flags_cli.h"
#include "sluice/version.h"

static void print(const sl_text *text)
{
    if (text->n)
        fwrite(text->p, 1, text->n, stdout);
    fflush(stdout);
}

static int print_help(const sl_flags *f)
{
    sl_text text = {0};
    if (strcmp(f->help, "man") == 0)
        sl_flags_man(&text);
    else if (f->as_original)
        sl_flags_usage(f->program, &text);
    else
        sl_flags_help(&text);
    print(&text);
    sl_text_fini(&text);
    return f->as_original && f->help[0] == '\0' ? 255 : SL_EXIT_OK;
}

static int print_version(void)
{
    printf("TensorFlow ModelServer: %s\nTensorFlow Library: %s\n", SL_SERVING_VERSION,
           SL_SERVING_VERSION);
    fflush(stdout);
    return SL_EXIT_OK;
}

static int bad_usage(const sl_flags *f, const sl_status *st)
{
    if (!f->as_original)
        return sl_cli_usage("%s (\"sluice serve --help\" lists all flags)", st->msg);
    sl_log(SL_ERROR, "%s", st->msg);
    if (sl_str_starts(sl_str_of(st->msg), "unknown argument:")) {
        puts(st->msg); /* without pages of usage behind it: the reason must stay in sight */
        fflush(stdout);
        return 255;
    }
    sl_text text = {0};
    sl_flags_usage(f->program, &text);
    print(&text);
    sl_text_fini(&text);
    return 255;
}

bool sl_cli_flags(int argc, char **argv, sl_flags *f, int *exit_status)
{
    sl_status st = {0};
    sl_flags_init(f, argv[0]);
    if (sl_flags_parse(f, argc, argv, &st))
        *exit_status = bad_usage(f, &st);
    else if (f->help != NULL)
        *exit_status = print_help(f);
    else if (f->version)
        *exit_status = print_version();
    else
        return true;
    return false;
}

int sl_cmd_serve(int argc, char **argv)
{
    sl_flags f;
    int exit_status;
    sl_mem_keep();
    sl_fault_listen("SLUICE_FAULT");
    return sl_cli_flags(argc, argv, &f, &exit_status) ? sl_serve(&f) : exit_status;
}
