/*
 * guard.h - who may come in, and how much
 *
 * A front end asks before it decodes anything of a request's body:
 *
 *     sl_guard_identify(g, call, &a, st)              who is it, from where    UNAUTHENTICATED;
 *                                                     UNAVAILABLE: its issuer has no keys yet;
 *                                                     RESOURCE_EXHAUSTED: too many bad guesses
 *     sl_guard_may(g, &a, SL_MAY_PREDICT, model, label, st)     may they     PERMISSION_DENIED
 *     sl_guard_count(g, &a, model, st)                how much already RESOURCE_EXHAUSTED
 *     ...
 *     sl_guard_leave(g, &a)                           the request has ended
 *
 * leave() is called exactly once for each identify(), whatever came of it, on any thread.
 *
 * Without a configuration everybody may do everything but administer; that is for those who come
 * from this machine (loopback, unix sockets) only. With identities configured (tokens, JWT, client
 * certificates) what no rule allows is refused.
 *
 * The configuration is replaced as a whole while requests go on; each request is judged by the one
 * that it began with. Nothing here blocks: a lock is held for nanoseconds, a JWT that was verified
 * is remembered until it expires.
 *
 * Credentials: "Authorization: Bearer <token>", the same in gRPC's metadata. No secret gets into a
 * message, a log or an error.
 */
#ifndef SL_GUARD_GUARD_H
#define SL_GUARD_GUARD_H

#include "guard/networks.h"
#include "guard/rates.h"
#include "http/http.h"

struct Sluice__AuthConfig; /* proto/auth_config.pb-c.h */

typedef struct sl_guard sl_guard;

typedef enum sl_permission {
    SL_MAY_PREDICT = 1,
    SL_MAY_METADATA,
    SL_MAY_STATUS,
    SL_MAY_METRICS,
    SL_MAY_ADMIN,
    SL_MAY_HEALTH /* everybody may, but where the configuration closes probes */
} sl_permission;
const char *sl_permission_name(sl_permission p); /* "predict" */
bool sl_permission_parse(sl_str name, sl_permission *out);

/* Which kind of listener somebody came to: sl_http_options.listener. */
typedef enum sl_listener_kind {
    SL_ON_REST,
    SL_ON_GRPC,
    SL_ON_ADMIN,
    SL_LISTENERS
} sl_listener_kind;

typedef struct sl_admission {
    sl_str principal; /* "anonymous", "token:ci", "jwt:corp/ann", "cert:client"; until leave */
    sl_str address;   /* the client's, without port, behind trusted proxies too; "unix" */
    bool local;       /* comes from this machine */
    unsigned retry_after_s; /* after RESOURCE_EXHAUSTED: for Retry-After; at least 1 */

    /* the guard's own */
    struct sl_policy *policy;
    struct sl_identity *identity;
    struct sl_counter *held[8];
    int n_held;
    sl_ip ip;
    char text[64];
} sl_admission;

/* RESOURCE_EXHAUSTED: no memory. `allow_remote_admin`: without configured identities, administering
 * is not bound to this machine. */
sl_code sl_guard_new(bool allow_remote_admin, sl_guard **out, sl_status *st);
void sl_guard_free(sl_guard *g); /* every admission has been left; accepts NULL */

/*
 * Takes over a configuration and reads the files that it names, relative ones from `dir`. On
 * failure nothing has changed: INVALID_ARGUMENT names the file or the field, NOT_FOUND the file.
 * FAILED_PRECONDITION: there are identities, and would be none. May block; any thread, one at a
 * time.
 *
 * `fetched`: for each `jwt` of the configuration the key set that was fetched from its jwks_url,
 * all zeros where there is none (yet); NULL: for none. Nothing is fetched here.
 */
sl_code sl_guard_configure(sl_guard *g, const struct Sluice__AuthConfig *config, const char *dir,
                           const sl_str *fetched, sl_status *st);
/* Before the first request: `fn` is called with the jwks_url of an issuer when a token of its names
 * a key that it does not have, which fresh keys may. Any thread that serves requests; it must not
 * block, and is called as often as somebody sends such tokens. */
void sl_guard_on_unknown_key(sl_guard *g, void (*fn)(void *arg, const char *jwks_url), void *arg);
/* Are there tokens, JWT issuers or client certificates? */
bool sl_guard_has_identities(const sl_guard *g);
/* Must one show who one is for a health probe? Else it need not be asked. */
bool sl_guard_closes_health(const sl_guard *g);

/* Any of these: any thread. Each network, rule and limit is explained in auth_config.proto. */
sl_code sl_guard_identify(sl_guard *g, const sl_http_call *call, sl_admission *a, sl_status *st);
sl_code sl_guard_may(sl_guard *g, const sl_admission *a, sl_permission what, sl_str model,
                     sl_str label, sl_status *st);
/*
 * A browser on this machine can be made to send requests here by any web page, and they come from
 * loopback. PERMISSION_DENIED: this one carries an Origin, or (`by_name`, where coming from this
 * machine is all that is asked for) is for a host that is not this machine: a name that whoever
 * owns it has let point here. Unix sockets are out of a page's reach.
 */
sl_code sl_guard_refuse_pages(const sl_http_call *call, bool by_name, sl_status *st);
/* SL_MAY_ADMIN, and no web page: for what changes the server. */
sl_code sl_guard_may_administer(sl_guard *g, const sl_admission *a, const sl_http_call *call,
                                sl_status *st);
/* For what is about no model and is no secret, but nobody's business either: the server's metadata,
 * reflection, the index of models. Is there any rule for whoever asks? */
sl_code sl_guard_may_something(sl_guard *g, const sl_admission *a, sl_status *st);
sl_code sl_guard_count(sl_guard *g, sl_admission *a, sl_str model, sl_status *st);
void sl_guard_leave(sl_guard *g, sl_admission *a);

/*
 * Somebody connects, whose address `peer` is (as sl_http_call.peer has it). True: it may; *held is
 * what disconnect() gets when the connection ends, or NULL. False: its network is denied, or it has
 * too many connections. Any thread, never blocks.
 */
bool sl_guard_connect(sl_guard *g, sl_listener_kind listener, sl_str peer,
                      struct sl_counter **held);
void sl_guard_disconnect(sl_guard *g, struct sl_counter *held);
/* Is this peer a trusted proxy, so that what it says of its client is believed? */
bool sl_guard_is_proxy(sl_guard *g, sl_str peer);

/* For `sluice can`: the decision for a principal by name ("token:ci"), or (`is_token`) for whoever
 * has this token, and in `why` a sentence with the rule that decided. */
sl_code sl_guard_explain(sl_guard *g, sl_str principal_or_token, bool is_token, sl_permission what,
                         sl_str model, sl_str label, sl_text *why, sl_status *st);

#endif
