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
    s->list[s->count++] = (sl_aspired){number, path};
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

/* `specific`, the short way: if base/N is there for each N, the directory need not be read. */
static bool select_direct(const char *dir, const int64_t *wanted, int count, sl_aspired_set *out)
{
    char name[32];
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof name, "%lld", (long long)wanted[i]);
        char *path = join(dir, name);
        if (sl_version_dir_exists(path, NULL)) {
            sl_free(path);
            sl_aspired_fini(out);
            return false;
        }
        add(out, wanted[i], path);
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

static void select_specific(const sl_model_config *c, const char *dir, const sl_version_dirs *d,
                            const int64_t *wanted, int count, sl_aspired_set *out, sl_text *remarks)
{
    for (int i = 0; i < count; i++) {
        int k = 0;
        while (k < d->count && d->list[k].number != wanted[i])
            k++;
        if (k < d->count)
            add(out, wanted[i], join(dir, d->list[k].name));
        else
            sl_text_printf(remarks,
                           "EVersion %lld of servable %s, which was requested to be served as a "
                           "'specific' version in the servable's version policy, was not found "
                           "in the file system\n",
                           (long long)wanted[i], c->name);
    }
}

static void select_highest(const sl_model_config *c, const char *dir, const sl_version_dirs *d,
                           sl_aspired_set *out)
{
    unsigned n = c->num_versions ? c->num_versions : 1;
    int first = c->policy == SL_POLICY_ALL || n >= (unsigned)d->count ? 0 : d->count - (int)n;
    for (int i = first; i < d->count; i++)
        add(out, d->list[i].number, join(dir, d->list[i].name));
}

static sl_code select_in(const sl_model_config *c, const char *dir,
                         bool (*is_complete)(void *arg, const char *path), void *arg,
                         sl_aspired_set *out, sl_text *remarks, sl_status *st)
{
    sl_code rc = sl_version_dir_exists(dir, st);
    if (rc)
        return rc;
    int count;
    int64_t *wanted = requested(c, &count);
    bool specific = c->policy == SL_POLICY_SPECIFIC;
    if (specific && count == 0)
        sl_text_printf(remarks, "WNo specific versions requested for servable %s.\n", c->name);
    sl_version_dirs d = {0};
    if (!specific || !select_direct(dir, wanted, count, out)) {
        rc = sl_version_dirs_read(dir, is_complete, arg, &d, st);
        if (rc == SL_OK)
            drop_duplicates(&d, c->policy == SL_POLICY_ALL, remarks);
        if (rc == SL_OK && specific)
            select_specific(c, dir, &d, wanted, count, out, remarks);
        else if (rc == SL_OK)
            select_highest(c, dir, &d, out);
    }
    sl_version_dirs_fini(&d);
    sl_free(wanted);
    return rc;
}

sl_code sl_policy_select(const sl_model_config *c, bool (*is_complete)(void *arg, const char *path),
                         void *arg, sl_aspired_set *out, sl_text *remarks, sl_status *st)
{
    sl_status why = {0};
    char *dir = NULL;
    *out = (sl_aspired_set){0};
    sl_code rc = sl_version_dir_local(c->base_path, &dir, &why);
    if (rc == SL_OK)
        rc = select_in(c, dir, is_complete, arg, out, remarks, &why);
    sl_free(dir);
    if (rc)
        return sl_fail(st, rc, "Could not find base path %s for servable %s with error %s: %s",
                       c->base_path, c->name, sl_code_name(rc), why.msg);
    if (out->count == 0)
        sl_text_printf(remarks,
                       "WNo versions of servable %s found under base path %s. Did you forget to "
                       "name your leaf directory as a number (eg. '/1/')?\n",
                       c->name, c->base_path);
    return SL_OK;
}

/* ---- what to do next ---- */

sl_action sl_policy_next(const sl_policy_version *v, int count, int *which)
{
    int aspired = 0, aspired_ready = 0, leaving = 0, lowest = -1, highest = -1;
    for (int i = 0; i < count; i++) {
        aspired += v[i].aspired;
        aspired_ready += v[i].aspired && v[i].stage == SL_STAGE_READY;
        if (!v[i].aspired && v[i].stage == SL_STAGE_READY) {
            leaving++;
            if (lowest < 0 || v[i].number < v[lowest].number)
                lowest = i;
        }
        if (v[i].aspired && v[i].stage == SL_STAGE_NEW &&
            (highest < 0 || v[i].number > v[highest].number))
            highest = i;
    }
    if (leaving > 0 && (aspired == 0 || aspired_ready > 0 || leaving > 1)) {
        *which = lowest;
        return SL_ACTION_UNLOAD;
    }
    *which = highest;
    return highest < 0 ? SL_ACTION_NONE : SL_ACTION_LOAD;
}
