/* main.c - which of the sub-commands is wanted */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "format/nearest.h"
#include "sluice/version.h"

static int cmd_version(int argc, char **argv);
static int cmd_help(int argc, char **argv);

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} commands[] = {
    {"serve", sl_cmd_serve, "serve models over REST and gRPC (sluice serve --help)"},
    {"inspect", sl_cmd_inspect, "show what a SavedModel can be asked, and which engine can run it"},
    {"predict", sl_cmd_predict, "make one request, of a directory or of a server"},
    {"warmup", sl_cmd_warmup, "write a model's warm-up file from requests in JSON"},
    {"check", sl_cmd_check,
     "say what is wrong with flags, configuration and models before it hurts"},
    {"token", sl_cmd_token, "make an API token"},
    {"can", sl_cmd_can, "say whether somebody may do something, and why"},
    {"version", cmd_version, "print versions"},
    {"help", cmd_help, "print this"},
};

int sl_cli_refuse(const sl_status *st)
{
    fprintf(stderr, "sluice: %s\n", st->msg);
    return SL_EXIT_REFUSED;
}

int sl_cli_usage(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("sluice: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    return SL_EXIT_USAGE;
}

const char *sl_cli_value(const char *arg, const char *name)
{
    size_t n = strlen(name);
    return strncmp(arg, name, n) == 0 && arg[n] == '=' ? arg + n + 1 : NULL;
}

static void print_help(FILE *to)
{
    fputs("usage: sluice <command> [...]\n\n", to);
    for (size_t i = 0; i < SL_COUNTOF(commands); i++)
        fprintf(to, "  %-9s %s\n", commands[i].name, commands[i].help);
    fputs("\nA first try:\n"
          "  sluice inspect /models/half\n"
          "  sluice serve --model_name=half --model_base_path=/models/half --rest_api_port=8501\n",
          to);
}

static int cmd_help(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    print_help(stdout);
    return SL_EXIT_OK;
}

static int cmd_version(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    printf("sluice %s (as TensorFlow Serving %s)\n", SL_VERSION, SL_SERVING_VERSION);
    return SL_EXIT_OK;
}

static const char *command_name(void *arg, int i)
{
    (void)arg;
    return (size_t)i < SL_COUNTOF(commands) ? commands[i].name : NULL;
}

static int unknown_command(const char *name)
{
    const char *near = sl_nearest(sl_str_of(name), command_name, NULL);
    if (near != NULL)
        return sl_cli_usage("there is no command \"%s\"; did you mean \"%s\"?", name, near);
    if (strncmp(name, "--", 2) == 0)
        return sl_cli_usage("%s comes before a command; did you mean \"sluice serve %s\"?", name,
                            name);
    return sl_cli_usage("there is no command \"%s\"; \"sluice help\" lists them", name);
}

int main(int argc, char **argv)
{
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
    const char *name = slash ? slash + 1 : argc > 0 ? argv[0] : "sluice";
    if (strcmp(name, "tensorflow_model_server") == 0)
        return sl_cmd_serve(argc, argv);
    if (argc < 2) {
        print_help(stderr);
        return SL_EXIT_USAGE;
    }
    const char *wanted = argv[1];
    if (strcmp(wanted, "--help") == 0 || strcmp(wanted, "-h") == 0)
        wanted = "help";
    else if (strcmp(wanted, "--version") == 0)
        wanted = "version";
    for (size_t i = 0; i < SL_COUNTOF(commands); i++)
        if (strcmp(wanted, commands[i].name) == 0) {
            argv[1] = argv[0]; /* the command sees a command line of its own */
            return commands[i].run(argc - 1, argv + 1);
        }
    return unknown_command(wanted);
}
