/*
 * tf_run.c - what the TensorFlow engine adds to TF_SessionRun
 *
 *     tf_run PYTHON HOST MODEL_DIR [bytes] [callers] [rounds]
 *
 * Runs serving_default (one float input of rank 1, one output) of a SavedModel twice: directly,
 * with the library opened in this process, and through the engine. Both make the input tensor, run,
 * and copy the output. Rounds of the two alternate; each round's figure is the median of its runs,
 * the result the median of the rounds. `callers` threads call at the same time.
 *
 * Build: ninja bench_tf_run.
 */
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/tensorflow/host/api.h"
#include "engine/tensorflow/tensorflow.h"
#include "savedmodel/savedmodel.h"

enum { RUNS = 2000, MAX_ROUNDS = 99, MAX_CALLERS = 64 };

static TF_Session *direct;
static TF_Graph *graph;
static TF_Output feed, fetch;
static TF_Buffer *in_caller;
static sl_session *session;
static int signature;
static size_t n_floats, n_runs = RUNS;
static TF_Tensor *direct_input;
static sl_tensor engine_input;

static void die(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, size_t n)
{
    qsort(v, n, sizeof *v, by_value);
    return v[n / 2];
}

static void run_direct(float *out)
{
    TF_Status *st = TF.NewStatus();
    TF_Tensor *y = NULL;
    TF.SessionRun(direct, in_caller, &feed, &direct_input, 1, &fetch, &y, 1, NULL, 0, NULL, st);
    if (TF.GetCode(st))
        die(TF.Message(st));
    memcpy(out, TF.TensorData(y), TF.TensorByteSize(y));
    TF.DeleteTensor(y);
    TF.DeleteStatus(st);
}

static void run_engine(float *out)
{
    static const int zero = 0;
    sl_status st;
    sl_tensor y;
    sl_run run = {.signature = signature,
                  .n_inputs = 1,
                  .input_index = &zero,
                  .inputs = &engine_input,
                  .n_outputs = 1,
                  .output_index = &zero,
                  .outputs = &y};
    if (sl_engine_tensorflow.run(session, &run, &st))
        die(st.msg);
    memcpy(out, y.data, y.size);
    sl_tensor_release(&y);
}

typedef struct caller {
    void (*run)(float *);
    double us;
} caller;

static void *call(void *arg)
{
    caller *c = arg;
    double *us = malloc(n_runs * sizeof *us);
    float *out = malloc(n_floats * 4);
    for (size_t i = 0; i < n_runs; i++) {
        uint64_t before = sl_now_ns();
        c->run(out);
        us[i] = (double)(sl_now_ns() - before) / 1000;
    }
    c->us = median(us, n_runs);
    free(us);
    free(out);
    return NULL;
}

static double one_round(void (*run)(float *), int callers)
{
    caller list[MAX_CALLERS];
    double us[MAX_CALLERS];
    pthread_t threads[MAX_CALLERS];
    for (int i = 0; i < callers; i++) {
        list[i].run = run;
        if (pthread_create(&threads[i], NULL, call, &list[i]))
            die("cannot start a thread");
    }
    for (int i = 0; i < callers; i++) {
        pthread_join(threads[i], NULL);
        us[i] = list[i].us;
    }
    return median(us, (size_t)callers);
}

static TF_Output find(const char *name)
{
    char operation[256];
    const char *colon = strchr(name, ':');
    snprintf(operation, sizeof operation, "%.*s", (int)(colon - name), name);
    return (TF_Output){TF.GraphOperationByName(graph, operation), atoi(colon + 1)};
}

static void open_direct(const char *library, const char *dir, const sl_signature *s)
{
    static const unsigned char caller_thread[] = {0x18, 0xff, 0xff, 0xff, 0xff, 0xff,
                                                  0xff, 0xff, 0xff, 0xff, 0x01};
    static const char *const tags[] = {"serve"};
    sl_status st;
    if (tf_open(library, &st))
        die(st.msg);
    TF_Status *ts = TF.NewStatus();
    graph = TF.NewGraph();
    direct =
        TF.LoadSessionFromSavedModel(TF.NewSessionOptions(), NULL, dir, tags, 1, graph, NULL, ts);
    if (TF.GetCode(ts))
        die(TF.Message(ts));
    feed = find(s->inputs[0].name);
    fetch = find(s->outputs[0].name);
    in_caller = TF.NewBufferFromString(caller_thread, sizeof caller_thread);
}

int main(int argc, char **argv)
{
    if (argc < 4)
        die("usage: tf_run PYTHON HOST MODEL_DIR [bytes] [callers] [rounds]");
    n_floats = (argc > 4 ? strtoul(argv[4], NULL, 10) : 64) / 4;
    int callers = argc > 5 ? atoi(argv[5]) : 1, rounds = argc > 6 ? atoi(argv[6]) : 9;
    if (callers < 1 || callers > MAX_CALLERS || rounds < 1 || rounds > MAX_ROUNDS)
        die("callers or rounds out of range");
    if (n_floats > 100000)
        n_runs = 50;
    sl_status st;
    void *self;
    sl_saved_model *model;
    char library[PATH_MAX], version[32];
    sl_tensorflow_options o = {.python = argv[1], .host_program = argv[2]};
    sl_log_start(&(sl_log_options){.level = SL_ERROR, .fd = 2}, &st);
    if (sl_tensorflow_new(&o, &self, &st) || sl_saved_model_open(argv[3], NULL, 0, &model, &st) ||
        sl_engine_tensorflow.load(self, model, &(sl_load_options){.model_name = "bench"}, &session,
                                  &st) ||
        sl_tensorflow_find(&o, library, sizeof library, version, sizeof version, NULL, &st))
        die(st.msg);
    sl_engine_tensorflow.serve(session);
    const sl_signatures *all = sl_saved_model_signatures(model);
    signature = sl_signatures_find(all, (sl_str){"serving_default", 15});
    if (signature < 0)
        die("the model has no serving_default");
    open_direct(library, argv[3], &all->list[signature]);
    int64_t dims = (int64_t)n_floats;
    if (sl_tensor_try_new(SL_DT_FLOAT, &dims, 1, &engine_input, &st))
        die(st.msg);
    direct_input = TF.AllocateTensor(SL_DT_FLOAT, &dims, 1, n_floats * 4);
    memset(engine_input.data, 0, n_floats * 4);
    memset(TF.TensorData(direct_input), 0, n_floats * 4);
    double a[MAX_ROUNDS], b[MAX_ROUNDS];
    one_round(run_direct, callers);
    one_round(run_engine, callers);
    for (int i = 0; i < rounds; i++) {
        a[i] = one_round(run_direct, callers);
        b[i] = one_round(run_engine, callers);
    }
    double d = median(a, (size_t)rounds), e = median(b, (size_t)rounds);
    printf("%zu bytes, %d callers: direct %.1f us, engine %.1f us, added %.1f us\n", n_floats * 4,
           callers, d, e, e - d);
    sl_engine_tensorflow.close(session);
    sl_saved_model_close(model);
    sl_tensorflow_free(self);
    fflush(stdout);
    _Exit(0); /* TensorFlow's own threads are not for us to end */
}
