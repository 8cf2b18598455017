/*
 * outside.c - `sluice check --from-outside HOST:PORT`: what stands between a client and a model
 *
 * Climbs the layers that a request goes through and stops at the first that fails, with a sentence
 * that says what it is and what to do, and an exit status of its own. It runs where the client is,
 * which is not where the server is: it looks at no file of the server's.
 *
 *     name -> route, port -> TLS -> HTTP -> who are you -> the model
 */
#include "cli/outside.h"

#include <stdio.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/client.h"

enum { DEFAULT_TIMEOUT_S = 5 };

static const char usage_text[] =
    "usage: sluice check --from-outside [http://|https://]HOST:PORT [--model=NAME] " SL_CLIENT_USAGE
    "\n"
    "  HOST:PORT alone: TLS is tried first, then plain HTTP\n"
    "  exit status: 0 all is well; 2 usage; 3 a file given here is wrong; 10 name; 11 no route;\n"
    "  12 refused; 13 no answer (filtered); 14 the port speaks HTTPS, not HTTP; 15 the port does\n"
    "  not speak TLS; 16 rejected by a firewall; 20 certificate expired; 21 certificate of another "
    "name; 22 unknown "
    "authority;\n"
    "  23 a client certificate is needed or refused; 24 another failure of TLS; 30 credentials "
    "are\n"
    "  needed or refused; 31 no permission; 32 over a limit; 40 no such model; 41 model not\n"
    "  available; 50 not this kind of server; 51 the reply breaks off";

typedef struct outside {
    sl_client_url url;
    bool guess; /* no scheme was given */
    const char *model;
    sl_client_options options;
    sl_client_reply reply;
} outside;

static int say(int exit_status, const char *fmt, ...) SL_PRINTF(2, 3);
static int say(int exit_status, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fflush(stdout);
    fputs("sluice: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    return exit_status;
}

/* ---- below HTTP ---- */

static int tls_failed(const outside *o, const sl_status *st)
{
    const char *host = o->url.host, *port = o->url.port;
    switch (o->reply.fault) {
    case SL_TLS_EXPIRED:
        return say(20,
                   "TLS: the certificate of %s port %s has expired, or is not valid yet (%s): have "
                   "it renewed on the server; if it is good, look at this machine's clock",
                   host, port, st->msg);
    case SL_TLS_WRONG_NAME:
        return say(21,
                   "TLS: the certificate of %s port %s is for another name: reach the server by a "
                   "name in its certificate, or have \"%s\" put into it (subjectAltName)",
                   host, port, host);
    case SL_TLS_UNKNOWN_CA:
        return say(22,
                   "TLS: nobody whom %s trusts has signed the certificate of %s port %s (%s): give "
                   "the authority's certificate by --cacert FILE",
                   o->options.cacert ? o->options.cacert : "this machine", host, port, st->msg);
    case SL_TLS_WANTS_CLIENT:
        return say(23,
                   "TLS: %s port %s %s: give one that its administrator has signed by --cert FILE "
                   "--key FILE",
                   host, port,
                   o->options.cert ? "refuses our client certificate"
                                   : "asks for a client certificate");
    case SL_TLS_NOT_SPOKEN:
        return say(15, "%s port %s does not speak TLS: use http://, or the server's HTTPS port",
                   host, port);
    case SL_TLS_NO_HTTP1:
        return say(
            24, "TLS: %s port %s speaks HTTP/2 only, so it is a port of gRPC: REST is on another",
            host, port);
    case SL_TLS_OK:
    case SL_TLS_OTHER:
        break;
    }
    return say(24, "TLS with %s port %s fails: %s", host, port, st->msg);
}

static int not_reached(const outside *o, const sl_status *st)
{
    const char *host = o->url.host, *port = o->url.port, *at = o->reply.address;
    switch (o->reply.layer) {
    case SL_LAYER_OURS:
        return say(3, "%s", st->msg);
    case SL_LAYER_NAME:
        return say(
            10,
            "the name has no address: %s: is it spelled right, and known to the DNS that this "
            "machine asks?",
            st->msg);
    case SL_LAYER_ROUTE:
        return say(11,
                   "there is no way to %s (%s): is the address right, the machine up, and does a "
                   "network that both are in lead there? (%s)",
                   host, at, st->msg);
    case SL_LAYER_REFUSED:
        return say(
            12,
            "%s (%s) refuses connections to port %s: nothing listens there (or a firewall "
            "sends a reset). Is the server running, on this port, and not on 127.0.0.1 alone?",
            host, at, port);
    case SL_LAYER_REJECTED:
        return say(16,
                   "a firewall rejects connections to %s (%s) port %s, at %s, which says so by "
                   "ICMP: have it let us through",
                   host, at, port, o->reply.rejected_by);
    case SL_LAYER_FILTERED:
        return say(13,
                   "no answer from %s (%s) port %s within %d s: a firewall on the way drops the "
                   "packets (of the machine, or of the cloud: its security group), or there is no "
                   "such machine",
                   host, at, port, o->options.timeout_s);
    case SL_LAYER_TLS:
        return tls_failed(o, st);
    case SL_LAYER_HTTP:
        if (o->reply.text.n > 0 && o->reply.text.p[0] == 0x15) /* an alert of TLS */
            return say(14, "%s port %s speaks HTTPS, not HTTP: use https://", host, port);
        return say(50, "what listens on %s port %s does not speak HTTP: is it the right port?",
                   host, port);
    case SL_LAYER_REPLY:
        break;
    }
    return say(51, "%s port %s takes the connection, and then: %s", host, port, st->msg);
}

/* ---- what HTTP says ---- */

static bool contains(sl_str s, const char *part)
{
    return memmem(s.p, s.n, part, strlen(part)) != NULL;
}

/* Servers' words for plain HTTP on their port of TLS: ours, nginx's, Apache's, Go's. */
static bool wants_https(const sl_client_reply *r)
{
    return r->status == 400 && r->tls == NULL &&
           (contains(r->body, "this port speaks HTTPS") ||
            contains(r->body, "sent to HTTPS port") || contains(r->body, "speaking plain HTTP") ||
            contains(r->body, "HTTP request to an HTTPS"));
}

/* The server's own words, in one line. */
static void words(const sl_client_reply *r, char out[300])
{
    size_t n = SL_MIN(r->body.n, (size_t)299), k = 0;
    for (size_t i = 0; i < n; i++)
        if (r->body.p[i] >= ' ' && r->body.p[i] != 0x7f)
            out[k++] = r->body.p[i];
    out[k] = '\0';
}

/* What a server says to whom it does not let in; 0: something else. */
static int judge_access(const outside *o, const char *what)
{
    char text[300];
    words(&o->reply, text);
    switch (o->reply.status) {
    case 401:
        return say(30, "the server %s: %s",
                   o->options.token_file ? "refuses the token in the file given"
                                         : "wants to know who asks: give --token-file FILE",
                   text);
    case 403:
        return say(31, "we may not %s: %s", what, text);
    case 429:
        return say(32, "the server answers no more for now: %s", text);
    }
    return 0;
}

static int judge_model(const outside *o)
{
    const sl_client_reply *r = &o->reply;
    char text[300], what[1100];
    words(r, text);
    snprintf(what, sizeof what, "see model %s", o->model);
    int wrong = judge_access(o, what);
    if (wrong)
        return wrong;
    switch (r->status) {
    case 200:
        if (!contains(r->body, "AVAILABLE"))
            return say(41, "model %s has no version that is available: %s", o->model, text);
        printf("model: %s is available\n", o->model);
        return 0;
    case 404:
        return say(40, "the server has no model %s: %s", o->model, text);
    case 503:
        return say(41, "the server is not ready: %s", text);
    }
    return say(50, "an unexpected answer, %.*s: is this a model server? %s", SL_STR_ARG(r->reason),
               text);
}

/* Asks for the path; 0, or the exit status. */
static int ask(outside *o, const char *path)
{
    sl_status st = {0};
    sl_client_reply_fini(&o->reply);
    sl_code rc =
        sl_client_ask("GET", &o->url, path, (sl_str){NULL, 0}, &o->options, &o->reply, &st);
    bool spoken = o->reply.layer != SL_LAYER_TLS || o->reply.fault != SL_TLS_NOT_SPOKEN;
    if (rc && o->guess && o->url.tls && !spoken) {
        o->url.tls = false;
        return ask(o, path);
    }
    if (rc)
        return not_reached(o, &st);
    if (wants_https(&o->reply))
        return say(14, "%s port %s speaks HTTPS, not HTTP: use https://", o->url.host, o->url.port);
    return 0;
}

/* Asks for the path, and hears whether we are let in. */
static int knock(outside *o, const char *path, const char *what)
{
    int wrong = ask(o, path);
    return wrong ? wrong : judge_access(o, what);
}

static int check(outside *o)
{
    char path[1100];
    int wrong = ask(o, "/healthz");
    if (wrong)
        return wrong;
    printf("connection: %s port %s\n", o->reply.address, o->url.port);
    printf("encryption: %s\n",
           o->reply.tls ? o->reply.tls : "none: what is sent can be read on the way");
    printf("HTTP: %.*s\n", SL_STR_ARG(o->reply.reason));
    wrong = judge_access(o, "see its health"); /* where probes are closed */
    /* Probes are open as a rule: this one is for whom any rule names. Another kind of server does
     * not have it, and says so. */
    if (wrong == 0 && o->model == NULL)
        wrong = knock(o, "/v2", "ask for anything");
    if (wrong || o->model == NULL)
        return wrong;
    snprintf(path, sizeof path, "/v1/models/%s", o->model);
    wrong = ask(o, path);
    return wrong ? wrong : judge_model(o);
}

/* ---- the command ---- */

static sl_code parse_target(outside *o, const char *text, sl_status *st)
{
    char url[400];
    o->guess = strstr(text, "://") == NULL;
    if (!o->guess)
        return sl_client_parse_url(text, &o->url, st);
    const char *colon = strrchr(text, ':');
    if (strlen(text) > 300 || colon == NULL || colon[1] == '\0' || strchr(colon, ']') != NULL)
        return sl_fail(st, SL_INVALID_ARGUMENT, "%s: expected is HOST:PORT", text);
    snprintf(url, sizeof url, "https://%s", text);
    sl_code rc = sl_client_parse_url(url, &o->url, st);
    o->url.path = "/";
    return rc;
}

static bool is_plain_name(const char *model)
{
    return model[0] != '\0' && strlen(model) <= 1000 && strpbrk(model, " /?#%\r\n\t") == NULL;
}

int sl_check_outside(int argc, char **argv)
{
    outside o = {.options.timeout_s = DEFAULT_TIMEOUT_S};
    const char *target = NULL, *value;
    sl_status st = {0};
    for (int i = 1; i < argc; i++) {
        if ((value = sl_cli_value(argv[i], "--from-outside")) != NULL)
            target = value;
        else if (strcmp(argv[i], "--from-outside") == 0 && i + 1 < argc)
            target = argv[++i];
        else if ((value = sl_cli_value(argv[i], "--model")) != NULL)
            o.model = value;
        else if (strcmp(argv[i], "--model") == 0 && i + 1 < argc)
            o.model = argv[++i];
        else if (!sl_client_option(&o.options, argc, argv, &i))
            return sl_cli_usage("%s", usage_text);
    }
    if (target == NULL || (o.model != NULL && !is_plain_name(o.model)))
        return sl_cli_usage("%s", usage_text);
    if (parse_target(&o, target, &st))
        return sl_cli_usage("%s", st.msg);
    /* Somebody who brings certificates means TLS. */
    o.guess = o.guess && o.options.cacert == NULL && o.options.cert == NULL;
    int exit_status = check(&o);
    sl_client_reply_fini(&o.reply);
    if (exit_status == 0)
        puts("ok");
    return exit_status;
}
