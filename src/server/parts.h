/*
 * parts.h - the parts of the server, and the order in which they are made; internal to server.c,
 * parts.c and ports.c
 *
 *     sl_parts_make_alone   what has to be done while there is one thread: configuration, keys,
 *                           user, launcher, sandbox
 *     sl_parts_make         everything else, up to open ports and the first configuration
 *     sl_parts_unmake       in the other order; accepts what was half made
 */
#ifndef SL_SERVER_PARTS_H
#define SL_SERVER_PARTS_H

#include <pthread.h>

#include "api/admin/admin.h"
#include "api/api.h"
#include "api/oip/oip.h"
#include "http/body.h"
#include "net/loop.h"
#include "server/auth.h"
#include "server/certificates.h"
#include "server/config.h"
#include "server/engines.h"
#include "server/loader.h"
#include "server/lockup.h"
#include "server/places.h"
#include "server/reload.h"
#include "server/repository.h"
#include "service/shadow.h"

typedef struct sl_server {
    sl_flags *flags;
    sl_server_config config;
    sl_certificates certificates;
    sl_engines engines;
    sl_loader loader;
    sl_batch_scheduler *batches; /* NULL without --enable_batching */
    sl_manager *manager;
    sl_reload *reload;
    char *cache_dir;                  /* NULL: nothing is fetched */
    sl_remote *remote;                /* NULL: no base path lies elsewhere, and none may */
    _Atomic(sl_reload *) reload_open; /* the same, as soon as loops may use it */
    sl_shadows *shadows;
    sl_workers *workers;
    sl_service service;
    uint64_t memory; /* what the cgroup allows */
    /* Of all ports together: request bodies, and what slow clients make us hold. */
    sl_budget inflight;
    /* Of all ports but the admin interface's: connections. */
    sl_http_family family;
    sl_access_log access;
    sl_auth *auth;
    sl_sandbox_options sandbox;
    sl_launcher *launcher; /* NULL: nothing will have to be started */
    sl_rest rest;
    sl_oip oip;
    sl_repository repository;
    sl_grpc grpc;
    sl_api api;
    sl_admin admin;
    sl_workers *admin_workers; /* NULL without --admin_address */
    sl_loop **loops;
    int n_loops, n_loops_started;
    sl_http_server *http[SL_MAX_LISTENERS];
    int n_http, n_drained;
    pthread_t starter;
    bool starting;
    sl_code start_code; /* written by the starter thread, read after it has been joined */
    sl_status start_status;
    atomic_bool listening_failed;
} sl_server;

/* parts.c */
sl_code sl_parts_make_alone(sl_server *s, sl_status *st);
sl_code sl_parts_make(sl_server *s, sl_status *st);
void sl_parts_unmake(sl_server *s);

/* ports.c: opens gRPC and REST, and starts the loops; the admin interface, if there is to be one.
 */
sl_code sl_ports_open(sl_server *s, sl_status *st);
sl_code sl_ports_open_admin(sl_server *s, sl_status *st);
sl_code sl_ports_open_health(sl_server *s, sl_status *st); /* likewise */
/* The lines that scripts wait for. */
void sl_ports_say_ready(const sl_server *s);

#endif
