/*
 * rates.c - see rates.h
 *
 * A bucket is kept as one number: the time at which it will be full again (GCRA, the leaky bucket
 * as a meter). A request moves that time by 1/rate; it is refused if that would put it more than
 * burst/rate ahead of now. So there is nothing to refill.
 *
 * 16 shards, each a table of chains with its own lock.
 */
#include "guard/rates.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/mem.h"

enum { SHARDS = 16, BUCKETS = 512, SWEEP = 8 };

struct sl_counter {
    sl_counter *next;
    uint64_t full_ns; /* when the bucket is full again */
    int in_flight;
    int shard;
    size_t n;
    char key[];
};

typedef struct shard {
    pthread_mutex_t lock;
    sl_counter *buckets[BUCKETS];
    int count;
    unsigned hand; /* the bucket that the next sweep looks at */
} shard;

struct sl_rates {
    shard shards[SHARDS];
    int max_per_shard;
    atomic_int count;
};

sl_rates *sl_rates_new(int max_counters)
{
    sl_rates *r = sl_try_calloc(1, sizeof *r);
    if (r == NULL)
        return NULL;
    r->max_per_shard = SL_MAX(1, max_counters / SHARDS);
    for (int i = 0; i < SHARDS; i++)
        pthread_mutex_init(&r->shards[i].lock, NULL);
    return r;
}

void sl_rates_free(sl_rates *r)
{
    if (r == NULL)
        return;
    for (int i = 0; i < SHARDS; i++) {
        for (int b = 0; b < BUCKETS; b++)
            for (sl_counter *c = r->shards[i].buckets[b], *next; c != NULL; c = next) {
                next = c->next;
                sl_free(c);
            }
        pthread_mutex_destroy(&r->shards[i].lock);
    }
    sl_free(r);
}

int sl_rates_count(const sl_rates *r)
{
    return atomic_load(&r->count);
}

static sl_counter **place(shard *s, uint64_t hash, sl_str key)
{
    sl_counter **at = &s->buckets[hash / SHARDS % BUCKETS];
    while (*at != NULL && !sl_str_eq((sl_str){(*at)->key, (*at)->n}, key))
        at = &(*at)->next;
    return at;
}

static void drop(sl_rates *r, shard *s, sl_counter **at)
{
    sl_counter *c = *at;
    *at = c->next;
    s->count--;
    atomic_fetch_sub(&r->count, 1);
    sl_free(c);
}

/* Looks at a few buckets and forgets what says nothing any more. */
static void sweep(sl_rates *r, shard *s, uint64_t now_ns)
{
    for (int i = 0; i < SWEEP; i++, s->hand = (s->hand + 1) % BUCKETS)
        for (sl_counter **at = &s->buckets[s->hand]; *at != NULL;)
            if ((*at)->in_flight == 0 && (*at)->full_ns <= now_ns)
                drop(r, s, at);
            else
                at = &(*at)->next;
}

/* Forgets the one whose bucket is the first to be full; false if all have requests in flight. */
static bool evict(sl_rates *r, shard *s)
{
    sl_counter **least = NULL;
    for (int b = 0; b < BUCKETS; b++)
        for (sl_counter **at = &s->buckets[b]; *at != NULL; at = &(*at)->next)
            if ((*at)->in_flight == 0 && (least == NULL || (*at)->full_ns < (*least)->full_ns))
                least = at;
    if (least != NULL)
        drop(r, s, least);
    return least != NULL;
}

static sl_counter *make(sl_rates *r, shard *s, uint64_t hash, sl_str key)
{
    if (s->count >= r->max_per_shard && !evict(r, s))
        return NULL;
    sl_counter *c = sl_try_malloc(sizeof *c + key.n);
    if (c == NULL)
        return NULL;
    sl_counter **head = &s->buckets[hash / SHARDS % BUCKETS];
    *c = (sl_counter){.next = *head, .shard = (int)(hash % SHARDS), .n = key.n};
    memcpy(c->key, key.p, key.n);
    *head = c;
    s->count++;
    atomic_fetch_add(&r->count, 1);
    return c;
}

/* One request's share of the bucket. */
static uint64_t step_ns(const sl_rate *rate)
{
    double step = 1e9 / rate->per_second;
    return step < 9e18 ? (uint64_t)step : (uint64_t)9e18;
}

static bool admit(sl_counter *c, const sl_rate *rate, uint64_t now_ns, uint64_t *wait_ns)
{
    *wait_ns = 0;
    if (rate->concurrent > 0 && c->in_flight >= rate->concurrent)
        return false;
    if (rate->per_second > 0) {
        uint64_t step = step_ns(rate), from = SL_MAX(c->full_ns, now_ns);
        double room = rate->burst * (double)step;
        double ahead = (double)(from - now_ns) + (double)step;
        if (ahead > room + 0.5) {
            *wait_ns = (uint64_t)SL_MIN(ahead - room, 9e18);
            return false;
        }
        c->full_ns = from + step;
    }
    c->in_flight += rate->concurrent > 0;
    return true;
}

bool sl_rates_enter(sl_rates *r, const sl_rate *rate, sl_str key, uint64_t now_ns,
                    sl_counter **held, uint64_t *wait_ns)
{
    uint64_t hash = sl_hash(key.p, key.n);
    shard *s = &r->shards[hash % SHARDS];
    *held = NULL;
    *wait_ns = 0;
    pthread_mutex_lock(&s->lock);
    sl_counter *c = *place(s, hash, key);
    if (c == NULL) {
        sweep(r, s, now_ns);
        c = make(r, s, hash, key);
    }
    /* Where nothing can be counted nothing is let in: a bound that gives way under pressure is
     * none. */
    bool ok = c != NULL && admit(c, rate, now_ns, wait_ns);
    if (ok && rate->concurrent > 0)
        *held = c;
    pthread_mutex_unlock(&s->lock);
    return ok;
}

void sl_rates_leave(sl_rates *r, sl_counter *held)
{
    if (held == NULL)
        return;
    shard *s = &r->shards[held->shard];
    pthread_mutex_lock(&s->lock);
    held->in_flight--;
    pthread_mutex_unlock(&s->lock);
}

void sl_rates_undo(sl_rates *r, const sl_rate *rate, sl_str key)
{
    uint64_t hash = sl_hash(key.p, key.n);
    shard *s = &r->shards[hash % SHARDS];
    pthread_mutex_lock(&s->lock);
    sl_counter *c = *place(s, hash, key);
    if (c != NULL && rate->per_second > 0)
        c->full_ns -= SL_MIN(c->full_ns, step_ns(rate));
    if (c != NULL)
        c->in_flight -= rate->concurrent > 0;
    pthread_mutex_unlock(&s->lock);
}
