/*
 * hung.c - parts of the file system that do not answer
 *
 * A call on a mount whose server is gone may never return, and nothing takes a thread out of it. So
 * whoever has waited long enough leaves the thread to it (source.c, expected.c) and notes the place
 * here, until the call returns after all. Other base paths there are not asked meanwhile: on a
 * mount that somebody serves all of them, otherwise that one path. What is mounted there afresh is
 * another mount, and is asked.
 */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/mounts.h"
#include "model/manager_internal.h"
#include "model/version_dir.h"

struct sl_hung {
    sl_hung *next;
    char *path; /* a base path */
    int mount;  /* that it lies on; 0: only the path is known */
};

/* Where a model's versions are, on this machine; freed with sl_free. */
static char *place_of(const sl_model_config *c)
{
    char *local = NULL;
    if (c->mirror == NULL && sl_version_dir_local(c->base_path, &local, NULL) == SL_OK)
        return local;
    return sl_strdup(c->mirror ? c->mirror : c->base_path);
}

sl_hung *sl_hung_add(sl_manager *m, const sl_model_config *c, const sl_mounts *mounts)
{
    sl_hung *h = sl_calloc(1, sizeof *h);
    h->path = place_of(c);
    const sl_mount *mount = sl_mounts_served(mounts, h->path);
    h->mount = mount ? mount->id : 0;
    h->next = m->hung;
    m->hung = h;
    sl_log(
        SL_ERROR,
        "The base path %s has not answered for %llu s, and is left alone until it does%s%s. What "
        "serves goes on serving, and other base paths are looked at.",
        h->path, (unsigned long long)(m->opts.look_patience_ns / 1000000000u),
        mount ? ", with all others on the mount " : "", mount ? mount->dir : "");
    return h;
}

void sl_hung_remove(sl_manager *m, sl_hung *h)
{
    sl_hung **at = &m->hung;
    while (*at != h)
        at = &(*at)->next;
    *at = h->next;
    sl_log(SL_INFO, "The base path %s answers again", h->path);
    sl_free(h->path);
    sl_free(h);
}

bool sl_hung_covers(const sl_manager *m, const sl_model_config *c, const sl_mounts *mounts)
{
    bool covered = false;
    if (m->hung == NULL)
        return false;
    char *place = place_of(c);
    const sl_mount *mount = sl_mounts_served(mounts, place);
    int id = mount ? mount->id : 0;
    for (const sl_hung *h = m->hung; h != NULL; h = h->next)
        covered |= h->mount ? h->mount == id : strcmp(h->path, place) == 0;
    sl_free(place);
    return covered;
}
