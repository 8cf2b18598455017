/*
 * reload.h - the one way in which the configuration of models changes
 *
 *     --model_config_file or --models_dir, at its
 *     poll or at SIGHUP ------------------------------+
 *     HandleReloadConfigRequest                       +--> read -> check all of it -> apply -> wait
 *     POST /sluice/v1/config                        --+                                        |
 *                                                          report, a line a model  <-----------+
 *
 * Check: names, base paths, platforms, labels. Until all of it has passed nothing changes; after
 * that nothing can fail but loads. One configuration is checked and applied at a time; nobody holds
 * that up by waiting for models, and the wait has a time limit (--reload_timeout_s).
 *
 * A configuration that equals the one that is in force is not applied again, but still waited for
 * and reported, so that repeating a reload tells the truth about it. A file that has not changed
 * since it was last applied is left alone by the poll, whatever was set meanwhile by gRPC or REST;
 * SIGHUP applies it all the same.
 *
 * The answer is about models that are new, or that changed and serve nothing: OK if all of them are
 * available;
 *   INVALID_ARGUMENT, FAILED_PRECONDITION, UNIMPLEMENTED   refused, nothing changed (config.md 4)
 *   UNKNOWN            "<n> model(s) did not become available: {{{name: m version: 1} due to error:
 *                      <CODE>: <message>}, }"; the configuration is in force
 *   DEADLINE_EXCEEDED  the same words; some were still loading when the time was over
 *
 * The report is JSON:
 *
 *     {"result": "applied" | "unchanged" | "refused", "code": "OK", "error": "...",
 *      "models": [{"name": "m", "change": "added" | "changed" | "unchanged" | "removed",
 *                  "state": "available" | "loading" | "failed" | "removed", "error": "..."}]}
 *
 * Source: config.md 4 and 5, grpc.md 7.2.
 */
#ifndef SL_SERVER_RELOAD_H
#define SL_SERVER_RELOAD_H

#include "server/config_dir.h"
#include "server/remote.h"
#include "server/sandbox.h"

typedef struct sl_reload sl_reload;

typedef struct sl_reload_options {
    sl_manager *manager;
    sl_server_config *config; /* platforms; its models become the reload's, and are then empty */
    sl_remote *remote;        /* NULL: no base path may lie elsewhere */
    sl_model_source source;   /* --model_config_file, --models_dir */
    int32_t poll_seconds;     /* of `source`; <= 0: only when asked */
    uint64_t timeout_ns;      /* of waiting for models */
    const sl_sandbox_options *sandbox; /* which base paths can be read at all; NULL: any */
} sl_reload_options;

/* Applies config->models, without waiting for loads, and begins to poll. Everything that is pointed
 * to must live until sl_reload_free. */
sl_code sl_reload_new(const sl_reload_options *o, sl_reload **out, sl_status *st);
/* Whoever still waits for models returns soon, and the polling ends. Any thread. */
void sl_reload_stop(sl_reload *r);
/* After stop, and when nobody is in a call any more. Accepts NULL. */
void sl_reload_free(sl_reload *r);

/* At SIGHUP: read the file again, and look at all base paths, on the reload's own thread. */
void sl_reload_poke(sl_reload *r);

/*
 * Applies a ModelServerConfig, in its wire form or as protobuf text. `reload` is an sl_reload:
 * these fit callbacks of the layers below. Any thread that may wait for minutes. *report, which the
 * caller frees, gets the report in each case.
 */
sl_code sl_reload_wire(void *reload, sl_str wire, sl_text *report, sl_status *st);
sl_code sl_reload_text(void *reload, sl_str text, sl_text *report, sl_status *st);
/* Reads the file now and applies it, as SIGHUP does, but waits. */
sl_code sl_reload_file(sl_reload *r, sl_text *report, sl_status *st);

/* Appends the configuration that is in force, a ModelServerConfig as protobuf text or in its wire
 * form. Any thread. RESOURCE_EXHAUSTED. */
sl_code sl_reload_current(void *reload, bool as_text, sl_text *out, sl_status *st);

#endif
