/* flags_cli.h - flags of serve and check, with what is printed instead of running */
#ifndef SL_CLI_FLAGS_CLI_H
#define SL_CLI_FLAGS_CLI_H

#include "server/flags.h"

/* True: the flags are parsed, go on. False: help, versions or a complaint were printed;
 * *exit_status says how to end. */
bool sl_cli_flags(int argc, char **argv, sl_flags *f, int *exit_status);

#endif
