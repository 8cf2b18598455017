/*
 * native_model.h - what the tests of the native engine share: a loaded model, and a run in one call
 *
 *     model m = load("linear/1");
 *     run_one(&m, "serving_default", floats(x, 2, (int64_t[]){1, 3}), &y);
 */
#ifndef TEST_NATIVE_MODEL_H
#define TEST_NATIVE_MODEL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/native/native.h"
#include "savedmodel/savedmodel.h"

typedef struct model {
    sl_saved_model *saved;
    sl_session *session;
    const sl_signatures *sigs;
    sl_status st;
} model;

static inline void load_dir(model *m, const char *dir)
{
    sl_load_options opts = {.model_name = "test"};
    *m = (model){0};
    if (sl_saved_model_open(dir, NULL, 0, &m->saved, &m->st) ||
        sl_engine_native.load(NULL, m->saved, &opts, &m->session, &m->st))
        fail_msg("%s: %s", dir, m->st.msg);
    m->sigs = sl_saved_model_signatures(m->saved);
}

static inline void load(model *m, const char *name)
{
    char dir[512];
    snprintf(dir, sizeof dir, "%s/tests/models/%s/1", SLUICE_SOURCE_DIR, name);
    load_dir(m, dir);
}

static inline void unload(model *m)
{
    sl_engine_native.close(m->session);
    sl_saved_model_close(m->saved);
}

static inline sl_tensor make(sl_dtype dtype, const void *values, int rank, const int64_t *dims)
{
    sl_tensor t;
    sl_status st;
    if (sl_tensor_try_new(dtype, dims, rank, &t, &st))
        fail_msg("%s", st.msg);
    if (t.size)
        memcpy(t.data, values, t.size);
    return t;
}

static inline sl_tensor floats(const float *values, int rank, const int64_t *dims)
{
    return make(SL_DT_FLOAT, values, rank, dims);
}

static inline int signature(const model *m, const char *key)
{
    int i = sl_signatures_find(m->sigs, sl_str_of(key));
    assert_true(i >= 0);
    return i;
}

/* All inputs of the signature in order, all outputs. The caller releases `out`. */
static inline sl_code run_all(model *m, const char *key, const sl_tensor *in, int n_in,
                              sl_tensor *out)
{
    int index[32];
    for (int i = 0; i < 32; i++)
        index[i] = i;
    int s = signature(m, key);
    sl_run run = {.signature = s,
                  .n_inputs = n_in,
                  .input_index = index,
                  .inputs = in,
                  .n_outputs = m->sigs->list[s].n_outputs,
                  .output_index = index,
                  .outputs = out,
                  .threads = 1};
    return sl_engine_native.run(m->session, &run, &m->st);
}

static inline void assert_floats(const sl_tensor *t, const float *wanted, int n)
{
    assert_int_equal(t->dtype, SL_DT_FLOAT);
    assert_int_equal(sl_tensor_count(t), n);
    for (int i = 0; i < n; i++)
        if (!(((const float *)t->data)[i] - wanted[i] <= 1e-5f &&
              wanted[i] - ((const float *)t->data)[i] <= 1e-5f))
            fail_msg("element %d is %g, not %g", i, (double)((const float *)t->data)[i],
                     (double)wanted[i]);
}

#endif
