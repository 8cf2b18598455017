/*
 * remote_round.c - list, get what is wanted, tidy up; then wait
 *
 * A mirror has one request with the helper at a time, whose answer leads to the next one. What must
 * be asked of the manager (is a version in use; look again) is asked without the lock, so whatever
 * was known before is looked up again afterwards.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "server/remote_internal.h"

static const uint64_t SECOND_NS = 1000000000u;
enum { SAY_EVERY_S = 10, LONGEST_AFTER_FAILURE_S = 300 };

void remote_round_free_list(remote_mirror *m)
{
    for (int i = 0; i < m->count; i++)
        sl_free(m->list[i].name);
    sl_free(m->list);
    m->list = NULL;
    m->count = 0;
    m->at = -1;
}

/* ---- what is wanted ---- */

static bool wants(const remote_want *w, const remote_mirror *m, int which)
{
    unsigned higher = 0;
    if (w->policy == SL_POLICY_ALL)
        return true;
    if (w->policy == SL_POLICY_SPECIFIC) {
        for (int i = 0; i < w->n_versions; i++)
            if (w->versions[i] == m->list[which].number)
                return true;
        return false;
    }
    /* The highest that are whole: one that is being uploaded does not push another out. */
    for (int i = which + 1; i < m->count; i++)
        higher += !m->list[i].partial;
    return higher < SL_MAX(w->num_versions, 1u);
}

bool remote_is_wanted(const remote_mirror *m, int which)
{
    for (int i = 0; i < m->n_wants; i++)
        if (wants(&m->wants[i], m, which))
            return true;
    return false;
}

static int by_number(const void *pa, const void *pb)
{
    const remote_version *a = pa, *b = pb;
    if (a->number != b->number)
        return a->number < b->number ? -1 : 1;
    return strcmp(a->name, b->name);
}

static void take_listing(remote_mirror *m, const sl_fetch_msg *msg)
{
    remote_round_free_list(m);
    m->list = sl_calloc((size_t)msg->n_names, sizeof *m->list);
    for (int i = 0; i < msg->n_names; i++) {
        int64_t number;
        if (!sl_version_dir_parse(msg->names[i], &number))
            continue;
        m->list[m->count++] = (remote_version){
            .number = number, .name = sl_strndup(msg->names[i].p, msg->names[i].n)};
    }
    if (m->count)
        qsort(m->list, (size_t)m->count, sizeof *m->list, by_number);
}

/* ---- beginning and ending ---- */

static void ask(sl_remote *r, remote_mirror *m, sl_fetch_msg *msg)
{
    m->op = msg->id = ++r->next_op;
    m->begun_ns = m->said_ns = sl_now_ns();
    m->done = m->total = 0;
    msg->url = sl_str_of(m->url);
    msg->dir = sl_str_of(m->dir);
    remote_helper_send(r, msg);
}

static void begin_round(sl_remote *r, remote_mirror *m)
{
    m->phase = REMOTE_LISTING;
    m->changed = m->failed = false;
    m->error = (sl_status){0};
    ask(r, m, &(sl_fetch_msg){.kind = SL_FETCH_LIST});
}

void remote_let_it_be_seen(const remote_mirror *m)
{
    if ((mkdir(m->dir, 0755) != 0 && errno != EEXIST) ||
        (mkdir(m->versions_dir, 0755) != 0 && errno != EEXIST))
        sl_log(SL_ERROR, "%s: %s", m->versions_dir, strerror(errno));
}

static void schedule(sl_remote *r, remote_mirror *m)
{
    if (m->again) {
        m->again = false;
        m->due_ns = 0;
        return;
    }
    uint64_t wait = (uint64_t)SL_MAX(r->opts.poll_seconds, 0) * SECOND_NS;
    if (m->failures) {
        uint64_t after = SECOND_NS << SL_MIN(m->failures, 9u);
        after = SL_MIN(after, LONGEST_AFTER_FAILURE_S * SECOND_NS);
        wait = wait ? SL_MIN(wait, after) : after;
    } else if (r->opts.poll_seconds == 0) {
        m->due_ns = UINT64_MAX;
        return;
    }
    m->due_ns = sl_now_ns() + wait;
}

static bool is_power_of_ten(unsigned n)
{
    while (n >= 10 && n % 10 == 0)
        n /= 10;
    return n == 1;
}

static void end_round(sl_remote *r, remote_mirror *m)
{
    bool first = !m->tried, changed = m->changed;
    m->phase = REMOTE_IDLE;
    m->op = 0;
    m->tried = true;
    m->failures = m->failed ? m->failures + 1 : 0;
    sl_cell_add(m->failed ? m->bad : m->ok, 1);
    if (m->failed && m->error.code != SL_CANCELLED && is_power_of_ten(m->failures))
        sl_log(SL_WARNING, "%s: %s: %s%s", m->url, sl_code_name(m->error.code), m->error.msg,
               m->failures > 1 ? " (again and again)" : "");
    remote_round_free_list(m);
    schedule(r, m);
    if (first)
        remote_let_it_be_seen(m);
    if ((first || changed) && r->opts.changed != NULL) {
        pthread_mutex_unlock(&r->lock);
        r->opts.changed(r->opts.arg);
        pthread_mutex_lock(&r->lock);
    }
}

static void fail(remote_mirror *m, sl_code code, const char *what, sl_str why)
{
    m->failed = true;
    sl_fail(&m->error, code, "%s%.*s", what, SL_STR_ARG(why));
}

/* ---- tidying ---- */

/* Which versions do the models still use? -1: nobody knows. Without the lock meanwhile. */
static int ask_for_use(sl_remote *r, const remote_mirror *m, int64_t **out)
{
    int n = m->n_wants, used = 0;
    char **models = sl_calloc((size_t)n, sizeof *models);
    for (int i = 0; i < n; i++)
        models[i] = sl_strdup(m->wants[i].model);
    pthread_mutex_unlock(&r->lock);
    for (int i = 0; i < n; i++) {
        if (used >= 0)
            used = r->opts.in_use(r->opts.arg, models[i], out, used);
        sl_free(models[i]);
    }
    sl_free(models);
    pthread_mutex_lock(&r->lock);
    return SL_MIN(used, SL_FETCH_NAMES);
}

static bool is_among(const int64_t *numbers, int count, int64_t number)
{
    for (int i = 0; i < count; i++)
        if (numbers[i] == number)
            return true;
    return false;
}

/* All that is wanted is there. Hidden is what the store no longer has, and what is neither wanted,
 * nor half-way through an upload, nor still in use: until its successor has been loaded, a version
 * may be needed again. */
static void tidy(sl_remote *r, remote_mirror *m)
{
    sl_fetch_msg msg = {.kind = SL_FETCH_TIDY};
    msg.n_numbers = ask_for_use(r, m, &msg.numbers);
    if (msg.n_numbers < 0) {
        sl_free(msg.numbers);
        end_round(r, m);
        return;
    }
    msg.names = sl_calloc((size_t)m->count, sizeof *msg.names);
    for (int i = 0; i < m->count; i++)
        if (m->list[i].partial || remote_is_wanted(m, i) ||
            is_among(msg.numbers, msg.n_numbers, m->list[i].number))
            msg.names[msg.n_names++] = sl_str_of(m->list[i].name);
    m->phase = REMOTE_TIDYING;
    ask(r, m, &msg);
    sl_free(msg.names);
    sl_free(msg.numbers);
}

/* ---- one after another ---- */

static void go_on(sl_remote *r, remote_mirror *m)
{
    bool any = false;
    for (int i = m->count - 1; i >= 0; i--) {
        if (m->list[i].tried || m->list[i].partial || !remote_is_wanted(m, i)) {
            any |= m->list[i].done;
            continue;
        }
        m->at = i;
        m->list[i].tried = true;
        m->phase = REMOTE_GETTING;
        ask(r, m, &(sl_fetch_msg){.kind = SL_FETCH_GET, .name = sl_str_of(m->list[i].name)});
        return;
    }
    if (any && !m->failed)
        tidy(r, m);
    else
        end_round(r, m);
}

static void say_fetched(const remote_mirror *m, uint64_t bytes)
{
    double seconds = (double)(sl_now_ns() - m->begun_ns) / 1e9;
    bool one = m->phase == REMOTE_GETTING;
    sl_cell_sample(m->seconds, seconds);
    sl_log(SL_INFO, "fetched %s%s%s: %llu MB in %.1f s", m->url, one ? " version " : "",
           one ? m->list[m->at].name : "", MB(bytes), seconds);
}

static void hear_listing(sl_remote *r, remote_mirror *m, const sl_fetch_msg *msg)
{
    take_listing(m, msg);
    if (msg->changed) { /* an archive: listing it means fetching it */
        m->changed = true;
        say_fetched(m, msg->total);
        remote_let_it_be_seen(m);
    }
    sl_cell_add(m->bytes, (int64_t)SL_MIN(msg->total, (uint64_t)INT64_MAX));
    if (m->count == 0)
        fail(m, SL_NOT_FOUND, "there is no version: what is here is kept", SL_STR(""));
    go_on(r, m);
}

static void hear_got(sl_remote *r, remote_mirror *m, const sl_fetch_msg *msg)
{
    if (m->phase == REMOTE_TIDYING) {
        end_round(r, m);
        return;
    }
    m->list[m->at].done = true;
    if (msg->changed) {
        m->changed = true;
        say_fetched(m, msg->total);
        sl_cell_add(m->bytes, (int64_t)SL_MIN(msg->total, (uint64_t)INT64_MAX));
        remote_let_it_be_seen(m);
    }
    go_on(r, m);
}

static void hear_failure(sl_remote *r, remote_mirror *m, const sl_fetch_msg *msg)
{
    sl_code code =
        msg->code > 0 && msg->code <= SL_UNAUTHENTICATED ? (sl_code)msg->code : SL_UNKNOWN;
    char what[100] = "";
    if (m->phase == REMOTE_GETTING)
        snprintf(what, sizeof what, "version %s: ", m->list[m->at].name);
    fail(m, code, what, msg->text);
    go_on(r, m);
}

static void hear_partial(sl_remote *r, remote_mirror *m, const sl_fetch_msg *msg)
{
    if (m->phase == REMOTE_GETTING) {
        m->list[m->at].partial = true;
        sl_log(SL_DEBUG, "%s version %s is not all there yet: %.*s", m->url, m->list[m->at].name,
               SL_STR_ARG(msg->text));
    }
    go_on(r, m);
}

static void hear_progress(remote_mirror *m, const sl_fetch_msg *msg)
{
    uint64_t now = sl_now_ns();
    bool is_first = m->said_ns == m->begun_ns;
    m->done = msg->done;
    m->total = msg->total;
    if (msg->done == 0 || (!is_first && now - m->said_ns < SAY_EVERY_S * SECOND_NS))
        return;
    m->said_ns = now + is_first;
    if (m->phase == REMOTE_GETTING)
        sl_log(SL_INFO, "fetching %s version %s: %llu of %llu MB", m->url, m->list[m->at].name,
               MB(msg->done), MB(msg->total));
    else
        sl_log(SL_INFO, "fetching %s: %llu of %llu MB", m->url, MB(msg->done), MB(msg->total));
}

void remote_round_hear(sl_remote *r, const sl_fetch_msg *msg)
{
    remote_mirror *m = r->mirrors;
    while (m != NULL && (m->phase == REMOTE_IDLE || m->op != msg->id))
        m = m->next;
    if (m == NULL)
        return;
    if (msg->kind == SL_FETCH_PROGRESS)
        hear_progress(m, msg);
    else if (msg->kind == SL_FETCH_FAILED)
        hear_failure(r, m, msg);
    else if (msg->kind == SL_FETCH_PARTIAL)
        hear_partial(r, m, msg);
    else if (msg->kind == SL_FETCH_LISTED && m->phase == REMOTE_LISTING)
        hear_listing(r, m, msg);
    else if (msg->kind == SL_FETCH_GOT &&
             (m->phase == REMOTE_GETTING || m->phase == REMOTE_TIDYING))
        hear_got(r, m, msg);
}

uint64_t remote_round_tend(sl_remote *r, uint64_t now)
{
    uint64_t next = UINT64_MAX;
    for (remote_mirror *m = r->mirrors; m != NULL; m = m->next) {
        if (m->phase != REMOTE_IDLE || m->n_wants == 0)
            continue;
        if (now >= m->due_ns)
            begin_round(r, m);
        else
            next = SL_MIN(next, m->due_ns);
    }
    return next;
}

void remote_round_abandon(sl_remote *r, const char *why)
{
    for (remote_mirror *m = r->mirrors; m != NULL; m = m->next) {
        if (m->phase == REMOTE_IDLE)
            continue;
        fail(m, SL_UNAVAILABLE, why, SL_STR(""));
        end_round(r, m);
    }
}
