/*
 * get.c - list and get, for any store
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "fetch/helper/archive.h"
#include "fetch/helper/gs.h"
#include "fetch/helper/mirror.h"
#include "fetch/helper/s3.h"

/* ---- small lists ---- */

sl_code fetch_names_add(fetch_names *n, sl_str name, sl_status *st)
{
    for (int i = 0; i < n->count; i++)
        if (sl_str_is(name, n->list[i]))
            return SL_OK;
    char **list = n->count < SL_FETCH_NAMES
                      ? sl_try_grow(n->list, (size_t)n->count, &n->cap, sizeof *list)
                      : NULL;
    if (list == NULL)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "too many versions");
    n->list = list;
    n->list[n->count++] = sl_strndup(name.p, name.n);
    return SL_OK;
}

void fetch_names_fini(fetch_names *n)
{
    for (int i = 0; i < n->count; i++)
        sl_free(n->list[i]);
    sl_free(n->list);
    memset(n, 0, sizeof *n);
}

sl_code fetch_listing_add(fetch_listing *l, sl_str key, sl_str path, uint64_t size, sl_str tag,
                          sl_status *st)
{
    if (!sl_fetch_is_safe_path(path))
        return sl_fail(st, SL_INVALID_ARGUMENT, "an object's name is no path: \"%.*s\"",
                       SL_STR_ARG(key));
    if (tag.n >= FETCH_TAG || memchr(tag.p ? tag.p : "", '\n', tag.n) != NULL)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "an object's tag is too long, or of more than one line");
    if (size > UINT64_MAX / 4 - l->bytes)
        return sl_fail(st, SL_INVALID_ARGUMENT, "sizes that cannot be");
    fetch_object *list = l->count < FETCH_MOST_OBJECTS
                             ? sl_try_grow(l->list, (size_t)l->count, &l->cap, sizeof *list)
                             : NULL;
    if (list == NULL)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "too many objects");
    l->list = list;
    fetch_object *o = &list[l->count++];
    *o = (fetch_object){
        .key = sl_strndup(key.p, key.n), .path = sl_strndup(path.p, path.n), .size = size};
    memcpy(o->tag, tag.p ? tag.p : "", tag.n);
    l->bytes += size;
    return SL_OK;
}

void fetch_listing_fini(fetch_listing *l)
{
    for (int i = 0; i < l->count; i++) {
        sl_free(l->list[i].key);
        sl_free(l->list[i].path);
    }
    sl_free(l->list);
    memset(l, 0, sizeof *l);
}

/* ---- is it whole ---- */

static bool has(const fetch_listing *l, const char *path)
{
    for (int i = 0; i < l->count; i++)
        if (strcmp(l->list[i].path, path) == 0)
            return true;
    return false;
}

/* variables/variables.data-00001-of-00003: how many shards there should be, 0 if it is none. */
static int shards_of(const char *path)
{
    unsigned shard, count;
    char end;
    if (sscanf(path, "variables/variables.data-%5u-of-%5u%c", &shard, &count, &end) != 2)
        return 0;
    return shard < count ? (int)count : 0;
}

sl_code fetch_listing_complete(const fetch_listing *l, sl_status *st)
{
    int shards = 0, found = 0;
    bool index = has(l, "variables/variables.index");
    if (!has(l, "saved_model.pb") && !has(l, "saved_model.pbtxt") && !has(l, "saved_model.cpb"))
        return sl_fail(st, SL_FAILED_PRECONDITION, "there is no saved_model.pb");
    for (int i = 0; i < l->count; i++) {
        int n = shards_of(l->list[i].path);
        found += n > 0;
        shards = SL_MAX(shards, n);
    }
    if (found < shards)
        return sl_fail(st, SL_FAILED_PRECONDITION, "%d of %d shards of its variables are there",
                       found, shards);
    if ((shards > 0) != index)
        return sl_fail(st, SL_FAILED_PRECONDITION, "%s",
                       index ? "the data of its variables is missing"
                             : "there is no variables/variables.index");
    return SL_OK;
}

/* ---- the two requests ---- */

static const fetch_store *store_of(const fetch_op *op)
{
    return op->place.scheme == SL_FETCH_S3 ? &fetch_store_s3 : &fetch_store_gs;
}

sl_code fetch_list(fetch_op *op, fetch_names *names, sl_status *st)
{
    sl_code rc = fetch_mirror_make(op->dir, st);
    if (rc)
        return rc;
    if (op->place.scheme == SL_FETCH_HTTP)
        return fetch_archive_list(op, names, st);
    return fetch_store_versions(store_of(op), op, names, st);
}

static sl_code get_objects(fetch_op *op, fetch_listing *l, const char *fingerprint, sl_status *st)
{
    const fetch_store *store = store_of(op);
    fetch_staging s;
    op->total = l->bytes;
    if (l->bytes > op->settings->max_bytes)
        return sl_fail(st, SL_OUT_OF_RANGE, "it has %llu MB, and --remote_max_bytes allows %llu MB",
                       (unsigned long long)(l->bytes >> 20),
                       (unsigned long long)(op->settings->max_bytes >> 20));
    sl_code rc = fetch_mirror_room(op->dir, l->bytes, st);
    if (rc == SL_OK)
        rc = fetch_staging_open(op->dir, &s, st);
    if (rc)
        return rc;
    rc = fetch_files(op, l, s.fd, store->build, store->learn, st);
    if (rc == SL_OK)
        rc = fetch_publish(op->dir, s.path, op->name, fingerprint, st);
    if (rc == SL_OK)
        s.path[0] = '\0';
    op->changed = rc == SL_OK;
    fetch_staging_close(&s);
    return rc;
}

sl_code fetch_get(fetch_op *op, sl_status *st)
{
    fetch_listing l = {0};
    char fingerprint[FETCH_FINGERPRINT];
    if (!sl_fetch_is_version(sl_str_of(op->name)))
        return sl_fail(st, SL_INVALID_ARGUMENT, "\"%s\" is no version", op->name);
    sl_code rc = fetch_mirror_make(op->dir, st);
    if (rc)
        return rc;
    if (op->place.scheme == SL_FETCH_HTTP)
        return fetch_archive_get(op, st);
    rc = fetch_store_objects(store_of(op), op, op->name, &l, st);
    if (rc == SL_OK) {
        rc = fetch_listing_complete(&l, st);
        op->partial = rc != SL_OK;
    }
    if (rc == SL_OK)
        rc = fetch_fingerprint(&l, fingerprint, st);
    if (rc == SL_OK && !fetch_mirror_has(op->dir, op->name, fingerprint))
        rc = get_objects(op, &l, fingerprint, st);
    fetch_listing_fini(&l);
    return rc;
}
