/*
 * warmup_fixture.h - a version with an engine that computes nothing, and warm-up files
 *
 * Signatures, by position: 0 classify (inputs -> classes, scores), 1 regress (inputs -> outputs),
 * 2 serving_default (a float, b float with a default -> y, z). The engine remembers what it was
 * last asked and answers zeros with as many rows as the first input has.
 */
#ifndef SL_TEST_WARMUP_FIXTURE_H
#define SL_TEST_WARMUP_FIXTURE_H

#include <string.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "format/wire.h"
#include "server/warmup.h"

typedef struct fake {
    sl_version version;
    sl_signature list[4]; /* the last is the union of the first two, where a test wants that */
    sl_signatures signatures;
    sl_tensor defaults[2];
    int runs, signature, n_inputs, n_outputs, last_output; /* of the last run */
    sl_tensor inputs[2];                                   /* shared */
    sl_code fail;                                          /* what run() does instead */
} fake;

static inline sl_code fake_output(const fake *f, const sl_run *run, int k, sl_status *st)
{
    const sl_tensor_info *info = &f->list[run->signature].outputs[run->output_index[k]];
    const sl_tensor *in = &run->inputs[0];
    int64_t dims[] = {in->rank ? in->dims[0] : 1, 2};
    int rank = strcmp(info->key, "classes") == 0 || strcmp(info->key, "scores") == 0 ||
                       strcmp(info->key, "c:0") == 0 || strcmp(info->key, "s:0") == 0
                   ? 2
                   : 1;
    sl_code rc = sl_tensor_try_new(info->dtype, dims, rank, &run->outputs[k], st);
    if (rc == SL_OK)
        memset(run->outputs[k].data, 0, run->outputs[k].size);
    return rc;
}

static inline void fake_forget(fake *f)
{
    for (int i = 0; i < f->n_inputs; i++)
        sl_tensor_release(&f->inputs[i]);
    f->n_inputs = 0;
}

static inline sl_code fake_run(sl_session *s, sl_run *run, sl_status *st)
{
    fake *f = (fake *)s;
    fake_forget(f);
    if (f->fail)
        return sl_fail(st, f->fail, "the model refuses");
    f->runs++;
    f->signature = run->signature;
    f->n_outputs = run->n_outputs;
    f->last_output = run->n_outputs ? run->output_index[run->n_outputs - 1] : -1;
    for (int i = 0; i < run->n_inputs; i++)
        sl_tensor_share(&run->inputs[i], &f->inputs[f->n_inputs++]);
    for (int k = 0; k < run->n_outputs; k++) {
        sl_code rc = fake_output(f, run, k, st);
        while (rc && k-- > 0)
            sl_tensor_release(&run->outputs[k]);
        if (rc)
            return rc;
    }
    return SL_OK;
}

static inline bool fake_unites(sl_session *s)
{
    (void)s;
    return true;
}

static inline void fake_init(fake *f)
{
    static const sl_tensor_info examples[] = {
        {.key = "inputs", .name = "e:0", .dtype = SL_DT_STRING}};
    static const sl_tensor_info two[] = {{.key = "a", .name = "a:0", .dtype = SL_DT_FLOAT},
                                         {.key = "b", .name = "b:0", .dtype = SL_DT_FLOAT}};
    static const sl_tensor_info classes[] = {
        {.key = "classes", .name = "c:0", .dtype = SL_DT_STRING},
        {.key = "scores", .name = "s:0", .dtype = SL_DT_FLOAT}};
    static const sl_tensor_info values[] = {
        {.key = "outputs", .name = "v:0", .dtype = SL_DT_FLOAT}};
    static const sl_tensor_info example[] = {{.key = "e:0", .name = "e:0", .dtype = SL_DT_STRING}};
    static const sl_tensor_info csv[] = {{.key = "c:0", .name = "c:0", .dtype = SL_DT_STRING},
                                         {.key = "s:0", .name = "s:0", .dtype = SL_DT_FLOAT},
                                         {.key = "v:0", .name = "v:0", .dtype = SL_DT_FLOAT}};
    static const sl_tensor_info yz[] = {{.key = "y", .dtype = SL_DT_FLOAT},
                                        {.key = "z", .dtype = SL_DT_FLOAT}};
    static const sl_engine engine = {
        .abi = SL_ENGINE_ABI, .name = "fake", .run = fake_run, .unites = fake_unites};
    static float half = 0.5f;
    memset(f, 0, sizeof *f);
    f->defaults[1] = (sl_tensor){.dtype = SL_DT_FLOAT, .size = sizeof half, .data = &half};
    f->list[0] = (sl_signature){.key = "classify",
                                .method_name = "tensorflow/serving/classify",
                                .inputs = examples,
                                .n_inputs = 1,
                                .outputs = classes,
                                .n_outputs = 2};
    f->list[1] = (sl_signature){.key = "regress",
                                .method_name = "tensorflow/serving/regress",
                                .inputs = examples,
                                .n_inputs = 1,
                                .outputs = values,
                                .n_outputs = 1};
    f->list[2] = (sl_signature){.key = "serving_default",
                                .method_name = "another/method",
                                .inputs = two,
                                .n_inputs = 2,
                                .outputs = yz,
                                .n_outputs = 2,
                                .defaults = f->defaults};
    f->list[3] = (sl_signature){.key = "",
                                .method_name = "",
                                .inputs = example,
                                .n_inputs = 1,
                                .outputs = csv,
                                .n_outputs = 3};
    f->signatures = (sl_signatures){.list = f->list, .count = 3};
    f->version = (sl_version){.model = "m",
                              .number = 1,
                              .path = "/models/m/1",
                              .signatures = &f->signatures,
                              .engine = &engine,
                              .session = (sl_session *)f};
}

/* ---- files ---- */

static inline void put_checksummed(sl_text *t, const void *p, size_t n)
{
    uint32_t crc = sl_crc32c_mask(sl_crc32c(0, p, n));
    sl_text_add(t, p, n);
    sl_text_add(t, (const char *)&crc, sizeof crc);
}

static inline void put_record(sl_text *file, const void *p, size_t n)
{
    uint64_t length = n;
    put_checksummed(file, &length, sizeof length);
    put_checksummed(file, p, n);
}

#endif
