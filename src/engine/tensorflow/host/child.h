/*
 * child.h - one loaded version: the process that runs it
 *
 *     main thread    loads the model; then reads messages until the server closes the socket
 *     slot threads   one for each slot that was ever used: wait for a request, run it, answer
 *
 * Everything here trusts the server and nothing here is trusted by it (protocol.h).
 */
#ifndef SL_TF_HOST_CHILD_H
#define SL_TF_HOST_CHILD_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/thread.h"
#include "engine/tensorflow/host/api.h"
#include "engine/tensorflow/protocol.h"

/* The load parameters, parsed. Strings point into the mapped blob. */
typedef struct tf_names {
    const char **names;
    int n;
} tf_names;

typedef struct tf_signature {
    tf_names inputs, outputs;
    TF_Output *feeds, *fetches; /* oper NULL: not in the graph; index -1: has fewer outputs */
    int *feed_dtypes;
} tf_signature;

typedef struct tf_params {
    const char *label, *dir;
    tf_names tags, readable;
    const void *config;
    size_t config_n;
    bool inline_run;
    tf_signature *signatures;
    int n_signatures;
} tf_params;

/* INTERNAL: not what protocol.h says. RESOURCE_EXHAUSTED: no memory. The blob must stay. */
sl_code tf_params_read(tf_params *p, const char *blob, size_t n);

/* One mapping of a region. Counted: tensors that TensorFlow still holds may lie in it. */
typedef struct tf_view {
    int refs; /* atomic */
    char *base;
    size_t size;
} tf_view;

tf_view *tf_view_map(int fd, size_t size); /* NULL: errno says why */
void tf_view_release(tf_view *v);          /* accepts NULL */

struct tf_child;

/* What a slot's thread owns, but for `next_*`, which tf_child.lock guards. */
typedef struct tf_worker {
    struct tf_child *child;
    int slot;
    bool started;
    int fd;
    uint32_t generation;
    tf_view *view;
    int next_fd; /* a REGION message's, not taken yet; -1: none, or it has not come with it */
    uint32_t next_generation;
} tf_worker;

typedef struct tf_child {
    tf_params params;
    int socket;
    int smaps, maps; /* /proc/self/smaps_rollup and /proc/self/maps, opened before the sandbox */
    sl_tf_control *control;
    TF_Session *session;
    TF_Graph *graph;
    TF_Buffer *run_options; /* for requests without a timeout */
    pthread_mutex_t lock;
    sl_cond arrived; /* a region */
    tf_worker workers[SL_TF_SLOTS];
} tf_child;

/* Never returns. `fds`: socket, parameters, control region, stderr, as LOAD brings them; `host`:
 * the parent, with which this process ends; gently: it gives way until it serves. */
_Noreturn void tf_child_main(const int fds[4], pid_t host, bool gently);

/* Runs the request that lies in the worker's view and writes the answer behind it. */
void tf_serve(tf_worker *w);

/* Waits for the request of a worker that cannot be started, and gives it back unread (UNABLE). */
void tf_worker_refuse(tf_worker *w);

/* A worker's life: waits for requests. */
void *tf_worker_main(void *worker);

#endif
