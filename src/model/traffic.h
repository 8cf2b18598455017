/*
 * traffic.h - which version answers a request that names none, and which one sees a copy of it
 *
 * A model's configuration may divide its requests among several versions (a canary), and let a
 * further version see copies of them (a shadow). Both speak of versions or of labels:
 *
 *     traffic { split { label: "stable" weight: 95 } split { label: "canary" weight: 5 }
 *               sticky_header: "x-user" }
 *     shadow { version: 7 percent: 10 }
 *
 * A split is for requests that name neither version nor label. Each of its arms gets its weight's
 * share; one whose version is not available now gives its share to the others. With a sticky
 * header, the header's value decides, not chance: the same value leads to the same arm, in every
 * process and after every restart. It is weighted rendezvous hashing: each arm draws a number from
 * the value and its own name, and the best one wins; so a change of one weight moves only the
 * share of requests by which the weight changed, and none between the other arms.
 *
 * What a configuration means for the versions that are available is worked out when a route is
 * published (sl_traffic), so that choosing needs no lock, no allocation and no look at labels.
 */
#ifndef SL_MODEL_TRAFFIC_H
#define SL_MODEL_TRAFFIC_H

#include "model/labels.h"

/* A version, by number or by label. */
typedef struct sl_target {
    const char *label; /* NULL: by number */
    int64_t version;
} sl_target;

typedef struct sl_split_arm {
    sl_target target;
    double weight; /* 0: no requests, unless no other arm has a version */
} sl_split_arm;

typedef struct sl_traffic_config {
    const sl_split_arm *arms;
    int n_arms;                /* 0: no split */
    const char *sticky_header; /* "": chance decides */
    bool has_shadow;
    sl_target shadow;
    double shadow_percent; /* of the requests that another version answered */
    double rtol, atol;     /* a float differs if |a - b| > atol + rtol * |b| */
} sl_traffic_config;

/* A copy. Both accept NULL. */
sl_traffic_config *sl_traffic_keep(const sl_traffic_config *c);
void sl_traffic_config_free(sl_traffic_config *c);

/* INVALID_ARGUMENT "traffic of model m: ...", "shadow of model m: ...": weights or percent out of
 * range, an arm that is there twice, a label that version_labels does not have, a version that a
 * policy `specific` does not list. */
sl_code sl_traffic_check(const sl_model_config *c, sl_status *st);

/* The version that the target means now; false: its label points nowhere. */
bool sl_target_resolve(sl_target t, const sl_label *labels, int n_labels, int64_t *number);

/* What it means for a route; immutable. */
typedef struct sl_traffic sl_traffic;

/* `available`: ascending. `waiting`: versions on demand that are not available, but can be had.
 * NULL if the configuration (which may be NULL) has nothing to say. */
sl_traffic *sl_traffic_new(const char *model, const sl_traffic_config *c,
                           const sl_numbers *available, const sl_numbers *waiting,
                           const sl_label *labels, int n_labels);
void sl_traffic_free(sl_traffic *t);

enum {
    SL_TRAFFIC_NO_SPLIT = -1, /* none is configured */
    SL_TRAFFIC_NO_ARM = -2,   /* no arm has a version */
    SL_TRAFFIC_WAITS = -3     /* *number is the version, which is on demand */
};

/* For a request that names no version: the position of the one to answer it among the available
 * ones, or one of the above. With `to_await` it is only asked which version the request would like;
 * otherwise the choice is final: an arm on demand that is not there yet leaves the request to the
 * others if there are any, and the choice is counted. Any thread, without lock or allocation. `t`
 * may be NULL. */
int sl_traffic_choose(const sl_traffic *t, const sl_model_spec *spec, bool to_await,
                      int64_t *number);

/* Which version shall see a copy of a request that version `answered` has answered: its position,
 * or -1. Throws the dice. `t` may be NULL. */
int sl_traffic_shadow(const sl_traffic *t, int64_t answered, double *rtol, double *atol);
/* May sl_traffic_shadow ever say yes? */
bool sl_traffic_has_shadow(const sl_traffic *t);

#endif
