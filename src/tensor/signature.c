/*
 * signature.c - finding and copying signatures
 *
 * A copy is made in two walks over the same code: the first only counts bytes, the second fills
 * them.
 */
#include "sluice/signature.h"

#include <string.h>

#include "base/mem.h"

static int key_cmp(const char *key, sl_str wanted)
{
    size_t n = strlen(key), m = SL_MIN(n, wanted.n);
    int c = m ? memcmp(key, wanted.p, m) : 0;
    return c ? c : (n > wanted.n) - (n < wanted.n);
}

int sl_signatures_find(const sl_signatures *all, sl_str key)
{
    for (int lo = 0, hi = all->count; lo < hi;) {
        int mid = lo + (hi - lo) / 2, c = key_cmp(all->list[mid].key, key);
        if (c == 0)
            return mid;
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return -1;
}

int sl_tensor_infos_find(const sl_tensor_info *infos, int count, sl_str key)
{
    for (int lo = 0, hi = count; lo < hi;) {
        int mid = lo + (hi - lo) / 2, c = key_cmp(infos[mid].key, key);
        if (c == 0)
            return mid;
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return -1;
}

/* Hands out memory, or only counts it while base is NULL. Sizes come from structures that are in
 * memory already, so their sum fits. */
typedef struct packer {
    char *base;
    size_t used;
} packer;

static void *take(packer *p, size_t size)
{
    void *at = p->base ? p->base + p->used : NULL;
    p->used += (size + 15) & ~(size_t)15;
    return at;
}

static const char *take_text(packer *p, const char *s)
{
    if (s == NULL)
        return NULL;
    size_t n = strlen(s) + 1;
    char *to = take(p, n);
    if (to != NULL)
        memcpy(to, s, n);
    return to;
}

static const sl_tensor_info *take_infos(packer *p, const sl_tensor_info *from, int n)
{
    sl_tensor_info *to = take(p, (size_t)n * sizeof *to);
    for (int i = 0; i < n; i++) {
        const char *key = take_text(p, from[i].key), *name = take_text(p, from[i].name);
        if (to == NULL)
            continue;
        to[i] = from[i];
        to[i].key = key;
        to[i].name = name;
    }
    return to;
}

static void take_signature(packer *p, const sl_signature *from, sl_signature *to)
{
    sl_signature copy = *from;
    copy.key = take_text(p, from->key);
    copy.method_name = take_text(p, from->method_name);
    copy.inputs = take_infos(p, from->inputs, from->n_inputs);
    copy.outputs = take_infos(p, from->outputs, from->n_outputs);
    char *def = take(p, from->def.n);
    if (def != NULL && from->def.n)
        memcpy(def, from->def.p, from->def.n);
    copy.def = (sl_str){def, from->def.n};
    if (from->defaults != NULL) {
        sl_tensor *defaults = take(p, (size_t)from->n_inputs * sizeof *defaults);
        for (int i = 0; defaults != NULL && i < from->n_inputs; i++)
            sl_tensor_share(&from->defaults[i], &defaults[i]);
        copy.defaults = defaults;
    }
    if (to != NULL)
        *to = copy;
}

static sl_signatures *pack(packer *p, const sl_signatures *all)
{
    sl_signatures *top = take(p, sizeof *top);
    int n = all->count + all->has_union;
    sl_signature *list = take(p, (size_t)n * sizeof *list);
    for (int i = 0; i < n; i++)
        take_signature(p, &all->list[i], list ? &list[i] : NULL);
    if (top != NULL)
        *top = (sl_signatures){list, all->count, all->has_union};
    return top;
}

sl_signatures *sl_signatures_try_dup(const sl_signatures *all)
{
    packer p = {0};
    pack(&p, all);
    p.base = sl_try_malloc(p.used);
    p.used = 0;
    return p.base ? pack(&p, all) : NULL;
}

void sl_signatures_free(sl_signatures *all)
{
    for (int i = 0; all != NULL && i < all->count; i++)
        for (int k = 0; all->list[i].defaults != NULL && k < all->list[i].n_inputs; k++)
            sl_buffer_release(all->list[i].defaults[k].buffer);
    sl_free(all);
}
