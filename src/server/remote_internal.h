/*
 * remote_internal.h - what the files of server/remote share
 *
 *   remote.c         starting, the list of mirrors, what others ask
 *   remote_round.c   one mirror's rounds: list, get, tidy
 *   remote_helper.c  the thread that talks to the helper, and its socket
 *
 * Everything is guarded by the lock, which is never held while the manager is called.
 */
#ifndef SL_SERVER_REMOTE_INTERNAL_H
#define SL_SERVER_REMOTE_INTERNAL_H

#include <pthread.h>

#include "fetch/protocol.h"
#include "metrics/metrics.h"
#include "model/version_dir.h"
#include "server/helper.h"
#include "server/remote.h"

#define MB(bytes) (unsigned long long)(((bytes) + 500000) / 1000000)

/* What one model wants of a mirror. */
typedef struct remote_want {
    char *model;
    sl_policy_kind policy;
    unsigned num_versions;
    int64_t *versions;
    int n_versions;
} remote_want;

/* A version of the listing. */
typedef struct remote_version {
    int64_t number;
    char *name;
    bool partial; /* it is still being uploaded */
    bool tried, done;
} remote_version;

typedef enum remote_phase {
    REMOTE_IDLE,
    REMOTE_LISTING,
    REMOTE_GETTING,
    REMOTE_TIDYING
} remote_phase;

typedef struct remote_mirror {
    struct remote_mirror *next;
    char *url, *dir, *versions_dir;
    remote_want *wants;
    int n_wants;
    bool from_start; /* named by the configuration that the server started with */

    remote_phase phase;
    uint64_t op;     /* the helper's request that is running */
    uint64_t due_ns; /* of the next round; UINT64_MAX: none */
    remote_version *list;
    int count, at; /* the version that is being fetched */
    bool changed, failed;
    bool again; /* what is wanted has changed during the round: another one follows at once */
    uint64_t begun_ns, said_ns;
    uint64_t done, total; /* bytes of what is being fetched */

    bool tried; /* a whole round is over, whatever came of it */
    unsigned failures;
    sl_status error; /* of the last round; code OK: none */
    sl_cell *bytes, *ok, *bad, *seconds;
} remote_mirror;

struct sl_remote {
    sl_remote_options opts;
    char *cache_dir;
    sl_str *roots;
    int n_roots;

    pthread_mutex_t lock;
    pthread_t thread;
    bool has_thread, ending;
    int wake; /* eventfd */
    remote_mirror *mirrors;
    uint64_t next_op;

    /* the helper; the thread's */
    sl_helper process;
    int socket; /* -1: it does not run */
    bool is_up; /* it has said hello */
    sl_text out;
    size_t out_at;
    sl_fetch_reader in;
    uint64_t start_due_ns, start_wait_ns;
};

/* remote_round.c; with the lock */
void remote_round_free_list(remote_mirror *m);
/* Begins what is due; returns when the next thing is. */
uint64_t remote_round_tend(sl_remote *r, uint64_t now);
void remote_round_hear(sl_remote *r, const sl_fetch_msg *m);
/* The helper has gone: whatever was running has failed. */
void remote_round_abandon(sl_remote *r, const char *why);
/* A source waits for a mirror that does not exist: from now on it need not. */
void remote_let_it_be_seen(const remote_mirror *m);
/* Does any model's policy want this version of the listing? Pure. */
bool remote_is_wanted(const remote_mirror *m, int which);

/* remote_helper.c; with the lock */
void remote_helper_send(sl_remote *r, const sl_fetch_msg *m);
void *remote_helper_run(void *remote);
void remote_helper_end(sl_remote *r);

#endif
