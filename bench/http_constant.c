/*
 * http_constant.c - an HTTP server whose every answer is the same: what the HTTP layer itself costs
 *
 *     http_constant [port [loops [bytes]]]      8600 1 62
 *
 * POST /echo answers with the body, lent as it came. Compare with another server that sends a small
 * constant answer: bench/http_constant.sh; over HTTP/2: bench/http2.py.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "http/http.h"
#include "net/loop.h"

typedef struct answer {
    char *p;
    size_t n;
} answer;

static void on_call(sl_http_call *call, void *arg)
{
    const answer *a = arg;
    call->content_type = "application/json";
    if (sl_str_is(call->path, "/echo"))
        sl_chain_lend(&call->reply, call->body_buffer, call->body.p, call->body.n);
    else
        sl_chain_add(&call->reply, a->p, a->n);
    sl_http_reply(call);
}

static void on_error(int status, const char *message, sl_chain *body, const char **type, void *arg)
{
    (void)arg;
    *type = "text/plain";
    sl_chain_printf(body, "%d %s\n", status, message);
}

static void done(void *arg)
{
    (void)arg;
}

int main(int argc, char **argv)
{
    enum { MAX_LOOPS = 64 };
    int64_t port = 8600, n_loops = 1, bytes = 62;
    sl_loop *loops[MAX_LOOPS];
    char address[64];
    sl_status st;
    if ((argc > 1 && !sl_str_to_int64(sl_str_of(argv[1]), &port)) ||
        (argc > 2 && !sl_str_to_int64(sl_str_of(argv[2]), &n_loops)) ||
        (argc > 3 && !sl_str_to_int64(sl_str_of(argv[3]), &bytes)) || n_loops < 1 ||
        n_loops > MAX_LOOPS || bytes < 0) {
        fprintf(stderr, "usage: http_constant [port [loops [bytes]]]\n");
        return 2;
    }
    answer a = {sl_malloc((size_t)bytes + 1), (size_t)bytes};
    memset(a.p, 'x', a.n);
    sl_http_options opts = {.on_call = on_call, .on_error = on_error, .arg = &a};
    sl_http_limits_default(&opts.limits);
    snprintf(address, sizeof address, "127.0.0.1:%d", (int)port);
    for (int i = 0; i < n_loops; i++)
        if (sl_loop_new(&loops[i], &st) != SL_OK)
            goto fail;
    sl_http_server *server;
    if (sl_http_listen(loops, (int)n_loops, address, &opts, &server, NULL, &st) != SL_OK)
        goto fail;
    sigset_t set;
    int signal;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    for (int i = 0; i < n_loops; i++)
        if (sl_loop_start(loops[i], "loop", &st) != SL_OK)
            goto fail;
    sigwait(&set, &signal);
    sl_http_drain(server, done, NULL);
    for (int i = 0; i < n_loops; i++)
        sl_loop_stop(loops[i]);
    sl_http_free(server);
    for (int i = 0; i < n_loops; i++)
        sl_loop_free(loops[i]);
    sl_free(a.p);
    return 0;
fail:
    fprintf(stderr, "http_constant: %s\n", st.msg);
    return 1;
}
