/*
 * copy.c - moving elements between two strided boxes
 *
 * After joining, the innermost dimension is one of three: adjacent on both sides (memcpy), adjacent
 * only where it is written (a gather), or neither. A transpose of large matrices is copied in
 * square blocks, so that both sides stay in cache.
 */
#include "engine/native/kernels/copy.h"

#include <string.h>

typedef struct box {
    sl_copy_dim dims[SL_COPY_MAX_RANK];
    int rank;
} box;

/* Drops extents of 1 and joins neighbours that are contiguous on both sides. */
static void simplify(box *b, const sl_copy_dim *dims, int rank)
{
    b->rank = 0;
    for (int i = 0; i < rank; i++) {
        if (dims[i].n == 1)
            continue;
        sl_copy_dim *last = b->rank ? &b->dims[b->rank - 1] : NULL;
        if (last != NULL && last->to == dims[i].n * dims[i].to &&
            last->from == dims[i].n * dims[i].from) {
            last->n *= dims[i].n;
            last->to = dims[i].to;
            last->from = dims[i].from;
        } else {
            b->dims[b->rank++] = dims[i];
        }
    }
    if (b->rank == 0)
        b->dims[b->rank++] = (sl_copy_dim){1, 1, 1};
}

typedef struct pair16 {
    uint64_t a, b;
} pair16;

#define ROW(name, type)                                                             \
    static void name(void *to, const void *from, int64_t n, int64_t st, int64_t sf) \
    {                                                                               \
        type *t = to;                                                               \
        const type *f = from;                                                       \
        if (sf == 0 && st == 1) {                                                   \
            type v = f[0];                                                          \
            for (int64_t i = 0; i < n; i++)                                         \
                t[i] = v;                                                           \
        } else {                                                                    \
            for (int64_t i = 0; i < n; i++)                                         \
                t[i * st] = f[i * sf];                                              \
        }                                                                           \
    }                                                                               \
    /* n x m elements; both strides of both sides. */                               \
    static void name##_block(void *to, const void *from, const sl_copy_dim *o,      \
                             const sl_copy_dim *in)                                 \
    {                                                                               \
        enum { SIDE = 16 };                                                         \
        for (int64_t i0 = 0; i0 < o->n; i0 += SIDE)                                 \
            for (int64_t j0 = 0; j0 < in->n; j0 += SIDE) {                          \
                int64_t i1 = i0 + SIDE < o->n ? i0 + SIDE : o->n;                   \
                int64_t j1 = j0 + SIDE < in->n ? j0 + SIDE : in->n;                 \
                for (int64_t i = i0; i < i1; i++)                                   \
                    for (int64_t j = j0; j < j1; j++)                               \
                        ((type *)to)[i * o->to + j * in->to] =                      \
                            ((const type *)from)[i * o->from + j * in->from];       \
            }                                                                       \
    }

ROW(row1, uint8_t)
ROW(row2, uint16_t)
ROW(row4, uint32_t)
ROW(row8, uint64_t)
ROW(row16, pair16)

typedef void (*row_fn)(void *, const void *, int64_t, int64_t, int64_t);
typedef void (*block_fn)(void *, const void *, const sl_copy_dim *, const sl_copy_dim *);

static row_fn row_of(size_t element)
{
    return element == 1   ? row1
           : element == 2 ? row2
           : element == 4 ? row4
           : element == 8 ? row8
                          : row16;
}

static block_fn block_of(size_t element)
{
    return element == 1   ? row1_block
           : element == 2 ? row2_block
           : element == 4 ? row4_block
           : element == 8 ? row8_block
                          : row16_block;
}

/* The two inner dimensions at once. */
static void copy_inner(char *to, const char *from, const box *b, size_t element)
{
    const sl_copy_dim *in = &b->dims[b->rank - 1];
    const sl_copy_dim *o = b->rank > 1 ? in - 1 : &(const sl_copy_dim){1, 0, 0};
    int64_t e = (int64_t)element;
    if (in->to == 1 && in->from == 1) {
        for (int64_t i = 0; i < o->n; i++)
            memcpy(to + i * o->to * e, from + i * o->from * e, (size_t)in->n * element);
    } else if (o->n > 1 && o->from == 1) {
        block_of(element)(to, from, o, in);
    } else {
        row_fn row = row_of(element);
        for (int64_t i = 0; i < o->n; i++)
            row(to + i * o->to * e, from + i * o->from * e, in->n, in->to, in->from);
    }
}

void sl_kernel_copy(void *to, const void *from, const sl_copy_dim *dims, int rank, size_t element)
{
    box b;
    for (int i = 0; i < rank; i++)
        if (dims[i].n <= 0)
            return;
    simplify(&b, dims, rank);
    int outer = b.rank - 2;
    int64_t at[SL_COPY_MAX_RANK] = {0};
    char *t = to;
    const char *f = from;
    for (;;) {
        copy_inner(t, f, &b, element);
        int d = outer - 1;
        for (; d >= 0; d--) {
            const sl_copy_dim *x = &b.dims[d];
            t += x->to * (int64_t)element;
            f += x->from * (int64_t)element;
            if (++at[d] < x->n)
                break;
            t -= x->n * x->to * (int64_t)element;
            f -= x->n * x->from * (int64_t)element;
            at[d] = 0;
        }
        if (d < 0)
            return;
    }
}
