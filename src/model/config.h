/* config.h - a model's configuration, kept, and the rules that need no file system */
#ifndef SL_MODEL_CONFIG_H
#define SL_MODEL_CONFIG_H

#include "model/manager.h"

/* A copy that is shared: a load or a look at the base path may go on with the one that it began
 * with while a reload replaces it. Immutable. */
typedef struct sl_kept_config {
    int refs;
    sl_model_config c;
} sl_kept_config;

sl_kept_config *sl_config_keep(const sl_model_config *c);
/* Any thread. Both accept NULL. */
sl_kept_config *sl_config_acquire(sl_kept_config *k);
void sl_config_release(sl_kept_config *k);

/* Names unique, base paths absolute or URIs: INVALID_ARGUMENT in the words of config.md 4. Then the
 * traffic's own rules (traffic.h). */
sl_code sl_config_check(const sl_model_config *models, int count, sl_status *st);

#endif
