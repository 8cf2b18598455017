/*
 * cli.h - the sub-commands of `sluice`; a file each
 *
 * Each gets its own arguments: argv[0] is the program's name, argv[1] the first argument behind the
 * sub-command. Each returns the exit status: 0 did it; 1 refused, with one line of reason on
 * stderr; 2 bad usage.
 */
#ifndef SL_CLI_CLI_H
#define SL_CLI_CLI_H

#include "sluice/status.h"

enum { SL_EXIT_OK = 0, SL_EXIT_REFUSED = 1, SL_EXIT_USAGE = 2 };

int sl_cmd_serve(int argc, char **argv); /* serve.c; also under the name tensorflow_model_server */
int sl_cmd_check(int argc, char **argv); /* check.c */
int sl_cmd_inspect(int argc, char **argv); /* inspect.c */
int sl_cmd_predict(int argc, char **argv); /* predict.c */
int sl_cmd_warmup(int argc, char **argv);  /* warmup.c */
int sl_cmd_token(int argc, char **argv);   /* token.c */
int sl_cmd_can(int argc, char **argv);     /* token.c */

/* "sluice: <message>" on stderr; returns 1. */
int sl_cli_refuse(const sl_status *st);
/* "sluice: <text>" on stderr; returns 2. */
int sl_cli_usage(const char *fmt, ...) SL_PRINTF(1, 2);
/* For an argument of a sub-command "--name=value": its value, or NULL if it is another argument. */
const char *sl_cli_value(const char *arg, const char *name);

#endif
