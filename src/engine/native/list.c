/* list.c - lists that share a store (list.h has the picture) */
#include "engine/native/list.h"

#include <string.h>

#include "base/mem.h"

typedef struct slot {
    sl_tensor item; /* owned */
    uint64_t since; /* version that filled it; 0: empty */
} slot;

typedef struct sl_list_store {
    int refs; /* lists */
    slot *slots;
    int64_t n, cap;
    uint64_t newest;
    size_t bytes;               /* of items and slots */
    struct sl_list_store *next; /* doomed */
} sl_list_store;

/* As many as an index of 32 bits reaches. */
#define MOST_SLOTS ((int64_t)INT32_MAX)

/* ---- stores ---- */

/* Lists may lie in lists, as deep as a loop turned: releasing one in another's release would go as
 * deep. So that one only waits for its turn. */
static _Thread_local sl_list_store *doomed;
static _Thread_local bool releasing;

static void store_release(sl_list_store *s)
{
    if (s == NULL || --s->refs > 0)
        return;
    s->next = doomed;
    doomed = s;
    if (releasing)
        return;
    releasing = true;
    while ((s = doomed) != NULL) {
        doomed = s->next;
        for (int64_t i = 0; i < s->n; i++)
            sl_buffer_release(s->slots[i].item.buffer);
        sl_free(s->slots);
        sl_free(s);
    }
    releasing = false;
}

/* Empty slots up to n; false: too large, or no memory. */
static bool store_grow(sl_list_store *s, int64_t n, size_t limit)
{
    if (n > MOST_SLOTS || (limit && (size_t)n > limit / sizeof(slot)))
        return false;
    if (n > s->cap) {
        int64_t cap = SL_MAX(n, SL_MIN(2 * s->cap, MOST_SLOTS));
        slot *slots = sl_try_realloc(s->slots, (size_t)cap * sizeof *slots);
        if (slots == NULL)
            return false;
        s->slots = slots;
        s->cap = cap;
    }
    if (n > s->n) {
        memset(&s->slots[s->n], 0, (size_t)(n - s->n) * sizeof(slot));
        s->bytes += (size_t)(n - s->n) * sizeof(slot);
        s->n = n;
    }
    return limit == 0 || s->bytes <= limit;
}

static sl_list_store *store_new(int64_t n, size_t limit)
{
    sl_list_store *s = sl_try_calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->refs = 1;
    s->newest = 1;
    if (!store_grow(s, n, limit)) {
        store_release(s);
        return NULL;
    }
    return s;
}

/* ---- lists ---- */

static void list_destroy(sl_buffer *b)
{
    sl_list *l = (sl_list *)b; /* its first member */
    store_release(l->store);
    sl_free(l);
}

/* Takes the reference to the store, also when it fails. */
static sl_list *list_new(sl_list_store *s, sl_dtype dtype, const sl_partial *shape, int64_t n)
{
    sl_list *l = s ? sl_try_calloc(1, sizeof *l) : NULL;
    if (l == NULL) {
        store_release(s);
        return NULL;
    }
    l->buffer =
        (sl_buffer){.refs = 1, .size = sizeof l->self, .data = &l->self, .destroy = list_destroy};
    l->self = l;
    l->store = s;
    l->version = s->newest;
    l->n = n;
    l->dtype = dtype;
    l->shape = *shape;
    return l;
}

sl_list *sl_list_of(const sl_tensor *t)
{
    return t->dtype == SL_DT_VARIANT && t->data != NULL && t->size >= sizeof(sl_list *)
               ? *(sl_list **)t->data
               : NULL;
}

sl_list *sl_list_try_new(sl_dtype dtype, const sl_partial *shape, int64_t n, size_t limit)
{
    return n < 0 ? NULL : list_new(store_new(n, limit), dtype, shape, n);
}

static const slot *seen(const sl_list *l, int64_t i)
{
    const slot *s = &l->store->slots[i];
    return s->since != 0 && s->since <= l->version ? s : NULL;
}

const sl_tensor *sl_list_item(const sl_list *l, int64_t i)
{
    const slot *s = seen(l, i);
    return s ? &s->item : NULL;
}

static sl_list *like(const sl_list *l, sl_list *made)
{
    if (made != NULL) {
        made->grows = l->grows;
        made->alike = l->alike;
    }
    return made;
}

/* The same list with a store of its own, of n slots. */
static sl_list *copied(const sl_list *l, int64_t n, size_t limit)
{
    sl_list_store *s = store_new(n, limit);
    for (int64_t i = 0; s != NULL && i < SL_MIN(n, l->n); i++) {
        const sl_tensor *item = sl_list_item(l, i);
        if (item == NULL)
            continue;
        sl_tensor_share(item, &s->slots[i].item);
        s->slots[i].since = 1;
        s->bytes += item->size;
    }
    return like(l, list_new(s, l->dtype, &l->shape, n));
}

sl_list *sl_list_resized(const sl_list *l, int64_t n, size_t limit)
{
    bool newest = l->version == l->store->newest && l->n == l->store->n;
    if (n < 0)
        return NULL;
    if (n > l->n && !newest)
        return copied(l, n, limit);
    if (n > l->n && !store_grow(l->store, n, limit))
        return NULL;
    l->store->refs++;
    sl_list *out = like(l, list_new(l->store, l->dtype, &l->shape, n));
    if (out != NULL)
        out->version = l->version;
    return out;
}

sl_list *sl_list_put(sl_list *l, int64_t i, sl_tensor *item, size_t limit)
{
    if (l->version != l->store->newest || l->store->slots[i].since != 0) {
        sl_list *own = copied(l, l->n, limit);
        sl_buffer_release(&l->buffer);
        l = own;
    }
    sl_list_store *s = l ? l->store : NULL;
    size_t bytes;
    if (s == NULL || !sl_add_size(s->bytes, item->size, &bytes) || (limit && bytes > limit)) {
        sl_tensor_release(item);
        if (l != NULL)
            sl_buffer_release(&l->buffer);
        return NULL;
    }
    slot *to = &s->slots[i];
    sl_buffer_release(to->item.buffer);
    to->item = *item;
    to->since = l->version = ++s->newest;
    s->bytes = bytes;
    *item = (sl_tensor){0};
    return l;
}

/* ---- tensors ---- */

sl_code sl_list_keep(const sl_tensor *t, sl_tensor *out, sl_status *st)
{
    if (t->dtype == SL_DT_STRING)
        return sl_tensor_try_new_strings(t->data, t->dims, t->rank, out, st);
    sl_list *l = sl_list_of(t);
    if (l != NULL) {
        *out = *t;
        out->data = &l->self;
        out->buffer = sl_buffer_acquire(&l->buffer);
        return SL_OK;
    }
    sl_code rc = sl_tensor_try_new(t->dtype, t->dims, t->rank, out, st);
    if (rc == SL_OK && t->size > 0)
        memcpy(out->data, t->data, t->size);
    return rc;
}

void sl_list_lend(sl_list *l, sl_arena *arena, sl_tensor *out)
{
    sl_arena_on_reset(arena, (void (*)(void *))sl_buffer_release, &l->buffer);
    *out = (sl_tensor){.dtype = SL_DT_VARIANT, .size = sizeof l->self, .data = &l->self};
}
