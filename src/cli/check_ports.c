/*
 * check_ports.c - `sluice check`: could the server listen where it is told to?
 *
 * An address that cannot be had is fatal. One that is in use may be in use by the very server that
 * the configuration is for, so that is a warning, unless --strict_startup says that nothing is to
 * be lived with; and no finding at all for a server that runs (--reload).
 */
#include <netinet/in.h>
#include <stdio.h>

#include "api/admin/admin.h"
#include "cli/check.h"
#include "net/listener.h"
#include "server/places.h"

typedef struct taken {
    sl_address address;
    sl_place place;
} taken;

typedef struct ports {
    sl_check *check;
    taken list[SL_MAX_LISTENERS];
    int n;
} ports;

static bool is_any(const sl_address *a)
{
    if (a->any.sa_family == AF_INET)
        return ((const struct sockaddr_in *)&a->storage)->sin_addr.s_addr == htonl(INADDR_ANY);
    return a->any.sa_family == AF_INET6 &&
           IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)&a->storage)->sin6_addr);
}

/* Could only one of them be listened on? */
static bool are_in_each_others_way(const sl_address *a, const sl_address *b)
{
    int fa = a->any.sa_family, fb = b->any.sa_family;
    if (fa == fb && memcmp(&a->storage, &b->storage, sizeof a->storage) == 0)
        return fa == AF_UNIX || a->port != 0;
    if (fa == AF_UNIX || fb == AF_UNIX || a->port != b->port || a->port == 0)
        return false;
    if (fa == fb)
        return is_any(a) || is_any(b);
    return is_any(fa == AF_INET6 ? a : b); /* IPv6's wildcard takes both */
}

static void check_others(ports *x, const sl_place *p, const sl_address *a)
{
    for (int i = 0; i < x->n; i++)
        if (are_in_each_others_way(a, &x->list[i].address) && !(p->share && x->list[i].place.share))
            sl_check_find(x->check, true, "%s: %s is in the way of %s: %s", p->flag, p->address,
                          x->list[i].place.flag, x->list[i].place.address);
    if (x->n < SL_MAX_LISTENERS)
        x->list[x->n++] = (taken){*a, *p};
    else
        sl_check_find(x->check, true, "%s: more than %d addresses to listen on", p->flag,
                      SL_MAX_LISTENERS);
}

/* Certificates that cannot be used have been spoken of. */
static bool has_certificate(const sl_check *c, sl_place_kind kind)
{
    const sl_certificates *t = &c->certificates;
    const sl_certificate_source *of[SL_PLACE_KINDS] = {
        [SL_PLACE_ADMIN] = &t->admin, [SL_PLACE_GRPC] = &t->grpc, [SL_PLACE_REST] = &t->rest};
    return c->bad_certificates || (of[kind] != NULL && of[kind]->tls != NULL);
}

static sl_code parse(const sl_check *c, const sl_place *p, sl_address *out, sl_status *st)
{
    const char *address = p->address;
    bool tls;
    sl_code rc = sl_place_scheme(p->kind, &address, has_certificate(c, p->kind), &tls, st);
    if (rc == SL_OK && p->kind == SL_PLACE_ADMIN && !c->bad_auth)
        rc = sl_admin_check_address(address, c->guard, st);
    if (rc == SL_OK)
        rc = sl_address_parse(address, out, st);
    out->share = p->share;
    out->mode = p->mode;
    return rc;
}

static void tell_in_use(sl_check *c, const sl_place *p)
{
    if (c->reload)
        sl_check_say("%s: %s is in use, by the server that runs, it is assumed", p->flag,
                     p->address);
    else
        sl_check_find(c, c->flags->strict_startup,
                      "%s: %s is in use: a server cannot start until it is free (if the one that "
                      "runs there is to take this configuration: --reload)",
                      p->flag, p->address);
}

static void check_place(ports *x, const sl_place *p)
{
    sl_address a, other;
    sl_status st = {0};
    if (parse(x->check, p, &a, &st)) {
        bool named = strncmp(st.msg, p->flag, strlen(p->flag)) == 0;
        sl_check_find(x->check, true, "%s%s%s", named ? "" : p->flag, named ? "" : ": ", st.msg);
        return;
    }
    check_others(x, p, &a);
    sl_code rc = sl_address_try(&a, &st);
    if (rc && p->fallback[0] && sl_address_parse(p->fallback, &other, NULL) == SL_OK) {
        other.share = p->share;
        rc = sl_address_try(&other, &st);
    }
    if (rc == SL_UNAVAILABLE)
        tell_in_use(x->check, p);
    else if (rc)
        sl_check_find(x->check, true, "%s: %s", p->flag, st.msg);
}

void sl_check_ports(sl_check *c)
{
    static ports x;
    x = (ports){.check = c};
    for (int kind = 0; kind < SL_PLACE_KINDS; kind++) {
        sl_place p;
        for (sl_place_walk w = {.kind = (sl_place_kind)kind}; sl_place_next(c->flags, &w, &p);)
            check_place(&x, &p);
    }
}
