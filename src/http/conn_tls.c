/*
 * conn_tls.c - an encrypted connection before its first request
 *
 * A connection that has not said anything yet costs no more than a plain one: its first bytes are
 * looked at where they lie, and only what looks like TLS gets an SSL object. Who speaks plain HTTP
 * is told so, in plain HTTP.
 *
 * Handshakes that do not come to an end are limited in time, and in number: when there are too many
 * the oldest is cut. An honest one takes two round trips, so among the oldest are those that stall,
 * and a crowd of them does not keep anybody out. A step of one costs a quarter of a millisecond: there is
 * one in a turn of the loop, so that many who come at once do not hold up all others until the last of
 * them is served. What is left is reported again with the next turn. The step with the key exchange and
 * the signature is for another thread where one is free:
 *
 *     loop:   hello -> send_away                          come_back -> ... the rest of the handshake
 *     other:               \-> step_there -- post back --/
 */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "http/conn.h"

#define TELL_EVERY_NS 1000000000u

/* ---- the log: at most a line a second and loop ---- */

void sl_conn_tell(sl_conn *c, sl_log_level level, const char *what, const char *why)
{
    sl_shard *s = c->shard;
    uint64_t now = sl_loop_now(s->loop);
    if (!sl_log_wants(level))
        return;
    if (now < s->tell_ns) {
        s->untold++;
        return;
    }
    if (s->untold > 0)
        sl_log(level, "%s: %s%s (%u more such lines were left out)", c->peer, what, why, s->untold);
    else
        sl_log(level, "%s: %s%s", c->peer, what, why);
    s->untold = 0;
    s->tell_ns = now + TELL_EVERY_NS;
}

void sl_conn_tell_tls_on_plain(sl_conn *c)
{
    sl_conn_tell(c, SL_INFO, "a client speaks TLS to a port of plain HTTP: ",
                 "the server has no certificate for it, or the client should use http://");
}

/* ---- the list ---- */

static void join(sl_conn *c)
{
    sl_shard *s = c->shard;
    /* The oldest comes first, also if it comes back from elsewhere later than others. */
    sl_ring *behind = &s->shakes;
    while (behind->prev != &s->shakes &&
           SL_OF(sl_conn, shake, behind->prev)->opened_ns > c->opened_ns)
        behind = behind->prev;
    sl_ring_join(behind, &c->shake);
    s->n_shakes++;
}

void sl_conn_handshake_over(sl_conn *c)
{
    if (!sl_ring_is_in(&c->shake))
        return;
    sl_ring_leave(&c->shake);
    c->shard->n_shakes--;
}

static void cut_oldest(sl_shard *s)
{
    int max = s->server->opts.limits.max_handshakes / s->server->n_shards;
    if (s->n_shakes < SL_MAX(max, 1))
        return;
    sl_conn *oldest = SL_OF(sl_conn, shake, sl_ring_first(&s->shakes));
    sl_tls_count_failure("overload");
    sl_conn_tell(oldest, SL_WARNING, "TLS handshake cut: ", "too many at the same time");
    sl_conn_close(oldest);
}

/* ---- the handshake ---- */

/* Its bytes are still with the kernel, which tells of them again. */
static bool must_wait(sl_shard *s)
{
    uint64_t turn = sl_loop_turn_number(s->loop);
    bool another = s->shake_turn == turn;
    s->shake_turn = turn;
    return another;
}

static void die(sl_conn *c, const char *counted)
{
    sl_tls_count_failure(counted);
    c->state = SL_CONN_DEAD;
}

static void refuse_plain(sl_conn *c)
{
    sl_tls_count_failure("plain_http");
    sl_conn_tell(c, SL_INFO, "a client speaks plain HTTP to a port of TLS", "");
    c->state = SL_CONN_HEAD;
    sl_conn_refuse(c, 400, "this port speaks HTTPS: use https://");
}

/* Looks at the first bytes without taking them. True: there is a filter now. */
static bool begin(sl_conn *c)
{
    char p[2];
    ssize_t n = sl_fault_hit(SL_FAULT_READ) ? 0 : recv(c->io.fd, p, sizeof p, MSG_PEEK);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n <= 0) {
        die(c, "closed");
    } else if (sl_tls_looks_like(p, (size_t)n)) {
        if (must_wait(c->shard))
            return false;
        cut_oldest(c->shard);
        if (sl_tls_open(c->shard->server->opts.tls, &c->io)) {
            join(c);
            if (c->shard->server->opts.elsewhere != NULL)
                sl_tls_tell_costly(&c->io);
            return true;
        }
        die(c, "overload");
    } else if (p[0] >= 'A' && p[0] <= 'Z') {
        refuse_plain(c);
    } else {
        die(c, "not_tls");
    }
    return false;
}

/* What an operator may have to mend is told; what the network does all day is not. */
static sl_log_level level_of(const char *why)
{
    static const char *const everyday[] = {"closed", "protocol", "not_tls", "refused_by_client"};
    for (size_t i = 0; i < SL_COUNTOF(everyday); i++)
        if (strcmp(why, everyday[i]) == 0)
            return SL_DEBUG;
    return SL_INFO;
}

static void stepped(sl_conn *c, sl_tls_step step, const char *why, const char *failure)
{
    if (step == SL_TLS_AGAIN)
        return;
    sl_conn_handshake_over(c);
    if (step == SL_TLS_FAILED) {
        sl_conn_tell(c, level_of(why), "TLS handshake failed: ", failure);
        c->unread = strcmp(why, "closed") != 0; /* an alert is on its way, and must arrive */
        sl_conn_end(c);
        return;
    }
    sl_ring_leave(&c->crowd); /* it has shown that it is alive: it joins again, at the end */
    c->state = SL_CONN_HEAD;
    c->fresh = true;
    c->opened_ns = sl_loop_now(c->shard->loop);
}

/* ---- elsewhere ---- */

struct sl_away {
    sl_http_work work; /* first */
    sl_post back;
    sl_conn *conn;
    uint64_t due_ns;
    sl_tls_step step;
    const char *why;
    char failure[160];
};

void sl_conn_handshake_forget(sl_conn *c)
{
    sl_free(c->away);
    c->away = NULL;
}

/* On the loop. What happened to the connection meanwhile is looked at now. */
static void come_back(void *arg)
{
    struct sl_away *a = arg;
    sl_conn *c = a->conn;
    c->away = NULL;
    sl_conn_set_due(c, a->due_ns);
    join(c);
    if (sl_watch_start(c->shard->loop, &c->watch, SL_LISTEN_EVENTS, NULL) == SL_OK)
        stepped(c, a->step, a->why, a->failure);
    else
        die(c, "overload");
    sl_free(a);
    if (c->state == SL_CONN_HANDSHAKE)
        sl_conn_drain(c);
    sl_conn_go_on(c);
}

static void step_there(sl_http_work *work)
{
    struct sl_away *a = (struct sl_away *)work;
    sl_conn *c = a->conn;
    a->step = sl_tls_handshake(&c->io, &a->why);
    if (a->step == SL_TLS_FAILED)
        snprintf(a->failure, sizeof a->failure, "%s", sl_tls_failure());
    sl_loop_post(c->shard->loop, &a->back, come_back, a);
}

/* Until it is back nobody looks at the connection: it is busy, nothing is awaited, nothing is due.
 */
static bool send_away(sl_conn *c)
{
    const sl_http_options *o = sl_conn_options(c);
    struct sl_away *a = sl_try_malloc(sizeof *a);
    if (a == NULL)
        return false;
    *a = (struct sl_away){.work = {.run = step_there}, .conn = c, .due_ns = c->due_ns, .why = ""};
    if (!o->elsewhere(&a->work, o->arg)) {
        sl_free(a);
        return false;
    }
    c->away = a;
    c->due_ns = UINT64_MAX;
    sl_conn_handshake_over(c);
    sl_watch_stop(&c->watch);
    return true;
}

void sl_conn_handshake(sl_conn *c)
{
    const char *why = "";
    if (c->io.ops == NULL ? !begin(c) : must_wait(c->shard))
        return;
    sl_tls_step step = sl_tls_handshake(&c->io, &why);
    if (step == SL_TLS_COSTLY) {
        if (send_away(c))
            return;
        step = sl_tls_handshake(&c->io, &why);
    }
    stepped(c, step, why, sl_tls_failure());
}

void sl_conn_handshake_late(sl_conn *c)
{
    sl_conn_tell(c, SL_DEBUG, "TLS handshake cut: ", "it took too long");
    die(c, "timeout");
}
