/* store.c - see store.h */
#include "fetch/helper/store.h"

#include "base/mem.h"

enum { MOST_PAGES = 2000 };

void fetch_page_fini(fetch_page *p)
{
    fetch_listing_fini(&p->objects);
    fetch_names_fini(&p->prefixes);
    sl_free(p->next);
    memset(p, 0, sizeof *p);
}

/* What lies below the base path, or below one version of it. */
static sl_code set_prefix(const fetch_op *op, const char *name, sl_text *out, sl_status *st)
{
    sl_text_add(out, op->place.path.n ? op->place.path.p : "", op->place.path.n);
    if (out->n)
        sl_text_putc(out, '/');
    if (name != NULL)
        sl_text_printf(out, "%s/", name);
    /* A shorter prefix is that of other models. */
    return out->failed ? sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory") : SL_OK;
}

static sl_code one_page(const fetch_store *s, fetch_op *op, const fetch_query *q, fetch_page *page,
                        sl_status *st)
{
    fetch_reply reply;
    sl_code rc = fetch_ask(op, s->list, q, s->learn, FETCH_PAGE, &reply, st);
    if (rc)
        return rc;
    rc = s->parse((sl_str){reply.body.n ? reply.body.p : "", reply.body.n},
                  (sl_str){q->prefix.p, q->prefix.n}, page, st);
    fetch_reply_fini(&reply);
    if (rc == SL_OK && q->next != NULL && page->next != NULL && strcmp(q->next, page->next) == 0)
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "a listing that goes round in circles");
    return rc;
}

static sl_code add_object(fetch_listing *to, const fetch_object *o, sl_status *st)
{
    sl_code rc = fetch_listing_add(to, sl_str_of(o->key), sl_str_of(o->path), o->size,
                                   sl_str_of(o->tag), st);
    if (rc)
        return rc;
    fetch_object *mine = &to->list[to->count - 1];
    mine->has_md5 = o->has_md5;
    memcpy(mine->md5, o->md5, sizeof mine->md5);
    mine->has_crc32c = o->has_crc32c;
    mine->crc32c = o->crc32c;
    return SL_OK;
}

static sl_code merge(const fetch_page *page, fetch_names *names, fetch_listing *objects,
                     sl_status *st)
{
    sl_code rc = SL_OK;
    for (int i = 0; names && i < page->prefixes.count && rc == SL_OK; i++)
        rc = fetch_names_add(names, sl_str_of(page->prefixes.list[i]), st);
    for (int i = 0; objects && i < page->objects.count && rc == SL_OK; i++)
        rc = add_object(objects, &page->objects.list[i], st);
    return rc;
}

static sl_code all_pages(const fetch_store *s, fetch_op *op, const char *name, fetch_names *names,
                         fetch_listing *objects, sl_status *st)
{
    fetch_query q = {.delimited = names != NULL};
    char *next = NULL;
    bool more = true;
    sl_code rc = set_prefix(op, name, &q.prefix, st);
    for (int n = 0; rc == SL_OK && more; n++) {
        fetch_page page = {0};
        q.next = next;
        rc = n < MOST_PAGES
                 ? one_page(s, op, &q, &page, st)
                 : sl_fail(st, SL_INVALID_ARGUMENT, "a listing of more than %d pages", MOST_PAGES);
        if (rc == SL_OK)
            rc = merge(&page, names, objects, st);
        more = page.truncated;
        sl_free(next);
        next = page.next;
        page.next = NULL;
        fetch_page_fini(&page);
    }
    sl_free(next);
    sl_text_fini(&q.prefix);
    return rc;
}

sl_code fetch_store_versions(const fetch_store *s, fetch_op *op, fetch_names *out, sl_status *st)
{
    return all_pages(s, op, NULL, out, NULL, st);
}

sl_code fetch_store_objects(const fetch_store *s, fetch_op *op, const char *name,
                            fetch_listing *out, sl_status *st)
{
    return all_pages(s, op, name, NULL, out, st);
}
