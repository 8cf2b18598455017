/*
 * memory.c - where each value lives
 *
 * A value that leaves the run lives in the buffer that the caller receives; everything else in one
 * block. A value needs its bytes from the step that makes it to the last step that reads it or a
 * view of it. Walking the steps in order, what has died gives its piece of the block back, and a
 * new value takes the smallest free piece that fits:
 *
 *     step     0    1    2    3
 *     a        [=======]              offset 0
 *     b             [=======]         offset 64
 *     c                  [=======]    offset 0, where a was
 *
 * An elementwise step whose input dies there writes over it. Pieces are multiples of 64 bytes, so
 * every value is aligned to 64.
 */
#include "base/mem.h"
#include "engine/native/plan.h"

enum { ALIGN = 64 };

typedef struct piece {
    size_t offset, size;
} piece;

typedef struct placer {
    sl_draft *d;
    piece *gaps; /* free pieces, ascending by offset, never touching each other */
    size_t n_gaps, cap_gaps;
    size_t end;      /* of the block so far */
    size_t leaving;  /* bytes of the outputs' buffers */
    int *dying;      /* heads of lists: roots whose last use is that step */
    int *next_dying; /* per value */
    int *in_place;   /* per root: the root whose piece it took over, or -1 */
    sl_status *st;
} placer;

static sl_code no_memory(sl_status *st)
{
    return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory while planning the run");
}

static sl_code too_much(const placer *p)
{
    return sl_fail(p->st, SL_RESOURCE_EXHAUSTED,
                   "a request of this shape needs more than %zu MiB of memory",
                   p->d->limits->block >> 20);
}

static size_t rounded(size_t n)
{
    return (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

/* ---- the block ---- */

static bool take(placer *p, size_t size, size_t *offset)
{
    size_t best = p->n_gaps;
    if (size > SIZE_MAX / 2)
        return false;
    size = size ? rounded(size) : ALIGN;
    for (size_t i = 0; i < p->n_gaps; i++)
        if (p->gaps[i].size >= size && (best == p->n_gaps || p->gaps[i].size < p->gaps[best].size))
            best = i;
    if (best < p->n_gaps) {
        *offset = p->gaps[best].offset;
        p->gaps[best].offset += size;
        p->gaps[best].size -= size;
        if (p->gaps[best].size == 0)
            memmove(&p->gaps[best], &p->gaps[best + 1], (--p->n_gaps - best) * sizeof(piece));
        return true;
    }
    /* A gap at the very end grows instead of a new piece behind it. */
    size_t at = p->end;
    if (p->n_gaps > 0 && p->gaps[p->n_gaps - 1].offset + p->gaps[p->n_gaps - 1].size == p->end)
        at = p->gaps[--p->n_gaps].offset;
    *offset = at;
    return sl_add_size(at, size, &p->end);
}

static bool give_back(placer *p, size_t offset, size_t size)
{
    size = size ? rounded(size) : ALIGN;
    size_t i = 0;
    while (i < p->n_gaps && p->gaps[i].offset < offset)
        i++;
    bool joins_left = i > 0 && p->gaps[i - 1].offset + p->gaps[i - 1].size == offset;
    bool joins_right = i < p->n_gaps && offset + size == p->gaps[i].offset;
    if (joins_left) {
        p->gaps[i - 1].size += size;
        if (joins_right) {
            p->gaps[i - 1].size += p->gaps[i].size;
            memmove(&p->gaps[i], &p->gaps[i + 1], (--p->n_gaps - i) * sizeof(piece));
        }
        return true;
    }
    if (joins_right) {
        p->gaps[i].offset = offset;
        p->gaps[i].size += size;
        return true;
    }
    piece *gaps = sl_try_grow(p->gaps, p->n_gaps, &p->cap_gaps, sizeof *gaps);
    if (gaps == NULL)
        return false;
    p->gaps = gaps;
    memmove(&gaps[i + 1], &gaps[i], (p->n_gaps++ - i) * sizeof(piece));
    gaps[i] = (piece){offset, size};
    return true;
}

/* ---- lifetimes ---- */

static sl_value *root_of(sl_draft *d, int v)
{
    return &d->values[d->values[v].root];
}

static void find_last_uses(sl_draft *d)
{
    for (int v = 0; v < d->g->n_values; v++)
        d->values[v].last_use = d->values[v].step;
    for (int i = 0; i < d->n_steps; i++)
        for (int k = 0; k < d->steps[i].n_in && d->steps[i].live; k++)
            root_of(d, d->steps[i].in[k])->last_use = i;
    /* A late view is not known to be one: what it looks at stays until the end. */
    for (int i = 0; i < d->n_steps; i++)
        if (d->steps[i].live && d->steps[i].mode == SL_STEP_VIEW && d->steps[i].n_in > 0)
            root_of(d, d->steps[i].in[0])->last_use = d->n_steps;
    for (int i = 0; i < d->request->n_outs; i++) {
        sl_edge e = d->g->outs[d->request->outs ? d->request->outs[i] : i].edge;
        sl_value *r = root_of(d, d->g->nodes[e.node].value + e.out);
        r->wanted = true;
        r->last_use = d->n_steps;
    }
}

static bool is_made_fixed(const sl_value *v)
{
    return v->state == SL_V_SHAPED && v->step >= 0;
}

/* Strings leave by copy: their bytes are scattered over the run. */
static bool leaves_directly(const sl_value *v)
{
    return v->wanted && v->t.dtype != SL_DT_STRING && is_made_fixed(v);
}

static void link_dying(placer *p, int root)
{
    int at = p->d->values[root].last_use;
    if (at >= p->d->n_steps || at < 0)
        return;
    p->next_dying[root] = p->dying[at];
    p->dying[at] = root + 1;
}

/* ---- places ---- */

/* The input whose bytes the step may write over: it dies here, and was made by a step. */
static int overwritable(const placer *p, int at)
{
    const sl_draft_step *s = &p->d->steps[at];
    const sl_gnode *n = &p->d->g->nodes[s->node];
    if (s->mode != SL_STEP_FIXED || n->kind != SL_G_OP || !(n->op.op->flags & SL_OP_IN_PLACE))
        return -1;
    const sl_value *out = &p->d->values[s->out];
    for (int k = 0; k < s->n_in; k++) {
        int root = p->d->values[s->in[k]].root;
        const sl_value *in = &p->d->values[root];
        /* Equal bytes of wider elements would be fewer elements, read again and again. */
        size_t element = sl_dtype_size(p->d->values[s->in[k]].t.dtype);
        if (element == sl_dtype_size(out->t.dtype) && is_made_fixed(in) && !in->wanted &&
            in->last_use == at && in->t.size == out->t.size && in->t.size > 0 &&
            in->t.dtype != SL_DT_STRING && out->t.dtype != SL_DT_STRING && in->step != at)
            return root;
    }
    return -1;
}

static sl_code place_output(placer *p, int at, int v)
{
    sl_value *x = &p->d->values[v];
    int over = v == p->d->steps[at].out ? overwritable(p, at) : -1;
    if (over >= 0 && !leaves_directly(x)) {
        x->place = p->d->values[over].place;
        p->in_place[over] = v;
        return SL_OK;
    }
    if (leaves_directly(x)) {
        x->place = (sl_place){SL_AT_OUTPUT, p->d->n_buffers, 0};
        p->d->buffers[p->d->n_buffers++] = x->t.size;
        if (!sl_add_size(p->leaving, x->t.size, &p->leaving))
            return too_much(p);
        return SL_OK;
    }
    x->place.kind = SL_AT_BLOCK;
    if (!take(p, x->t.size, &x->place.offset))
        return too_much(p);
    return SL_OK;
}

static sl_code release_dead(placer *p, int at)
{
    for (int r = p->dying[at] - 1; r >= 0; r = p->next_dying[r] - 1) {
        const sl_value *x = &p->d->values[r];
        if (x->place.kind == SL_AT_BLOCK && p->in_place[r] < 0 &&
            !give_back(p, x->place.offset, x->t.size))
            return no_memory(p->st);
    }
    return SL_OK;
}

static sl_code place_step(placer *p, int at)
{
    sl_draft *d = p->d;
    sl_draft_step *s = &d->steps[at];
    sl_code rc = SL_OK;
    for (int k = 0; k < s->n_out; k++) {
        sl_value *x = &d->values[s->out + k];
        if (s->mode != SL_STEP_FIXED)
            x->place = (sl_place){SL_AT_LATE, d->n_late++, 0};
        else if (rc == SL_OK)
            rc = place_output(p, at, s->out + k);
        if (s->mode == SL_STEP_FIXED)
            link_dying(p, s->out + k);
    }
    if (rc == SL_OK && s->scratch > 0) {
        if (!take(p, s->scratch, &s->scratch_at) || !give_back(p, s->scratch_at, s->scratch))
            rc = too_much(p);
    }
    return rc ? rc : release_dead(p, at);
}

/* Two live outputs never share a buffer, so an in-place chain that ends in an output only saves the
 * block. */
static sl_code place_all(placer *p)
{
    sl_draft *d = p->d;
    for (int v = 0; v < d->g->n_values; v++) {
        p->in_place[v] = -1;
        sl_value *x = &d->values[v];
        if (x->root != v)
            continue;
        if (x->state == SL_V_KNOWN)
            x->place.kind = SL_AT_CONST;
        else if (x->feed >= 0)
            x->place = (sl_place){SL_AT_INPUT, x->feed, 0};
    }
    sl_code rc = SL_OK;
    for (int i = 0; i < d->n_steps && rc == SL_OK; i++) {
        if (d->steps[i].live)
            rc = place_step(p, i);
        size_t all;
        if (rc == SL_OK && (!sl_add_size(p->end, p->leaving, &all) || all > d->limits->block))
            rc = too_much(p);
    }
    d->block = p->end;
    return rc;
}

sl_code sl_draft_place(sl_draft *d, sl_status *st)
{
    size_t values = (size_t)d->g->n_values;
    placer p = {.d = d, .st = st};
    find_last_uses(d);
    p.dying = sl_try_calloc((size_t)d->n_steps, sizeof *p.dying);
    p.next_dying = sl_try_calloc(values, sizeof *p.next_dying);
    p.in_place = sl_try_calloc(values, sizeof *p.in_place);
    d->buffers = sl_arena_try_alloc(&d->arena, (size_t)d->request->n_outs * sizeof *d->buffers);
    bool ok = p.dying && p.next_dying && p.in_place && d->buffers;
    sl_code rc = ok ? place_all(&p) : no_memory(st);
    sl_free(p.gaps);
    sl_free(p.dying);
    sl_free(p.next_dying);
    sl_free(p.in_place);
    return rc;
}
