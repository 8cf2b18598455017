/*
 * configure.c - from a configuration to the models that are wanted
 *
 * The whole configuration is checked before any of it is applied, so that one that is refused
 * changes nothing. What is not listed any more is removed: no version of it is aspired.
 */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "model/manager_internal.h"
#include "model/version_dir.h"

static bool has_label(const sl_model_config *c, const sl_label *l)
{
    for (int i = 0; c != NULL && i < c->n_labels; i++)
        if (c->labels[i].version == l->version && strcmp(c->labels[i].label, l->label) == 0)
            return true;
    return false;
}

/* With the lock. The labels of `c` that the configuration in force does not have: what it has was
 * taken once, so another change is not refused because of it. Freed with sl_free. */
static sl_label *new_labels(const sl_served *model, const sl_model_config *c, int *count)
{
    sl_label *list = sl_calloc((size_t)c->n_labels, sizeof *list);
    const sl_model_config *now = model && model->config ? &model->config->c : NULL;
    *count = 0;
    for (int i = 0; i < c->n_labels; i++)
        if (!has_label(now, &c->labels[i]))
            list[(*count)++] = c->labels[i];
    return list;
}

/* Reads the base path, so without the lock; what is available may change until the configuration is
 * applied, which is harmless: labels follow what is available. */
static sl_code check_labels(sl_manager *m, const sl_model_config *c, sl_status *st)
{
    static const sl_labels none = {0};
    int n, n_available = 0;
    if (c->n_labels == 0 || (c->mirror != NULL && sl_version_dir_exists(c->mirror, NULL)))
        return SL_OK; /* nobody knows yet which versions there are */
    int64_t *numbers, *available = NULL;
    if (!sl_manager_expect(m, c, &numbers, &n))
        return SL_OK; /* likewise */
    pthread_mutex_lock(&m->lock);
    const sl_served *model = sl_map_get(&m->by_name, sl_str_of(c->name));
    if (model != NULL)
        available = sl_manager_available(model, &n_available);
    sl_model_config asked = *c;
    sl_label *list = new_labels(model, c, &asked.n_labels);
    asked.labels = list;
    sl_code rc = sl_labels_check(&asked, model ? &model->labels : &none,
                                 (sl_numbers){available, n_available}, (sl_numbers){numbers, n},
                                 m->opts.labels_for_unavailable, st);
    bool first = m->round == 0;
    pthread_mutex_unlock(&m->lock);
    sl_free(list);
    sl_free(available);
    sl_free(numbers);
    if (rc && first && !m->opts.strict) {
        sl_log(SL_WARNING, "%s: the label is there as soon as the version is", st->msg);
        return SL_OK;
    }
    return rc;
}

static sl_served *new_model(sl_manager *m, const char *name)
{
    sl_served *model = sl_calloc(1, sizeof *model);
    model->manager = m;
    model->name = sl_strdup(name);
    model->sight = sl_sight_new();
    if (m->last_model != NULL)
        m->last_model->next = model;
    else
        m->models = model;
    m->last_model = model;
    sl_map_set(&m->by_name, sl_str_of(name), model);
    return model;
}

/* Would a look at the base path find the same versions? */
static bool asks_for_the_same(const sl_model_config *a, const sl_model_config *b)
{
    size_t versions = (size_t)a->n_versions * sizeof *a->versions;
    return strcmp(a->base_path, b->base_path) == 0 && a->policy == b->policy &&
           a->load == b->load && a->num_versions == b->num_versions &&
           a->n_versions == b->n_versions &&
           (versions == 0 || memcmp(a->versions, b->versions, versions) == 0);
}

static void configure_model(sl_manager *m, const sl_model_config *c)
{
    sl_served *model = sl_map_get(&m->by_name, sl_str_of(c->name));
    if (model == NULL)
        model = new_model(m, c->name);
    if (model->config == NULL || !asks_for_the_same(&model->config->c, c))
        model->looked_at = false;
    sl_log(SL_INFO, " (Re-)adding model: %s", c->name);
    sl_config_release(model->config);
    model->config = sl_config_keep(c);
    model->round = m->round;
    if (c->load == SL_LOAD_ON_DEMAND)
        sl_manager_start_timer(m);
    sl_manager_recount(model);
    sl_manager_publish_later(model); /* labels */
}

/* Of versions that are only remembered: those in this state. */
static void drop_unmanaged(sl_served *model, sl_state state)
{
    for (sl_managed **at = &model->versions; *at != NULL;)
        if (!(*at)->managed && (*at)->state == state)
            sl_manager_drop_version(at);
        else
            at = &(*at)->next;
}

void sl_manager_remove(sl_served *model)
{
    sl_aspired_set nothing = {0};
    sl_config_release(model->config);
    model->config = NULL;
    model->settling = false;
    drop_unmanaged(model, SL_STATE_START);
    sl_manager_recount(model);
    sl_manager_publish_later(model);
    sl_manager_set_aspired(model, &nothing);
}

static sl_code check(sl_manager *m, const sl_model_config *models, int count, sl_status *st)
{
    sl_code rc = sl_config_check(models, count, st);
    for (int i = 0; i < count && rc == SL_OK; i++)
        rc = check_labels(m, &models[i], st);
    return rc;
}

sl_code sl_manager_configure(sl_manager *m, const sl_model_config *models, int count, sl_status *st)
{
    pthread_mutex_lock(&m->configuring);
    sl_code rc = check(m, models, count, st);
    if (rc == SL_OK) {
        pthread_mutex_lock(&m->lock);
        sl_log(SL_INFO, "Adding/updating models.");
        m->round++;
        for (int i = 0; i < count; i++)
            configure_model(m, &models[i]);
        for (sl_served *model = m->models; model != NULL; model = model->next)
            if (model->config != NULL && model->round != m->round)
                sl_manager_remove(model);
        sl_manager_flush(m);
        sl_manager_want_look(m);
        pthread_mutex_unlock(&m->lock);
        sl_manager_collect(m);
    }
    pthread_mutex_unlock(&m->configuring);
    return rc;
}
