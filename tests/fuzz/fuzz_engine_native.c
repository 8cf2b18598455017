/*
 * fuzz_engine_native.c - a saved_model.pb that may say anything, loaded and run
 *
 * The file is put into a directory without variables, probed, loaded if the native engine says that
 * it can, and each signature is run with a few small inputs. Whatever happens must be an error, not
 * a crash, and must end soon.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "engine/native/native.h"
#include "savedmodel/savedmodel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_INPUTS = 8 };

static const char *model_dir(void)
{
    static char dir[64];
    if (dir[0] == '\0') {
        snprintf(dir, sizeof dir, "/tmp/sluice_fuzz_native_%d", (int)getpid());
        mkdir(dir, 0700);
    }
    return dir;
}

static void write_model(const uint8_t *data, size_t size)
{
    char path[128];
    snprintf(path, sizeof path, "%s/saved_model.pb", model_dir());
    FILE *f = fopen(path, "wb");
    if (f == NULL)
        abort();
    fwrite(data, 1, size, f);
    fclose(f);
}

/* An input as declared, -1 being `rows`; false if it would be large. */
static bool make_input(const sl_tensor_info *t, int64_t rows, sl_tensor *out)
{
    int64_t dims[SL_MAX_RANK] = {0};
    int rank = t->rank < 0 ? 1 : t->rank;
    sl_dtype dtype = sl_dtype_base(t->dtype);
    for (int d = 0; d < rank; d++)
        dims[d] = t->rank < 0 || t->dims[d] < 0 ? rows : t->dims[d];
    int64_t n = sl_shape_count(dims, rank, 16);
    if (n < 0 || n > 4096 || sl_tensor_try_new(dtype, dims, rank, out, NULL))
        return false;
    if (dtype != SL_DT_STRING)
        memset(out->data, 1, out->size);
    return true;
}

static void run_signature(sl_session *s, const sl_signatures *sigs, int at, int64_t rows)
{
    const sl_signature *sig = &sigs->list[at];
    sl_tensor in[MAX_INPUTS], out[MAX_INPUTS];
    int index[MAX_INPUTS], n = 0;
    sl_status st;
    if (sig->n_inputs > MAX_INPUTS || sig->n_outputs > MAX_INPUTS)
        return;
    for (int i = 0; i < MAX_INPUTS; i++)
        index[i] = i;
    while (n < sig->n_inputs && make_input(&sig->inputs[n], rows, &in[n]))
        n++;
    sl_run run = {.signature = at,
                  .n_inputs = n,
                  .input_index = index,
                  .inputs = in,
                  .n_outputs = sig->n_outputs,
                  .output_index = index,
                  .outputs = out,
                  .deadline_ns = sl_now_ns() + 100000000,
                  .threads = 1};
    if (sl_engine_native.run(s, &run, &st) == SL_OK)
        for (int i = 0; i < sig->n_outputs; i++)
            sl_tensor_release(&out[i]);
    while (n > 0)
        sl_tensor_release(&in[--n]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sl_saved_model *m;
    sl_session *s;
    sl_status st;
    sl_load_options opts = {0};
    write_model(data, size);
    if (sl_saved_model_open(model_dir(), NULL, 0, &m, &st))
        return 0;
    if (sl_engine_native.probe(NULL, m, NULL, &st) == SL_OK &&
        sl_engine_native.load(NULL, m, &opts, &s, &st) == SL_OK) {
        const sl_signatures *sigs = sl_saved_model_signatures(m);
        for (int i = 0; i < sigs->count && i < 8; i++)
            for (int64_t rows = 0; rows < 3; rows += 2)
                run_signature(s, sigs, i, rows);
        sl_engine_native.close(s);
    }
    sl_saved_model_close(m);
    return 0;
}
