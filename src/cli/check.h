/*
 * check.h - the parts of `sluice check`, and how a finding is printed; internal to check*.c
 *
 * What is as it should be is a line on stdout, a finding one on stderr: "sluice: warning: ..." for
 * what the server would live with, "sluice: ..." for what makes the command fail.
 */
#ifndef SL_CLI_CHECK_H
#define SL_CLI_CHECK_H

#include "guard/guard.h"
#include "model/labels.h"
#include "server/certificates.h"
#include "server/config.h"

typedef struct sl_checked_version {
    const sl_model_config *model;
    int64_t number;
    char *path;
} sl_checked_version;

typedef struct sl_check {
    sl_flags *flags;
    sl_server_config config;
    sl_certificates certificates;
    bool bad_certificates; /* they could not be opened */
    sl_guard *guard;       /* NULL without --auth_config_file */
    bool bad_auth;
    sl_checked_version *versions; /* that would be loaded, in the order of their models */
    int n_versions;
    size_t cap_versions;
    bool reload; /* --reload: the configuration is for a server that runs */
    int fatal, warnings;
} sl_check;

/* A line each. Names of models and their signatures come from files that may be anything: nothing
 * reaches a terminal that it would obey. `fatal`: the command will fail. */
void sl_check_say(const char *fmt, ...) SL_PRINTF(1, 2);
void sl_check_find(sl_check *c, bool fatal, const char *fmt, ...) SL_PRINTF(3, 4);

/* check_models.c: paths, versions, completeness, engines, signatures, labels, arms, memory. */
void sl_check_models(sl_check *c);
/* check_lockup.c: sandbox, user, cache directory; what the server reads and writes behind them. From
 * then on this process is that user, in that sandbox. */
void sl_check_lockup(sl_check *c);
/* check_ports.c: every address to listen on. */
void sl_check_ports(sl_check *c);
/* check_names.c: the versions that labels, split and shadow name. `there` and `loaded`: those in
 * the base path, and those that the version policy selects of them; ascending. */
void sl_check_names(sl_check *c, const sl_model_config *m, sl_numbers there, sl_numbers loaded);

#endif
