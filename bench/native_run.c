/*
 * native_run.c - what one run of the native engine costs
 *
 *     bench_native_run MODEL/1 [rows] [signature]
 *
 * Loads the model, feeds ones in `rows` rows (1), and prints the time of a run on one thread,
 * outputs' allocation and release included: the best and the median of ten rounds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "engine/native/native.h"
#include "savedmodel/savedmodel.h"

enum { ROUNDS = 10, MAX_INPUTS = 64 };

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int fail(const char *what, const sl_status *st)
{
    fprintf(stderr, "%s: %s\n", what, st->msg);
    return 1;
}

static bool fill(const sl_tensor_info *t, int64_t rows, sl_tensor *out, sl_status *st)
{
    int64_t dims[SL_MAX_RANK];
    int rank = t->rank < 0 ? 1 : t->rank;
    for (int d = 0; d < rank; d++)
        dims[d] = t->rank < 0 || t->dims[d] < 0 ? rows : t->dims[d];
    if (sl_tensor_try_new(sl_dtype_base(t->dtype), dims, rank, out, st))
        return false;
    if (out->dtype == SL_DT_FLOAT)
        for (size_t i = 0; i < out->size / sizeof(float); i++)
            ((float *)out->data)[i] = 1;
    else if (out->dtype != SL_DT_STRING)
        memset(out->data, 0, out->size);
    return true;
}

static sl_code run_once(sl_session *s, sl_run *run, sl_status *st)
{
    sl_code rc = sl_engine_native.run(s, run, st);
    for (int i = 0; rc == SL_OK && i < run->n_outputs; i++)
        sl_tensor_release(&run->outputs[i]);
    return rc;
}

static void measure(sl_session *s, sl_run *run)
{
    sl_status st;
    double ns[ROUNDS];
    uint64_t began = sl_now_ns();
    run_once(s, run, &st);
    uint64_t one = sl_now_ns() - began;
    int n = (int)(100000000 / (one + 1)) + 1;
    n = n > 200000 ? 200000 : n;
    for (int r = 0; r < ROUNDS; r++) {
        began = sl_now_ns();
        for (int i = 0; i < n; i++)
            run_once(s, run, &st);
        ns[r] = (double)(sl_now_ns() - began) / n;
    }
    sl_fault_arm(SL_FAULT_ALLOC, 0);
    run_once(s, run, &st);
    qsort(ns, ROUNDS, sizeof *ns, by_size);
    printf("best %.0f ns, median %.0f ns a run; %d allocations; cost() says %lld ns\n", ns[0],
           ns[ROUNDS / 2], sl_fault_count(SL_FAULT_ALLOC),
           (long long)sl_engine_native.cost(s, run, &(int64_t){0}));
}

int main(int argc, char **argv)
{
    sl_status st = {0};
    sl_saved_model *m;
    sl_session *s;
    sl_load_options opts = {0};
    if (argc < 2) {
        fprintf(stderr, "usage: bench_native_run MODEL/1 [rows] [signature]\n");
        return 2;
    }
    if (sl_saved_model_open(argv[1], NULL, 0, &m, &st))
        return fail(argv[1], &st);
    uint64_t began = sl_now_ns();
    if (sl_engine_native.load(NULL, m, &opts, &s, &st))
        return fail(argv[1], &st);
    printf("loaded in %.2f ms; %s\n", (double)(sl_now_ns() - began) / 1e6,
           sl_engine_native.describe(s));
    const sl_signatures *sigs = sl_saved_model_signatures(m);
    int at = sl_signatures_find(sigs, sl_str_of(argc > 3 ? argv[3] : "serving_default"));
    if (at < 0 || sigs->list[at].n_inputs > MAX_INPUTS || sigs->list[at].n_outputs > MAX_INPUTS) {
        fprintf(stderr, "no such signature, or too many inputs\n");
        return 1;
    }
    sl_tensor in[MAX_INPUTS], out[MAX_INPUTS];
    int index[MAX_INPUTS];
    for (int i = 0; i < MAX_INPUTS; i++)
        index[i] = i;
    for (int i = 0; i < sigs->list[at].n_inputs; i++)
        if (!fill(&sigs->list[at].inputs[i], argc > 2 ? atoll(argv[2]) : 1, &in[i], &st))
            return fail("input", &st);
    sl_run run = {.signature = at,
                  .n_inputs = sigs->list[at].n_inputs,
                  .input_index = index,
                  .inputs = in,
                  .n_outputs = sigs->list[at].n_outputs,
                  .output_index = index,
                  .outputs = out,
                  .threads = 1};
    if (run_once(s, &run, &st))
        return fail("run", &st);
    measure(s, &run);
    for (int i = 0; i < run.n_inputs; i++)
        sl_tensor_release(&in[i]);
    sl_engine_native.close(s);
    sl_saved_model_close(m);
    return 0;
}
