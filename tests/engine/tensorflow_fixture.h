/*
 * tensorflow_fixture.h - an engine, models, and one-line runs for the tests of the TensorFlow
 * engine
 *
 * The models are made by tests/engine/tensorflow_models.py with the TensorFlow of a Python: the one
 * that $SLUICE_TEST_PYTHON names, or BUILD/venv/bin/python. Without one the tests fail and say so.
 * The host is the one of this build, or $SLUICE_TENSORFLOW_HOST.
 */
#ifndef SL_TESTS_ENGINE_TENSORFLOW_FIXTURE_H
#define SL_TESTS_ENGINE_TENSORFLOW_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "engine/tensorflow/tensorflow.h"
#include "savedmodel/savedmodel.h"

#define E sl_engine_tensorflow

typedef struct served {
    sl_saved_model *model;
    sl_session *session;
} served;

static char models_dir[PATH_MAX], test_python[PATH_MAX], test_host[PATH_MAX];
static void *engine;

/* The directory of this program, "" and beyond it. */
static void beside(const char *name, char *out)
{
    char here[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", here, sizeof here - 1);
    assert_true(n > 0);
    here[n] = '\0';
    *strrchr(here, '/') = '\0';
    assert_true(snprintf(out, PATH_MAX, "%.3000s/%s", here, name) < PATH_MAX);
}

static inline int run_script(const char *script)
{
    pid_t pid = fork();
    if (pid == 0) {
        execl(test_python, test_python, script, models_dir, (char *)NULL);
        _exit(127);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    return status;
}

static inline int make_models(void)
{
    const char *python = getenv("SLUICE_TEST_PYTHON"), *host = getenv("SLUICE_TENSORFLOW_HOST");
    const char *models = getenv("SLUICE_TEST_MODELS");
    beside("../venv/bin/python", test_python);
    beside("../sluice-tensorflow-host", test_host);
    beside("tensorflow_models", models_dir);
    if (python != NULL)
        snprintf(test_python, sizeof test_python, "%s", python);
    if (host != NULL)
        snprintf(test_host, sizeof test_host, "%s", host);
    if (models != NULL)
        snprintf(models_dir, sizeof models_dir, "%s", models);
    if (access(test_python, X_OK) != 0) {
        fprintf(stderr,
                "these tests need a Python with TensorFlow: there is none at %s, and "
                "$SLUICE_TEST_PYTHON names no other\n",
                test_python);
        return -1;
    }
    if (run_script(SLUICE_SOURCE_DIR "/tests/engine/tensorflow_models.py") != 0) {
        fprintf(stderr, "%s could not make the models: is TensorFlow installed there?\n",
                test_python);
        return -1;
    }
    return 0;
}

static inline void new_engine(const char *const *ops, int n)
{
    sl_status st = {0};
    sl_tensorflow_options o = {.python = test_python,
                               .host_program = test_host,
                               .custom_op_libs = ops,
                               .n_custom_op_libs = n};
    if (sl_tensorflow_new(&o, &engine, &st) != SL_OK)
        fail_msg("%s", st.msg);
}

static inline int start_engine(void **state)
{
    static char ops[PATH_MAX + 16];
    (void)state;
    sl_log_start(&(sl_log_options){.level = SL_WARNING, .fd = 2}, NULL);
    if (make_models() != 0)
        return -1;
    snprintf(ops, sizeof ops, "%s/ops.so", models_dir);
    const char *list[] = {ops};
    new_engine(list, 1);
    return 0;
}

static inline int stop_engine(void **state)
{
    (void)state;
    sl_tensorflow_free(engine);
    sl_log_stop();
    return 0;
}

static inline sl_saved_model *open_model(const char *name)
{
    char dir[PATH_MAX + 64];
    sl_status st = {0};
    sl_saved_model *m = NULL;
    snprintf(dir, sizeof dir, "%s/%s", models_dir, name);
    if (sl_saved_model_open(dir, NULL, 0, &m, &st) != SL_OK)
        fail_msg("%s: %s", name, st.msg);
    return m;
}

/* Loaded, and giving way to others yet. */
static inline served load(const char *name)
{
    sl_status st = {0};
    served s = {.model = open_model(name)};
    sl_load_options o = {.model_name = name, .version = 1, .intra_op_threads = 1};
    if (E.load(engine, s.model, &o, &s.session, &st) != SL_OK)
        fail_msg("%s: %s", name, st.msg);
    return s;
}

static inline served serve(const char *name)
{
    served s = load(name);
    E.serve(s.session);
    return s;
}

static inline void unserve(served *s)
{
    E.close(s->session);
    sl_saved_model_close(s->model);
}

/* One run: all inputs in the order of their keys, all outputs. */
typedef struct call {
    served *to;
    const char *signature;
    sl_tensor in[4], out[4];
    int n_in, n_out;
    uint64_t deadline_ns;
    const atomic_bool *cancelled;
    sl_status st;
} call;

static inline sl_code run_call(call *c)
{
    static const int indices[] = {0, 1, 2, 3};
    const sl_signatures *all = sl_saved_model_signatures(c->to->model);
    const char *key = c->signature ? c->signature : "serving_default";
    int at = sl_signatures_find(all, sl_str_of(key));
    assert_true(at >= 0);
    c->n_out = all->list[at].n_outputs;
    c->st = (sl_status){0};
    sl_run run = {.signature = at,
                  .n_inputs = c->n_in,
                  .input_index = indices,
                  .inputs = c->in,
                  .n_outputs = c->n_out,
                  .output_index = indices,
                  .outputs = c->out,
                  .deadline_ns = c->deadline_ns,
                  .cancelled = c->cancelled,
                  .threads = 1};
    return E.run(c->to->session, &run, &c->st);
}

static inline void end_call(call *c)
{
    for (int i = 0; i < c->n_in; i++)
        sl_tensor_release(&c->in[i]);
    for (int i = 0; i < c->n_out; i++)
        if (c->st.code == SL_OK)
            sl_tensor_release(&c->out[i]);
}

static inline sl_tensor new_tensor(sl_dtype t, int rank, int64_t d0)
{
    sl_tensor out;
    assert_int_equal(sl_tensor_try_new(t, &d0, rank, &out, NULL), SL_OK);
    return out;
}

static inline sl_tensor floats(int64_t n, float value)
{
    sl_tensor t = new_tensor(SL_DT_FLOAT, 1, n);
    for (int64_t i = 0; i < n; i++)
        ((float *)t.data)[i] = value + (float)(i % 1000);
    return t;
}

static inline sl_tensor int64_scalar(int64_t v)
{
    sl_tensor t = new_tensor(SL_DT_INT64, 0, 0);
    memcpy(t.data, &v, sizeof v);
    return t;
}

static inline sl_tensor int32_scalar(int32_t v)
{
    sl_tensor t = new_tensor(SL_DT_INT32, 0, 0);
    memcpy(t.data, &v, sizeof v);
    return t;
}

static inline sl_tensor strings(const char *const *values, int64_t n, int rank)
{
    sl_str list[64];
    sl_tensor t;
    for (int64_t i = 0; i < n; i++)
        list[i] = sl_str_of(values[i]);
    assert_int_equal(sl_tensor_try_new_strings(list, &n, rank, &t, NULL), SL_OK);
    return t;
}

static inline sl_tensor string_scalar(const char *value)
{
    return strings(&value, 1, 0);
}

/* The pid that describe() tells. */
static inline pid_t pid_of(const served *s)
{
    const char *at = strstr(E.describe(s->session), "pid ");
    assert_non_null(at);
    return (pid_t)strtol(at + 4, NULL, 10);
}

/* Runs half plus two until it works again; the engine restarts after 100 ms or more. There is no
 * event to wait for from outside: each attempt is answered at once. */
static inline void run_until_back(call *c)
{
    uint64_t until = sl_now_ns() + 60000000000u;
    while (run_call(c) != SL_OK) {
        assert_int_equal(c->st.code, SL_UNAVAILABLE);
        assert_true(sl_now_ns() < until);
        usleep(10000);
    }
}

#endif
