/*
 * repository.c - see repository.h
 *
 * A ModelServerConfig is { 1: ModelConfigList { 1: ModelConfig { 1: name } ... } }; the entries are
 * moved as bytes, so that whatever they say stays as it was said.
 */
#include "server/repository.h"

#include "base/log.h"
#include "format/wire.h"

void sl_repository_fini(sl_repository *r)
{
    sl_text_fini(&r->unloaded);
}

static sl_str bytes_of(const sl_text *t)
{
    return (sl_str){t->n ? t->p : "", t->n};
}

static sl_str name_of(sl_str config)
{
    sl_str name = {"", 0};
    sl_wire w = sl_wire_open(config);
    while (sl_wire_next(&w))
        if (w.field == 1 && w.type == SL_WIRE_BYTES)
            name = w.bytes;
    return name;
}

/* Sorts the ModelConfigs of a list: the model's own into *its, all others into *others. Returns
 * whether there was one. */
static bool sort_out(sl_str list, sl_str model, sl_text *its, sl_text *others)
{
    bool found = false;
    sl_wire w = sl_wire_open(list);
    while (sl_wire_next(&w)) {
        if (w.field != 1 || w.type != SL_WIRE_BYTES)
            continue;
        bool is = sl_str_eq(name_of(w.bytes), model);
        sl_wire_put_bytes(is ? its : others, 1, w.bytes.p, w.bytes.n);
        found |= is;
    }
    return found;
}

/* The same for a whole ModelServerConfig; its lists, if it has several, become one. */
static bool sort_out_config(sl_str config, sl_str model, sl_text *its, sl_text *others)
{
    bool found = false;
    sl_wire w = sl_wire_open(config);
    while (sl_wire_next(&w))
        if (w.field == 1 && w.type == SL_WIRE_BYTES)
            found |= sort_out(w.bytes, model, its, others);
    return found;
}

static sl_code apply(sl_repository *r, const sl_text *list, sl_status *st)
{
    sl_text config = {0}, report = {0};
    sl_code rc;
    sl_str bytes = bytes_of(list);
    sl_wire_put_bytes(&config, 1, bytes.p, bytes.n);
    if (list->failed || config.failed)
        rc = sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory: configuration of the models");
    else
        rc = sl_reload_wire(r->reload, bytes_of(&config), &report, st);
    if (report.n)
        sl_log(SL_INFO, "models were changed: %s", report.p);
    sl_text_fini(&config);
    sl_text_fini(&report);
    return rc;
}

static void replace(sl_text *old, sl_text *new)
{
    sl_text_fini(old);
    *old = *new;
    *new = (sl_text){0};
}

sl_code sl_repository_change(void *repository, sl_str model, bool load, sl_status *st)
{
    sl_repository *r = repository;
    sl_text current = {0}, its = {0}, others = {0}, was = {0}, rest = {0};
    sl_code rc = sl_reload_current(r->reload, false, &current, st);
    if (rc) {
        sl_text_fini(&current);
        return rc;
    }
    bool is_there = sort_out_config(bytes_of(&current), model, &its, &others);
    bool was_there = sort_out(bytes_of(&r->unloaded), model, &was, &rest);
    if (!is_there && !was_there) {
        rc = sl_fail(st, SL_NOT_FOUND, "no model \"%.*s\" is configured", SL_STR_ARG(model));
    } else if (!load && !is_there) {
        rc = SL_OK; /* it is out already */
    } else if (!load) {
        sl_text_add(&rest, its.p, its.n);
        rc = rest.failed ? sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory: unloading a model")
                         : apply(r, &others, st);
        if (rc == SL_OK)
            replace(&r->unloaded, &rest);
    } else {
        const sl_text *entry = is_there ? &its : &was;
        sl_text_add(&others, entry->p, entry->n);
        rc = apply(r, &others, st);
        if (rc == SL_OK)
            replace(&r->unloaded, &rest);
    }
    sl_text *all[] = {&current, &its, &others, &was, &rest};
    for (int i = 0; i < 5; i++)
        sl_text_fini(all[i]);
    return rc;
}
