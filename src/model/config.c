/* config.c - see config.h */
#include "model/config.h"

#include "base/map.h"
#include "base/mem.h"
#include "model/traffic.h"

static char *copy(const char *s)
{
    return s ? sl_strdup(s) : NULL;
}

sl_kept_config *sl_config_keep(const sl_model_config *c)
{
    sl_kept_config *k = sl_calloc(1, sizeof *k);
    size_t versions = (size_t)c->n_versions, labels = (size_t)c->n_labels;
    k->refs = 1;
    k->c = *c;
    k->c.name = sl_strdup(c->name);
    k->c.base_path = sl_strdup(c->base_path);
    k->c.mirror = copy(c->mirror);
    k->c.engine = copy(c->engine);
    int64_t *v = sl_calloc(versions, sizeof *v);
    if (versions)
        memcpy(v, c->versions, versions * sizeof *v);
    k->c.versions = v;
    sl_label *l = sl_calloc(labels, sizeof *l);
    for (size_t i = 0; i < labels; i++)
        l[i] = (sl_label){sl_strdup(c->labels[i].label), c->labels[i].version};
    k->c.labels = l;
    k->c.traffic = sl_traffic_keep(c->traffic);
    return k;
}

sl_kept_config *sl_config_acquire(sl_kept_config *k)
{
    if (k != NULL)
        __atomic_fetch_add(&k->refs, 1, __ATOMIC_RELAXED);
    return k;
}

void sl_config_release(sl_kept_config *k)
{
    if (k == NULL || __atomic_fetch_sub(&k->refs, 1, __ATOMIC_ACQ_REL) != 1)
        return;
    for (int i = 0; i < k->c.n_labels; i++)
        sl_free((char *)k->c.labels[i].label);
    sl_free((sl_label *)k->c.labels);
    sl_traffic_config_free((sl_traffic_config *)k->c.traffic);
    sl_free((int64_t *)k->c.versions);
    sl_free((char *)k->c.engine);
    sl_free((char *)k->c.mirror);
    sl_free((char *)k->c.base_path);
    sl_free((char *)k->c.name);
    sl_free(k);
}

/* scheme "://": a letter, then letters, digits and dots, as the original reads a URI. */
static bool is_uri(const char *path)
{
    const char *p = path;
    while ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
           (p > path && ((*p >= '0' && *p <= '9') || *p == '.')))
        p++;
    return p > path && strncmp(p, "://", 3) == 0;
}

sl_code sl_config_check(const sl_model_config *models, int count, sl_status *st)
{
    sl_map seen = {0};
    sl_code rc = SL_OK;
    for (int i = 0; i < count && rc == SL_OK; i++) {
        sl_str name = sl_str_of(models[i].name);
        if (sl_map_get(&seen, name) != NULL)
            rc = sl_fail(st, SL_INVALID_ARGUMENT,
                         "Illegal to list model %s multiple times in config list", models[i].name);
        else if (!sl_map_try_set(&seen, name, &seen))
            rc = sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory for %d models", count);
    }
    for (int i = 0; i < count && rc == SL_OK; i++)
        if (models[i].base_path[0] != '/' && !is_uri(models[i].base_path))
            rc = sl_fail(st, SL_INVALID_ARGUMENT,
                         "Expected model %s to have an absolute path or URI; got base_path()=%s",
                         models[i].name, models[i].base_path);
    for (int i = 0; i < count && rc == SL_OK; i++)
        rc = sl_traffic_check(&models[i], st);
    sl_map_fini(&seen);
    return rc;
}
