/* policy.c - see policy.h */
#include "model/policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "model/version_dir.h"

void sl_aspired_fini(sl_aspired_set *s)
{
    for (int i = 0; i < s->count; i++)
        sl_free(s->list[i].path);
    sl_free(s->list);
    *s = (sl_aspired_set){0};
}

bool sl_aspired_has(const sl_aspired_set *s, int64_t number)
{
    for (int i = 0; i < s->count; i++)
        if (s->list[i].number == number)
            return true;
    return false;
}

static char *join(const char *dir, const char *name)
{
    /* A path of our own configuration: mem.h's rule for small sizes. */
    size_t n = strlen(dir), k = strlen(name);
    while (n > 0 && dir[n - 1] == '/')
        n--;
    char *path = sl_malloc(n + 1 + k + 1);
    memcpy(path, dir, n);
    path[n] = '/';
    memcpy(path + n + 1, name, k + 1);
    return path;
}

static void add(sl_aspired_set *s, int64_t number, char *path)
{
    s->list = sl_realloc(s->list, ((size_t)s->count + 1) * sizeof *s->list);
    s->list[s->count++] = (sl_aspired){number, path, 0};
}

static int by_number(const void *pa, const void *pb)
{
    int64_t a = *(const int64_t *)pa, b = *(const int64_t *)pb;
    return (a > b) - (a < b);
}

/* The requested versions, ascending, each once. Freed with sl_free. */
static int64_t *requested(const sl_model_config *c, int *count)
{
    size_t n = (size_t)c->n_versions;
    int64_t *v = sl_calloc(n, sizeof *v);
    int unique = 0;
    if (n) {
        memcpy(v, c->versions, n * sizeof *v);
        qsort(v, n, sizeof *v, by_number);
    }
    for (size_t i = 0; i < n; i++)
        if (unique == 0 || v[unique - 1] != v[i])
            v[unique++] = v[i];
    *count = unique;
    return v;
}

/* Who decides, and where the versions are. */
typedef struct selection {
    const sl_model_config *c;
    const char *dir;
    sl_policy_accept *accept;
    void *arg;
    sl_aspired_set *out;
    sl_text *remarks;
    int refused;
} selection;

/* Of a mirror: what a link leads to does not change, the link does. */
static char *follow_link(char *path)
{
    char *real = realpath(path, NULL);
    if (real == NULL)
        return path; /* it has just gone: whoever opens it will say so */
    sl_free(path);
    return real;
}

static void take_if_accepted(selection *s, int64_t number, char *path)
{
    if (s->c->mirror != NULL)
        path = follow_link(path);
    if (s->accept == NULL || s->accept(s->arg, number, path)) {
        add(s->out, number, path);
    } else {
        s->refused++;
        sl_free(path);
    }
}

/* `specific`, the short way: if base/N is there for each N, the directory need not be read. */
static bool select_direct(selection *s, const int64_t *wanted, int count)
{
    char name[32];
    for (int pass = 0; pass < 2; pass++) /* first are they all there, then which may be taken */
        for (int i = 0; i < count; i++) {
            snprintf(name, sizeof name, "%lld", (long long)wanted[i]);
            char *path = join(s->dir, name);
            if (pass == 1) {
                take_if_accepted(s, wanted[i], path);
                continue;
            }
            bool there = sl_version_dir_exists(path, NULL) == SL_OK;
            sl_free(path);
            if (!there)
                return false;
        }
    return true;
}

/* Leaves one directory for each number. Of those with the same number the last counts, except under
 * `all`, where the original loads the first. */
static void drop_duplicates(sl_version_dirs *d, bool first_wins, sl_text *remarks)
{
    int kept = 0;
    for (int i = 0; i < d->count; i++) {
        if (kept == 0 || d->list[kept - 1].number != d->list[i].number) {
            d->list[kept++] = d->list[i];
            continue;
        }
        sl_version_dir *winner = &d->list[kept - 1], loser = d->list[i];
        if (!first_wins) {
            loser = *winner;
            *winner = d->list[i];
        }
        sl_text_printf(remarks,
                       "WDuplicate version directories detected. Version %lld will be loaded from "
                       "%s, %s will be ignored.\n",
                       (long long)winner->number, winner->name, loser.name);
        sl_free(loser.name);
    }
    d->count = kept;
}

static void select_specific(selection *s, const sl_version_dirs *d, const int64_t *wanted,
                            int count)
{
    for (int i = 0; i < count; i++) {
        int k = 0;
        while (k < d->count && d->list[k].number != wanted[i])
            k++;
        if (k < d->count)
            take_if_accepted(s, wanted[i], join(s->dir, d->list[k].name));
        else
            sl_text_printf(s->remarks,
                           "EVersion %lld of servable %s, which was requested to be served as a "
                           "'specific' version in the servable's version policy, was not found "
                           "in the file system\n",
                           (long long)wanted[i], s->c->name);
    }
}

/* The highest that may be taken: from the top down, then turned over. */
static void select_highest(selection *s, const sl_version_dirs *d)
{
    unsigned most = s->c->num_versions ? s->c->num_versions : 1;
    sl_aspired_set *out = s->out;
    for (int i = d->count - 1; i >= 0; i--) {
        if (s->c->policy != SL_POLICY_ALL && (unsigned)out->count >= most)
            break;
        take_if_accepted(s, d->list[i].number, join(s->dir, d->list[i].name));
    }
    for (int i = 0, k = out->count - 1; i < k; i++, k--) {
        sl_aspired swap = out->list[i];
        out->list[i] = out->list[k];
        out->list[k] = swap;
    }
}

static sl_code select_in(selection *s, sl_status *st)
{
    const sl_model_config *c = s->c;
    sl_code rc = sl_version_dir_exists(s->dir, st);
    if (rc)
        return rc;
    int count;
    int64_t *wanted = requested(c, &count);
    bool specific = c->policy == SL_POLICY_SPECIFIC;
    if (specific && count == 0)
        sl_text_printf(s->remarks, "WNo specific versions requested for servable %s.\n", c->name);
    sl_version_dirs d = {0};
    if (!specific || !select_direct(s, wanted, count)) {
        rc = sl_version_dirs_read(s->dir, &d, st);
        if (rc == SL_OK)
            drop_duplicates(&d, c->policy == SL_POLICY_ALL, s->remarks);
        if (rc == SL_OK && specific)
            select_specific(s, &d, wanted, count);
        else if (rc == SL_OK)
            select_highest(s, &d);
    }
    sl_version_dirs_fini(&d);
    sl_free(wanted);
    return rc;
}

sl_code sl_policy_select(const sl_model_config *c, sl_policy_accept *accept, void *arg,
                         sl_aspired_set *out, sl_text *remarks, sl_status *st)
{
    sl_status why = {0};
    char *dir = NULL;
    selection s = {c, NULL, accept, arg, out, remarks, 0};
    *out = (sl_aspired_set){0};
    sl_code rc = sl_version_dir_local(c->mirror ? c->mirror : c->base_path, &dir, &why);
    s.dir = dir;
    if (rc == SL_OK)
        rc = select_in(&s, &why);
    sl_free(dir);
    if (rc)
        return sl_fail(st, rc, "Could not find base path %s for servable %s with error %s: %s",
                       c->base_path, c->name, sl_code_name(rc), why.msg);
    if (out->count == 0 && s.refused == 0)
        sl_text_printf(remarks,
                       "WNo versions of servable %s found under base path %s. Did you forget to "
                       "name your leaf directory as a number (eg. '/1/')?\n",
                       c->name, c->base_path);
    return SL_OK;
}

/* ---- what to do next ---- */

/* What there is of one servable, as far as the choice depends on it. */
typedef struct tally {
    int aspired, aspired_ready;
    int leaving;        /* not aspired, still serving */
    int lowest_leaving; /* positions, -1: none */
    int highest_new;
    int not_gone; /* not aspired, and not ended yet */
} tally;

static tally count_up(const sl_policy_version *v, int count)
{
    tally t = {.lowest_leaving = -1, .highest_new = -1};
    for (int i = 0; i < count; i++) {
        t.aspired += v[i].aspired;
        t.aspired_ready += v[i].aspired && v[i].stage == SL_STAGE_READY;
        t.not_gone +=
            !v[i].aspired && (v[i].stage == SL_STAGE_READY || v[i].stage == SL_STAGE_BUSY ||
                              v[i].stage == SL_STAGE_GOING);
        if (!v[i].aspired && v[i].stage == SL_STAGE_READY) {
            t.leaving++;
            if (t.lowest_leaving < 0 || v[i].number < v[t.lowest_leaving].number)
                t.lowest_leaving = i;
        }
        if (v[i].aspired && v[i].stage == SL_STAGE_NEW &&
            (t.highest_new < 0 || v[i].number > v[t.highest_new].number))
            t.highest_new = i;
    }
    return t;
}

sl_action sl_policy_next(sl_transition transition, const sl_policy_version *v, int count,
                         int *which)
{
    tally t = count_up(v, count);
    bool resource = transition == SL_TRANSITION_RESOURCE;
    if (t.leaving > 0 && (resource || t.aspired == 0 || t.aspired_ready > 0 || t.leaving > 1)) {
        *which = t.lowest_leaving;
        return SL_ACTION_UNLOAD;
    }
    *which = t.highest_new;
    if (t.highest_new < 0 || (resource && t.not_gone > 0))
        return SL_ACTION_NONE;
    return SL_ACTION_LOAD;
}
