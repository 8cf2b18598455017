/*
 * admin.h - the interface for those who run the server
 *
 *     GET  /sluice/v1/models[/NAME]   versions, states, engines, labels, traffic, memory, times
 *     GET  /sluice/v1/config          the configuration in force: protobuf text, or its wire form
 *                                     with "Accept: application/x-protobuf"
 *     POST /sluice/v1/config          replaces it; the answer is the report of server/reload.h
 *     /healthz /readyz /startupz /metrics
 *
 * It has a listener of its own; nothing of it is served elsewhere. The guard decides who may
 * administer: with identities configured, those whom a rule allows; without, everybody on this
 * machine, so the listener is then on a loopback address or a unix socket. A browser on the same
 * machine can be made to send requests to a loopback address by any web page, so requests that
 * carry an Origin, and without identities those for another host than a loopback one, are refused.
 *
 * What may take long runs on the admin's own workers, so that neither a reload that waits for
 * models nor a list of thousands of models holds up a loop.
 *
 * A POST body is protobuf text, unless its Content-Type is application/x-protobuf or
 * application/octet-stream: then the wire form of a ModelServerConfig.
 */
#ifndef SL_API_ADMIN_ADMIN_H
#define SL_API_ADMIN_ADMIN_H

#include "api/rest/rest.h"

typedef struct sl_admin_options {
    sl_rest *rest;       /* probes; its service has the manager; its guard decides */
    sl_workers *workers; /* the admin's own */
    /* The reload path (server/reload.h); any thread that may wait for minutes. */
    sl_code (*reload_text)(void *arg, sl_str text, sl_text *report, sl_status *st);
    sl_code (*reload_wire)(void *arg, sl_str wire, sl_text *report, sl_status *st);
    /* The configuration in force, as text or in its wire form. */
    sl_code (*current)(void *arg, bool as_text, sl_text *out, sl_status *st);
    void *arg;
} sl_admin_options;

typedef struct sl_admin {
    sl_admin_options opt;
    atomic_bool open; /* false: reloads are not there yet, or not any more */
} sl_admin;

/* Prepares *a, closed; `opt` is copied. */
void sl_admin_init(sl_admin *a, const sl_admin_options *opt);

/* For sl_http_options: arg is the sl_admin. Errors that HTTP finds: sl_rest_on_error. */
void sl_admin_on_call(sl_http_call *call, void *arg);

/* INVALID_ARGUMENT unless the address is a loopback one, or a unix socket, or there are identities.
 */
sl_code sl_admin_check_address(const char *address, sl_guard *guard, sl_status *st);

/* Writes the list of models as JSON, with name.n > 0 only that one; models.c. */
sl_code sl_admin_write_models(sl_manager *m, sl_str name, sl_arena *arena, sl_chain *out,
                              sl_status *st);

#endif
