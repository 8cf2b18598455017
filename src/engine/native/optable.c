/*
 * optable.c - one table of all ops, joined from the families
 *
 * Each family's table stands in its own file in the order that reads best; here they are sorted by
 * name once, the first time somebody asks.
 */
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "engine/native/op.h"

enum { MAX_OPS = 512 };

static const sl_op *sorted[MAX_OPS];
static int n_ops;
static pthread_once_t joined = PTHREAD_ONCE_INIT;

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const sl_op *const *)a)->name, (*(const sl_op *const *)b)->name);
}

static void join(void)
{
    static const sl_op *const families[] = {
#define X(family) sl_ops_##family,
        SL_OP_FAMILIES(X)
#undef X
    };
    for (size_t f = 0; f < sizeof families / sizeof families[0]; f++)
        for (const sl_op *op = families[f]; op->name != NULL; op++) {
            assert(n_ops < MAX_OPS); /* none is lost silently */
            sorted[n_ops++] = op;
        }
    qsort(sorted, (size_t)n_ops, sizeof sorted[0], by_name);
}

static int compare_name(const void *key, const void *op)
{
    return sl_str_cmp(*(const sl_str *)key, sl_str_of((*(const sl_op *const *)op)->name));
}

const sl_op *sl_op_find(sl_str name)
{
    pthread_once(&joined, join);
    const sl_op **op = bsearch(&name, sorted, (size_t)n_ops, sizeof sorted[0], compare_name);
    return op != NULL ? *op : NULL;
}

const sl_op *sl_op_at(int i)
{
    pthread_once(&joined, join);
    return i >= 0 && i < n_ops ? sorted[i] : NULL;
}
