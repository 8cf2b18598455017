/*
 * test_ops_cases.c - the native ops give TensorFlow's answers
 *
 * Replays every tests/engine/cases/ops_<family>.bin; tests/engine/op_cases.py writes them with an
 * installed TensorFlow. Numbers must agree within 1e-5 relative plus 1e-6 absolute (half 2e-3,
 * bfloat16 1.6e-2, both within the contract's 2e-2), double within 1e-10; integers, strings,
 * shapes, error codes and error texts exactly.
 */
#include <dirent.h>
#include <fnmatch.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "engine/native/kernels/half.h"
#include "support/op_harness.h"

#define CASES SLUICE_SOURCE_DIR "/tests/engine/cases"

enum { FILE_LIMIT = 2 << 20 }; /* op_cases.py knows it, too */

typedef struct reader {
    const unsigned char *at, *end;
} reader;

static const void *take(reader *r, size_t n)
{
    assert_true((size_t)(r->end - r->at) >= n);
    const void *p = r->at;
    r->at += n;
    return p;
}

static unsigned take_int(reader *r, size_t bytes)
{
    unsigned v = 0;
    memcpy(&v, take(r, bytes), bytes);
    return v;
}

static sl_str take_str(reader *r, size_t length_bytes)
{
    size_t n = take_int(r, length_bytes);
    return (sl_str){take(r, n), n};
}

static sl_tensor take_tensor(reader *r, op_call *c)
{
    sl_tensor t = {.dtype = (sl_dtype)take_int(r, 1), .rank = (int)take_int(r, 1)};
    for (int i = 0; i < t.rank; i++)
        t.dims[i] = take_int(r, 4);
    int64_t count = sl_shape_count(t.dims, t.rank, 1);
    t.size = (size_t)count * sl_dtype_size(t.dtype);
    t.data = op_call_memory(c, t.size);
    if (t.dtype == SL_DT_STRING)
        for (int64_t i = 0; i < count; i++)
            ((sl_str *)t.data)[i] = take_str(r, 4);
    else
        memcpy(t.data, take(r, t.size), t.size);
    return t;
}

/* ---- the files ---- */

typedef void case_fn(void *arg, reader r);

static int is_family(const struct dirent *e)
{
    return fnmatch("ops_*.bin", e->d_name, 0) == 0;
}

static void each_of_file(const char *name, case_fn *fn, void *arg)
{
    char path[sizeof CASES + 256];
    sl_buffer *file;
    sl_status st;
    snprintf(path, sizeof path, "%s/%s", CASES, name);
    if (sl_file_read(path, FILE_LIMIT, &file, &st))
        fail_msg("%s", st.msg);
    reader r = {file->data, (const unsigned char *)file->data + file->size};
    assert_memory_equal(take(&r, 6), "SLOC1\n", 6);
    while (r.at < r.end) {
        size_t n = take_int(&r, 4);
        const unsigned char *p = take(&r, n);
        fn(arg, (reader){p, p + n});
    }
    sl_buffer_release(file);
}

static void each_case(case_fn *fn, void *arg)
{
    struct dirent **files;
    int n = scandir(CASES, &files, is_family, alphasort);
    assert_true(n > 0);
    for (int i = 0; i < n; i++) {
        each_of_file(files[i]->d_name, fn, arg);
        free(files[i]);
    }
    free(files);
}

/* ---- comparing ---- */

static double number(const sl_tensor *t, int64_t i)
{
    switch (t->dtype) {
    case SL_DT_FLOAT:
        return (double)((const float *)t->data)[i];
    case SL_DT_DOUBLE:
        return ((const double *)t->data)[i];
    case SL_DT_HALF:
        return (double)sl_half_to_float(((const uint16_t *)t->data)[i]);
    default:
        return (double)sl_bf16_to_float(((const uint16_t *)t->data)[i]);
    }
}

static bool near(const sl_tensor *a, const sl_tensor *b, int64_t i)
{
    double x = number(a, i), y = number(b, i);
    double relative = a->dtype == SL_DT_FLOAT    ? 1e-5
                      : a->dtype == SL_DT_DOUBLE ? 1e-10
                      : a->dtype == SL_DT_HALF   ? 2e-3
                                                 : 1.6e-2;
    double absolute = a->dtype == SL_DT_DOUBLE  ? 1e-12
                      : a->dtype == SL_DT_FLOAT ? 1e-6
                                                : relative / 4;
    if (isnan(x) || isnan(y))
        return isnan(x) && isnan(y);
    if (isinf(x) || isinf(y))
        return x == y;
    return fabs(x - y) <= relative * fabs(y) + absolute;
}

/* What differs, or an empty text. */
static void compare(const sl_tensor *got, const sl_tensor *want, char *why, size_t size)
{
    char a[256], b[256];
    why[0] = '\0';
    if (got->dtype != want->dtype) {
        snprintf(why, size, "dtype %s, expected %s", sl_dtype_name(got->dtype),
                 sl_dtype_name(want->dtype));
        return;
    }
    if (strcmp(sl_shape_text(got->dims, got->rank, a, sizeof a),
               sl_shape_text(want->dims, want->rank, b, sizeof b)) != 0) {
        snprintf(why, size, "shape %s, expected %s", a, b);
        return;
    }
    size_t element = sl_dtype_size(want->dtype);
    bool inexact = want->dtype == SL_DT_FLOAT || want->dtype == SL_DT_DOUBLE ||
                   want->dtype == SL_DT_HALF || want->dtype == SL_DT_BFLOAT16;
    for (int64_t i = 0; i < sl_shape_count(want->dims, want->rank, 1); i++) {
        const char *x = (const char *)got->data + (size_t)i * element;
        const char *y = (const char *)want->data + (size_t)i * element;
        if (inexact && !near(got, want, i)) {
            snprintf(why, size, "element %lld is %.9g, expected %.9g", (long long)i, number(got, i),
                     number(want, i));
            return;
        }
        if (want->dtype == SL_DT_STRING &&
            !sl_str_eq(*(const sl_str *)(const void *)x, *(const sl_str *)(const void *)y)) {
            snprintf(why, size, "string %lld is \"%.*s\", expected \"%.*s\"", (long long)i,
                     SL_STR_ARG(*(const sl_str *)(const void *)x),
                     SL_STR_ARG(*(const sl_str *)(const void *)y));
            return;
        }
        if (!inexact && want->dtype != SL_DT_STRING && memcmp(x, y, element) != 0) {
            int64_t g = 0, w = 0;
            memcpy(&g, x, SL_MIN(element, 8));
            memcpy(&w, y, SL_MIN(element, 8));
            snprintf(why, size, "element %lld is %llx, expected %llx", (long long)i, (long long)g,
                     (long long)w);
            return;
        }
    }
}

/* ---- one case ---- */

typedef struct tally {
    int in_place; /* the input that the op writes over, -1: none */
    int run, failed, lacking;
} tally;

static void read_call(reader *r, op_call *c)
{
    int n_attrs = (int)take_int(r, 1);
    for (int i = 0; i < n_attrs; i++) {
        sl_str name = take_str(r, 2);
        op_call_attr(c, name, take_str(r, 2));
    }
    c->n_in = (int)take_int(r, 1);
    for (int i = 0; i < c->n_in; i++)
        c->in[i] = take_tensor(r, c);
}

/* TensorFlow's statistics of FusedBatchNorm have no meaning for inference: only y counts. */
static int outputs_that_count(const sl_op *op, int n)
{
    return strncmp(op->name, "FusedBatchNorm", 14) == 0 ? 1 : n;
}

static void check_outcome(reader *r, op_call *c, sl_code rc, const sl_status *st, char *why,
                          size_t size)
{
    unsigned code = take_int(r, 1);
    if (code != 0) {
        sl_str text = take_str(r, 2);
        if (rc != (sl_code)code || !sl_str_is(text, st->msg))
            snprintf(why, size, "%s \"%s\", expected %s \"%.*s\"", sl_code_name(rc),
                     rc ? st->msg : "", sl_code_name((sl_code)code), SL_STR_ARG(text));
        return;
    }
    int n_out = (int)take_int(r, 1);
    if (rc) {
        snprintf(why, size, "failed: %s", st->msg);
        return;
    }
    for (int k = 0; k < n_out && why[0] == '\0'; k++) {
        sl_tensor want = take_tensor(r, c);
        if (k < outputs_that_count(c->op, n_out))
            compare(&c->out[k], &want, why, size);
    }
}

/* How many outputs the node has, as a loader finds out. */
static int expected_outputs(op_call *c)
{
    sl_node n = {
        .op = {c->op->name, strlen(c->op->name)}, .attrs = c->attrs, .n_attrs = c->n_attrs};
    return sl_opdef_output_count(&n);
}

static void one_case(void *arg, reader r)
{
    tally *t = arg;
    int in_place = t->in_place;
    sl_str name = take_str(&r, 2), label = take_str(&r, 2);
    const sl_op *op = sl_op_find(name);
    if (op == NULL) {
        if (in_place < 0)
            t->lacking++;
        return;
    }
    op_call *c = sl_calloc(1, sizeof *c);
    sl_status st = {SL_OK, "", NULL};
    char why[3000] = "";
    op_call_init(c, op, 0);
    read_call(&r, c);
    c->n_out = expected_outputs(c);
    assert_in_range(c->n_out, 0, OP_MAX);
    bool fits = in_place < 0;
    if (!fits && (op->flags & SL_OP_IN_PLACE) && in_place < c->n_in && c->in[in_place].size > 0) {
        /* Only an input of the output's size may be shared: find that out by a first run. */
        sl_code rc = op_call_run(c, -1, &st);
        fits = rc == SL_OK && c->out[0].size == c->in[in_place].size;
    }
    if (fits) {
        t->run++;
        sl_code rc = op_call_run(c, in_place, &st);
        check_outcome(&r, c, rc, &st, why, sizeof why);
        if (why[0] != '\0') {
            t->failed++;
            print_message("%.*s (%.*s)%s: %s\n", SL_STR_ARG(name), SL_STR_ARG(label),
                          in_place >= 0 ? " in place" : "", why);
        }
    }
    op_call_fini(c);
    sl_free(c);
}

static void every_op_gives_the_answers_of_tensorflow(void **state)
{
    (void)state;
    tally t = {.in_place = -1};
    each_case(one_case, &t);
    print_message("%d cases, %d of ops that are not here\n", t.run, t.lacking);
    assert_int_equal(t.failed, 0);
    assert_true(t.run > 1600);
    assert_true(t.run + t.lacking >= 3785); /* no file has been lost */
}

static void an_op_may_write_over_its_operand(void **state)
{
    (void)state;
    tally t = {0};
    for (; t.in_place < 3; t.in_place++)
        each_case(one_case, &t);
    assert_int_equal(t.failed, 0);
    assert_true(t.run > 300);
}

/* ---- the document ---- */

typedef struct seen {
    uint64_t in, out; /* dtypes as bits */
} seen;

static int index_of(const sl_op *op)
{
    int i = 0;
    while (sl_op_at(i) != op)
        i++;
    return i;
}

static void note_types(void *arg, reader r)
{
    seen *all = arg;
    const sl_op *op = sl_op_find(take_str(&r, 2));
    take_str(&r, 2);
    if (op == NULL)
        return;
    op_call *c = sl_calloc(1, sizeof *c);
    op_call_init(c, op, 0);
    read_call(&r, c);
    seen *s = &all[index_of(op)];
    if (take_int(&r, 1) == 0) {
        int n_out = (int)take_int(&r, 1);
        for (int i = 0; i < c->n_in; i++)
            s->in |= 1ull << c->in[i].dtype;
        for (int k = 0; k < n_out; k++)
            s->out |= 1ull << take_tensor(&r, c).dtype;
    }
    op_call_fini(c);
    sl_free(c);
}

static void print_types(uint64_t set)
{
    const char *space = "";
    for (int t = 1; t < SL_DT_COUNT; t++)
        if (set >> t & 1) {
            printf("%s%s", space, sl_dtype_name((sl_dtype)t));
            space = " ";
        }
}

static int document(void)
{
    int n = 0;
    while (sl_op_at(n) != NULL)
        n++;
    seen *all = sl_calloc((size_t)n, sizeof *all);
    each_case(note_types, all);
    printf("# Ops of the native engine\n\n"
           "%d ops. The dtypes are those that a test compares with TensorFlow's answers\n"
           "(`tests/engine/op_cases.py`); an op without dtypes is tested in another way. A node "
           "whose\n"
           "dtype or attribute is not supported is named by `sluice inspect`, and the model then "
           "runs\n"
           "with the TensorFlow engine. Variables, constants, calls and loops are the engine's own "
           "and\n"
           "not in this list.\n\n"
           "Written by `unit_engine_ops_cases --document`.\n\n"
           "| op | inputs | outputs |\n| --- | --- | --- |\n",
           n);
    for (int i = 0; i < n; i++) {
        printf("| %s | ", sl_op_at(i)->name);
        print_types(all[i].in);
        printf(" | ");
        print_types(all[i].out);
        printf(" |\n");
    }
    sl_free(all);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--document") == 0)
        return document();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_op_gives_the_answers_of_tensorflow),
        cmocka_unit_test(an_op_may_write_over_its_operand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
