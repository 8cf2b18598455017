/*
 * check_names.c - `sluice check`: are the versions there that labels, split and shadow name?
 *
 * The server serves such a model, without that label or arm, and the version may come later: so
 * these are warnings. But a label of a version that is not there is refused by a reload, and by a
 * start with --strict_startup.
 */
#include <inttypes.h>

#include "base/mem.h"
#include "cli/check.h"
#include "model/traffic.h"

enum { MOST = 20 }; /* numbers in a line */

static void put_list(sl_text *t, sl_numbers n)
{
    if (n.count == 0)
        sl_text_puts(t, "none");
    for (int i = 0; i < SL_MIN(n.count, MOST); i++)
        sl_text_printf(t, "%s%" PRId64, i ? ", " : "", n.list[i]);
    if (n.count > MOST)
        sl_text_printf(t, " and %d more", n.count - MOST);
}

/* "..., which is not in /models/m; it has: 1, 2, 3" */
static void put_where(sl_text *t, const sl_model_config *m, int64_t number, sl_numbers there,
                      sl_numbers loaded)
{
    bool is_there = sl_numbers_have(there, number);
    sl_text_printf(t, ", which %s %s; it has: ", is_there ? "is not loaded from" : "is not in",
                   m->base_path);
    put_list(t, there);
    if (is_there) {
        sl_text_puts(t, "; its version policy loads: ");
        put_list(t, loaded);
    }
}

static void check_arm(sl_check *c, const sl_model_config *m, const char *what, sl_target target,
                      sl_numbers there, sl_numbers loaded)
{
    sl_text t = {0};
    int64_t number;
    if (!sl_target_resolve(target, m->labels, m->n_labels, &number))
        return; /* reading the configuration has refused it */
    if (sl_numbers_have(there, number) && sl_numbers_have(loaded, number))
        return;
    sl_text_printf(&t, "%s version %" PRId64, what, number);
    if (target.label != NULL)
        sl_text_printf(&t, " (label \"%s\")", target.label);
    put_where(&t, m, number, there, loaded);
    sl_check_find(c, false, "model %s: %s", m->name, t.p ? t.p : what);
    sl_text_fini(&t);
}

/* As the server will when it takes the configuration, nothing being available yet. */
static bool is_taken(const sl_check *c, const sl_model_config *m, const sl_label *label,
                     sl_numbers expected)
{
    static const sl_labels none = {0};
    sl_model_config one = *m;
    one.labels = label;
    one.n_labels = 1;
    return sl_labels_check(&one, &none, (sl_numbers){NULL, 0}, expected,
                           c->flags->allow_version_labels_for_unavailable_models, NULL) == SL_OK;
}

static void check_labels(sl_check *c, const sl_model_config *m, sl_numbers there, sl_numbers loaded)
{
    int count;
    int64_t *list = sl_labels_expected(m, &count);
    for (int i = 0; i < m->n_labels; i++) {
        const sl_label *l = &m->labels[i];
        sl_text t = {0};
        if (is_taken(c, m, l, (sl_numbers){list, count}))
            continue;
        put_where(&t, m, l->version, there, loaded);
        sl_check_find(c, c->reload || c->flags->strict_startup,
                      "model %s: label \"%s\" names version %" PRId64 "%s", m->name, l->label,
                      l->version, t.p ? t.p : "");
        sl_text_fini(&t);
    }
    sl_free(list);
}

void sl_check_names(sl_check *c, const sl_model_config *m, sl_numbers there, sl_numbers loaded)
{
    const sl_traffic_config *t = m->traffic;
    check_labels(c, m, there, loaded);
    for (int i = 0; t != NULL && i < t->n_arms; i++)
        check_arm(c, m, "its split names", t->arms[i].target, there, loaded);
    if (t != NULL && t->has_shadow)
        check_arm(c, m, "its shadow is", t->shadow, there, loaded);
}
