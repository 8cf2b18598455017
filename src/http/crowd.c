/*
 * crowd.c - who goes when there are too many
 *
 * Connections. When there are as many as may be, or no descriptor is left, a new one takes the
 * place of one that waits for its client: the one that has waited longest of the strangers, who
 * have never sent the head of a request, and of those that have stood still for two seconds in a
 * head, a body or a reply; if there is none, the one that has rested longest. So a crowd that says
 * nothing, or says it too slowly, keeps nobody out; who is being served is never touched, and when
 * all are being served the new one is refused.
 *
 * Memory. What a connection holds while its client is slow (a reply that is not taken, a head or a
 * body that does not come) is owed. All debts together may be half of the budget for bytes in
 * flight; beyond that the debtor is cut that has not moved for longest. Sessions of TLS and HTTP/2
 * may be a quarter of it (a few hundred in any case); beyond that the stranger that has waited
 * longest with one is closed, or the one that has rested longest. The last quarter is always there
 * for bodies. Who is alone is left in peace, however much it is.
 *
 * Both are a loop's own affair: connections are spread evenly over loops.
 */
#include <assert.h>
#include <stdatomic.h>

#include "base/log.h"
#include "base/mem.h"
#include "http/conn.h"
#include "http/http2.h"
#include "metrics/metrics.h"

#define STANDS_NS 2000000000u
/* What an idle session takes, as measured. */
enum { TLS_BYTES = 14 * 1024, H2_BYTES = 7 * 1024, LEAST_SESSIONS = 4 << 20 };

void sl_crowd_init(sl_shard *s)
{
    for (int known = 0; known < 2; known++)
        for (int heavy = 0; heavy < 2; heavy++)
            sl_ring_init(&s->waiting[known][heavy]);
    sl_ring_init(&s->debtors);
}

static void count(const char *why)
{
    static const char *const labels[] = {"reason", NULL};
    sl_str value = sl_str_of(why);
    sl_metric *m = sl_metric_register("/sluice/http/crowded_out", SL_COUNTER, labels, NULL, 0);
    sl_cell_add(sl_metric_cell(m, &value), 1);
}

/* ---- memory ---- */

static bool is_over(const sl_budget *b, const _Atomic int64_t *what, int part, int64_t least)
{
    int64_t max = atomic_load_explicit(&b->max, memory_order_relaxed);
    return max > 0 && atomic_load_explicit(what, memory_order_relaxed) > SL_MAX(max / part, least);
}

/* From *before to so many bytes. */
static void charge(sl_budget *b, _Atomic int64_t *what, size_t *before, size_t bytes)
{
    int64_t more = (int64_t)bytes - (int64_t)*before;
    atomic_fetch_add_explicit(what, more, memory_order_relaxed);
    atomic_fetch_add_explicit(&b->used, more, memory_order_relaxed);
    *before = bytes;
}

static size_t weight(const sl_conn *c)
{
    return (c->io.ops != NULL ? TLS_BYTES : 0) + (c->h2 != NULL ? H2_BYTES : 0);
}

/* Is control in here, or will it be at once? */
static bool is_busy(const sl_conn *c)
{
    if (sl_ring_is_in(&c->later))
        return true;
    return c->h2 != NULL ? c->h2->inside : c->busy;
}

/* The one that has not moved for longest, but for `c` and those in which control is. */
static sl_conn *worst_debtor(const sl_shard *s, const sl_conn *c)
{
    const sl_ring *head = &s->debtors;
    for (sl_ring *r = head->next; r != head; r = r->next) {
        sl_conn *other = SL_OF(sl_conn, debt, r);
        assert(r != NULL);
        if (other != c && !is_busy(other))
            return other;
    }
    return NULL;
}

/* The one that has waited longest, but for these. */
static sl_conn *first_waiting(const sl_shard *s, bool known, bool heavy, const sl_conn *c)
{
    const sl_ring *head = &s->waiting[known][heavy];
    for (sl_ring *r = head->next; r != head; r = r->next) {
        sl_conn *other = SL_OF(sl_conn, crowd, r);
        assert(r != NULL);
        if (other != c && !is_busy(other))
            return other;
    }
    return NULL;
}

static void cut(sl_conn *c, const char *why)
{
    count(why);
    sl_conn_tell(c, SL_WARNING, "closed to make room for others: ",
                 "it does not take its replies, or does not send what it began");
    sl_crowd_forgive(c);
    if (c->h2 != NULL)
        sl_h2_cut(c);
    else
        sl_conn_cut(c);
}

static void close_waiting(sl_conn *c, const char *why)
{
    count(why);
    sl_conn_tell(c, SL_WARNING, "closed to make room for others: ",
                 c->known ? "it is idle" : "it has not sent a request yet");
    sl_conn_close(c);
}

static void weigh(sl_conn *c)
{
    sl_budget *b = c->shard->server->shared;
    size_t bytes = weight(c);
    bool more = bytes > c->weighs;
    if (bytes == c->weighs)
        return;
    charge(b, &b->sessions, &c->weighs, bytes);
    while (more && is_over(b, &b->sessions, 4, LEAST_SESSIONS)) {
        sl_conn *other = first_waiting(c->shard, false, true, c);
        if (other == NULL && (other = first_waiting(c->shard, true, true, c)) == NULL)
            return;
        close_waiting(other, "memory");
    }
}

void sl_crowd_owe(sl_conn *c, size_t bytes, bool moved)
{
    sl_budget *b = c->shard->server->shared;
    bool more = bytes > c->owes;
    weigh(c);
    if (bytes != c->owes)
        charge(b, &b->owed, &c->owes, bytes);
    if (bytes == 0)
        sl_ring_leave(&c->debt);
    else if (moved || !sl_ring_is_in(&c->debt)) {
        sl_ring_join(&c->shard->debtors, &c->debt);
        c->debt_ns = sl_loop_now(c->shard->loop);
    }
    while (more && is_over(b, &b->owed, 2, 0)) {
        sl_conn *other = worst_debtor(c->shard, c);
        if (other == NULL)
            return;
        cut(other, "memory");
    }
}

void sl_crowd_forgive(sl_conn *c)
{
    sl_budget *b = c->shard->server->shared;
    if (c->owes > 0)
        charge(b, &b->owed, &c->owes, 0);
    if (c->weighs > 0)
        charge(b, &b->sessions, &c->weighs, 0);
    sl_ring_leave(&c->debt);
}

/* ---- connections ---- */

void sl_crowd_wait(sl_conn *c)
{
    bool heavy = weight(c) > 0;
    if (sl_ring_is_in(&c->crowd) && heavy == c->heavy)
        return;
    c->heavy = heavy;
    c->crowd_ns = sl_loop_now(c->shard->loop);
    sl_ring_join(&c->shard->waiting[c->known][heavy], &c->crowd);
}

void sl_crowd_serve(sl_conn *c)
{
    c->known = true;
    sl_ring_leave(&c->crowd);
}

/* The share of the same loop in the next server of the family. */
static sl_shard *sibling(const sl_shard *here, sl_http_server **v)
{
    size_t at = (size_t)(here - here->server->shards);
    for (; *v != NULL; *v = (*v)->elder)
        if (at < (size_t)(*v)->n_shards && (*v)->shards[at].loop == here->loop) {
            sl_shard *s = &(*v)->shards[at];
            *v = (*v)->elder;
            return s;
        }
    return NULL;
}

/* Who has waited longest: the loop's share of all servers of the family is looked at. */
typedef struct candidates {
    sl_conn *stranger, *debtor, *resting;
} candidates;

static sl_conn *older(sl_conn *a, sl_conn *b)
{
    return a == NULL || (b != NULL && b->crowd_ns < a->crowd_ns) ? b : a;
}

static candidates find_candidates(const sl_shard *here)
{
    candidates found = {0};
    sl_http_server *v = atomic_load(&here->server->family->newest);
    for (sl_shard *s; (s = sibling(here, &v)) != NULL;) {
        sl_conn *debtor = worst_debtor(s, NULL);
        for (int heavy = 0; heavy < 2; heavy++) {
            found.stranger = older(found.stranger, first_waiting(s, false, heavy, NULL));
            found.resting = older(found.resting, first_waiting(s, true, heavy, NULL));
        }
        if (debtor != NULL && (found.debtor == NULL || debtor->debt_ns < found.debtor->debt_ns))
            found.debtor = debtor;
    }
    if (found.debtor != NULL && found.debtor->debt_ns + STANDS_NS > sl_loop_now(here->loop))
        found.debtor = NULL;
    return found;
}

bool sl_crowd_make_room(sl_shard *s)
{
    candidates found = find_candidates(s);
    sl_conn *c = found.stranger;
    if (found.debtor != NULL && (c == NULL || found.debtor->debt_ns < c->crowd_ns)) {
        cut(found.debtor, "slow");
        return true;
    }
    if (c == NULL && (c = found.resting) == NULL)
        return false;
    close_waiting(c, c->known ? "idle" : "silent");
    return true;
}
