/* arms.c - see arms.h */
#include "cli/arms.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "model/policy.h"
#include "model/traffic.h"
#include "model/version_dir.h"

enum { MOST = 20 }; /* numbers in a line */

typedef struct versions {
    int64_t *there, *loaded;
    int n_there, n_loaded;
} versions;

static sl_code read_there(const sl_model_config *m, versions *v)
{
    char *dir;
    sl_version_dirs d;
    sl_code rc = sl_version_dir_local(m->base_path, &dir, NULL);
    if (rc)
        return rc;
    rc = sl_version_dirs_read(dir, &d, NULL);
    sl_free(dir);
    if (rc)
        return rc;
    v->there = sl_calloc((size_t)d.count, sizeof *v->there);
    for (int i = 0; i < d.count; i++)
        if (v->n_there == 0 || v->there[v->n_there - 1] != d.list[i].number)
            v->there[v->n_there++] = d.list[i].number;
    sl_version_dirs_fini(&d);
    return SL_OK;
}

static sl_code read_loaded(const sl_model_config *m, versions *v)
{
    sl_aspired_set set;
    sl_text remarks = {0};
    sl_code rc = sl_policy_select(m, NULL, NULL, &set, &remarks, NULL);
    sl_text_fini(&remarks);
    if (rc)
        return rc;
    v->loaded = sl_calloc((size_t)set.count, sizeof *v->loaded);
    for (int i = 0; i < set.count; i++)
        v->loaded[v->n_loaded++] = set.list[i].number;
    sl_aspired_fini(&set);
    return SL_OK;
}

static void put_list(sl_text *t, const int64_t *list, int n)
{
    if (n == 0)
        sl_text_puts(t, "none");
    for (int i = 0; i < SL_MIN(n, MOST); i++)
        sl_text_printf(t, "%s%" PRId64, i ? ", " : "", list[i]);
    if (n > MOST)
        sl_text_printf(t, " and %d more", n - MOST);
}

static void check(const sl_model_config *m, const versions *v, const char *what, sl_target target)
{
    sl_text t = {0};
    int64_t number;
    if (!sl_target_resolve(target, m->labels, m->n_labels, &number))
        return; /* reading the configuration has refused it */
    bool there = sl_numbers_have((sl_numbers){v->there, v->n_there}, number);
    if (there && sl_numbers_have((sl_numbers){v->loaded, v->n_loaded}, number))
        return;
    sl_text_printf(&t, "model %s: %s version %" PRId64, m->name, what, number);
    if (target.label != NULL)
        sl_text_printf(&t, " (label \"%s\")", target.label);
    sl_text_printf(&t, ", which %s %s; it has: ", there ? "is not loaded from" : "is not in",
                   m->base_path);
    put_list(&t, v->there, v->n_there);
    if (there) {
        sl_text_puts(&t, "; its version policy loads: ");
        put_list(&t, v->loaded, v->n_loaded);
    }
    fprintf(stderr, "sluice: warning: %s\n", t.p ? t.p : m->name);
    sl_text_fini(&t);
}

void sl_check_arms(const sl_model_config *m)
{
    const sl_traffic_config *t = m->traffic;
    versions v = {0};
    if (t == NULL)
        return;
    if (read_there(m, &v) == SL_OK && read_loaded(m, &v) == SL_OK) {
        for (int i = 0; i < t->n_arms; i++)
            check(m, &v, "its split names", t->arms[i].target);
        if (t->has_shadow)
            check(m, &v, "its shadow is", t->shadow);
    }
    sl_free(v.there);
    sl_free(v.loaded);
}
