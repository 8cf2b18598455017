/*
 * queue.c - see queue.h
 *
 * Requests of one bucket or host are a group. A group lives while it has requests; a new one is put
 * behind the others, and one that has had a request started goes to the end, so that all have
 * their turn.
 */
#include "fetch/helper/queue.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/mem.h"

typedef struct group {
    struct group *next;
    sl_fetch_scheme scheme;
    char *bucket;
    fetch_op *first, *last; /* waiting */
    int running;
} group;

static struct {
    pthread_mutex_t lock; /* guards all of it */
    group *groups;
    fetch_op *running[FETCH_OPS];
    int n_running, n_waiting;
    int most_waiting; /* these do not change */
    void (*run)(fetch_op *op);
    void (*done)(fetch_op *op);
} self = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- groups; with the lock ---- */

static void append_group(group *g)
{
    group **at = &self.groups;
    while (*at != NULL)
        at = &(*at)->next;
    g->next = NULL;
    *at = g;
}

static group *find_group(const fetch_op *op)
{
    group *g = self.groups;
    while (g != NULL && (g->scheme != op->place.scheme || !sl_str_is(op->place.bucket, g->bucket)))
        g = g->next;
    return g;
}

static group *need_group(const fetch_op *op)
{
    group *g = find_group(op);
    if (g != NULL)
        return g;
    g = sl_calloc(1, sizeof *g);
    g->scheme = op->place.scheme;
    g->bucket = sl_strndup(op->place.bucket.p, op->place.bucket.n);
    append_group(g);
    return g;
}

static void take_out(group *g)
{
    group **at = &self.groups;
    while (*at != g)
        at = &(*at)->next;
    *at = g->next;
}

/* ---- starting ---- */

static void *work(void *arg);

/* With the lock: starts one request of the group. False if no thread can be had. */
static bool start_one(group *g)
{
    pthread_t thread;
    pthread_attr_t detached;
    fetch_op *op = g->first;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    int e = pthread_create(&thread, &detached, work, op);
    pthread_attr_destroy(&detached);
    if (e)
        return false;
    g->first = op->next;
    if (g->first == NULL)
        g->last = NULL;
    g->running++;
    self.running[self.n_running++] = op;
    self.n_waiting--;
    return true;
}

/* With the lock. */
static void start_some(void)
{
    group *g = self.groups;
    while (g != NULL && self.n_running < FETCH_OPS) {
        if (g->first == NULL || g->running >= FETCH_OPS_OF_ONE) {
            g = g->next;
            continue;
        }
        if (!start_one(g)) {
            if (self.n_running == 0)
                abort(); /* nobody is left who would start it later: the server starts us anew */
            return;
        }
        take_out(g);
        append_group(g);
        g = self.groups;
    }
}

static void ended(fetch_op *op)
{
    group *g = find_group(op);
    int i = 0;
    assert(g != NULL); /* it stays as long as one of it runs */
    while (self.running[i] != op)
        i++;
    self.running[i] = self.running[--self.n_running];
    if (--g->running > 0 || g->first != NULL)
        return;
    take_out(g);
    sl_free(g->bucket);
    sl_free(g);
}

static void *work(void *arg)
{
    fetch_op *op = arg;
    self.run(op);
    pthread_mutex_lock(&self.lock);
    ended(op);
    start_some();
    pthread_mutex_unlock(&self.lock);
    self.done(op);
    return NULL;
}

/* ---- from outside ---- */

void fetch_queue_start(void (*run)(fetch_op *op), void (*done)(fetch_op *op), int most_waiting)
{
    self.most_waiting = most_waiting;
    self.run = run;
    self.done = done;
}

sl_code fetch_queue_add(fetch_op *op, sl_status *st)
{
    pthread_mutex_lock(&self.lock);
    bool room = self.n_waiting < self.most_waiting;
    if (room) {
        group *g = need_group(op);
        op->next = NULL;
        if (g->last != NULL)
            g->last->next = op;
        else
            g->first = op;
        g->last = op;
        self.n_waiting++;
        start_some();
    }
    pthread_mutex_unlock(&self.lock);
    return room ? SL_OK : sl_fail(st, SL_RESOURCE_EXHAUSTED, "too many requests");
}

void fetch_queue_cancel(uint64_t id)
{
    pthread_mutex_lock(&self.lock);
    for (int i = 0; i < self.n_running; i++)
        if (self.running[i]->id == id)
            atomic_store(&self.running[i]->cancelled, true);
    for (group *g = self.groups; g != NULL; g = g->next)
        for (fetch_op *op = g->first; op != NULL; op = op->next)
            if (op->id == id)
                atomic_store(&op->cancelled, true);
    pthread_mutex_unlock(&self.lock);
}
