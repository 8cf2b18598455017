/*
 * crowd.c - who goes when there are too many
 *
 * Connections. When there are as many as may be, or no descriptor is left, a new one takes the
 * place of one that waits for its client: the one that has waited longest of those that have never
 * sent the head of a request, and of those that have stood still for two seconds in a head, a body
 * or a reply; if there is none, the one that has rested longest. So a crowd that says nothing, or
 * says it too slowly, keeps nobody out; who is being served is never touched, and when all are
 * being served the new one is refused.
 *
 * Memory. What a connection holds while its client is slow (a reply that is not taken, a head or a
 * body that does not come) is owed. All debts together may be half of the budget for bytes in
 * flight; beyond that the debtor is cut that has not moved for longest. The other half is always
 * there for bodies. A debtor that is alone is left in peace, however much it is.
 *
 * Both are a loop's own affair: connections are spread evenly over loops.
 */
#include <stdatomic.h>

#include "base/log.h"
#include "base/mem.h"
#include "http/conn.h"
#include "http/http2.h"
#include "metrics/metrics.h"

#define STANDS_NS 2000000000u

void sl_crowd_init(sl_shard *s)
{
    sl_ring_init(&s->strangers);
    sl_ring_init(&s->resting);
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

static bool too_much(const sl_budget *b)
{
    int64_t max = atomic_load_explicit(&b->max, memory_order_relaxed);
    return max > 0 && atomic_load_explicit(&b->owed, memory_order_relaxed) > max / 2;
}

static void owes(sl_conn *c, size_t bytes)
{
    sl_budget *b = c->shard->server->shared;
    int64_t more = (int64_t)bytes - (int64_t)c->owes;
    atomic_fetch_add_explicit(&b->owed, more, memory_order_relaxed);
    atomic_fetch_add_explicit(&b->used, more, memory_order_relaxed);
    c->owes = bytes;
}

/* The one that has not moved for longest, but for `c` and those in which control is. */
static sl_conn *worst_debtor(const sl_shard *s, const sl_conn *c)
{
    const sl_ring *head = &s->debtors;
    for (sl_ring *r = head->next; r != head; r = r->next) {
        sl_conn *other = SL_OF(sl_conn, debt, r);
        if (other != c && !(other->h2 != NULL ? other->h2->inside : other->busy))
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

void sl_crowd_owe(sl_conn *c, size_t bytes, bool moved)
{
    bool more = bytes > c->owes;
    if (bytes != c->owes)
        owes(c, bytes);
    if (bytes == 0)
        sl_ring_leave(&c->debt);
    else if (moved || !sl_ring_is_in(&c->debt)) {
        sl_ring_join(&c->shard->debtors, &c->debt);
        c->debt_ns = sl_loop_now(c->shard->loop);
    }
    for (sl_conn *other; more && too_much(c->shard->server->shared);) {
        if ((other = worst_debtor(c->shard, c)) == NULL)
            return;
        cut(other, "memory");
    }
}

void sl_crowd_forgive(sl_conn *c)
{
    if (c->owes > 0)
        owes(c, 0);
    sl_ring_leave(&c->debt);
}

/* ---- connections ---- */

void sl_crowd_wait(sl_conn *c)
{
    if (sl_ring_is_in(&c->crowd))
        return;
    c->crowd_ns = sl_loop_now(c->shard->loop);
    sl_ring_join(c->known ? &c->shard->resting : &c->shard->strangers, &c->crowd);
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

static sl_conn *first_of(const sl_ring *head)
{
    sl_ring *r = sl_ring_first(head);
    return r ? SL_OF(sl_conn, crowd, r) : NULL;
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
        found.stranger = older(found.stranger, first_of(&s->strangers));
        found.resting = older(found.resting, first_of(&s->resting));
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
    count(c->known ? "idle" : "silent");
    sl_conn_tell(c, SL_WARNING, "closed to make room for others: ",
                 c->known ? "it is idle" : "it has not sent a request yet");
    sl_conn_close(c);
    return true;
}
