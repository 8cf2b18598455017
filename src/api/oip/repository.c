/* repository.c - see repository.h */
#include "api/oip/repository.h"

#include <string.h>

#include "api/rest/rest.h"
#include "base/mem.h"
#include "base/thread.h"

/* ---- versions ---- */

sl_code sl_oip_spec(sl_str model, sl_str version, const sl_http_call *call, sl_model_spec *out,
                    sl_status *st)
{
    *out = (sl_model_spec){.model = model,
                           .has_version = version.n > 0,
                           .header = sl_rest_header_value,
                           .header_arg = call};
    if (version.n == 0 || sl_str_to_int64(version, &out->version))
        return SL_OK;
    return sl_fail(st, SL_INVALID_ARGUMENT, "\"%.*s\" is no version: versions are numbers",
                   SL_STR_ARG(version));
}

sl_code sl_oip_versions(sl_service *s, const sl_model_spec *spec, sl_arena *arena, int64_t **out,
                        int *count, sl_status *st)
{
    const sl_version_info *list;
    int n;
    *count = 0;
    sl_code rc = sl_manager_status(s->manager, spec, arena, &list, &n, st);
    if (rc)
        return rc;
    *out = sl_arena_try_alloc(arena, (size_t)n * sizeof **out);
    if (*out == NULL)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory: %d versions", n);
    for (int i = 0; i < n; i++)
        if (list[i].state == SL_STATE_AVAILABLE)
            (*out)[(*count)++] = list[i].number;
    return SL_OK;
}

typedef struct looked_for {
    sl_str name;
    bool available;
} looked_for;

static void look_at(void *arg, const char *model, int available, int versions)
{
    looked_for *x = arg;
    (void)versions;
    if (sl_str_is(x->name, model))
        x->available = available > 0; /* those on demand included */
}

sl_code sl_oip_ready(sl_service *s, const sl_model_spec *spec, sl_arena *arena, bool *ready,
                     sl_status *st)
{
    looked_for x = {.name = spec->model};
    int64_t *versions;
    int n;
    sl_code rc = sl_oip_versions(s, spec, arena, &versions, &n, st);
    if (rc == SL_OK && n == 0 && !spec->has_version)
        sl_manager_each(s->manager, look_at, &x);
    *ready = rc == SL_OK && (n > 0 || x.available);
    return rc;
}

const sl_signature *sl_oip_main_signature(const sl_version *v)
{
    static const sl_signature none = {.key = "", .method_name = ""};
    const sl_signatures *all = v->signatures;
    int at = sl_signatures_find(all, SL_STR("serving_default"));
    for (int i = 0; at < 0 && i < all->count; i++)
        if (!sl_str_starts(sl_str_of(all->list[i].key), "__"))
            at = i;
    return at < 0 ? &none : &all->list[at];
}

/* ---- the index ---- */

/* Names of models, copied under the manager's lock. */
typedef struct names {
    sl_arena *arena;
    sl_str *list;
    size_t n, cap;
    bool failed;
} names;

static void add_name(void *arg, const char *model, int available, int versions)
{
    names *x = arg;
    (void)available;
    (void)versions;
    if (x->n == x->cap) {
        size_t cap = x->cap ? 2 * x->cap : 64;
        sl_str *more = sl_arena_try_alloc(x->arena, cap * sizeof *more);
        if (more == NULL) {
            x->failed = true;
            return;
        }
        if (x->n)
            memcpy(more, x->list, x->n * sizeof *more);
        x->list = more;
        x->cap = cap;
    }
    size_t n = strlen(model);
    char *copy = sl_arena_try_strndup(x->arena, model, n);
    if (copy == NULL)
        x->failed = true;
    else
        x->list[x->n++] = (sl_str){copy, n};
}

static const char *state_text(sl_state s)
{
    switch (s) {
    case SL_STATE_AVAILABLE:
        return "READY";
    case SL_STATE_START:
    case SL_STATE_LOADING:
        return "LOADING";
    case SL_STATE_UNLOADING:
        return "UNLOADING";
    default:
        return "UNAVAILABLE";
    }
}

/* What the index says of one model; `to` has room for its n versions, or for one. */
static size_t put_model(sl_str name, const sl_version_info *list, int n, bool ready_only,
                        sl_oip_model *to)
{
    size_t count = 0;
    for (int i = 0; i < n; i++) {
        bool ready = list[i].state == SL_STATE_AVAILABLE;
        if (ready || !ready_only)
            to[count++] = (sl_oip_model){name.p, list[i].number, ready, state_text(list[i].state),
                                         list[i].message};
    }
    if (n == 0 && !ready_only)
        to[count++] = (sl_oip_model){name.p, -1, false, "UNAVAILABLE", "no version is known"};
    return count;
}

sl_code sl_oip_index(sl_service *s, sl_guard *guard, const sl_admission *a, bool ready_only,
                     sl_arena *arena, sl_oip_model **out, size_t *count, sl_status *st)
{
    names x = {.arena = arena};
    const sl_version_info **lists;
    int *sizes;
    size_t all = 0;
    *count = 0;
    *out = NULL;
    sl_manager_each(s->manager, add_name, &x);
    lists = sl_arena_try_alloc(arena, x.n * sizeof *lists);
    sizes = sl_arena_try_alloc(arena, x.n * sizeof *sizes);
    if (x.failed || lists == NULL || sizes == NULL)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory: index of models");
    for (size_t i = 0; i < x.n; i++) {
        sl_model_spec spec = {.model = x.list[i]};
        sl_status ignored;
        sizes[i] = -1; /* hidden */
        if (guard != NULL && sl_guard_may(guard, a, SL_MAY_STATUS, x.list[i], SL_STR(""), &ignored))
            continue;
        sl_code rc = sl_manager_status(s->manager, &spec, arena, &lists[i], &sizes[i], st);
        if (rc == SL_RESOURCE_EXHAUSTED)
            return rc;
        if (rc)
            sizes[i] = 0; /* configured, and nothing was found */
        all += (size_t)SL_MAX(sizes[i], 1);
    }
    *out = sl_arena_try_alloc(arena, all * sizeof **out);
    if (*out == NULL)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory: index of %zu versions", all);
    for (size_t i = 0; i < x.n; i++)
        if (sizes[i] >= 0)
            *count += put_model(x.list[i], lists[i], sizes[i], ready_only, *out + *count);
    return SL_OK;
}

/* ---- changes ---- */

enum { MOST_WAITING = 64 };

void sl_oip_changer_init(sl_oip_changer *r,
                         sl_code (*apply)(void *arg, sl_str model, bool load, sl_status *st),
                         void *arg)
{
    *r = (sl_oip_changer){.apply = apply, .arg = arg};
    r->last = &r->first;
    pthread_mutex_init(&r->lock, NULL);
    sl_cond_init(&r->changed);
}

/* The next change, or NULL when the server ends. */
static sl_oip_change *next_change(sl_oip_changer *r)
{
    pthread_mutex_lock(&r->lock);
    while (r->first == NULL && !r->ending)
        sl_cond_wait(&r->changed, &r->lock);
    sl_oip_change *c = r->first;
    if (c != NULL) {
        r->first = c->next;
        if (r->first == NULL)
            r->last = &r->first;
        r->waiting--;
    }
    pthread_mutex_unlock(&r->lock);
    return c;
}

static void *run(void *arg)
{
    sl_oip_changer *r = arg;
    sl_oip_change *c;
    while ((c = next_change(r)) != NULL) {
        pthread_mutex_lock(&r->lock);
        bool ending = r->ending;
        pthread_mutex_unlock(&r->lock);
        c->done(c, ending ? sl_fail(c->st, SL_UNAVAILABLE, "the server ends")
                          : r->apply(r->arg, c->model, c->load, c->st));
    }
    return NULL;
}

static sl_code submit_locked(sl_oip_changer *r, sl_oip_change *c)
{
    if (r->ending)
        return sl_fail(c->st, SL_UNAVAILABLE, "the server ends");
    if (r->waiting == MOST_WAITING)
        return sl_fail(c->st, SL_RESOURCE_EXHAUSTED, "%d changes are waiting already",
                       MOST_WAITING);
    sl_code rc = r->started ? SL_OK : sl_thread_start(&r->thread, "changes", run, r, c->st);
    if (rc)
        return rc;
    r->started = true;
    c->next = NULL;
    *r->last = c;
    r->last = &c->next;
    r->waiting++;
    sl_cond_signal(&r->changed);
    return SL_OK;
}

sl_code sl_oip_changer_submit(sl_oip_changer *r, sl_oip_change *c)
{
    if (r->apply == NULL)
        return sl_fail(c->st, SL_UNIMPLEMENTED, "models cannot be loaded or unloaded here");
    pthread_mutex_lock(&r->lock);
    sl_code rc = submit_locked(r, c);
    pthread_mutex_unlock(&r->lock);
    return rc;
}

void sl_oip_changer_fini(sl_oip_changer *r)
{
    pthread_mutex_lock(&r->lock);
    r->ending = true;
    sl_cond_signal(&r->changed);
    pthread_mutex_unlock(&r->lock);
    if (r->started)
        pthread_join(r->thread, NULL);
    pthread_mutex_destroy(&r->lock);
}
