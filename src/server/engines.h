/*
 * engines.h - the engines as the flags ask for them
 */
#ifndef SL_SERVER_ENGINES_H
#define SL_SERVER_ENGINES_H

#include "base/launcher.h"
#include "server/config.h"
#include "server/flags.h"
#include "server/loader.h"

typedef struct sl_engines {
    void *tensorflow; /* state of the TensorFlow engine */
    const char **custom_ops;
    int n_custom_ops;
    sl_launcher *launcher; /* set by the caller, or NULL: starts what the engines need */
} sl_engines;

enum { SL_ENGINES_LAUNCHES = 2 };
/* The operations that a launcher (base/launcher.h) does for the engines; the caller frees what it
 * returns, when the launcher has been forked. */
void *sl_engines_launches(sl_engines *e, const sl_flags *flags, sl_launch ops[SL_ENGINES_LAUNCHES]);
/* Makes the engines and fills in `loader`. What `platform` points to must live as long. */
sl_code sl_engines_start(sl_engines *e, const sl_flags *flags, const sl_platform *platform,
                         sl_loader *loader, sl_status *st);
/* All sessions are closed. */
void sl_engines_stop(sl_engines *e);

#endif
