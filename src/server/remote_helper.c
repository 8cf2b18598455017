/*
 * remote_helper.c - the thread that talks to the helper
 *
 * The helper ends when its socket does; one that ends by itself is started again, after 0.1 s and
 * then ever later, at most every 30 s.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "server/remote_internal.h"

static const uint64_t FIRST_WAIT_NS = 100000000u, LONGEST_WAIT_NS = 30000000000u;
enum { OUT_LIMIT = 64 << 20 };

static void set_up(sl_remote *r)
{
    sl_fetch_msg m = {.kind = SL_FETCH_SETUP,
                      .patience_s = r->opts.patience_s,
                      .max_bytes = r->opts.max_bytes,
                      .names = r->roots,
                      .n_names = r->n_roots};
    remote_helper_send(r, &m);
}

static void begin(sl_remote *r)
{
    sl_status st;
    r->start_wait_ns =
        r->start_wait_ns ? SL_MIN(r->start_wait_ns * 2, LONGEST_WAIT_NS) : FIRST_WAIT_NS;
    r->start_due_ns = sl_now_ns() + r->start_wait_ns;
    if (sl_helper_open(&r->process, &r->socket, &st)) {
        sl_log(SL_ERROR, "cannot start %s: %s", r->process.path, st.msg);
        return;
    }
    fcntl(r->socket, F_SETFL, O_NONBLOCK);
    set_up(r);
}

void remote_helper_end(sl_remote *r)
{
    if (r->socket >= 0)
        close(r->socket);
    r->socket = -1;
    r->is_up = false;
    sl_helper_close(&r->process);
    sl_text_fini(&r->out);
    r->out_at = 0;
    sl_fetch_reader_fini(&r->in);
}

static void gone(sl_remote *r, const char *why)
{
    sl_log(SL_ERROR, "sluice-fetch has gone (%s); it is started again", why);
    remote_helper_end(r);
    remote_round_abandon(r, "sluice-fetch ended unexpectedly");
}

/* ---- talking ---- */

void remote_helper_send(sl_remote *r, const sl_fetch_msg *m)
{
    if (r->socket < 0)
        return;
    if (r->out_at == r->out.n)
        r->out.n = r->out_at = 0;
    sl_fetch_write(&r->out, m);
}

static void hear_hello(sl_remote *r, const sl_fetch_msg *m)
{
    if (m->code != SL_FETCH_VERSION) {
        gone(r, "it is of another version than this program");
        r->start_wait_ns = r->start_due_ns = LONGEST_WAIT_NS;
        r->start_due_ns += sl_now_ns();
        return;
    }
    r->is_up = true;
    r->start_wait_ns = 0;
}

static void hear(sl_remote *r)
{
    sl_fetch_msg m;
    sl_status st = {0};
    while (r->socket >= 0) {
        sl_code rc = sl_fetch_read(&r->in, &m, &st);
        if (rc == SL_UNAVAILABLE) {
            int n = sl_fetch_fill(&r->in, r->socket);
            if (n == 0 || (n < 0 && errno != EAGAIN))
                gone(r, "its socket closed");
            if (n <= 0)
                return;
        } else if (rc) {
            gone(r, st.msg);
        } else {
            if (m.kind == SL_FETCH_HELLO)
                hear_hello(r, &m);
            else
                remote_round_hear(r, &m);
            sl_fetch_msg_fini(&m);
        }
    }
}

/* ---- the thread ---- */

static int wait_ms(uint64_t until, uint64_t now)
{
    if (until <= now)
        return 0;
    return (int)SL_MIN((until - now) / 1000000 + 1, (uint64_t)60000);
}

void *remote_helper_run(void *remote)
{
    sl_remote *r = remote;
    uint64_t ignored;
    sl_thread_be_nice();
    pthread_mutex_lock(&r->lock);
    while (!r->ending) {
        uint64_t now = sl_now_ns();
        if (r->socket < 0 && now >= r->start_due_ns)
            begin(r);
        uint64_t next = r->is_up ? remote_round_tend(r, now) : now + 1000000000u;
        if (r->socket < 0)
            next = SL_MIN(next, r->start_due_ns);
        else if (sl_fetch_flush(r->socket, &r->out, &r->out_at) || r->out.failed ||
                 r->out.n > OUT_LIMIT)
            gone(r, "it does not take what it is told");
        struct pollfd fds[2] = {{.fd = r->wake, .events = POLLIN},
                                {.fd = r->socket, .events = POLLIN}};
        if (r->out_at < r->out.n)
            fds[1].events |= POLLOUT;
        pthread_mutex_unlock(&r->lock);
        poll(fds, 2, wait_ms(next, now));
        if (fds[0].revents && read(r->wake, &ignored, sizeof ignored) < 0)
            ignored = 0;
        pthread_mutex_lock(&r->lock);
        if (r->socket >= 0)
            hear(r);
    }
    remote_helper_end(r);
    pthread_mutex_unlock(&r->lock);
    return NULL;
}
