/* resource.c - a list of resources, found by kind, container and name */
#include "engine/native/resource.h"

#include "base/mem.h"

struct sl_resources {
    sl_resource **list;
    size_t count, cap;
    sl_map names; /* "kind\0container\0shared_name" -> sl_resource */
};

sl_resources *sl_resources_new(void)
{
    return sl_try_calloc(1, sizeof(sl_resources));
}

static void resource_free(sl_resource *r)
{
    sl_tensor_release(&r->value);
    sl_tensor_release(&r->keys);
    sl_tensor_release(&r->values);
    sl_map_fini(&r->table);
    pthread_mutex_destroy(&r->lock);
    sl_free((char *)r->name);
    sl_free(r);
}

void sl_resources_free(sl_resources *r)
{
    if (r == NULL)
        return;
    for (size_t i = 0; i < r->count; i++)
        resource_free(r->list[i]);
    sl_free(r->list);
    sl_map_fini(&r->names);
    sl_free(r);
}

static sl_resource *add(sl_resources *r, sl_resource_kind kind, sl_str shared_name, sl_str key)
{
    sl_resource **list = sl_try_grow(r->list, r->count, &r->cap, sizeof *list);
    if (list == NULL)
        return NULL;
    r->list = list;
    sl_resource *made = sl_try_calloc(1, sizeof *made);
    if (made == NULL)
        return NULL;
    made->kind = kind;
    made->name = sl_strndup(shared_name.p ? shared_name.p : "", SL_MIN(shared_name.n, 4096));
    pthread_mutex_init(&made->lock, NULL);
    if (!sl_map_try_set(&r->names, key, made)) {
        resource_free(made);
        return NULL;
    }
    list[r->count++] = made;
    return made;
}

/* NULL: no memory. */
sl_resource *sl_resources_find(sl_resources *r, sl_resource_kind kind, sl_str container,
                               sl_str shared_name)
{
    sl_text key = {0};
    sl_text_putc(&key, kind == SL_RES_TABLE ? 't' : 'v');
    sl_text_add(&key, container.p, container.n);
    sl_text_putc(&key, '\0');
    sl_text_add(&key, shared_name.p, shared_name.n);
    sl_resource *found = NULL;
    if (!key.failed) {
        found = sl_map_get(&r->names, (sl_str){key.p, key.n});
        if (found == NULL)
            found = add(r, kind, shared_name, (sl_str){key.p, key.n});
    }
    sl_text_fini(&key);
    return found;
}

sl_resource *sl_resources_at(const sl_resources *r, size_t i)
{
    return i < r->count ? r->list[i] : NULL;
}
