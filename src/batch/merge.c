/*
 * merge.c - see merge.h
 *
 * Strings are merged as their table of pointers first, like any other element, and then copied as a
 * whole, so that the merged tensor owns its bytes and the tasks may go before the engine lets go of
 * it.
 */
#include "batch/merge.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

enum { HIGHEST_PADDED_RANK = 6 };

bool sl_merge_fits(const sl_tensor *a, const sl_tensor *b, bool pad)
{
    if (a->dtype != b->dtype || a->rank != b->rank)
        return false;
    bool same = true;
    for (int d = 1; d < a->rank; d++)
        same &= a->dims[d] == b->dims[d];
    return same || (pad && a->rank <= HIGHEST_PADDED_RANK && a->size > 0 && b->size > 0);
}

/* n copies of the element at `value`. */
static void fill(char *to, const char *value, size_t element, size_t n)
{
    for (size_t i = 0; i < n; i++)
        memcpy(to + i * element, value, element);
}

/* Copies `t` into a block of t->dims[0] rows whose further dimensions are those of `dims`. */
static void copy_rows(char *to, const sl_tensor *t, const int64_t *dims, size_t element)
{
    bool same = true;
    size_t block = 1;
    for (int d = 1; d < t->rank; d++) {
        same &= t->dims[d] == dims[d];
        block *= (size_t)dims[d];
    }
    if (same) {
        if (t->size)
            memcpy(to, t->data, t->size);
        return;
    }
    /* The last dimension is copied piece by piece; `at` counts through the others. */
    int last = t->rank - 1;
    int64_t at[SL_MAX_RANK] = {0};
    const char *from = t->data;
    size_t piece = (size_t)t->dims[last] * element;
    assert(piece > 0); /* what is padded has elements */
    fill(to, from, element, block * (size_t)t->dims[0]);
    for (size_t left = t->size / piece; left > 0; left--) {
        size_t offset = 0;
        for (int d = 0; d < last; d++)
            offset = (offset + (size_t)at[d]) * (size_t)dims[d + 1];
        memcpy(to + offset * element, from, piece);
        from += piece;
        for (int d = last - 1; d >= 0 && ++at[d] == t->dims[d]; d--)
            at[d] = 0;
    }
}

/* Writes all rows to `to`, which has room for `rows` of them. */
static void copy_all(char *to, const sl_tensor *list, int n, const int64_t *dims, int64_t rows,
                     size_t element)
{
    size_t row = element;
    for (int d = 1; d < list->rank; d++)
        row *= (size_t)dims[d];
    char *last = to;
    for (int i = 0; i < n; i++) {
        copy_rows(to, &list[i], dims, element);
        last = to;
        to += (size_t)list[i].dims[0] * row;
        rows -= list[i].dims[0];
    }
    for (; rows > 0 && row > 0; rows--, to += row)
        memcpy(to, last, row);
}

static sl_code merge_strings(const sl_tensor *list, int n, const int64_t *dims, int64_t rows,
                             sl_tensor *out, sl_status *st)
{
    int64_t count = sl_shape_count(dims, list->rank, sizeof(sl_str));
    if (count < 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "shape of a batch of strings is out of range");
    sl_str *table = sl_try_malloc((size_t)count * sizeof *table);
    if (table == NULL)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory: batch of %lld strings",
                       (long long)count);
    copy_all((char *)table, list, n, dims, rows, sizeof(sl_str));
    sl_code rc = sl_tensor_try_new_strings(table, dims, list->rank, out, st);
    sl_free(table);
    return rc;
}

sl_code sl_merge_rows(const sl_tensor *list, int n, int64_t rows, sl_tensor *out, sl_status *st)
{
    int64_t dims[SL_MAX_RANK] = {0};
    if (n == 1 && list->dims[0] == rows) {
        sl_tensor_share(list, out);
        return SL_OK;
    }
    dims[0] = rows;
    for (int d = 1; d < list->rank; d++) {
        dims[d] = list->dims[d];
        for (int i = 1; i < n; i++)
            dims[d] = SL_MAX(dims[d], list[i].dims[d]);
    }
    if (list->dtype == SL_DT_STRING)
        return merge_strings(list, n, dims, rows, out, st);
    sl_code rc = sl_tensor_try_new(list->dtype, dims, list->rank, out, st);
    if (rc == SL_OK)
        copy_all(out->data, list, n, dims, rows, sl_dtype_size(list->dtype));
    return rc;
}
