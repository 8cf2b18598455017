/* arms.h - `sluice check`: are the versions there that a model's split and shadow name? */
#ifndef SL_CLI_ARMS_H
#define SL_CLI_ARMS_H

#include "model/manager.h"

/*
 * A line on stderr for each arm of the split, and for the shadow, whose version the base path does
 * not have, or the version policy does not load; it says which ones there are. These are warnings:
 * the server serves such a model, without that arm, and the version may come later. Only local base
 * paths that can be read are looked at.
 */
void sl_check_arms(const sl_model_config *m);

#endif
