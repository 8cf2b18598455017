/*
 * lockup.h - from flags and configuration to what the sandbox leaves open
 */
#ifndef SL_SERVER_LOCKUP_H
#define SL_SERVER_LOCKUP_H

#include "server/config.h"
#include "server/flags.h"
#include "server/sandbox.h"

/*
 * Writable: the directories of the unix sockets, and cache_dir (or NULL). Readable (strict):
 * the directories of configuration files, keys, and the tokens and key sets that they name, and
 * --sandbox_root, or else the parents of base paths. Lists are in config->arena.
 * RESOURCE_EXHAUSTED.
 */
sl_code sl_lockup_options(const sl_flags *f, sl_server_config *config, const char *cache_dir,
                          sl_sandbox_options *out, sl_status *st);

#endif
