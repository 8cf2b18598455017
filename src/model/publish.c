/*
 * publish.c - what can be had of a model, made known to requests
 *
 * A model's new route goes into a new table. The old table, the old route and versions that left
 * are garbage until the readers that may see them have looked away (sl_manager_collect), which
 * whoever took the lock does after giving it back. Routes that change together are published
 * together: a table of ten thousand models is copied once for all of them.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "model/manager_internal.h"
#include "model/readers.h"

/* ---- garbage ---- */

void sl_manager_discard(sl_manager *m, sl_garbage g)
{
    sl_garbage *kept = sl_malloc(sizeof *kept);
    *kept = g;
    kept->next = m->garbage;
    m->garbage = kept;
}

void sl_manager_collect(sl_manager *m)
{
    pthread_mutex_lock(&m->lock);
    sl_manager_flush(m);
    sl_garbage *g = m->garbage;
    sl_awaited *told = sl_manager_take_told(m);
    m->garbage = NULL;
    pthread_mutex_unlock(&m->lock);
    sl_manager_wake(m, told);
    if (g == NULL)
        return;
    sl_readers_wait();
    while (g != NULL) {
        sl_garbage *next = g->next;
        sl_table_free(g->table);
        sl_route_free(g->route);
        if (g->serving != NULL)
            sl_serving_retire(g->serving);
        sl_free(g);
        g = next;
    }
}

/* ---- routes ---- */

/* What can be had of a model: now, or on demand. Numbers ascending. */
typedef struct available {
    sl_serving **servings;
    int64_t *numbers;
    int count;
    int64_t *waiting;
    int n_waiting;
    bool latest_waits;
} available;

static bool is_waiting(const sl_managed *v)
{
    return v->managed && v->aspired && v->state != SL_STATE_AVAILABLE &&
           sl_served_on_demand(v->model);
}

static available list_available(const sl_served *model)
{
    int n = 0, k = 0;
    const sl_managed *latest = NULL; /* that is available */
    for (const sl_managed *v = model->versions; v != NULL; v = v->next) {
        n += v->state == SL_STATE_AVAILABLE;
        k += is_waiting(v);
        if (v->state == SL_STATE_AVAILABLE && latest == NULL)
            latest = v;
    }
    available a = {.servings = sl_calloc((size_t)n, sizeof(sl_serving *)),
                   .numbers = sl_calloc((size_t)n, sizeof *a.numbers),
                   .count = n,
                   .waiting = sl_calloc((size_t)k, sizeof *a.waiting),
                   .n_waiting = k};
    for (const sl_managed *v = model->versions; v != NULL; v = v->next)
        if (v->state == SL_STATE_AVAILABLE) {
            n--; /* the list is descending */
            a.servings[n] = v->serving;
            a.numbers[n] = v->number;
        } else if (is_waiting(v)) {
            a.waiting[--k] = v->number;
        }
    /* One that serves, and is to be replaced, serves until its successor is there. */
    a.latest_waits =
        a.n_waiting > 0 &&
        (latest == NULL || (latest->aspired && a.waiting[a.n_waiting - 1] > latest->number));
    return a;
}

static void free_available(available a)
{
    sl_free(a.servings);
    sl_free(a.numbers);
    sl_free(a.waiting);
}

static sl_route *make_route(sl_served *model)
{
    static const sl_model_config gone = {0};
    available a = list_available(model);
    int64_t *can_be_had = sl_calloc((size_t)a.count + (size_t)a.n_waiting, sizeof *can_be_had);
    int n = 0;
    for (int i = 0; i < a.count; i++)
        can_be_had[n++] = a.numbers[i];
    for (int i = 0; i < a.n_waiting; i++)
        can_be_had[n++] = a.waiting[i];
    sl_labels_assign(model->config ? &model->config->c : &gone, &model->labels,
                     (sl_numbers){can_be_had, n}, model->manager->opts.labels_for_unavailable);
    sl_free(can_be_had);
    sl_route *route = NULL;
    if (a.count || a.n_waiting || model->labels.count)
        route = sl_route_new(model->name, a.servings, a.numbers, a.count, model->labels.list,
                             model->labels.count);
    if (a.n_waiting)
        sl_route_set_waiting(route, a.waiting, a.n_waiting, a.latest_waits);
    if (route != NULL && model->config != NULL)
        route->traffic = sl_traffic_new(
            model->name, model->config->c.traffic, &(sl_numbers){a.numbers, a.count},
            &(sl_numbers){a.waiting, a.n_waiting}, model->labels.list, model->labels.count);
    free_available(a);
    return route;
}

void sl_manager_publish_later(sl_served *model)
{
    sl_manager *m = model->manager;
    if (model->unpublished)
        return;
    model->unpublished = true;
    model->next_unpublished = m->to_publish;
    m->to_publish = model;
}

void sl_manager_flush(sl_manager *m)
{
    size_t n = 0;
    for (const sl_served *model = m->to_publish; model != NULL; model = model->next_unpublished)
        n++;
    if (n == 0)
        return;
    sl_table *old = atomic_load_explicit(&m->table, memory_order_relaxed);
    sl_table *table = sl_table_copy(old, n);
    for (sl_served *model = m->to_publish; model != NULL; model = model->next_unpublished) {
        model->unpublished = false;
        sl_route *before = sl_table_put(table, model->name, make_route(model));
        if (before != NULL)
            sl_manager_discard(m, (sl_garbage){.route = before});
    }
    m->to_publish = NULL;
    atomic_store(&m->table, table);
    sl_manager_discard(m, (sl_garbage){.table = old});
    sl_cond_broadcast(&m->changed);
}

void sl_manager_publish(sl_served *model)
{
    sl_manager_publish_later(model);
    sl_manager_flush(model->manager);
}

int64_t *sl_manager_available(const sl_served *model, int *count)
{
    available a = list_available(model);
    int64_t *numbers = a.numbers;
    *count = a.count;
    a.numbers = NULL;
    free_available(a);
    return numbers;
}
