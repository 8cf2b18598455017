/*
 * repository.h - one model in or out of the configuration that is in force
 *
 * The Open Inference Protocol loads and unloads models by name. Unloading takes the model's entry
 * out of the configuration and remembers it; loading puts it back, or, for a model that is there,
 * applies the configuration again and waits for it. All of it goes the one way of every change
 * (reload.h). A configuration that comes from a file or a client afterwards decides anew.
 */
#ifndef SL_SERVER_REPOSITORY_H
#define SL_SERVER_REPOSITORY_H

#include "server/reload.h"

typedef struct sl_repository {
    sl_reload *reload;
    sl_text unloaded; /* ModelConfigs that were taken out: a ModelConfigList in its wire form */
} sl_repository;

void sl_repository_fini(sl_repository *r);

/*
 * For sl_oip_options.change: `repository` is an sl_repository. One at a time, on a thread that may
 * wait for minutes. NOT_FOUND: no such model is or was configured; else what a reload says.
 */
sl_code sl_repository_change(void *repository, sl_str model, bool load, sl_status *st);

#endif
