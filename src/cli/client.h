/*
 * client.h - one HTTP request to a server, from the shell
 *
 * What fails is told apart by layer, from the name to the reply, because a sentence that fits is
 * what `sluice check --from-outside` is for.
 */
#ifndef SL_CLI_CLIENT_H
#define SL_CLI_CLIENT_H

#include "base/str.h"
#include "net/tls_client.h"

typedef enum sl_client_layer {
    SL_LAYER_OURS,     /* an option or file of ours is wrong */
    SL_LAYER_NAME,     /* the host's name has no address */
    SL_LAYER_ROUTE,    /* its address cannot be reached */
    SL_LAYER_REFUSED,  /* nobody listens, or a firewall acts as if */
    SL_LAYER_REJECTED, /* a firewall says so: the reply's `rejected_by` */
    SL_LAYER_FILTERED, /* no answer at all */
    SL_LAYER_TLS,      /* the reply's `fault` says more */
    SL_LAYER_REPLY,    /* it broke off, or came too late */
    SL_LAYER_HTTP      /* what came is not HTTP */
} sl_client_layer;

typedef struct sl_client_url {
    bool tls;
    char host[256], port[16];
    const char *path; /* in the text that was parsed */
} sl_client_url;

/* "http[s]://host[:port][/path]", where host may be [::1]. INVALID_ARGUMENT. */
sl_code sl_client_parse_url(const char *text, sl_client_url *u, sl_status *st);

typedef struct sl_client_options {
    const char *cacert, *cert, *key; /* PEM files, or NULL */
    const char *token_file;          /* its first line is sent as a bearer token; or NULL */
    int timeout_s;                   /* to connect, and for each read; 0: none */
} sl_client_options;

/* Takes an argument that is one of --cacert, --cert, --key, --token-file, --timeout-s, each as
 * --name=value or --name value (then *i moves on). False: it is another argument. */
bool sl_client_option(sl_client_options *o, int argc, char **argv, int *i);
#define SL_CLIENT_USAGE \
    "[--cacert FILE] [--cert FILE [--key FILE]] [--token-file FILE] [--timeout-s N]"

typedef struct sl_client_reply {
    sl_client_layer layer; /* after a failure: where */
    sl_tls_fault fault;    /* SL_LAYER_TLS: which */
    char address[64];      /* where we connected to: "203.0.113.7" */
    char rejected_by[64];  /* SL_LAYER_REJECTED: whose answer it was, an address */
    const char *tls;       /* "TLSv1.3", or NULL */
    sl_text text;          /* as received */
    int status;
    sl_str reason, body; /* in text */
} sl_client_reply;

/* One request; `body`: p == NULL sends none. On failure r->layer says where; the status has the
 * reason in words. sl_client_reply_fini afterwards in any case. */
sl_code sl_client_ask(const char *method, const sl_client_url *u, const char *path, sl_str body,
                      const sl_client_options *o, sl_client_reply *r, sl_status *st);
void sl_client_reply_fini(sl_client_reply *r);

/* POSTs `body` to http[s]://host[:port]/path and prints the reply's body. A path that ends at a
 * model
 * (/v1/models/half) gets ":predict". The exit status: 0 for a 2xx reply, else 1. */
int sl_client_predict(const char *url, sl_str body, const sl_client_options *o);

#endif
