/*
 * internal.h - the engine's own parts, for the files of this folder
 *
 *     tf_engine    options, the host process, the list of sessions        one per server
 *     sl_session   one loaded version; lives through restarts             one per load()
 *     tf_child     one process that runs (or loads) that version          one per start
 *     tf_place     the server's side of a slot                            up to 64 per child
 *     tf_region    a slot's shared memory; outlives all of them while an output refers to it
 *
 * The engine's thread (watch.c) starts processes, reads what they say and notices that they end. It
 * alone changes `state`, except that load() begins with LOADING and close() ends with CLOSING.
 *
 * Locks: engine->lock, then session->lock. A field says which guards it; where nothing stands, it
 * is set once, before anybody else can see it.
 */
#ifndef SL_ENGINE_TENSORFLOW_INTERNAL_H
#define SL_ENGINE_TENSORFLOW_INTERNAL_H

#include <limits.h>
#include <pthread.h>
#include <sys/types.h>

#include "base/str.h"
#include "base/thread.h"
#include "engine/tensorflow/protocol.h"
#include "engine/tensorflow/tensorflow.h"

typedef struct tf_engine tf_engine;

/* ---- regions (region.c) ---- */

typedef struct tf_region {
    int refs; /* atomic: the place's, and one for each output that lies in it */
    int fd;
    char *base;
    size_t size;
} tf_region;

/* NULL: memory or descriptors have run out. */
tf_region *tf_region_new(size_t size);
tf_region *tf_region_acquire(tf_region *r);
void tf_region_release(tf_region *r); /* accepts NULL */
/* Makes it at least `size` bytes; it may move. The caller has the only reference. False: no memory.
 */
bool tf_region_grow(tf_region *r, size_t size);
/* Maps what the other side says that it has grown to; false if that is not so. */
bool tf_region_follow(tf_region *r, uint64_t size);
/* Gives the pages of an idle region back; it keeps its size. */
void tf_region_trim(tf_region *r);
/* A memfd that can be sealed; -1: none to be had. */
int tf_memfd(const char *name);
/* Maps it to read and write; MAP_FAILED: no memory. */
void *tf_map(int fd, size_t size);
/* A memfd that cannot change its size any more; -1: none to be had. */
int tf_sealed_memfd(const char *name, size_t size, const void *contents);

/* ---- children ---- */

typedef enum tf_place_state { TF_FREE, TF_BUSY, TF_ABANDONED } tf_place_state;

typedef struct tf_place {
    tf_place_state state;
    tf_region *region;
    uint32_t generation; /* of the REGION message that the child was sent last; 0: none yet */
    bool replace;        /* the child keeps this region: a new one before the next request */
    uint64_t since_ns;   /* ABANDONED: when; FREE: last used */
} tf_place;

typedef struct tf_child {
    int refs; /* session->lock */
    int socket;
    sl_tf_control *control;
    pid_t pid;         /* engine->lock; 0: not forked yet */
    uint64_t ready_ns; /* engine->lock; 0: still loads */
    bool hung_up;      /* engine->lock; its socket is closed, its end is awaited */
    /* session->lock */
    bool dead;
    tf_place places[SL_TF_SLOTS];
    int n_places;
    int free[SL_TF_SLOTS]; /* a stack: the one used last is warm */
    int n_free, n_abandoned;
    char death[384]; /* set before `dead` */
} tf_child;

/* Lines of a process's stderr on their way into the log. Engine's thread only. */
typedef struct tf_lines {
    int fd; /* -1: none */
    char text[1024];
    size_t n;
    uint64_t window_ns; /* rate limit: when the window began */
    int in_window, dropped;
} tf_lines;

typedef enum tf_session_state {
    TF_NEW,     /* wants a process as soon as the host is there */
    TF_LOADING, /* the process loads */
    TF_READY,
    TF_WAITING, /* the process ended; another one at due_ns */
    TF_FAILED,  /* the first load failed: `failure` */
    TF_CLOSING, /* close() waits for the process to end */
} tf_session_state;

/* How well looking for the answer before sleeping went (run.c, remember_look). */
typedef struct tf_looks {
    atomic_int done, missed; /* of this row */
    atomic_int pause,
        left_out; /* runs to go without a look after a bad row, and how many are left */
} tf_looks;

struct sl_session {
    tf_engine *engine;
    uint64_t id;
    char *label;               /* model "m" version 1 */
    char *written;             /* TensorFlow that wrote the model, or "" */
    int params;                /* memfd: what every process of this version is told */
    sl_signatures *signatures; /* a copy: what inputs there are, and what they should look like */
    bool *pure;                /* opposite signatures */
    atomic_uint_fast64_t typical_ns; /* of a run, smoothed: how long looking is worth while */
    tf_looks looks;
    atomic_bool careful; /* run.c, blame */

    /* engine->lock */
    sl_session *next;
    tf_session_state state;
    bool loaded_once;
    bool at_once;    /* the first configuration: nobody is asked yet */
    bool serving;    /* clients' requests come, or have come: its processes need not hold back */
    bool untold;     /* that its process need not: the message could not be sent yet */
    tf_child *child; /* the process, loading or ready */
    tf_lines lines;
    uint64_t due_ns, backoff_ns;
    sl_status failure;
    uint64_t memory, memory_asked_ns, memory_answers;

    pthread_mutex_t lock;
    sl_cond freed; /* a place, or the child is dead */
    /* lock */
    tf_child *ready; /* the child, once it can run */
    char why_not[384];
    char *described[2]; /* pid changes with a restart: texts handed out stay */
    int n_described;
};

/* ---- the engine ---- */

typedef enum tf_host_state {
    TF_HOST_NONE,
    TF_HOST_WANTED,
    TF_HOST_STARTING,
    TF_HOST_UP
} tf_host_state;

/* What a host is started from, and the one that runs. In the engine, or in the launcher's process.
 */
typedef struct tf_launch {
    const char *library, *python, *host_program;
    char *const *custom_op_libs;
    int n_custom_op_libs;
    pid_t pid; /* 0: none */
} tf_launch;

struct tf_engine {
    char *library, *python, *host_program;
    char **custom_op_libs;
    int n_custom_op_libs;
    tf_launch launch; /* of the above; where there is no launcher */
    sl_launcher *launcher;
    int launch_op;
    int intra, inter;
    char *config;
    size_t config_n;

    pthread_t thread;
    int wake; /* eventfd */
    pthread_mutex_t lock;
    sl_cond changed; /* any state of host or session */
    /* lock */
    bool stop;
    tf_host_state host;
    uint64_t host_starts;   /* how many attempts have ended, well or not */
    uint64_t host_since_ns; /* STARTING: since when */
    uint64_t host_due_ns, host_backoff_ns;
    sl_status host_failure; /* of the last attempt */
    pid_t host_pid;
    int host_socket;
    tf_lines host_lines;
    char found[PATH_MAX]; /* the library */
    char version[32];     /* TF_Version() */
    sl_session *sessions;
    uint64_t last_id;
    struct tf_ops_query *queries;
};

/* A question about ops (engine.c asks, watch.c hears the answer). engine->lock. */
typedef struct tf_ops_query {
    struct tf_ops_query *next;
    uint64_t id;
    bool answered;
    uint64_t bytes;
    int64_t graph_version; /* 0: not known */
} tf_ops_query;

void tf_wake(tf_engine *e);

/* host.c. Looks for the library and starts the program with these ends as its socket and its
 * output. May take seconds. */
sl_code tf_launch_host(tf_launch *l, int socket, int lines, char *found, size_t size,
                       sl_status *st);
/* host.c, engine's thread, engine->lock held. Starts the program; the answer comes as HELLO. The
 * search for the library may take seconds: the lock is given back for it. */
sl_code tf_host_start(tf_engine *e, sl_status *st);
/* Ends it and gives everything of it back. */
void tf_host_end(tf_engine *e);

/* watch.c: the engine's thread. */
void *tf_watch(void *engine);
/* engine->lock held: its process, which has loaded, no longer holds back. */
void tf_let_go(sl_session *s);

/* stderr.c: reads what is there and logs whole lines as "<label>: <line>". False at the end. */
bool tf_lines_read(tf_lines *l, const char *label);

/* child.c, engine->lock held. Has the host fork a child for `s`. */
sl_code tf_child_start(sl_session *s, sl_status *st);
/* It can run: publishes it. */
void tf_child_publish(sl_session *s);
/* It has ended, `how` says how: nobody waits for it any longer. */
void tf_child_ended(sl_session *s, const char *how);
/* session->lock held. */
void tf_child_release(tf_child *c);

/* place.c. A place that is ready for a request of `size` bytes. */
sl_code tf_place_acquire(sl_session *s, const sl_run *run, size_t size, tf_child **child,
                         int *place, sl_status *st);
/* `abandon`: the child has not answered yet. */
void tf_place_release(sl_session *s, tf_child *c, int place, bool abandon);
/* Engine's thread, session->lock held: trims idle regions; true if the child can serve nobody and
 * has to be ended. */
bool tf_places_tend(tf_child *c, uint64_t now);

/* run.c */
sl_code tf_run(sl_session *s, sl_run *run, sl_status *st);

/* session.c */
sl_code tf_load(void *self, const sl_saved_model *model, const sl_load_options *opts,
                sl_session **out, sl_status *st);
void tf_close(sl_session *s);
uint64_t tf_memory(sl_session *s);
void tf_serve_from_now(sl_session *s);
const char *tf_describe(sl_session *s);
bool tf_pure(sl_session *s, int signature);
bool tf_unites(sl_session *s);
/* engine->lock held; waits until the host runs, or says why not. */
sl_code tf_host_wait(tf_engine *e, sl_status *st);

/* params.c: the load parameters (protocol.h) as a memfd; -1 if memory has run out. */
int tf_params_memfd(const tf_engine *e, const sl_saved_model *model, const sl_load_options *opts,
                    const char *label);

#endif
