/*
 * places.h - where the server listens, as its flags say
 *
 *     sl_place p;
 *     for (sl_place_walk w = {.kind = SL_PLACE_REST}; sl_place_next(flags, &w, &p);)
 *         listen on p.address; where that cannot be, and there is one, on p.fallback
 *
 * For ports.c, which opens them, and `sluice check`, which only looks whether that would work.
 */
#ifndef SL_SERVER_PLACES_H
#define SL_SERVER_PLACES_H

#include "server/flags.h"
#include "sluice/status.h"

enum { SL_MAX_LISTENERS = 16 }; /* of all kinds together */

typedef enum sl_place_kind {
    SL_PLACE_ADMIN, /* in the order in which the server opens them */
    SL_PLACE_HEALTH,
    SL_PLACE_GRPC,
    SL_PLACE_REST,
    SL_PLACE_KINDS
} sl_place_kind;

typedef struct sl_place {
    sl_place_kind kind;
    const char *flag;  /* the one that says so: "rest_address" */
    char address[300]; /* as it was given, "https://" included */
    char fallback[32]; /* where there is no IPv6; "": none */
    bool share;        /* with another process, if it wants that, too */
    unsigned mode;     /* of a unix socket's file; 0: as the umask says */
} sl_place;

typedef struct sl_place_walk {
    sl_place_kind kind;
    size_t at; /* the rest is the walk's: begin with zeros */
    bool listed, socket;
} sl_place_walk;

/* The next place of that kind, or false. Flags that sl_flags_check has not refused. */
bool sl_place_next(const sl_flags *f, sl_place_walk *w, sl_place *out);

/* "https://host:port" and "http://host:port" say what is spoken there: takes that off. An address
 * alone speaks TLS if there is a certificate, except for the admin interface on a unix socket,
 * whose mode is as good as encrypted. *tls: does it speak TLS. INVALID_ARGUMENT: https without a
 * certificate. */
sl_code sl_place_scheme(sl_place_kind kind, const char **address, bool has_certificate, bool *tls,
                        sl_status *st);

#endif
