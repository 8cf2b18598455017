/*
 * manager_internal.h - the state that the manager's files share
 *
 *   configure.c which models are wanted
 *   manager.c   aspired sets, what to do next, forgetting
 *   expected.c  which versions there will be, as labels need to know
 *   publish.c   what is available becomes the table that requests look at
 *   load.c      the threads that load and unload
 *   source.c    when to look at which base path, and what if that does not return
 *   notice.c    the kernel's word that a base path has changed, which brings a look forward
 *   hung.c      places that do not answer
 *   look.c      what it sees at one: which versions are aspired, which are still being copied
 *   report.c    status, waiting, lists
 *   overview.c  everything at once, for those who look from outside
 *
 * A version (sl_managed) that is managed stays in memory, and so does its model (sl_served):
 * whoever loads or unloads it may hold a pointer without the lock. One that has ended is forgotten
 * after a while, by the source's thread, and a model never while somebody looks at it. What stands in them is guarded by the manager's lock
 * unless it says otherwise.
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
#include <sys/stat.h>

#include "base/map.h"
#include "base/mounts.h"
#include "base/thread.h"
#include "model/config.h"
#include "model/labels.h"
#include "model/manager.h"
#include "model/policy.h"
#include "model/table.h"

typedef struct sl_served sl_served;
typedef struct sl_managed sl_managed;
typedef struct sl_sight sl_sight;   /* look.c */
typedef struct sl_looker sl_looker; /* source.c */
typedef struct sl_hung sl_hung;     /* hung.c */

struct sl_managed {
    sl_served *model; /* these two never change */
    int64_t number;
    sl_managed *next; /* of the model; highest number first */

    char *path;
    uint64_t look;     /* of its directory, when it was taken */
    uint64_t ended_ns; /* when it reached END */
    sl_state state;
    sl_code code; /* in END: why it failed; in LOADING: why the last attempt did */
    char *message;
    char *tried; /* LOADING: why the last attempt failed, also while the next one runs */
    /* False: only its last state is remembered; or it is still being copied (START, and `message`
     * says what is missing). */
    bool managed;
    bool aspired;

    bool queued; /* for a load */
    sl_managed *next_queued;
    uint64_t not_before; /* of the next attempt; 0: now */
    unsigned attempts;

    sl_version version; /* what load made; from AVAILABLE until unload */
    sl_serving *serving;
    char *engine, *why; /* texts for the status, or NULL */
    uint64_t load_us, bytes;

    /* On demand, and the budget */
    bool demanded;     /* somebody wants it loaded */
    bool evicted;      /* it is being unloaded, to be had again */
    bool refused;      /* the last attempt failed because the budget was used up */
    uint64_t reserved; /* counted in the manager's `used` */

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
    bool looked_at;   /* its base path, since it was configured */
    char *unreadable; /* why it could not be read at the last look, if it is there; else NULL */
    sl_labels labels;

    unsigned round; /* the configuration that listed it last */
    bool not_ready; /* counted in the manager's `not_ready` */
    bool unpublished;
    sl_served *next_unpublished;
    int watch;     /* the kernel's, on its base path; 0: none */
    bool noticed;  /* the kernel has said that something changed there */
    bool settling; /* a complete version only waits until its directory has been quiet */
    sl_served *watcher_before, *watcher_after; /* others that have the same watch */

    sl_sight *sight; /* what whoever looks at it remembers; never NULL */
    int visitors;    /* who look at it now, those who do not come back included */
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
    sl_cond changed;             /* any version's state, a look that ended, the end */
    sl_map by_name;
    sl_served *models, *last_model;
    sl_served *to_publish; /* routes that have changed, and are published together */
    unsigned round;        /* counts configurations */
    unsigned forgotten;    /* counts models that were freed */
    int not_ready;         /* configured models that were not looked at yet, or settle */
    sl_garbage *garbage;
    uint64_t forget_at; /* nothing may be forgotten before; the source's */
    bool ending;

    /* loading */
    sl_cond load_work;
    sl_managed *queue, *queue_tail;
    int queued;  /* versions in it */
    int untried; /* of them, those whose first attempt this will be */
    int idle_loaders, extra_loaders;
    int loading;            /* loads that are running */
    uint64_t load_begun_ns; /* the last of them */
    bool initial;           /* until everything of the first configuration has been tried once */
    pthread_t *loaders;
    int n_loaders;
    struct sl_extra *ended_extra; /* threads to be joined */

    /* unloading: the list is a stack without a lock, since a request's thread may push */
    _Atomic(sl_managed *) drained;
    sem_t unload_work;
    pthread_t *unloaders;
    int n_unloaders;

    /* on demand */
    atomic_bool has_on_demand; /* any model is configured so; never cleared */
    sl_awaited *awaited;       /* requests that wait */
    sl_awaited *to_wake;       /* those that do no longer; collect() tells them */
    int n_awaited;
    int waking; /* threads that tell somebody just now */
    bool no_waiting;
    pthread_t timer;
    bool has_timer;
    sl_cond timer_work;

    uint64_t used;    /* of the budget */
    bool any_refused; /* some version waits for memory */

    /* source */
    pthread_t source;
    bool has_source, source_ending;
    sl_cond source_work;
    uint64_t looks_wanted, looks_done;
    uint64_t notice_due_ns; /* when to look at what was noticed; 0: nothing was */
    sl_looker *looker;      /* who looks at base paths */
    int lookers; /* threads that look, or have been left to a look that does not return */
    sl_cond looker_work;
    bool looking; /* a round is ordered, and not done */
    bool looking_at_all;
    uint64_t again; /* when to look before the next period; 0: no need to */
    sl_hung *hung;  /* places that do not answer */
    pthread_t notices;
    bool has_notices;
    atomic_bool watches_used_up;
    int notice_fd, notice_end_fd; /* if it has notices */
    sl_map watchers;              /* watch -> the first model that has it */
};

/* manager.c; with the lock */
void sl_manager_set_aspired(sl_served *model, sl_aspired_set *set); /* takes the set over */
void sl_manager_reconcile(sl_served *model);
/* After a change of `looked_at`, `settling` or `config`. */
void sl_manager_recount(sl_served *model);
bool sl_served_on_demand(const sl_served *model);
/* It can be had, and nobody has asked for it. */
bool sl_managed_is_idle(const sl_managed *v);
void sl_manager_begin_unload(sl_managed *v);
sl_managed *sl_manager_find_version(const sl_served *model, int64_t number); /* NULL: none */
/* The version's entry, a new one (state UNKNOWN) if there is none. */
sl_managed *sl_manager_need_version(sl_served *model, int64_t number);
/* Takes *at out of its list and frees it: one that is not managed. */
void sl_manager_drop_version(sl_managed **at);
/* The directory of a version that failed has changed, and looks like this now: try again. */
void sl_manager_mend(sl_served *model, int64_t number, uint64_t look);
/* Source's thread: forgets what ended long ago. Returns when to come again; 0: no need to. */
uint64_t sl_manager_forget(sl_manager *m, uint64_t now);
void sl_managed_set_state(sl_managed *v, sl_state state, sl_code code, const char *message);

/* expected.c; without the lock: the versions that there will be (sl_labels_expected). False: the base
 * path does not answer. */
bool sl_manager_expect(sl_manager *m, const sl_model_config *c, int64_t **numbers, int *count);

/* configure.c; with the lock: it is no longer configured. */
void sl_manager_remove(sl_served *model);

/* publish.c; with the lock */
void sl_manager_publish(sl_served *model);
/* The same, but together with others: at the next flush (collect() does one, too). */
void sl_manager_publish_later(sl_served *model);
void sl_manager_flush(sl_manager *m);
void sl_manager_discard(sl_manager *m, sl_garbage g);
/* The numbers of the versions that are available, ascending; the caller frees them. */
int64_t *sl_manager_available(const sl_served *model, int *count);
/* publish.c; without the lock: waits for readers and frees */
void sl_manager_collect(sl_manager *m);

/* report.c; with the lock. What a status says of a version, copied; *failed if memory ran out. */
sl_version_info sl_managed_describe(const sl_managed *v, sl_arena *arena, bool *failed);

/* load.c */
sl_code sl_manager_start_loaders(sl_manager *m, sl_status *st);
void sl_manager_stop_loaders(sl_manager *m);
/* with the lock */
void sl_manager_enqueue(sl_managed *v);
/* Starts a further thread if what is due has waited too long for the others. When to ask again; 0:
 * nobody waits. */
uint64_t sl_manager_relieve(sl_manager *m, uint64_t now);
bool sl_manager_dequeue(sl_managed *v); /* false: was not queued */
void sl_manager_cancel_retry(sl_managed *v);
/* With the lock: is the first configuration's work over? */
void sl_manager_check_initial(sl_manager *m);
/* A table's callback: any thread, never blocks */
void sl_manager_on_drained(void *managed);

/* demand.c; with the lock */
/* Its outcome is known: whoever waits for it shall be told, OK or why not. */
void sl_manager_tell(sl_managed *v, sl_code code, const char *message);
void sl_manager_start_timer(sl_manager *m);
/* Those who are to be told; whoever takes them calls sl_manager_wake soon. */
sl_awaited *sl_manager_take_told(sl_manager *m);
/* demand.c; without */
void sl_manager_stop_timer(sl_manager *m);
void sl_manager_wake(sl_manager *m, sl_awaited *list);

/* budget.c; with the lock */
void sl_manager_use(sl_managed *v, uint64_t bytes); /* from now on */
/* After memory has become free: those that were refused are tried again. */
void sl_manager_retry_refused(sl_manager *m);

/* look.c; a looker, without the lock. `sight` is the model's; if it is no longer when the look ends,
 * somebody else looks at it by now, and what was seen is dropped. */
void sl_manager_look_at(sl_served *model, sl_sight *sight, sl_kept_config *config);
/* With the lock: its base path does not answer. */
void sl_manager_cannot_look(sl_served *model);
sl_sight *sl_sight_new(void);
void sl_sight_free(sl_sight *s);
uint64_t sl_sight_look_again_ns(const sl_sight *s); /* before the next period; 0: no need to */
void sl_sight_look_no_more(sl_sight *s);

/* hung.c; see there. With the lock. */
sl_hung *sl_hung_add(sl_manager *m, const sl_model_config *c, const sl_mounts *mounts);
void sl_hung_remove(sl_manager *m, sl_hung *h);
bool sl_hung_covers(const sl_manager *m, const sl_model_config *c, const sl_mounts *mounts);

/* notice.c. Where the kernel cannot help it does without. */
void sl_manager_start_notices(sl_manager *m);
void sl_manager_stop_notices(sl_manager *m);
/* Without the lock, since a file system may not answer: the kernel's watch on this directory, or
 * -1. */
int sl_manager_watch_dir(sl_manager *m, const char *dir);
/* With the lock. That is what the model listens to from now on, and to no other; -1: to
 * none. */
void sl_manager_watch_base(sl_served *model, int watch);
void sl_manager_unwatch_base(sl_served *model);

/* source.c */
sl_code sl_manager_start_source(sl_manager *m, sl_status *st);
void sl_manager_stop_source(sl_manager *m);
/* With the lock: look soon. */
void sl_manager_want_look(sl_manager *m);

/* "{name: m version: 1}", as the log and error texts write it. */
#define SL_ID "{name: %s version: %lld}"
#define SL_ID_ARG(v) (v)->model->name, (long long)(v)->number

#endif
