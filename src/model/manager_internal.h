/*
 * manager_internal.h - the state that the manager's files share
 *
 *   manager.c   configuration, aspired sets, what to do next, publishing
 *   load.c      the threads that load and unload
 *   source.c    the thread that looks at base paths
 *   report.c    status, waiting, lists
 *
 * A model (sl_served) and a version that is or was managed (sl_managed) stay in memory until the
 * manager is freed, so a pointer to one needs no lock; what stands in them is guarded by the
 * manager's lock unless it says otherwise.
 *
 * Life of a version:
 *
 *   START -> (queue) -> LOADING -> AVAILABLE -> UNLOADING -> (drained) -> END
 *                        |    ^
 *                        +----+ waits in the queue for its next attempt
 */
#ifndef SL_MODEL_MANAGER_INTERNAL_H
#define SL_MODEL_MANAGER_INTERNAL_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "base/map.h"
#include "model/config.h"
#include "model/labels.h"
#include "model/manager.h"
#include "model/policy.h"
#include "model/table.h"

typedef struct sl_served sl_served;
typedef struct sl_managed sl_managed;

struct sl_managed {
    sl_served *model; /* these two never change */
    int64_t number;
    sl_managed *next; /* of the model; highest number first */

    char *path;
    sl_state state;
    sl_code code; /* in END: why it failed; in LOADING: why the last attempt did */
    char *message;
    bool managed; /* false: only its last state is remembered */
    bool aspired;

    bool queued; /* for a load */
    sl_managed *next_queued;
    uint64_t not_before; /* of the next attempt; 0: now */
    unsigned attempts;

    sl_version version; /* what load made; from AVAILABLE until unload */
    sl_serving *serving;
    char *engine, *why; /* texts for the status, or NULL */
    uint64_t load_us, bytes;

    sl_managed *next_drained; /* in the unload threads' list */
};

struct sl_served {
    sl_manager *manager;
    sl_served *next; /* in the order of the configuration that brought them */
    char *name;
    sl_kept_config *config; /* NULL: no longer configured */
    sl_managed *versions;
    sl_aspired_set pending; /* newest aspired set that was not yet taken over */
    bool has_pending;
    bool looked_at; /* its base path, since it was configured */
    sl_labels labels;

    /* What the last look remarked, so that it is logged once. The source's thread only. */
    char *remarks;
    unsigned long repeats;
};

/* What nobody can reach any more once all readers have looked away. */
typedef struct sl_garbage {
    struct sl_garbage *next;
    sl_table *table;
    sl_route *route;
    sl_serving *serving;
} sl_garbage;

struct sl_manager {
    _Atomic(sl_table *) table;
    sl_manager_options opts;

    pthread_mutex_t configuring; /* one configuration at a time; taken before `lock` */
    pthread_mutex_t lock;        /* guards all below, unless it says otherwise */
    pthread_cond_t changed;      /* any version's state, a look that ended, the end */
    sl_map by_name;
    sl_served *models;
    sl_garbage *garbage;
    bool ending;

    /* loading */
    pthread_cond_t load_work;
    sl_managed *queue, *queue_tail;
    int queued; /* versions in it */
    int idle_loaders, extra_loaders;
    int loading;  /* loads that are running */
    bool initial; /* until everything of the first configuration has been tried once */
    pthread_t *loaders;
    int n_loaders;
    struct sl_extra *ended_extra; /* threads to be joined */

    /* unloading: the list is a stack without a lock, since a request's thread may push */
    _Atomic(sl_managed *) drained;
    sem_t unload_work;
    pthread_t *unloaders;
    int n_unloaders;

    /* source */
    pthread_t source;
    bool has_source, source_ending;
    pthread_cond_t source_work;
    uint64_t looks_wanted, looks_done;
};

/* manager.c; with the lock */
void sl_manager_set_aspired(sl_served *model, sl_aspired_set *set); /* takes the set over */
void sl_manager_reconcile(sl_served *model);
void sl_manager_publish(sl_served *model);
void sl_managed_set_state(sl_managed *v, sl_state state, sl_code code, const char *message);
void sl_manager_discard(sl_manager *m, sl_garbage g);
/* manager.c; without the lock: waits for readers and frees */
void sl_manager_collect(sl_manager *m);

/* load.c */
sl_code sl_manager_start_loaders(sl_manager *m, sl_status *st);
void sl_manager_stop_loaders(sl_manager *m);
/* with the lock */
void sl_manager_enqueue(sl_managed *v);
bool sl_manager_dequeue(sl_managed *v); /* false: was not queued */
void sl_manager_cancel_retry(sl_managed *v);
/* With the lock: is the first configuration's work over? */
void sl_manager_check_initial(sl_manager *m);
/* A table's callback: any thread, never blocks */
void sl_manager_on_drained(void *managed);

/* source.c */
sl_code sl_manager_start_source(sl_manager *m, sl_status *st);
void sl_manager_stop_source(sl_manager *m);
/* With the lock: look soon. */
void sl_manager_want_look(sl_manager *m);

/* "{name: m version: 1}", as the log and error texts write it. */
#define SL_ID "{name: %s version: %lld}"
#define SL_ID_ARG(v) (v)->model->name, (long long)(v)->number

#endif
