/*
 * labels.h - names for versions
 *
 * The configuration says where a label shall point. It points there as soon as that version is
 * available; until then it keeps pointing where it did, so that moving a label and loading its new
 * version can be one change of the configuration. Source: config.md 5.
 */
#ifndef SL_MODEL_LABELS_H
#define SL_MODEL_LABELS_H

#include "model/manager.h"

/* Versions by number, in any order. */
typedef struct sl_numbers {
    const int64_t *list;
    int count;
} sl_numbers;
bool sl_numbers_have(sl_numbers n, int64_t number);

typedef struct sl_labels {
    sl_label *list;
    int count;
} sl_labels;
void sl_labels_fini(sl_labels *l);

/* The versions that a configuration will want: for labels that come together with their version.
 * The requested ones count even if they are not there yet: they will be loaded when they come.
 * Reads the base path. Freed with sl_free. */
int64_t *sl_labels_expected(const sl_model_config *c, int *count);

/* May the configuration be taken? Each label's version must be available, or one that will be
 * loaded
 * (`expected`); with `unavailable_allowed` also any version, if the label is new or points there
 * already. FAILED_PRECONDITION "Request to assign label to version <v> of model <m>, which is not
 * currently available for inference". */
sl_code sl_labels_check(const sl_model_config *c, const sl_labels *now, sl_numbers available,
                        sl_numbers expected, bool unavailable_allowed, sl_status *st);

/* Where the labels point from now on: *now is replaced. Labels that the configuration does not have
 * disappear; one whose version went away stays. */
void sl_labels_assign(const sl_model_config *c, sl_labels *now, sl_numbers available,
                      bool unavailable_allowed);

#endif
