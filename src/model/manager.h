/*
 * manager.h - which versions of which servables are ready
 *
 * A source tells the manager the versions of a servable that it aspires to. The manager loads and
 * unloads, on its own low-priority threads, until what is available is what is aspired. Requests
 * never wait for that: they acquire a handle on a version that is available now, and a version is
 * unloaded only after its last handle has been released.
 *
 *     source  -- set_aspired() -->  manager  -- load, close -->  engine
 *     request -- acquire() ------>  handle   -- release() ---->  manager
 *
 * Routing: what is available is one immutable table behind one atomic pointer. acquire() takes no
 * lock and never blocks, whatever is being loaded; its cost does not depend on how many models
 * there are.
 *
 * Terms and states: lifecycle.md of the contract.
 */
#ifndef SL_MODEL_MANAGER_H
#define SL_MODEL_MANAGER_H

#include "base/arena.h"
#include "base/str.h"
#include "sluice/engine.h"

typedef struct sl_manager sl_manager;

/* An available version of a servable. Immutable while a handle on it is held. There are several
 * copies of one version's struct (one for each processor or so): compare what they hold, not the
 * pointers. */
typedef struct sl_version {
    const char *model;
    int64_t number;
    const char *path;
    const sl_signatures *signatures; /* ours: outlives the sl_saved_model that load() was given */
    const sl_engine *engine;
    sl_session *session;
    void *batcher; /* the batching of this version (batch/scheduler.h), or NULL */
    void *user;    /* options.load's: the layers above hang what they prepare here */
} sl_version;

typedef struct sl_model_spec {
    sl_str model;
    bool has_version;
    int64_t version; /* if has_version */
    sl_str label;    /* n > 0: by label */
    /* For a traffic split with a sticky key (traffic.h): the value of the request's header of that
     * name, n == 0 if it has none. Called inside acquire: no lock, no allocation. NULL: there are
     * no headers. */
    sl_str (*header)(const void *arg, const char *name);
    const void *header_arg;
} sl_model_spec;

/*
 * Finds the version that a request is for: the one that it names by number or label; else an arm of
 * the model's traffic split, if it has one; else the highest. Errors in the words of rest.md 3.3:
 *   NOT_FOUND         Servable not found for request: Latest(m) | Specific(m, 7)
 *   INVALID_ARGUMENT  Unrecognized servable version label: <L>; ModelSpec has no name specified.
 * Any thread. The handle is released by sl_manager_release, on any thread, soon.
 */
sl_code sl_manager_acquire(sl_manager *m, const sl_model_spec *spec, const sl_version **out,
                           sl_status *st);
void sl_manager_release(sl_manager *m, const sl_version *v);

/*
 * A version on demand (sl_model_config.load) is loaded when it is first asked for. acquire() does
 * not wait for that: it fails, UNAVAILABLE. Who can wait asks before:
 *
 *     if (sl_manager_await(m, &spec, &a))
 *         return;                          a.ready(&a) will be called: acquire then
 *     acquire
 *     if (a.held) release(a.held)
 *
 * A request that waits costs no thread. What it has waited for is held for it: else the memory
 * budget might take a version away again between the word that it is there and acquire().
 */
typedef struct sl_awaited sl_awaited;
struct sl_awaited {
    /* Called exactly once after await() said true, perhaps before that returns: the version is
     * available, or `code` and `message` say why not. A thread of the manager: it must not
     * block. */
    void (*ready)(sl_awaited *a);
    uint64_t deadline_ns; /* 0: none */
    sl_code code;         /* set by the manager, also when await() says false */
    char message[400];
    const sl_version
        *held;        /* set by the manager, also when await() says false; or NULL. The caller's */
    sl_awaited *next; /* the manager's from here on */
    void *version;
};

/* Asks for the version that `spec` means, if that is one on demand and not available. False:
 * nothing is to be waited for; acquire() tells, or, if a->code is set, that is the reason. Any
 * thread; takes a short lock only for such versions. */
bool sl_manager_await(sl_manager *m, const sl_model_spec *spec, sl_awaited *a);
/* Whoever waits is told that the server ends, and nobody can begin to. When it returns, no ready()
 * is running. */
void sl_manager_stop_waiting(sl_manager *m);

/* A version that shall see a copy of a request which version `answered` has just answered
 * (traffic.h); false: none. The handle is released as any other. Any thread, never blocks. */
typedef struct sl_shadow_target {
    const sl_version *version;
    double rtol, atol;
} sl_shadow_target;
bool sl_manager_shadow(sl_manager *m, const sl_version *answered, sl_shadow_target *out);

typedef enum sl_state {
    SL_STATE_UNKNOWN = 0,
    SL_STATE_START = 10,
    SL_STATE_LOADING = 20,
    SL_STATE_AVAILABLE = 30,
    SL_STATE_UNLOADING = 40,
    SL_STATE_END = 50
} sl_state;
const char *sl_state_name(sl_state s);

typedef struct sl_version_info {
    int64_t number;
    sl_state state;
    sl_code code; /* why it failed, in END; else OK */
    const char *
        message; /* likewise; in START what is waited for, in LOADING how the last attempt failed */
    const char *engine; /* "native", or "" before it is chosen */
    const char *why;    /* why that engine */
    uint64_t load_us;
    uint64_t bytes; /* memory of the session, 0: unknown */
} sl_version_info;

/*
 * Versions of a model that the manager knows, highest first; texts are copied into `arena`. With
 * spec->has_version only that one. NOT_FOUND: "Could not find any versions of model <m>" | "Could
 * not find version <v> of model <m>". Labels are ignored (rest.md 4). Any thread; may take a short
 * lock.
 */
sl_code sl_manager_status(sl_manager *m, const sl_model_spec *spec, sl_arena *arena,
                          const sl_version_info **out, int *count, sl_status *st);

/* ---- configuration, as the source and the server see it ---- */

typedef enum sl_policy_kind { SL_POLICY_LATEST, SL_POLICY_ALL, SL_POLICY_SPECIFIC } sl_policy_kind;

typedef struct sl_label {
    const char *label;
    int64_t version;
} sl_label;

/* How a servable gets from its old version to its new one. */
typedef enum sl_transition {
    SL_TRANSITION_DEFAULT,      /* in a model's configuration: as the server's options say */
    SL_TRANSITION_AVAILABILITY, /* the old one serves until the new one is available */
    SL_TRANSITION_RESOURCE      /* the old one goes first: never both in memory */
} sl_transition;

typedef enum sl_load_when {
    SL_LOAD_EAGER,    /* as soon as it is there */
    SL_LOAD_ON_DEMAND /* at the first request; given up again when memory is needed */
} sl_load_when;

typedef struct sl_model_config {
    const char *name;
    const char *base_path;
    /* Where what lies at base_path is to be found on this machine, or NULL. While there is no such
     * directory the source waits for it. What is in it are links, which are followed at once: a
     * version is loaded from where its link led when it was taken. */
    const char *mirror;
    const char *engine; /* "auto", "native", "tensorflow"; NULL: the server's default */
    sl_policy_kind policy;
    unsigned num_versions;   /* LATEST; 0 means 1 */
    const int64_t *versions; /* SPECIFIC */
    int n_versions;
    const sl_label *labels;
    int n_labels;
    sl_transition transition;
    sl_load_when load;
    const struct sl_traffic_config *traffic; /* split and shadow (traffic.h); NULL: none */
} sl_model_config;

typedef struct sl_manager_options {
    /* (optional) What loaded versions hold, and loading ones will need, is now `bytes`. Any thread,
     * with the manager's lock: must not block, nor call the manager. */
    void (*on_use)(void *arg, uint64_t bytes);
    void *on_use_arg;
    /* Loads one version: opens the directory v->path, chooses the engine, loads, warms up. Load
     * thread; may take minutes. On success fills signatures, engine, session, batcher and user of
     * *v; on failure nothing. `info_why` gets a text for the status (copied by the manager). After
     * the first configuration has been loaded these threads are nice (base/thread.h), and what they start
     * inherits that: threads and processes that will answer requests are better started elsewhere.
     */
    sl_code (*load)(void *arg, const sl_model_config *config, sl_version *v, sl_text *info_why,
                    sl_status *st);
    /* Gives back what load() made; no handle is left. Unload thread (load thread, if nobody wants
     * the version any more when it is loaded). */
    void (*unload)(void *arg, sl_version *v);
    void *arg;

    int initial_load_threads; /* 0: 4 x CPUs */
    int load_threads;         /* after the first configuration; 0: 1 */
    int unload_threads;       /* 0: 1 */
    unsigned max_retries;     /* after the first attempt */
    int64_t retry_interval_us;
    uint64_t
        look_patience_ns; /* a base path that has not answered for so long is left alone until it does;
                                  0: 10 s */
    int64_t poll_seconds; /* of base paths; 0: only by configure and look; < 0: by look alone */
    /* What all sessions together may use; 0: no limit. A load that does not fit is refused, after
     * the versions on demand that were used least recently and are not in use have been given
     * up. */
    uint64_t memory_budget;
    int max_awaiting; /* requests that wait for a load at the same time; 0: 1024 */

    /* Of models whose configuration does not say; DEFAULT: AVAILABILITY. */
    sl_transition transition;

    /* A version is taken only when all of it is there (savedmodel/complete.h) and its directory has
     * not changed for settle_ns. One that stays incomplete, unchanged, for give_up_ns is loaded all
     * the same, which then says what is wrong; 0: never. */
    bool only_complete;
    uint64_t settle_ns, give_up_ns;
    const char *const *tags; /* of the meta graph that will be loaded; NULL: serve */
    int n_tags;

    uint64_t forget_ns;          /* a version that has ended is listed for so long; 0: for ever */
    bool labels_for_unavailable; /* --allow_version_labels_for_unavailable_models */
    /* (optional) Appends why a base path with a mirror has nothing to serve. Any thread, under the
     * manager's lock. */
    void (*explain)(void *arg, const char *base_path, sl_text *out);
    void *explain_arg;
    /* (optional) What is wrong with a base path in which no version was found, for the log; OK: nothing
     * that it knows of. It reads the path. */
    sl_code (*hint)(const char *base_path, sl_status *st);
    /* --strict_startup. sl_manager_wait: a version has failed only when no attempt is left. A first
     * configuration with a label for a version that is not there is refused; otherwise that is
     * logged, and the label is there as soon as the version is. */
    bool strict;
} sl_manager_options;

/*
 * For options.load, before it begins to use memory: may this version use so much? Gives up versions
 * on demand to make room, and waits a few seconds for what is just being unloaded.
 * RESOURCE_EXHAUSTED "Insufficient resources to load servable {name: m version: 1}: it needs ..."
 * The version is tried again when memory becomes free. `v` is the one that load() was given.
 */
sl_code sl_manager_reserve(sl_version *v, uint64_t bytes, sl_status *st);

sl_code sl_manager_new(const sl_manager_options *opts, sl_manager **out, sl_status *st);
/* Unloads everything, waiting for handles, and for loads that have begun. */
void sl_manager_free(sl_manager *m);
/* Is a version being loaded now? Any thread. */
bool sl_manager_is_loading(sl_manager *m);
/* Has somebody been left to a base path that does not answer? sl_manager_free waits for him. Any
 * thread. */
bool sl_manager_hangs(sl_manager *m);

/*
 * Replaces the configuration as a whole, after checking all of it (config.md section 4: names
 * unique, base paths absolute or URIs; section 5: a label's version is available, or will be
 * loaded): on failure nothing has changed. All base paths are looked at at once; models that are
 * gone are un-aspired. Does not wait for loads. Copies what it needs. Reads the base paths of
 * models with labels, and waits look_patience_ns for one that does not answer: its labels are then
 * taken as they are.
 */
sl_code sl_manager_configure(sl_manager *m, const sl_model_config *models, int count,
                             sl_status *st);

/* Looks at all base paths now, whatever poll_seconds says, and returns when that is done and the
 * loads that it brings have been queued. Any thread but those of options.load. */
void sl_manager_look(sl_manager *m);
/* The same, but does not wait. */
void sl_manager_look_soon(sl_manager *m);

/*
 * Waits until each wanted version of every configured model is AVAILABLE or has failed (its first
 * attempt; with `strict` its last), or until `deadline_ns`. Returns OK if every model then
 * has a version that is available; UNKNOWN "<n> servable(s) did not become available: {{{name: <m>
 * version: <v>} due to error: <CODE>: <message>}, }" otherwise; for a model without versions
 * {{name: <m>} due to error: NOT_FOUND: Unable to find a numerical version path for servable <m>
 * at: <base path>}. deadline_ns 0: none. A long list is cut at the status' 1023 bytes.
 */
sl_code sl_manager_wait(sl_manager *m, uint64_t deadline_ns, sl_status *st);

/* How far a model has come with what its configuration wants. */
typedef enum sl_progress {
    SL_PROGRESS_PENDING,   /* its base path is being looked at, or a wanted version is under way */
    SL_PROGRESS_AVAILABLE, /* every wanted version is available */
    SL_PROGRESS_FAILED,    /* one has failed or waits for its next attempt, or there is none */
    SL_PROGRESS_REMOVED    /* it is not configured */
} sl_progress;

/* Waits until none of these models is pending, until `deadline_ns` (0: none), or until *stop is set
 * and sl_manager_poke called. Any thread but those of options.load. */
void sl_manager_settle(sl_manager *m, const char *const *models, int count, uint64_t deadline_ns,
                       const atomic_bool *stop);
/* How it stands with a model. *serves: a version of it is available. For what is pending or failed,
 * `complaint` gets an item of sl_manager_wait's list. Any thread; takes a short lock. */
sl_progress sl_manager_progress(sl_manager *m, const char *model, bool *serves, sl_text *complaint);

/* Whoever waits in the manager looks at the clock and at its `stop` again. */
void sl_manager_poke(sl_manager *m);

/* Calls fn for every model that is configured or still has versions, for lists and metrics: name,
 * how many versions are available (or will be as soon as they are asked for), how many have not
 * ended. Takes a short lock, under which fn is called: not for the request path, and fn must not
 * call the manager. */
void sl_manager_each(sl_manager *m,
                     void (*fn)(void *arg, const char *model, int available, int versions),
                     void *arg);

#endif
