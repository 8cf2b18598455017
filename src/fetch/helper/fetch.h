/*
 * fetch.h - one request of the server, while sluice-fetch works on it
 *
 * Each request (list, get, tidy, read) has a thread, so its code is written from top to bottom:
 * ask, wait, try again. How many run at once is bounded, also for one bucket (queue.h), so a slow
 * one does not hold up the others.
 */
#ifndef SL_FETCH_HELPER_FETCH_H
#define SL_FETCH_HELPER_FETCH_H

#include <stdatomic.h>

#include "fetch/place.h"
#include "fetch/protocol.h"

typedef struct fetch_settings {
    unsigned patience_s; /* a transfer that stands still for so long has failed */
    uint64_t max_bytes;  /* of one version, also of what an archive unpacks to */
    sl_str *roots;       /* --remote_root: where a redirect may lead besides its own host */
    int n_roots;
} fetch_settings;

typedef struct fetch_op fetch_op;
struct fetch_op {
    fetch_op *next; /* the queue's */
    sl_fetch_kind kind;
    uint64_t id;
    char *url, *dir, *name; /* copies, "" where the request has none */
    sl_fetch_place place;   /* of url */
    sl_str *names;          /* TIDY */
    int n_names;
    int64_t *numbers;
    int n_numbers;
    const fetch_settings *settings;
    unsigned patience_s; /* READ: for the whole */
    uint64_t max_bytes;  /* READ */
    atomic_bool cancelled;

    uint64_t done, total; /* bytes, for PROGRESS */
    uint64_t said_ns;
    bool changed; /* GET: did it publish anything */
    bool partial; /* GET: it failed because the version is not all there yet */
    /* Sends PROGRESS, at most twice a second. */
    void (*progress)(fetch_op *op);
};

/* Names of versions. */
typedef struct fetch_names {
    char **list;
    int count;
    size_t cap;
} fetch_names;

/* RESOURCE_EXHAUSTED past SL_FETCH_NAMES. A name that is there already is not added again. */
sl_code fetch_names_add(fetch_names *n, sl_str name, sl_status *st);
void fetch_names_fini(fetch_names *n);

/* Sleeps unless the request is cancelled meanwhile: CANCELLED then. */
sl_code fetch_sleep(fetch_op *op, uint64_t ns, sl_status *st);

/* What each kind of request does, on its thread. *names, for LIST, is freed by the caller. */
sl_code fetch_list(fetch_op *op, fetch_names *names, sl_status *st);
sl_code fetch_get(fetch_op *op, sl_status *st);

#endif
