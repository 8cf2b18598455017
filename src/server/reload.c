/*
 * reload.c - see reload.h
 *
 * What is in force is one sl_model_list, replaced as a whole under `lock`, which is held while a
 * configuration is compared, checked and given to the manager, but not while models load. What
 * there is to report is a `plan`: which models, and how their configuration changed. It has memory
 * of its own, since the list that it was made from may be replaced while its models load.
 *
 * The reload's own thread reads the file: at each poll, and when somebody pokes.
 */
#include "server/reload.h"

#include <pthread.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/thread.h"
#include "format/json_escape.h"

struct sl_reload {
    sl_reload_options o;
    pthread_mutex_t lock;      /* one configuration at a time: guards current, file_wire */
    sl_model_list current;     /* what is in force */
    sl_text file_wire;         /* what the file held when it was applied last */
    sl_text last_complaint;    /* of the file, so that it is logged once; own thread only */
    pthread_mutex_t poll_lock; /* guards poked, ending; for `work` */
    sl_cond work;
    bool poked;
    atomic_bool ending; /* also without the lock: those who wait for models look at it */
    pthread_t thread;
    bool has_thread;
};

typedef enum change { ADDED, CHANGED, UNCHANGED, REMOVED } change;
static const char *const change_names[] = {"added", "changed", "unchanged", "removed"};

typedef struct entry {
    const char *name;
    change change;
    sl_progress progress; /* these from judge() */
    bool serves;
    sl_text complaint;
} entry;

typedef struct plan {
    sl_arena arena; /* of the names and the list */
    entry *list;
    int count;
    bool same; /* as what was in force: nothing was applied */
} plan;

/* ---- the plan: what changes from one list to the next ---- */

static void fini_plan(plan *p)
{
    for (int i = 0; i < p->count; i++)
        sl_text_fini(&p->list[i].complaint);
    if (p->arena.top != NULL)
        sl_arena_fini(&p->arena);
    *p = (plan){0};
}

static sl_code add_entry(plan *p, const char *name, change c)
{
    char *copy = sl_arena_try_strndup(&p->arena, name, strlen(name));
    if (copy == NULL)
        return SL_RESOURCE_EXHAUSTED;
    p->list[p->count++] = (entry){.name = copy, .change = c};
    return SL_OK;
}

/* From a model's name to 1 + its position in the list. */
static sl_code index_of_names(const sl_model_list *l, sl_map *out)
{
    for (int i = 0; i < l->count; i++)
        if (!sl_map_try_set(out, sl_str_of(l->models[i].name), (void *)((uintptr_t)i + 1)))
            return SL_RESOURCE_EXHAUSTED;
    return SL_OK;
}

static sl_code add_all(plan *p, const sl_model_list *now, const sl_map *had,
                       const sl_model_list *wanted, const sl_map *has)
{
    sl_code rc = SL_OK;
    for (int i = 0; i < wanted->count && rc == SL_OK; i++) {
        uintptr_t k = (uintptr_t)sl_map_get(had, sl_str_of(wanted->models[i].name));
        bool same = k != 0 && sl_str_eq(now->wires[k - 1], wanted->wires[i]);
        rc = add_entry(p, wanted->models[i].name, k == 0 ? ADDED : same ? UNCHANGED : CHANGED);
    }
    for (int i = 0; i < now->count && rc == SL_OK; i++)
        if (sl_map_get(has, sl_str_of(now->models[i].name)) == NULL)
            rc = add_entry(p, now->models[i].name, REMOVED);
    return rc;
}

static sl_code make_plan(plan *p, const sl_model_list *now, const sl_model_list *wanted,
                         sl_status *st)
{
    sl_map had = {0}, has = {0};
    *p = (plan){0};
    size_t most = (size_t)now->count + (size_t)wanted->count + 1;
    sl_code rc = sl_arena_init(&p->arena, 0);
    if (rc == SL_OK) {
        p->list = sl_arena_try_alloc(&p->arena, most * sizeof *p->list);
        rc = p->list ? index_of_names(now, &had) : SL_RESOURCE_EXHAUSTED;
    }
    if (rc == SL_OK)
        rc = index_of_names(wanted, &has);
    if (rc == SL_OK)
        rc = add_all(p, now, &had, wanted, &has);
    sl_map_fini(&had);
    sl_map_fini(&has);
    return rc ? sl_fail(st, rc, "out of memory") : SL_OK;
}

/* ---- apply ---- */

static sl_code check(sl_reload *r, sl_model_list *wanted, sl_status *st)
{
    sl_code rc = sl_model_list_check_change(&r->current, wanted, st);
    for (int i = 0; rc == SL_OK && r->o.sandbox != NULL && i < wanted->count; i++)
        rc = sl_sandbox_may_read(r->o.sandbox, wanted->models[i].base_path, st);
    if (rc == SL_OK)
        rc = sl_config_check_platforms(r->o.config, wanted, st);
    return rc ? rc : sl_remote_attach(r->o.remote, wanted, true, st);
}

/* With the lock. Takes *wanted over if it succeeds. */
static sl_code apply(sl_reload *r, sl_model_list *wanted, plan *p, sl_status *st)
{
    if (wanted->empty) { /* "Taking no action": what is in force stays */
        sl_log(SL_INFO, "Taking no action for empty config.");
        sl_code rc = make_plan(p, &r->current, &r->current, st);
        p->same = true;
        if (rc == SL_OK)
            sl_model_list_fini(wanted);
        return rc;
    }
    sl_code rc = check(r, wanted, st);
    if (rc == SL_OK)
        rc = make_plan(p, &r->current, wanted, st);
    if (rc)
        return rc;
    p->same = sl_str_eq(wanted->wire, r->current.wire) && !r->current.empty;
    if (!p->same)
        rc = sl_manager_configure(r->o.manager, wanted->models, wanted->count, st);
    if (rc)
        return rc;
    sl_model_list_fini(&r->current);
    r->current = *wanted;
    sl_remote_follow(r->o.remote, &r->current);
    return SL_OK;
}

/* ---- wait and judge ---- */

/* Those whose loading this reload has brought about. */
static bool is_awaited(const plan *p, const entry *e)
{
    return e->change == ADDED || e->change == CHANGED || (p->same && e->change == UNCHANGED);
}

/* False: they are judged as they stand. */
static bool wait_for_models(sl_reload *r, const plan *p, uint64_t deadline_ns)
{
    const char **names = sl_try_malloc(((size_t)p->count + 1) * sizeof *names);
    int n = 0;
    if (names == NULL)
        return false;
    for (int i = 0; i < p->count; i++)
        if (is_awaited(p, &p->list[i]))
            names[n++] = p->list[i].name;
    sl_manager_settle(r->o.manager, names, n, deadline_ns, &r->ending);
    sl_free(names);
    return true;
}

static sl_code judge(sl_reload *r, plan *p, sl_status *st)
{
    sl_text list = {0};
    int failed = 0, late = 0;
    for (int i = 0; i < p->count; i++) {
        entry *e = &p->list[i];
        e->complaint.n = 0;
        e->progress = sl_manager_progress(r->o.manager, e->name, &e->serves, &e->complaint);
        if (!is_awaited(p, e) || e->serves || e->complaint.n == 0)
            continue;
        late += e->progress == SL_PROGRESS_PENDING;
        failed++;
        sl_text_add(&list, e->complaint.p, e->complaint.n);
    }
    sl_code rc = failed == 0 ? SL_OK
                             : sl_fail(st, late ? SL_DEADLINE_EXCEEDED : SL_UNKNOWN,
                                       "%d model(s) did not become available: {%s}", failed,
                                       list.p ? list.p : "");
    sl_text_fini(&list);
    return rc;
}

/* Another reload may take a model away that was awaited, and the next one bring it back: then it is
 * not late, but has to be awaited again. */
static sl_code await_models(sl_reload *r, plan *p, sl_status *st)
{
    uint64_t end = sl_now_ns() + r->o.timeout_ns;
    for (;;) {
        bool waited = wait_for_models(r, p, end);
        sl_code rc = judge(r, p, st);
        if (rc != SL_DEADLINE_EXCEEDED || !waited || atomic_load(&r->ending) || sl_now_ns() >= end)
            return rc;
    }
}

/* ---- report ---- */

static const char *state_name(const entry *e)
{
    switch (e->progress) {
    case SL_PROGRESS_AVAILABLE:
        return "available";
    case SL_PROGRESS_PENDING:
        return "loading";
    case SL_PROGRESS_FAILED:
        return "failed";
    case SL_PROGRESS_REMOVED:
        break;
    }
    return "removed";
}

static void put_error(sl_text *t, sl_str message)
{
    /* The items of a list end with ", ". */
    while (message.n && (message.p[message.n - 1] == ' ' || message.p[message.n - 1] == ','))
        message.n--;
    if (message.n == 0)
        return;
    sl_text_puts(t, ", \"error\": ");
    sl_json_escape_text(SL_JSON_RAPID, message, t);
}

static void put_head(sl_text *t, const char *result, sl_code rc, const sl_status *st)
{
    sl_text_printf(t, "{\n    \"result\": \"%s\", \"code\": \"%s\"", result, sl_code_name(rc));
    put_error(t, rc ? sl_str_of(st->msg) : SL_STR(""));
    sl_text_puts(t, ",\n    \"models\": [");
}

static void put_entry(sl_text *t, const entry *e, bool first)
{
    sl_text_printf(t, "%s\n        {\"name\": ", first ? "" : ",");
    sl_json_escape_text(SL_JSON_RAPID, sl_str_of(e->name), t);
    sl_text_printf(t, ", \"change\": \"%s\", \"state\": \"%s\"", change_names[e->change],
                   state_name(e));
    put_error(t, e->complaint.n ? sl_str_of(e->complaint.p) : SL_STR(""));
    sl_text_puts(t, "}");
}

static void report_plan(const plan *p, sl_code rc, const sl_status *st, sl_text *t)
{
    put_head(t, p->same ? "unchanged" : "applied", rc, st);
    for (int i = 0; i < p->count; i++)
        put_entry(t, &p->list[i], i == 0);
    sl_text_puts(t, p->count ? "\n    ]\n}\n" : "]\n}\n");
}

static void report_refusal(sl_code rc, const sl_status *st, sl_text *t)
{
    put_head(t, "refused", rc, st);
    sl_text_puts(t, "]\n}\n");
}

static void log_plan(const plan *p)
{
    for (int i = 0; i < p->count; i++) {
        const entry *e = &p->list[i];
        if (e->change != UNCHANGED)
            sl_log(SL_INFO, "model %s: %s: %s", e->name, change_names[e->change], state_name(e));
    }
}

/* ---- the whole path ---- */

/* Behind apply(): waits, and makes the answer. */
static sl_code finish(sl_reload *r, plan *p, sl_text *report, sl_status *st)
{
    sl_code rc = await_models(r, p, st);
    if (!p->same)
        log_plan(p);
    report_plan(p, rc, st, report);
    fini_plan(p);
    return rc;
}

static sl_code refuse(sl_code rc, const sl_status *st, sl_text *report)
{
    sl_log(SL_ERROR, "ReloadConfig failed: %s", st->msg);
    report_refusal(rc, st, report);
    return rc;
}

/* `rc` is how reading *wanted went. */
static sl_code reload(sl_reload *r, sl_code rc, sl_model_list *wanted, sl_text *report,
                      sl_status *st)
{
    plan p = {0};
    if (rc)
        return refuse(rc, st, report);
    pthread_mutex_lock(&r->lock);
    rc = apply(r, wanted, &p, st);
    pthread_mutex_unlock(&r->lock);
    if (rc == SL_OK)
        return finish(r, &p, report, st);
    fini_plan(&p);
    sl_model_list_fini(wanted);
    return refuse(rc, st, report);
}

sl_code sl_reload_wire(void *reload_, sl_str wire, sl_text *report, sl_status *st)
{
    sl_model_list wanted;
    sl_code rc = sl_model_list_from_wire(wire, &wanted, st);
    return reload(reload_, rc, &wanted, report, st);
}

sl_code sl_reload_text(void *reload_, sl_str text, sl_text *report, sl_status *st)
{
    sl_model_list wanted;
    sl_code rc = sl_model_list_from_text(text, &wanted, st);
    return reload(reload_, rc, &wanted, report, st);
}

sl_code sl_reload_current(void *reload_, bool as_text, sl_text *out, sl_status *st)
{
    sl_reload *r = reload_;
    sl_code rc = SL_OK;
    pthread_mutex_lock(&r->lock);
    if (as_text)
        rc = sl_model_list_print(&r->current, out, st);
    else
        sl_text_add(out, r->current.wire.n ? r->current.wire.p : "", r->current.wire.n);
    pthread_mutex_unlock(&r->lock);
    if (rc == SL_OK && out->failed)
        rc = sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory: the configuration");
    return rc;
}

/* ---- the file ---- */

static sl_code remember_file(sl_reload *r, sl_str wire)
{
    sl_text_fini(&r->file_wire);
    sl_text_add(&r->file_wire, wire.n ? wire.p : "", wire.n);
    return r->file_wire.failed ? SL_RESOURCE_EXHAUSTED : SL_OK;
}

/* Reads and applies the file; with `if_changed` only if it is not what was applied from it last.
 * *p has the plan if anything was to be done. */
static sl_code apply_file(sl_reload *r, bool if_changed, plan *p, bool *done, sl_status *st)
{
    sl_model_list wanted;
    *done = false;
    pthread_mutex_lock(&r->lock);
    sl_code rc = sl_model_list_from(&r->o.source, &r->current, &wanted, st);
    if (rc) {
        pthread_mutex_unlock(&r->lock);
        return sl_wrap(st, "Failed to read ModelServerConfig file: ");
    }
    sl_str before = {r->file_wire.p, r->file_wire.n};
    if (if_changed && sl_str_eq(before, wanted.wire)) {
        pthread_mutex_unlock(&r->lock);
        sl_model_list_fini(&wanted);
        return SL_OK;
    }
    sl_text wire = {0};
    sl_text_add(&wire, wanted.wire.n ? wanted.wire.p : "", wanted.wire.n);
    rc = apply(r, &wanted, p, st);
    if (rc == SL_OK)
        rc = remember_file(r, (sl_str){wire.p, wire.n});
    else
        sl_model_list_fini(&wanted);
    pthread_mutex_unlock(&r->lock);
    sl_text_fini(&wire);
    *done = rc == SL_OK;
    if (rc)
        fini_plan(p);
    return rc ? sl_wrap(st, "PollFilesystemAndReloadConfig failed to ReloadConfig: ") : SL_OK;
}

sl_code sl_reload_file(sl_reload *r, sl_text *report, sl_status *st)
{
    plan p = {0};
    bool done;
    sl_code rc = apply_file(r, false, &p, &done, st);
    return rc ? refuse(rc, st, report) : finish(r, &p, report, st);
}

/* What is wrong with the file is said once, not at each poll. */
static void complain_once(sl_reload *r, const sl_status *st, bool poked)
{
    sl_str before = {r->last_complaint.p, r->last_complaint.n}, now = sl_str_of(st->msg);
    if (sl_str_eq(before, now) && !poked)
        return;
    sl_log(SL_ERROR, "%s", st->msg);
    sl_text_fini(&r->last_complaint);
    sl_text_add(&r->last_complaint, now.p, now.n);
}

static const char *source_name(const sl_reload *r)
{
    return r->o.source.models[0] ? r->o.source.models : r->o.source.config;
}

static void read_file(sl_reload *r, bool poked)
{
    plan p = {0};
    bool done;
    sl_status st;
    sl_text report = {0};
    if (apply_file(r, !poked, &p, &done, &st)) {
        complain_once(r, &st, poked);
        return;
    }
    sl_text_fini(&r->last_complaint);
    if (!done)
        return;
    if (!p.same)
        sl_log(SL_INFO, "configuration reloaded from %s: %d models", source_name(r), p.count);
    if (finish(r, &p, &report, &st))
        sl_log(SL_ERROR, "%s", st.msg);
    sl_text_fini(&report);
}

/* ---- the thread ---- */

static void *watch(void *arg)
{
    sl_reload *r = arg;
    uint64_t period = r->o.poll_seconds > 0 ? (uint64_t)r->o.poll_seconds * 1000000000u : 0;
    uint64_t next = period ? sl_now_ns() + period : 0;
    bool has_file = r->o.source.config[0] != '\0' || r->o.source.models[0] != '\0';
    pthread_mutex_lock(&r->poll_lock);
    while (!atomic_load(&r->ending)) {
        bool poked = r->poked, due = next && sl_now_ns() >= next;
        r->poked = false;
        if (!poked && !due) {
            sl_cond_wait_until(&r->work, &r->poll_lock, next);
            continue;
        }
        pthread_mutex_unlock(&r->poll_lock);
        if (has_file)
            read_file(r, poked);
        if (poked)
            sl_manager_look(r->o.manager);
        pthread_mutex_lock(&r->poll_lock);
        next = period ? sl_now_ns() + period : 0;
    }
    pthread_mutex_unlock(&r->poll_lock);
    return NULL;
}

void sl_reload_poke(sl_reload *r)
{
    pthread_mutex_lock(&r->poll_lock);
    r->poked = true;
    sl_cond_broadcast(&r->work);
    pthread_mutex_unlock(&r->poll_lock);
}

/* ---- beginning and end ---- */

sl_code sl_reload_new(const sl_reload_options *o, sl_reload **out, sl_status *st)
{
    sl_reload *r = sl_calloc(1, sizeof *r);
    *out = NULL;
    r->o = *o;
    pthread_mutex_init(&r->lock, NULL);
    pthread_mutex_init(&r->poll_lock, NULL);
    sl_cond_init(&r->work);
    r->current = o->config->models;
    memset(&o->config->models, 0, sizeof o->config->models);
    sl_code rc = remember_file(r, r->current.wire);
    if (rc)
        sl_fail(st, rc, "out of memory");
    if (rc == SL_OK)
        rc = sl_remote_attach(o->remote, &r->current, false, st);
    if (rc == SL_OK)
        rc = sl_manager_configure(o->manager, r->current.models, r->current.count, st);
    if (rc == SL_OK)
        sl_remote_follow(o->remote, &r->current);
    if (rc == SL_OK)
        rc = sl_thread_start(&r->thread, "sl-reload", watch, r, st);
    r->has_thread = rc == SL_OK;
    if (rc)
        sl_reload_free(r);
    else
        *out = r;
    return rc;
}

void sl_reload_stop(sl_reload *r)
{
    pthread_mutex_lock(&r->poll_lock);
    atomic_store(&r->ending, true);
    sl_cond_broadcast(&r->work);
    pthread_mutex_unlock(&r->poll_lock);
    sl_manager_poke(r->o.manager);
}

void sl_reload_free(sl_reload *r)
{
    if (r == NULL)
        return;
    if (r->has_thread) {
        sl_reload_stop(r);
        pthread_join(r->thread, NULL);
    }
    if (r->current.arena.top != NULL)
        sl_model_list_fini(&r->current);
    sl_text_fini(&r->file_wire);
    sl_text_fini(&r->last_complaint);
    pthread_mutex_destroy(&r->poll_lock);
    pthread_mutex_destroy(&r->lock);
    sl_free(r);
}
