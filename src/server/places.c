/* places.c - see places.h; which flags mean what is flags.md sections 2 and 4 */
#include "server/places.h"

#include <stdio.h>

static bool next_listed(const char *list, sl_place_walk *w, sl_place *out)
{
    sl_str item;
    if (!sl_flags_item(list, &w->at, &item))
        return false;
    snprintf(out->address, sizeof out->address, "%.*s", SL_STR_ARG(item));
    return true;
}

/* All interfaces: IPv6's wildcard takes both; where there is no IPv6, IPv4's. */
static bool all_interfaces(int port, sl_place_walk *w, sl_place *out)
{
    if (port == 0 || w->listed)
        return false;
    w->listed = true;
    snprintf(out->address, sizeof out->address, "[::]:%d", port);
    snprintf(out->fallback, sizeof out->fallback, "0.0.0.0:%d", port);
    return true;
}

static bool next_grpc(const sl_flags *f, sl_place_walk *w, sl_place *out)
{
    out->share = f->reuse_port;
    out->flag = *f->grpc_address ? "grpc_address" : "port";
    if (*f->grpc_address ? next_listed(f->grpc_address, w, out) : all_interfaces(f->port, w, out))
        return true;
    if (!*f->grpc_socket_path || w->socket)
        return false;
    w->socket = true;
    out->flag = "grpc_socket_path";
    snprintf(out->address, sizeof out->address, "unix:%s", f->grpc_socket_path);
    return true;
}

static bool next_rest(const sl_flags *f, sl_place_walk *w, sl_place *out)
{
    out->share = f->reuse_port;
    out->flag = *f->rest_address ? "rest_address" : "rest_api_port";
    if (*f->rest_address)
        return next_listed(f->rest_address, w, out);
    if (f->rest_api_port == f->port && !*f->grpc_address)
        return false; /* none, or on the port that is open already */
    return all_interfaces(f->rest_api_port, w, out);
}

/* Not shared: who asks means this process. */
static bool next_admin(const sl_flags *f, sl_place_walk *w, sl_place *out)
{
    if (!*f->admin_address || w->listed)
        return false;
    w->listed = true;
    out->flag = "admin_address";
    out->mode = 0600;
    snprintf(out->address, sizeof out->address, "%s", f->admin_address);
    return true;
}

bool sl_place_next(const sl_flags *f, sl_place_walk *w, sl_place *out)
{
    *out = (sl_place){.kind = w->kind};
    switch (w->kind) {
    case SL_PLACE_HEALTH:
        out->flag = "health_port";
        return all_interfaces(f->health_port, w, out);
    case SL_PLACE_ADMIN:
        return next_admin(f, w, out);
    case SL_PLACE_GRPC:
        return next_grpc(f, w, out);
    case SL_PLACE_REST:
        return next_rest(f, w, out);
    case SL_PLACE_KINDS:
        break;
    }
    return false;
}

sl_code sl_place_scheme(sl_place_kind kind, const char **address, bool has_certificate, bool *tls,
                        sl_status *st)
{
    const char *given = *address;
    bool quiet = kind == SL_PLACE_ADMIN && strncmp(given, "unix:", 5) == 0;
    *tls = has_certificate && !quiet && kind != SL_PLACE_HEALTH;
    if (strncmp(given, "http://", 7) == 0) {
        *address += 7;
        *tls = false;
    } else if (strncmp(given, "https://", 8) == 0) {
        *address += 8;
        if (!*tls)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "\"%s\" needs a certificate: give tls_cert_file and tls_key_file",
                           given);
    }
    return SL_OK;
}
