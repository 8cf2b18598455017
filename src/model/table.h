/*
 * table.h - the routing table: from a request's words to a version, without a lock
 *
 * The table is immutable: a change makes a new one that shares the entries of all other models, and
 * swaps one atomic pointer. A handle is a reference on one of several copies ("stripes") of the
 * version's public struct, so that threads that serve the same model do not fight over one counter:
 *
 *     sl_serving:  [stripe 0: sl_version, refs] [stripe 1: ...] ...      live = stripes in use
 *
 * Every stripe starts with one reference of the table's. When the version has left the table these
 * are given up; the last release of the last stripe calls `drained`, and nothing touches the
 * serving after.
 *
 * Writers (publish, retire) are serialised by the manager's lock; acquire and release run anywhere.
 */
#ifndef SL_MODEL_TABLE_H
#define SL_MODEL_TABLE_H

#include <stdatomic.h>

#include "model/manager.h"
#include "model/traffic.h"

typedef struct sl_serving sl_serving;

/* Makes the stripes of a version that was loaded; `v` is copied, what it points to must live until
 * `drained` was called: on the thread of the last release, which may be a request's: it must not
 * block. */
sl_serving *sl_serving_new(const sl_version *v, void (*drained)(void *arg), void *arg);
/* Before it is published: each acquire notes the time. */
void sl_serving_note_uses(sl_serving *s);
/* When it was acquired last, as far as that was noted (0: never), and whether a handle is out now.
 * Any time until retire. */
uint64_t sl_serving_last_use(const sl_serving *s);
bool sl_serving_in_use(const sl_serving *s);
/* A handle on it, whatever the table says: while the manager's lock is held and it is AVAILABLE. */
const sl_version *sl_serving_hold(sl_serving *s);
/* Gives up the table's references. After sl_readers_wait() has shown that no reader of an older
 * table is left. */
void sl_serving_retire(sl_serving *s);
/* After drained, or if it was never published. */
void sl_serving_free(sl_serving *s);

/* What the table says about one model. Immutable once published. */
typedef struct sl_route {
    char *model;
    size_t model_len;
    uint64_t hash;
    int n_versions; /* available */
    sl_serving **versions;
    int64_t *numbers; /* ascending */
    int n_labels;
    sl_label *labels;
    int n_waiting; /* versions on demand that are not available */
    int64_t *waiting;
    bool latest_waits;   /* the latest version is one of them */
    sl_traffic *traffic; /* or NULL */
} sl_route;

/* Copies everything; `versions` ascending by number. The route's traffic may be set afterwards: it
 * is then the route's. */
sl_route *sl_route_new(const char *model, sl_serving *const *versions, const int64_t *numbers,
                       int n_versions, const sl_label *labels, int n_labels);
/* Before it is published: these versions can be had when they are asked for; the last one is the
 * latest of all if `latest` says so. */
void sl_route_set_waiting(sl_route *r, const int64_t *numbers, int count, bool latest);
void sl_route_free(sl_route *r);

typedef struct sl_table sl_table;

/* The table with the model's route replaced by `route` (NULL: removed). `old` may be NULL. The
 * route that was there, which the old table still uses, is stored in *gone, or NULL. */
sl_table *sl_table_with(const sl_table *old, const char *model, sl_route *route, sl_route **gone);
/* The same in parts, for many changes at once: a copy with room for `more` routes (old may be
 * NULL), then for each model sl_table_put, which returns the route that was there. */
sl_table *sl_table_copy(const sl_table *old, size_t more);
sl_route *sl_table_put(sl_table *t, const char *model, sl_route *route);
/* Frees the table, not its routes. */
void sl_table_free(sl_table *t);
/* Frees the routes too: at the end. */
void sl_table_free_all(sl_table *t);

/* Is what `spec` means a version on demand that is not available? Then its number is in *number. If
 * it is one on demand that is available, *held is a handle on it; else NULL. */
bool sl_table_waits(_Atomic(sl_table *) *current, const sl_model_spec *spec, int64_t *number,
                    const sl_version **held);

/* sl_manager_acquire over the table that *current points to. */
sl_code sl_table_acquire(_Atomic(sl_table *) *current, const sl_model_spec *spec,
                         const sl_version **out, sl_status *st);
void sl_version_release(const sl_version *v);
/* sl_manager_shadow over the table that *current points to. */
bool sl_table_shadow(_Atomic(sl_table *) *current, const sl_version *answered,
                     sl_shadow_target *out);

#endif
