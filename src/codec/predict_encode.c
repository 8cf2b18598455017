/*
 * predict_encode.c - tensors into the answer of :predict
 *
 * A tensor is written as runs of its innermost dimension, with brackets between them: after each
 * run the lists that end are closed, and as many are opened again. A dimension of 0 makes
 * everything below it an empty list, "[]", which then stands where the leaves would.
 *
 * The layout is that of the original's writer: four blanks a level and every element on its own
 * line (column format), or arrays on one line (row format) whose outermost bracket alone closes on
 * a line of its own. Objects are always on lines of their own, indented by all brackets around
 * them.
 */
#include "base/mem.h"
#include "codec/predict_json.h"
#include "codec/writer.h"
#include "format/number.h"

typedef struct style {
    bool lines; /* every element on its own line */
    bool b64;   /* strings as base64 objects */
    int depth;  /* brackets around the value */
} style;

/* What of a tensor is written, as lists of leaves. */
typedef struct block {
    const sl_tensor *t;
    const int64_t *dims;
    int rank;     /* of the lists that are not empty */
    bool hollow;  /* the leaves are empty lists */
    int64_t next; /* position of the next leaf in t */
} block;

static block make_block(const sl_tensor *t, int first_dim, int64_t next)
{
    block b = {.t = t, .dims = t->dims + first_dim, .next = next};
    while (b.rank < t->rank - first_dim && b.dims[b.rank] != 0)
        b.rank++;
    b.hollow = b.rank < t->rank - first_dim;
    return b;
}

static inline void put_separator(sl_json_writer *w, const char *sep, size_t n)
{
    /* room for 64 is there: the caller saw to it */
    if (n <= 16)
        memcpy(w->at, sep, 16);
    else
        memcpy(w->at, sep, 64);
    w->at += n;
}

/* X(dtype, C type, how to write one) */
#define NUMBERS(X)                                    \
    X(SL_DT_FLOAT, float, sl_number_write_float)      \
    X(SL_DT_DOUBLE, double, sl_number_write_double)   \
    X(SL_DT_INT8, int8_t, sl_number_write_int64)      \
    X(SL_DT_INT16, int16_t, sl_number_write_int64)    \
    X(SL_DT_INT32, int32_t, sl_number_write_int64)    \
    X(SL_DT_INT64, int64_t, sl_number_write_int64)    \
    X(SL_DT_UINT8, uint8_t, sl_number_write_uint64)   \
    X(SL_DT_UINT32, uint32_t, sl_number_write_uint64) \
    X(SL_DT_UINT64, uint64_t, sl_number_write_uint64)

enum { SEPARATOR_ROOM = 64 };

/* n > 0 leaves from position `from`, the separator between them; inside `depth` brackets. */
static void put_leaves(sl_json_writer *w, const block *b, int64_t n, const char *sep, size_t sep_n,
                       const style *s, int depth)
{
    for (int64_t i = 0; i < n; i++) {
        sl_json_room(w, SEPARATOR_ROOM + SL_NUMBER_ROOM);
        if (i)
            put_separator(w, sep, sep_n);
        if (b->hollow) {
            SL_JSON_PUT(w, "[]");
            continue;
        }
        const sl_str *str = (const sl_str *)b->t->data + b->next + i;
        if (b->t->dtype == SL_DT_BOOL) {
            if (((const bool *)b->t->data)[b->next + i])
                SL_JSON_PUT(w, "true");
            else
                SL_JSON_PUT(w, "false");
        } else if (s->b64) {
            sl_json_put_b64(w, *str, depth);
        } else {
            sl_json_put_string(w, *str);
        }
    }
}

static void put_run(sl_json_writer *w, const block *b, int64_t n, const char *sep, size_t sep_n,
                    const style *s, int depth)
{
    if (b->hollow) {
        put_leaves(w, b, n, sep, sep_n, s, depth);
        return;
    }
    switch (b->t->dtype) {
#define X(DT, type, write)                                    \
    case DT: {                                                \
        const type *v = (const type *)b->t->data + b->next;   \
        for (int64_t i = 0; i < n; i++) {                     \
            sl_json_room(w, SEPARATOR_ROOM + SL_NUMBER_ROOM); \
            if (i)                                            \
                put_separator(w, sep, sep_n);                 \
            w->at = write(w->at, v[i]);                       \
        }                                                     \
        break;                                                \
    }
        NUMBERS(X)
#undef X
    default:
        put_leaves(w, b, n, sep, sep_n, s, depth);
    }
}

static void open_lists(sl_json_writer *w, const style *s, int from, int to)
{
    for (int level = from; level < to; level++) {
        SL_JSON_PUT(w, "[");
        if (s->lines)
            sl_json_put_line(w, s->depth + level + 1);
    }
}

static void close_list(sl_json_writer *w, const style *s, int level)
{
    if (s->lines)
        sl_json_put_line(w, s->depth + level);
    SL_JSON_PUT(w, "]");
}

/* Writes the block. `closed`: with the bracket of the outermost list. */
static void put_block(sl_json_writer *w, block b, const style *s, bool closed)
{
    char sep[SEPARATOR_ROOM] = ", ";
    int64_t index[SL_MAX_RANK] = {0};
    int inner = b.rank - 1, level;
    int64_t run = b.rank ? b.dims[inner] : 1;
    size_t sep_n = 2;
    if (s->lines) {
        sep[1] = '\n';
        sep_n += 4 * (size_t)(s->depth + b.rank);
        memset(sep + 2, ' ', sizeof sep - 2);
    }
    open_lists(w, s, 0, b.rank);
    for (;;) {
        put_run(w, &b, run, sep, sep_n, s, s->depth + b.rank);
        b.next += run;
        for (level = inner; level >= 0; level--) {
            if (level < inner && ++index[level] < b.dims[level])
                break;
            index[level] = 0;
            if (level > 0 || closed)
                close_list(w, s, level);
        }
        if (level < 0)
            return;
        SL_JSON_PUT(w, ",");
        if (s->lines)
            sl_json_put_line(w, s->depth + level + 1);
        else
            SL_JSON_PUT(w, " ");
        open_lists(w, s, level + 1, b.rank);
    }
}

/* ---- the answer ---- */

static bool ends_with_bytes(const char *key)
{
    size_t n = strlen(key);
    return n >= 6 && memcmp(key + n - 6, "_bytes", 6) == 0;
}

static bool writable(const sl_tensor *t)
{
    switch (t->dtype) {
#define X(DT, type, write) case DT:
        NUMBERS(X)
#undef X
    case SL_DT_BOOL:
    case SL_DT_STRING:
        return true;
    default:
        return sl_tensor_count(t) == 0; /* nothing of it is written */
    }
}

static const char *key_of(const sl_signature *s, int output)
{
    return s->outputs[output].key;
}

/* Positions in output_index, so that outputs come sorted by key. NULL when memory is out. */
static int *sort_outputs(const int *output_index, int n, sl_arena *arena)
{
    int *order = sl_arena_try_alloc(arena, (size_t)n * sizeof *order);
    for (int i = 0; order && i < n; i++) {
        int at = i;
        for (; at > 0 && output_index[order[at - 1]] > output_index[i]; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    return order;
}

typedef struct answer {
    sl_json_writer w;
    const sl_signature *signature;
    const int *output_index, *order;
    const sl_tensor *outputs;
    int n;
} answer;

static sl_code check_rows(const answer *a, sl_status *st)
{
    for (int i = 0; i < a->n; i++) {
        const sl_tensor *t = &a->outputs[a->order[i]], *first = &a->outputs[a->order[0]];
        const char *key = key_of(a->signature, a->output_index[a->order[i]]);
        if (t->rank < 1)
            return sl_fail(st, SL_INVALID_ARGUMENT, "Tensor name: %s has no shape information ",
                           key);
        if (t->dims[0] != first->dims[0])
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "Tensor name: %s has inconsistent batch size: %lld expecting: %lld", key,
                           (long long)t->dims[0], (long long)first->dims[0]);
    }
    return SL_OK;
}

/* `"key": value` of one output, on a line of its own inside `depth` brackets. */
static void put_member(answer *a, int i, int first_dim, int64_t from, bool lines, int depth)
{
    int k = a->order[i];
    const char *key = key_of(a->signature, a->output_index[k]);
    style s = {.lines = lines, .b64 = ends_with_bytes(key), .depth = depth};
    if (i)
        SL_JSON_PUT(&a->w, ",");
    sl_json_put_line(&a->w, depth);
    sl_json_put_string(&a->w, (sl_str){key, strlen(key)});
    SL_JSON_PUT(&a->w, ": ");
    put_block(&a->w, make_block(&a->outputs[k], first_dim, from), &s, true);
}

static int64_t row_size(const sl_tensor *t)
{
    return sl_shape_count(t->dims + 1, t->rank - 1, 1);
}

static void put_rows(answer *a)
{
    sl_json_writer *w = &a->w;
    const sl_tensor *first = &a->outputs[0];
    int64_t rows = first->dims[0];
    SL_JSON_PUT(w, "{\n    \"predictions\": ");
    if (rows == 0) {
        SL_JSON_PUT(w, "[]\n}");
        return;
    }
    if (a->n == 1) {
        style s = {.b64 = ends_with_bytes(key_of(a->signature, a->output_index[0])), .depth = 1};
        put_block(w, make_block(first, 0, 0), &s, false);
        SL_JSON_PUT(w, "\n    ]\n}");
        return;
    }
    SL_JSON_PUT(w, "[");
    for (int64_t row = 0; row < rows; row++) {
        SL_JSON_PUT(w, "\n        {");
        for (int i = 0; i < a->n; i++)
            put_member(a, i, 1, row * row_size(&a->outputs[a->order[i]]), false, 3);
        SL_JSON_PUT(w, "\n        }");
        if (row + 1 < rows)
            SL_JSON_PUT(w, ",");
    }
    SL_JSON_PUT(w, "\n    ]\n}");
}

static void put_columns(answer *a)
{
    sl_json_writer *w = &a->w;
    SL_JSON_PUT(w, "{\n    \"outputs\": ");
    if (a->n == 1) {
        style s = {.lines = true,
                   .b64 = ends_with_bytes(key_of(a->signature, a->output_index[0])),
                   .depth = 1};
        put_block(w, make_block(&a->outputs[0], 0, 0), &s, true);
    } else {
        SL_JSON_PUT(w, "{");
        for (int i = 0; i < a->n; i++)
            put_member(a, i, 0, 0, true, 2);
        SL_JSON_PUT(w, "\n    }");
    }
    SL_JSON_PUT(w, "\n}");
}

sl_code sl_json_encode_predict(const sl_signature *signature, const int *output_index,
                               const sl_tensor *outputs, int n_outputs, bool row_format,
                               sl_chain *out, sl_arena *arena, sl_status *st)
{
    answer a;
    if (n_outputs == 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "Cannot convert empty tensor map to JSON");
    a.signature = signature;
    a.output_index = output_index;
    a.outputs = outputs;
    a.n = n_outputs;
    a.order = sort_outputs(output_index, n_outputs, arena);
    if (a.order == NULL)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory: encoding the response");
    sl_code rc = row_format ? check_rows(&a, st) : SL_OK;
    if (rc)
        return rc;
    for (int i = 0; i < n_outputs; i++)
        if (!writable(&outputs[i]))
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "Failed to write JSON value for tensor type: %s",
                           sl_dtype_name(outputs[i].dtype));
    sl_json_writer_open(&a.w, out);
    if (row_format)
        put_rows(&a);
    else
        put_columns(&a);
    sl_json_writer_close(&a.w);
    if (out->failed)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory: encoding the response");
    return SL_OK;
}
