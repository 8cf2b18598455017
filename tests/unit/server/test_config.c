/* test_config.c - configuration files: what they mean, and what is said when they are wrong */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/mem.h"
#include "format/wire.h"
#include "model/traffic.h"
#include "proto/session_config.pb-c.h"
#include "server/config.h"
#include "server/model_dir.h"
#include "support/calls.h"
#include "support/faults.h"

typedef struct fixture {
    char dir[64];
    char path[100]; /* of the file that was written last */
    int log;
    char log_text[1 << 16];
    sl_arena arena;
    sl_server_config config;
    sl_model_list list;
    sl_flags flags;
    sl_status st;
} fixture;

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    snprintf(f->dir, sizeof f->dir, "/tmp/sluice-config-XXXXXX");
    f->log = memfd_create("log", 0);
    sl_log_options o = {.fd = f->log};
    *state = f;
    return mkdtemp(f->dir) == NULL || sl_log_start(&o, &f->st) || sl_arena_init(&f->arena, 0);
}

static int teardown(void **state)
{
    fixture *f = *state;
    char command[100];
    sl_log_stop();
    close(f->log);
    sl_config_fini(&f->config);
    sl_model_list_fini(&f->list);
    sl_arena_fini(&f->arena);
    snprintf(command, sizeof command, "rm -rf %s", f->dir);
    int rc = system(command);
    free(f);
    return rc;
}

static const char *write_file(fixture *f, const char *name, const char *text)
{
    snprintf(f->path, sizeof f->path, "%s/%s", f->dir, name);
    FILE *file = fopen(f->path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    return f->path;
}

static const char *logged(fixture *f)
{
    sl_log_flush();
    ssize_t n = pread(f->log, f->log_text, sizeof f->log_text - 1, 0);
    f->log_text[n > 0 ? n : 0] = '\0';
    return f->log_text;
}

/* ---- the list of models ---- */

static void read_list(fixture *f, const char *text)
{
    sl_model_list_fini(&f->list);
    if (sl_model_list_read(write_file(f, "models", text), &f->list, &f->st))
        fail_msg("%s", f->st.msg);
}

static void list_refused(fixture *f, sl_code code, const char *text, const char *why)
{
    sl_model_list l;
    assert_int_equal(sl_model_list_read(write_file(f, "models", text), &l, &f->st), code);
    assert_string_equal(f->st.msg, why);
}

static void a_list_gives_names_paths_policies_and_labels(void **state)
{
    fixture *f = *state;
    read_list(
        f, "model_config_list {\n"
           " config { name: 'a' base_path: '/m/a' model_platform: 'tensorflow' }\n"
           " config { name: 'b' base_path: 'gs://b/m' model_platform: 'tensorflow'\n"
           "   model_version_policy { latest { num_versions: 2 } }\n"
           "   version_labels { key: 'stable' value: 1 } version_labels { key: 'new' value: 2 }\n"
           "   version_labels { key: 'stable' value: 3 } }\n"
           " config { name: 'c' base_path: '/c' model_platform: 'tensorflow'\n"
           "   model_version_policy { all {} } }\n"
           " config { name: 'd' base_path: '/d' model_type: TENSORFLOW\n"
           "   model_version_policy { specific { versions: [4, 2] } } }\n"
           "}");
    const sl_model_config *m = f->list.models;
    assert_int_equal(f->list.count, 4);
    assert_string_equal(m[0].name, "a");
    assert_string_equal(m[0].base_path, "/m/a");
    assert_int_equal(m[0].policy, SL_POLICY_LATEST);
    assert_int_equal(m[0].num_versions, 0);
    assert_null(m[0].engine);
    assert_int_equal(m[1].num_versions, 2);
    assert_int_equal(m[1].n_labels, 2);
    assert_string_equal(m[1].labels[0].label, "stable");
    assert_int_equal(m[1].labels[0].version, 3); /* the last entry of a key counts */
    assert_int_equal(m[2].policy, SL_POLICY_ALL);
    assert_int_equal(m[3].policy, SL_POLICY_SPECIFIC);
    assert_int_equal(m[3].n_versions, 2);
    assert_int_equal(m[3].versions[0], 4);
    assert_string_equal(f->list.platforms[3], "tensorflow");
    assert_non_null(strstr(logged(f), "Deprecated ModelServerConfig::model_type field used"));
}

static void an_empty_file_is_not_an_empty_list(void **state)
{
    fixture *f = *state;
    read_list(f, "");
    assert_true(f->list.empty);
    read_list(f, "model_config_list {}");
    assert_false(f->list.empty);
    assert_int_equal(f->list.count, 0);
}

static void a_parse_error_names_file_line_and_column(void **state)
{
    fixture *f = *state;
    char why[300];
    snprintf(why, sizeof why,
             "Invalid protobuf file: '%s/models': 2:12: message ModelConfig has no field named "
             "\"base_pth\"; did you mean \"base_path\"?",
             f->dir);
    list_refused(f, SL_INVALID_ARGUMENT, "model_config_list {\n  config { base_pth: '/m' } }", why);
    snprintf(
        why, sizeof why,
        "Invalid protobuf file: '%s/models': 1:1: message ModelServerConfig has no field named "
        "\"improperly\"",
        f->dir);
    list_refused(f, SL_INVALID_ARGUMENT, "improperly formatted file", why);
}

static void a_missing_file_is_named(void **state)
{
    fixture *f = *state;
    sl_model_list l;
    assert_int_equal(sl_model_list_read("/no/such", &l, &f->st), SL_NOT_FOUND);
    assert_string_equal(f->st.msg, "/no/such; No such file or directory");
    assert_int_equal(sl_model_list_read("gs://bucket/x", &l, &f->st), SL_UNIMPLEMENTED);
    assert_string_equal(f->st.msg,
                        "File system scheme 'gs' not implemented (file: 'gs://bucket/x')");
}

static void a_file_may_be_a_uri(void **state)
{
    fixture *f = *state;
    char uri[120];
    snprintf(uri, sizeof uri, "file://%s", write_file(f, "models", "model_config_list {}"));
    assert_int_equal(sl_model_list_read(uri, &f->list, &f->st), SL_OK);
}

static void lists_are_checked_in_the_words_of_the_original(void **state)
{
    fixture *f = *state;
    list_refused(f, SL_INVALID_ARGUMENT,
                 "model_config_list { config { name: 'a' } config { name: 'a' } }",
                 "Illegal to list model a multiple times in config list");
    list_refused(f, SL_INVALID_ARGUMENT,
                 "model_config_list { config { name: 'a' base_path: 'm/a' } }",
                 "Expected model a to have an absolute path or URI; got base_path()=m/a");
    list_refused(f, SL_INVALID_ARGUMENT,
                 "model_config_list { config { name: 'a' base_path: '/a' } }",
                 "Illegal setting neither ModelServerConfig::model_type (deprecated) nor "
                 "ModelServerConfig::model_platform, model name is a");
    list_refused(f, SL_INVALID_ARGUMENT,
                 "model_config_list { config { name: 'a' base_path: '/a' model_type: TENSORFLOW "
                 "model_platform: 'tensorflow' } }",
                 "Illegal setting both ModelServerConfig::model_type (deprecated) and "
                 "ModelServerConfig::model_platform, model name is a");
    list_refused(f, SL_INVALID_ARGUMENT,
                 "model_config_list { config { name: 'a' base_path: '/a' model_type: OTHER } }",
                 "ModelServerConfig::model_type choice 2 not supported.");
    list_refused(f, SL_UNIMPLEMENTED, "custom_model_config { type_url: 'a/b' }",
                 "ModelServer does not yet support custom model config.");
}

static void logging_config_is_accepted_with_a_warning(void **state)
{
    fixture *f = *state;
    read_list(f,
              "model_config_list { config { name: 'a' base_path: '/a' model_platform: 'tensorflow' "
              "logging_config { sampling_config { sampling_rate: 1 } } } }");
    assert_non_null(strstr(logged(f), "logging_config of model a has no effect"));
}

static void the_command_line_makes_a_list_of_one(void **state)
{
    fixture *f = *state;
    assert_int_equal(sl_model_list_single("default", "/m", &f->list, &f->st), SL_OK);
    assert_int_equal(f->list.count, 1);
    assert_string_equal(f->list.models[0].base_path, "/m");
    assert_string_equal(f->list.platforms[0], "tensorflow");
    assert_non_null(strstr(logged(f), "Building single TensorFlow model file config:  model_name: "
                                      "default model_base_path: /m"));
    sl_model_list l;
    assert_int_equal(sl_model_list_single("default", "models/x", &l, &f->st), SL_INVALID_ARGUMENT);
    assert_string_equal(
        f->st.msg,
        "Expected model default to have an absolute path or URI; got base_path()=models/x");
}

static void a_list_over_the_wire_gets_the_same_checks(void **state)
{
    fixture *f = *state;
    sl_model_list l;
    read_list(
        f,
        "model_config_list { config { name: 'a' base_path: '/a' model_platform: 'tensorflow' } }");
    assert_int_equal(sl_model_list_from_wire(f->list.wire, &l, &f->st), SL_OK);
    assert_true(sl_str_eq(l.wire, f->list.wire));
    assert_string_equal(l.models[0].name, "a");
    sl_model_list_fini(&l);
    assert_int_equal(sl_model_list_from_wire(SL_STR("\x0a\x7f"), &l, &f->st), SL_INVALID_ARGUMENT);
    assert_int_equal(sl_model_list_from_wire(SL_STR("\x12\x00"), &l, &f->st),
                     SL_FAILED_PRECONDITION);
}

/* The second name counts, and unknown fields are nobody's. */
static void what_a_sender_repeats_or_makes_up_is_not_kept(void **state)
{
    fixture *f = *state;
    sl_model_list l;
    sl_text text = {0};
    read_list(
        f,
        "model_config_list { config { base_path: '/a' name: 'b' model_platform: 'tensorflow' } }");
    static const char wire[] = "\x0a\x1e\x0a\x19"
                               "\x0a\x01"
                               "a\x12\x02/a\x0a\x01"
                               "b\x22\x0atensorflow\x98\x06\x05" /* field 99 */
                               "\xa2\x06";                       /* field 100, empty */
    assert_int_equal(sl_model_list_from_wire((sl_str){wire, sizeof wire}, &l, &f->st), SL_OK);
    assert_int_equal(l.count, 1);
    assert_string_equal(l.models[0].name, "b");
    assert_true(sl_str_eq(l.wire, f->list.wire)); /* whatever the order was */
    assert_true(sl_str_eq(l.wires[0], f->list.wires[0]));
    assert_int_equal(sl_model_list_print(&l, &text, &f->st), SL_OK);
    assert_null(strstr(text.p, "\"a\""));
    sl_text_fini(&text);
    sl_model_list_fini(&l);
}

static void a_model_may_not_change_its_platform(void **state)
{
    fixture *f = *state;
    sl_model_list other;
    read_list(
        f,
        "model_config_list { config { name: 'a' base_path: '/a' model_platform: 'tensorflow' } }");
    write_file(f, "other",
               "model_config_list { config { name: 'b' base_path: '/a' model_platform: 'y' }"
               " config { name: 'a' base_path: '/a' model_platform: 'x' } }");
    assert_int_equal(sl_model_list_read(f->path, &other, &f->st), SL_OK);
    assert_int_equal(sl_model_list_check_change(&f->list, &other, &f->st), SL_INVALID_ARGUMENT);
    assert_string_equal(f->st.msg, "Illegal to change a model's platform. For model a platform was "
                                   "tensorflow and new platform requested is x");
    assert_int_equal(sl_model_list_check_change(&other, &other, &f->st), SL_OK);
    sl_model_list_fini(&other);
}

static void a_list_that_finds_no_memory_is_refused(void **state)
{
    fixture *f = *state;
    sl_code rc = SL_RESOURCE_EXHAUSTED;
    write_file(
        f, "models",
        "model_config_list { config { name: 'a' base_path: '/a' model_platform: 'tensorflow' "
        "version_labels { key: 'x' value: 1 } } }");
    for (int nth = 1; rc != SL_OK && nth < 100; nth++) {
        sl_fault_arm(SL_FAULT_ALLOC, nth);
        rc = sl_model_list_read(f->path, &f->list, &f->st);
        sl_fault_arm(SL_FAULT_ALLOC, 0);
        assert_true(rc == SL_OK || rc == SL_RESOURCE_EXHAUSTED);
    }
    assert_int_equal(rc, SL_OK);
    rc = SL_RESOURCE_EXHAUSTED;
    for (int nth = 1; rc != SL_OK && nth < 100; nth++) {
        sl_model_list l;
        sl_fault_arm(SL_FAULT_ALLOC, nth);
        rc = sl_model_list_from_wire(f->list.wire, &l, &f->st);
        sl_fault_arm(SL_FAULT_ALLOC, 0);
        assert_true(rc == SL_OK || rc == SL_RESOURCE_EXHAUSTED);
        if (rc == SL_OK)
            sl_model_list_fini(&l);
    }
    assert_int_equal(rc, SL_OK);
}

/* ---- engines, traffic, shadows ---- */

#define ONE(more)                                                                               \
    "model_config_list { config { name: 'm' base_path: '/m' model_platform: 'tensorflow' " more \
    " } }"

static void traffic_and_shadows_are_taken(void **state)
{
    fixture *f = *state;
    read_list(
        f, ONE("engine: 'native' version_labels { key: 'new' value: 1 } traffic { split { label: "
               "'new' weight: 1 } "
               "split { version: 3 weight: 9 } sticky_header: 'x-user' } shadow { version: 4 }"));
    const sl_traffic_config *t = f->list.models[0].traffic;
    assert_string_equal(f->list.models[0].engine, "native");
    assert_int_equal(t->n_arms, 2);
    assert_string_equal(t->arms[0].target.label, "new");
    assert_null(t->arms[1].target.label);
    assert_int_equal(t->arms[1].target.version, 3);
    assert_string_equal(t->sticky_header, "x-user");
    assert_true(t->has_shadow && t->shadow.version == 4 && t->shadow_percent == 100);
    assert_true(t->rtol == 1e-4 && t->atol == 1e-6);
    read_list(f, ONE("version_labels { key: 'new' value: 1 } shadow { label: 'new' percent: 0 "
                     "rtol: 1 atol: 2 }"));
    t = f->list.models[0].traffic;
    assert_int_equal(t->n_arms, 0);
    assert_string_equal(t->shadow.label, "new");
    assert_true(t->shadow_percent == 0 && t->rtol == 1 && t->atol == 2);
    read_list(f, ONE("engine: 'auto' model_version_policy {} load: ON_DEMAND"));
    assert_int_equal(f->list.models[0].load, SL_LOAD_ON_DEMAND);
    assert_int_equal(f->list.models[0].policy, SL_POLICY_LATEST);
    read_list(f, ONE("engine: 'tensorflow' traffic {}"));
    list_refused(f, SL_INVALID_ARGUMENT, ONE("traffic { split { weight: 1 } }"),
                 "traffic of model m: split 1 has neither version nor label");
    list_refused(f, SL_INVALID_ARGUMENT, ONE("shadow {}"),
                 "shadow of model m: neither version nor label");
    list_refused(f, SL_INVALID_ARGUMENT, ONE("engine: 'gpu'"),
                 "model m asks for engine \"gpu\": choose auto, native or tensorflow");
}

static sl_code read_once(void *arg, sl_status *st)
{
    sl_model_list l;
    sl_code rc = sl_model_list_read(arg, &l, st);
    if (rc == SL_OK)
        sl_model_list_fini(&l);
    return rc;
}

static sl_code change_once(void *arg, sl_status *st)
{
    const sl_model_list *l = arg;
    return sl_model_list_check_change(l, l, st);
}

static void a_list_with_everything_finds_no_memory(void **state)
{
    fixture *f = *state;
    read_list(f, "model_config_list { "
                 "config { name: 'm' base_path: '/m' model_platform: 'tensorflow' version_labels { "
                 "key: 'new' value: 1 } traffic { split { label: 'new' weight: 1 } } shadow { "
                 "version: 4 } version_labels { key: 'old' value: 2 } } config { name: 'n' "
                 "base_path: '/m' model_platform: 'tensorflow' } }");
    assert_in_range(fail_each_allocation(read_once, f->path), 10, 200);
    assert_in_range(fail_each_allocation(change_once, &f->list), 1, 10);
}

/* ---- batching ---- */

static sl_batching_config batching(fixture *f, const char *text)
{
    sl_batching_config b;
    if (sl_batching_read(write_file(f, "batching", text), &f->arena, &b, &f->st))
        fail_msg("%s", f->st.msg);
    return b;
}

static void batching_refused(fixture *f, const char *text, const char *why)
{
    sl_batching_config b;
    assert_int_equal(sl_batching_read(write_file(f, "batching", text), &f->arena, &b, &f->st),
                     SL_INVALID_ARGUMENT);
    assert_string_equal(f->st.msg, why);
}

static void batching_parameters_have_the_originals_defaults(void **state)
{
    sl_batching_config b = batching(*state, "");
    assert_int_equal(b.max_batch_size, 1000);
    assert_int_equal(b.batch_timeout_micros, 0);
    assert_int_equal(b.max_enqueued_batches, 10);
    assert_int_equal(b.num_batch_threads, 0);
    assert_string_equal(b.thread_pool_name, "batch_threads");
    assert_int_equal(b.n_allowed_batch_sizes, 0);
    assert_int_equal(b.max_execution_batch_size, 1000);
}

static void batching_parameters_are_taken(void **state)
{
    sl_batching_config b =
        batching(*state, "max_batch_size { value: 128 } batch_timeout_micros { value: 7 }"
                         "max_enqueued_batches { value: 0 } num_batch_threads { value: 8 }"
                         "thread_pool_name { value: 'p' } allowed_batch_sizes: [1, 64, 128]"
                         "pad_variable_length_inputs: true");
    assert_int_equal(b.max_batch_size, 128);
    assert_int_equal(b.batch_timeout_micros, 7);
    assert_int_equal(b.max_enqueued_batches, 1);
    assert_int_equal(b.num_batch_threads, 8);
    assert_string_equal(b.thread_pool_name, "p");
    assert_int_equal(b.n_allowed_batch_sizes, 3);
    assert_int_equal(b.allowed_batch_sizes[1], 64);
    assert_true(b.pad_variable_length_inputs);
    assert_false(b.enable_large_batch_splitting);
    assert_int_equal(b.max_execution_batch_size, 128);
}

static void batching_parameters_are_checked(void **state)
{
    fixture *f = *state;
    batching_refused(f, "max_batch_size { value: 0 }",
                     "input_batch_size_limit must be positive; was 0");
    batching_refused(f, "batch_timeout_micros { value: -1 }",
                     "batch_timeout_micros must be non-negative; was -1");
    batching_refused(f, "num_batch_threads { value: 0 }",
                     "num_batch_threads must be positive; was 0");
    batching_refused(
        f, "max_enqueued_batches { value: 0 } enable_large_batch_splitting { value: true }",
        "max_enqueued_batches must be positive; was 0");
    batching_refused(
        f, "allowed_batch_sizes: [2, 4]",
        "Last entry in allowed_batch_sizes must match max_batch_size; last entry was 4; "
        "expected 1000");
    batching_refused(f,
                     "max_batch_size { value: 4 } enable_large_batch_splitting { value: true } "
                     "max_execution_batch_size { value: 8 }",
                     "When enable_large_batch_splitting is true, input_batch_size_limit must be "
                     "greater than or equal to max_execution_batch_size.148");
    batching_refused(f, "max_enqueued_batches { value: -1 }",
                     "max_enqueued_batches must be positive; was -1");
    batching_refused(f, "max_batch_size { value: 4 } allowed_batch_sizes: [0, 4]",
                     "allowed_batch_sizes must be positive; was 0");
    batching_refused(f,
                     "max_batch_size { value: 4 } enable_large_batch_splitting { value: true } "
                     "max_execution_batch_size { value: 0 }",
                     "When enable_large_batch_splitting is true, input_batch_size_limit must be "
                     "greater than or equal to max_execution_batch_size.140");
    batching(f, "max_batch_size { value: 4 } enable_large_batch_splitting { value: true } "
                "max_execution_batch_size { value: 2 }");
    batching(f, "max_batch_size { value: 4 } allowed_batch_sizes: [2, 2, 4]");
    assert_non_null(strstr(logged(f), "allowed_batch_sizes should be in increasing order"));
}

/* ---- all of it ---- */

static sl_code load(fixture *f, const char *a, const char *b, const char *c)
{
    char *argv[] = {"sluice", "--model_base_path=/m", (char *)(uintptr_t)a, (char *)(uintptr_t)b,
                    (char *)(uintptr_t)c};
    int argc = c ? 5 : b ? 4 : a ? 3 : 2;
    sl_config_fini(&f->config);
    sl_flags_init(&f->flags, "sluice");
    if (sl_flags_parse(&f->flags, argc, argv, &f->st))
        fail_msg("%s", f->st.msg);
    return sl_config_load(&f->flags, &f->config, &f->st);
}

/* --flag=<dir>/<name>; two of them may be in use. */
static const char *with_file(fixture *f, const char *flag, const char *name, const char *text)
{
    static char args[2][200];
    static int turn;
    turn = !turn;
    snprintf(args[turn], sizeof args[turn], "--%s=%s", flag, write_file(f, name, text));
    return args[turn];
}

static const sl_platform *tensorflow(fixture *f)
{
    const sl_platform *p = sl_config_platform(&f->config, "tensorflow");
    assert_non_null(p);
    return p;
}

static void without_files_the_flags_make_the_platform(void **state)
{
    fixture *f = *state;
    assert_int_equal(load(f, "--saved_model_tags=serve,gpu,serve", "--enable_batching",
                          "--num_request_iterations_for_warmup=3"),
                     SL_OK);
    const sl_platform *p = tensorflow(f);
    assert_int_equal(f->config.models.count, 1);
    assert_int_equal(p->n_tags, 2);
    assert_string_equal(p->tags[1], "gpu");
    assert_true(p->batching);
    assert_string_equal(p->batch.thread_pool_name, "model_server_batch_threads");
    assert_true(p->warmup);
    assert_int_equal(p->warmup_iterations, 3);
    assert_int_equal(p->session_config.n, 0);
    assert_null(f->config.metrics_path);
}

static Tensorflow__ConfigProto *session(fixture *f)
{
    sl_str wire = tensorflow(f)->session_config;
    Tensorflow__ConfigProto *c =
        tensorflow__config_proto__unpack(NULL, wire.n, (const uint8_t *)wire.p);
    assert_non_null(c);
    return c;
}

static void flags_that_are_given_overwrite_the_session_config_file(void **state)
{
    fixture *f = *state;
    const char *file =
        with_file(f, "tensorflow_session_config_file", "session",
                  "intra_op_parallelism_threads: 3 inter_op_parallelism_threads: 5\n"
                  "gpu_options { allow_growth: true } graph_options { infer_shapes: true }");
    assert_int_equal(load(f, file, NULL, NULL), SL_OK);
    assert_int_equal(tensorflow(f)->intra_op_threads, 3);
    assert_int_equal(tensorflow(f)->inter_op_threads, 5);
    assert_int_equal(load(f, file, "--tensorflow_session_parallelism=2",
                          "--per_process_gpu_memory_fraction=0.5"),
                     SL_OK);
    assert_int_equal(tensorflow(f)->intra_op_threads, 2);
    Tensorflow__ConfigProto *c = session(f);
    assert_int_equal(c->inter_op_parallelism_threads, 2);
    assert_true(c->gpu_options->per_process_gpu_memory_fraction == 0.5);
    assert_true(c->gpu_options->allow_growth);
    tensorflow__config_proto__free_unpacked(c, NULL);
    assert_int_equal(load(f, file, "--mixed_precision=bfloat16", NULL), SL_OK);
    c = session(f);
    assert_true(c->graph_options->infer_shapes);
    assert_int_equal(c->graph_options->rewrite_options->auto_mixed_precision_onednn_bfloat16,
                     TENSORFLOW__REWRITER_CONFIG__TOGGLE__ON);
    tensorflow__config_proto__free_unpacked(c, NULL);
}

static void threads_and_shares_of_a_session_have_bounds_and_defaults(void **state)
{
    fixture *f = *state;
    const char *file = with_file(f, "tensorflow_session_config_file", "session",
                                 "intra_op_parallelism_threads: -1 "
                                 "graph_options { rewrite_options { constant_folding: ON } }");
    assert_int_equal(load(f, file, "--mixed_precision=bfloat16", NULL), SL_OK);
    assert_int_equal(tensorflow(f)->intra_op_threads, 1); /* the caller's alone */
    Tensorflow__ConfigProto *c = session(f);
    assert_int_equal(c->graph_options->rewrite_options->constant_folding,
                     TENSORFLOW__REWRITER_CONFIG__TOGGLE__ON);
    assert_int_equal(c->graph_options->rewrite_options->auto_mixed_precision_onednn_bfloat16,
                     TENSORFLOW__REWRITER_CONFIG__TOGGLE__ON);
    tensorflow__config_proto__free_unpacked(c, NULL);
    assert_int_equal(load(f, "--per_process_gpu_memory_fraction=0.25",
                          "--tensorflow_inter_op_parallelism=3", NULL),
                     SL_OK);
    assert_int_equal(tensorflow(f)->intra_op_threads, 0);
    assert_int_equal(tensorflow(f)->inter_op_threads, 3);
    c = session(f);
    assert_true(c->gpu_options->per_process_gpu_memory_fraction == 0.25);
    tensorflow__config_proto__free_unpacked(c, NULL);
    assert_int_equal(load(f, "--tensorflow_session_parallelism=3000000000", NULL, NULL), SL_OK);
    assert_int_equal(tensorflow(f)->intra_op_threads, INT32_MAX);
    file = with_file(f, "tensorflow_session_config_file", "session", "nonsense");
    assert_int_equal(load(f, file, NULL, NULL), SL_INVALID_ARGUMENT);
    assert_non_null(strstr(f->st.msg, "session': 1:1: message ConfigProto has no field"));
}

static void what_was_parsed_and_cannot_be_represented_is_said(void **state)
{
    fixture *f = *state;
    sl_model_list l;
    write_file(f, "models", "model_config_list {}");
    fail_call("protobuf_c_message_unpack", 1, 0);
    assert_int_equal(sl_model_list_read(f->path, &l, &f->st), SL_INVALID_ARGUMENT);
    fail_call(NULL, 0, 0);
    assert_non_null(strstr(f->st.msg, "/models; cannot be represented"));
}

static void the_name_of_a_file_may_hold_what_a_uri_does(void **state)
{
    fixture *f = *state;
    sl_model_list l;
    assert_int_equal(sl_model_list_read("/no/such://x", &l, &f->st), SL_NOT_FOUND);
    assert_int_equal(
        sl_model_list_read("a-scheme-that-is-a-good-deal-longer-than-any-there-is://x", &l, &f->st),
        SL_UNIMPLEMENTED);
    assert_non_null(strstr(f->st.msg, "'a-scheme-that-is-a-good-deal-longer-than' not impl"));
}

static void batching_parameters_need_batching(void **state)
{
    fixture *f = *state;
    const char *file = with_file(f, "batching_parameters_file", "b", "max_batch_size { value: 8 }");
    assert_int_equal(load(f, file, NULL, NULL), SL_INVALID_ARGUMENT);
    assert_string_equal(f->st.msg, "server_options.batching_parameters_file is set without setting "
                                   "server_options.enable_batching to true.");
    assert_int_equal(load(f, file, "--enable_batching", "--enable_per_model_batching_parameters"),
                     SL_OK);
    assert_int_equal(tensorflow(f)->batch.max_batch_size, 8);
    assert_true(tensorflow(f)->per_model_batching);
}

static void a_model_config_file_goes_before_the_single_model(void **state)
{
    fixture *f = *state;
    const char *file = with_file(f, "model_config_file", "models",
                                 "model_config_list { config { name: 'a' base_path: '/a' "
                                 "model_platform: 'torch' } }");
    assert_int_equal(load(f, file, NULL, NULL), SL_INVALID_ARGUMENT);
    assert_string_equal(f->st.msg, "Model a requests unsupported platform torch");
}

static void monitoring_says_where_metrics_are(void **state)
{
    fixture *f = *state;
    const char *file =
        with_file(f, "monitoring_config_file", "m", "prometheus_config { enable: true }");
    assert_int_equal(load(f, file, "--rest_api_port=8501", NULL), SL_OK);
    assert_string_equal(f->config.metrics_path, "/monitoring/prometheus/metrics");
    assert_int_equal(load(f, file, NULL, NULL), SL_OK);
    assert_null(f->config.metrics_path); /* no REST: the file is not even read */
    assert_int_equal(load(f, file, "--rest_address=127.0.0.1", NULL), SL_OK);
    assert_non_null(f->config.metrics_path);
    file = with_file(f, "monitoring_config_file", "m",
                     "prometheus_config { enable: true path: '/x' }");
    assert_int_equal(load(f, file, "--rest_api_port=8501", NULL), SL_OK);
    assert_string_equal(f->config.metrics_path, "/x");
    file = with_file(f, "monitoring_config_file", "m", "prometheus_config { path: '/x' }");
    assert_int_equal(load(f, file, "--rest_api_port=8501", NULL), SL_OK);
    assert_null(f->config.metrics_path);
    file = with_file(f, "monitoring_config_file", "m", "");
    assert_int_equal(load(f, file, "--rest_api_port=8501", NULL), SL_OK);
    assert_null(f->config.metrics_path);
    file =
        with_file(f, "monitoring_config_file", "m", "prometheus_config { enable: true path: 'x' }");
    assert_int_equal(load(f, file, "--rest_api_port=8501", NULL), SL_OK);
    assert_non_null(strstr(logged(f), "path \"x\" of prometheus_config does not begin with"));
    file = with_file(f, "monitoring_config_file", "m", "prometheus { }");
    assert_int_equal(load(f, file, "--rest_api_port=8501", NULL), SL_INVALID_ARGUMENT);
}

static void keys_are_read(void **state)
{
    fixture *f = *state;
    sl_ssl_config ssl;
    write_file(f, "ssl", "server_key: 'k\\n' 'k2' server_cert: 'c' client_verify: true");
    assert_int_equal(sl_ssl_read(f->path, &f->arena, &ssl, &f->st), SL_OK);
    assert_true(sl_str_is(ssl.server_key, "k\nk2"));
    assert_true(sl_str_is(ssl.server_cert, "c"));
    assert_int_equal(ssl.custom_ca.n, 0);
    assert_true(ssl.client_verify);
    assert_int_equal(sl_ssl_read("/no/such", &f->arena, &ssl, &f->st), SL_NOT_FOUND);
    sl_batching_config b;
    assert_int_equal(sl_batching_read("/no/such", &f->arena, &b, &f->st), SL_NOT_FOUND);
}

#define ADAPTER "[type.googleapis.com/tensorflow.serving.SavedModelBundleSourceAdapterConfig]"

static const char *platform_file(fixture *f, const char *inside)
{
    char text[1000];
    snprintf(text, sizeof text,
             "platform_configs { key: 'tensorflow' value { source_adapter_config { %s } } }",
             inside);
    return with_file(f, "platform_config_file", "platforms", text);
}

static void a_platform_file_takes_the_place_of_the_flags(void **state)
{
    fixture *f = *state;
    const char *file = platform_file(
        f, ADAPTER " { legacy_config { session_config { intra_op_parallelism_threads: 4 }"
                   " batching_parameters { max_batch_size { value: 16 } }"
                   " saved_model_tags: 'x' saved_model_tags: 'y' session_target: 'local'"
                   " enable_model_warmup: true"
                   " model_warmup_options { num_request_iterations { value: 2 } } } }");
    assert_int_equal(load(f, file, "--saved_model_tags=z", "--tensorflow_session_parallelism=9"),
                     SL_OK);
    const sl_platform *p = tensorflow(f);
    assert_int_equal(p->n_tags, 2);
    assert_string_equal(p->tags[1], "y");
    assert_int_equal(p->intra_op_threads, 4);
    assert_true(p->batching);
    assert_int_equal(p->batch.max_batch_size, 16);
    assert_true(p->warmup);
    assert_int_equal(p->warmup_iterations, 2);
    assert_non_null(strstr(logged(f), "--saved_model_tags is ignored"));
    assert_non_null(strstr(logged(f), "session_target of platform tensorflow has no effect"));
}

static void a_platform_file_has_defaults_of_its_own(void **state)
{
    fixture *f = *state;
    assert_int_equal(load(f, platform_file(f, ADAPTER " { }"), NULL, NULL), SL_OK);
    assert_false(tensorflow(f)->warmup);
    assert_false(tensorflow(f)->batching);
    assert_int_equal(tensorflow(f)->n_tags, 0);
    assert_int_equal(tensorflow(f)->session_config.n, 0);
}

static void platforms_that_cannot_be_used_are_refused(void **state)
{
    fixture *f = *state;
    assert_int_equal(load(f, platform_file(f, "type_url: 'nonsense'"), NULL, NULL),
                     SL_INVALID_ARGUMENT);
    assert_string_equal(f->st.msg, "Supplied config's type_url could not be parsed: nonsense");
    assert_int_equal(load(f, platform_file(f, "type_url: 'a/'"), NULL, NULL), SL_INVALID_ARGUMENT);
    assert_int_equal(
        load(f,
             platform_file(f,
                           "type_url: 'a/tensorflow.serving.SavedModelBundleSourceAdapterConfig' "
                           "value: '\\377'"),
             NULL, NULL),
        SL_INVALID_ARGUMENT);
    assert_non_null(strstr(f->st.msg, "Malformed content of Any: a/tensorflow.serving."));
    assert_int_equal(
        load(f, with_file(f, "platform_config_file", "p", "platform_configs { key: 'tensorflow' }"),
             NULL, NULL),
        SL_INVALID_ARGUMENT);
    assert_int_equal(load(f,
                          platform_file(f, ADAPTER " { legacy_config { batching_parameters { "
                                                   "max_batch_size { value: 0 } } } }"),
                          NULL, NULL),
                     SL_INVALID_ARGUMENT);
    assert_int_equal(
        load(f,
             platform_file(f,
                           ADAPTER " { legacy_config { mixed_precision: 'float16' "
                                   "batching_parameters {} enable_per_model_batching_params: true "
                                   "session_config { gpu_options {} graph_options {} } "
                                   "enable_model_warmup: true model_warmup_options { "
                                   "num_request_iterations { value: 3 } } } }"),
             NULL, NULL),
        SL_OK);
    assert_non_null(strstr(logged(f), "float16 auto mixed precision is not supported"));
    assert_int_equal(
        load(f, platform_file(f, ADAPTER " { legacy_config { mixed_precision: 'bfloat16' } }"),
             NULL, NULL),
        SL_OK);
    assert_int_equal(load(f, platform_file(f, "type_url: 'a/pkg.Msg'"), NULL, NULL), SL_INTERNAL);
    assert_string_equal(f->st.msg, "Unable to find compiled-in proto descriptor of type pkg.Msg");
    assert_int_equal(
        load(f, platform_file(f, ADAPTER " { legacy_config { enable_saved_model_config: true } }"),
             NULL, NULL),
        SL_UNIMPLEMENTED);
    assert_string_equal(f->st.msg, "Saved model config functionality is not implemented.");
    assert_int_equal(
        load(f, platform_file(f, ADAPTER " { legacy_config { prefer_tflite_model: true } }"), NULL,
             NULL),
        SL_UNIMPLEMENTED);
    assert_int_equal(
        load(f,
             with_file(f, "platform_config_file", "p",
                       "platform_configs { key: 'other' value { source_adapter_config { "
                       "" ADAPTER " {} } } }"),
             NULL, NULL),
        SL_INVALID_ARGUMENT);
    assert_string_equal(f->st.msg, "Model default requests unsupported platform tensorflow");
}

static void the_last_entry_of_a_platform_counts(void **state)
{
    fixture *f = *state;
#define ENTRY(key, inside)                                                                        \
    "platform_configs { key: '" key "' value { source_adapter_config { " ADAPTER " { " inside " " \
    "} } } } "
    const char *file =
        with_file(f, "platform_config_file", "p",
                  ENTRY("tensorflow", "") ENTRY("other", "")
                      ENTRY("tensorflow", "legacy_config { saved_model_tags: 'last' "
                                          "model_warmup_options { num_model_warmup_threads { "
                                          "value: 1 } enable_all_batch_sizes_warmup: true } }"));
    assert_int_equal(load(f, file, NULL, NULL), SL_OK);
    assert_int_equal(f->config.n_platforms, 2);
    assert_string_equal(tensorflow(f)->tags[0], "last");
    assert_int_equal(tensorflow(f)->warmup_iterations, 1);
    assert_non_null(strstr(logged(f), "model_warmup_options.num_model_warmup_threads of platform"));
    assert_non_null(strstr(logged(f), "model_warmup_options.enable_all_batch_sizes_warmup of"));
    file = with_file(f, "platform_config_file", "p",
                     ENTRY("tensorflow", "legacy_config { prefer_tflite_model: true }")
                         ENTRY("other", ""));
    assert_int_equal(load(f, file, NULL, NULL), SL_UNIMPLEMENTED);
}

static void flags_without_effect_are_named_in_the_log(void **state)
{
    fixture *f = *state;
    assert_int_equal(load(f, "--enable_profiler=false", "--xla_cpu_compilation_enabled", NULL),
                     SL_OK);
    assert_non_null(
        strstr(logged(f), "--enable_profiler has no effect: there is no TensorFlow profiler"));
    assert_non_null(strstr(logged(f), "--xla_cpu_compilation_enabled has no effect"));
    assert_null(strstr(logged(f), "--flush_filesystem_caches"));
}

typedef struct attempt {
    fixture *f;
    const char *file;
} attempt;

static sl_code load_once(void *arg, sl_status *st)
{
    attempt *a = arg;
    sl_code rc = load(a->f, a->file, NULL, NULL);
    *st = a->f->st;
    return rc;
}

static void a_failed_allocation_is_an_error_and_nothing_leaks(void **state)
{
    fixture *f = *state;
    attempt a = {f, platform_file(f, ADAPTER " { legacy_config { saved_model_tags: 'x' "
                                             "session_config { allow_soft_placement: true } } }")};
    assert_in_range(fail_each_allocation(load_once, &a), 5, 200);
    a.file = "--saved_model_tags=x,y";
    assert_in_range(fail_each_allocation(load_once, &a), 5, 200);
}

/* ---- what can be read of what is wrong ---- */

typedef struct complaints {
    sl_text text;
    int count;
    bool no_memory;
} complaints;

static void hear(void *arg, const sl_status *st)
{
    complaints *c = arg;
    sl_text_printf(&c->text, "%s\n", st->msg);
    c->count++;
    c->no_memory |= st->code == SL_RESOURCE_EXHAUSTED;
}

static sl_code survey(fixture *f, const char *a, const char *b, complaints *c)
{
    char *argv[] = {"sluice", (char *)(uintptr_t)a, (char *)(uintptr_t)b};
    const sl_config_complaint to = {hear, c};
    sl_text_fini(&c->text);
    *c = (complaints){0};
    sl_config_fini(&f->config);
    sl_flags_init(&f->flags, "sluice");
    if (sl_flags_parse(&f->flags, b ? 3 : 2, argv, &f->st))
        fail_msg("%s", f->st.msg);
    return sl_config_survey(&f->flags, &f->config, &to, &f->st);
}

#define GOOD(name) "config { name: '" name "' base_path: '/m' model_platform: 'tensorflow' } "

static void a_survey_of_what_is_right_is_silent(void **state)
{
    fixture *f = *state;
    complaints c = {0};
    const char *file =
        with_file(f, "model_config_file", "m", "model_config_list { " GOOD("a") GOOD("b") "}");
    assert_int_equal(survey(f, file, NULL, &c), SL_OK);
    assert_int_equal(c.count, 0);
    assert_int_equal(f->config.models.count, 2);
    assert_int_equal(f->config.n_platforms, 1);
    assert_ptr_equal(sl_config_serving_platform(&f->config), f->config.platforms);
}

static void a_survey_leaves_out_what_is_wrong(void **state)
{
    fixture *f = *state;
    complaints c = {0};
    const char *file =
        with_file(f, "model_config_file", "m",
                  "model_config_list { " GOOD("a")
                      GOOD("a") "config { name: 'x' "
                                "base_path: 'm' model_platform: 'tensorflow' } " GOOD("b") "}");
    assert_int_equal(survey(f, file, "--prefer_tflite_model", &c), SL_OK);
    assert_string_equal(c.text.p,
                        "prefer_tflite_model: TensorFlow Lite models are not supported\n"
                        "Illegal to list model a multiple times in config list\n"
                        "Expected model x to have an absolute path or URI; got base_path()=m\n");
    assert_int_equal(f->config.models.count, 2);
    assert_string_equal(f->config.models.models[1].name, "b");
    file = with_file(f, "model_config_file", "m", "custom_model_config {}");
    assert_int_equal(survey(f, file, NULL, &c), SL_OK);
    assert_non_null(strstr(c.text.p, "does not yet support custom model config"));
    assert_int_equal(c.count, 1);
    assert_int_equal(f->config.models.count, 0);
    assert_int_equal(survey(f, "--model_config_file=/nowhere", NULL, &c), SL_OK);
    assert_string_equal(c.text.p, "/nowhere; No such file or directory\n");
    assert_int_equal(survey(f, "--models_dir=/nowhere", NULL, &c), SL_OK);
    assert_string_equal(c.text.p, "/nowhere; No such file or directory\n");
    assert_int_equal(survey(f, "--port=0", NULL, &c), SL_OK);
    assert_int_equal(c.count, 1); /* nothing to serve: said once */
    assert_int_equal(survey(f, "--model_base_path=relative", NULL, &c), SL_OK);
    assert_non_null(strstr(c.text.p, "relative"));
    assert_int_equal(survey(f, "--rest_api_port=8501", "--monitoring_config_file=/nowhere", &c),
                     SL_OK);
    assert_non_null(strstr(c.text.p, "/nowhere; No such file or directory\n"));
    sl_text_fini(&c.text);
}

static void a_survey_goes_through_all_files(void **state)
{
    fixture *f = *state;
    complaints c = {0};
    char flag[100];
    write_file(f, "a.conf", "nonsense");
    write_file(f, "b.conf", "model_config_list { " GOOD("m") "}");
    write_file(f, "c.conf", "model_config_list { " GOOD("m") GOOD("n") "}");
    write_file(f, "d.conf", "");
    write_file(f, ".e.conf", "nonsense");
    write_file(f, "readme", "nonsense");
    snprintf(flag, sizeof flag, "--model_config_file=file://%s", f->dir);
    assert_int_equal(survey(f, flag, NULL, &c), SL_OK);
    assert_int_equal(c.count, 2);
    assert_non_null(strstr(c.text.p, "/a.conf': 1:1: "));
    assert_non_null(strstr(c.text.p, "model m multiple times in config list: it is in "));
    assert_int_equal(f->config.models.count, 2);
    sl_text_fini(&c.text);
}

static void a_survey_finds_a_platform_to_open_models_with(void **state)
{
    fixture *f = *state;
    complaints c = {0};
    assert_int_equal(survey(f, "--model_base_path=/m", "--batching_parameters_file=/nowhere", &c),
                     SL_OK);
    assert_int_equal(c.count, 1);
    assert_int_equal(f->config.n_platforms, 1);
    assert_int_equal(survey(f, "--model_base_path=/m", "--per_process_gpu_memory_fraction=0.5", &c),
                     SL_OK);
    assert_int_equal(c.count, 0);
    assert_int_equal(survey(f, "--model_base_path=/m", "--platform_config_file=/nowhere", &c),
                     SL_OK);
    assert_string_equal(c.text.p, "/nowhere; No such file or directory\n");
    assert_int_equal(f->config.n_platforms, 0);
    assert_int_equal(survey(f, "--model_base_path=/m",
                            with_file(f, "platform_config_file", "p",
                                      "platform_configs { key: 'other' value { "
                                      "source_adapter_config { " ADAPTER " {} } } }"),
                            &c),
                     SL_OK);
    assert_string_equal(c.text.p, "Model default requests unsupported platform tensorflow\n");
    assert_string_equal(sl_config_serving_platform(&f->config)->name, "other");
    assert_int_equal(survey(f, "--model_base_path=/m", "--monitoring_config_file=/nowhere", &c),
                     SL_OK);
    assert_int_equal(c.count, 0); /* without REST nobody could ask */
    sl_text_fini(&c.text);
}

static void a_platform_file_without_platforms_is_no_platform(void **state)
{
    fixture *f = *state;
    assert_int_equal(load(f, with_file(f, "platform_config_file", "p", ""),
                          with_file(f, "model_config_file", "m", "model_config_list {}"), NULL),
                     SL_OK);
    assert_int_equal(f->config.n_platforms, 0);
    const sl_platform *p = sl_config_serving_platform(&f->config);
    assert_non_null(p);
    assert_false(p->batching);
    assert_int_equal(p->n_tags, 0);
    assert_int_equal(p->session_config.n, 0);
}

static sl_code survey_once(void *arg, sl_status *st)
{
    attempt *a = arg;
    complaints c = {0};
    sl_code rc = survey(a->f, a->file, NULL, &c);
    *st = a->f->st;
    sl_text_fini(&c.text);
    if (rc == SL_OK && c.no_memory)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory");
    return rc;
}

static void a_survey_without_memory_says_so(void **state)
{
    fixture *f = *state;
    attempt a = {f, with_file(f, "model_config_file", "m",
                              "model_config_list { " GOOD("a") GOOD("a") GOOD("b") "}")};
    assert_in_range(fail_each_allocation(survey_once, &a), 10, 400);
    write_file(f, "a.conf", "nonsense");
    write_file(f, "b.conf", "model_config_list { " GOOD("m") "}");
    char flag[100];
    snprintf(flag, sizeof flag, "--model_config_file=%s", f->dir);
    a.file = flag;
    assert_in_range(fail_each_allocation(survey_once, &a), 10, 400);
}

/* ---- directories of models ---- */

static void explain(fixture *f, const char *what, const char *wanted)
{
    char command[400], message[400];
    snprintf(command, sizeof command, "cd %s && rm -rf m && mkdir m && cd m && %s", f->dir, what);
    assert_int_equal(system(command), 0);
    snprintf(command, sizeof command, "%s/m", f->dir);
    char *path;
    bool has_version;
    int64_t version;
    if (sl_model_dir_find(command, &path, &has_version, &version, &f->st) != SL_OK)
        assert_null(path);
    sl_free(path);
    assert_int_not_equal(sl_model_dir_check(command, &f->st), SL_OK);
    snprintf(message, sizeof message, wanted, command, command);
    assert_string_equal(f->st.msg, message);
}

static void a_directory_that_cannot_be_served_is_explained(void **state)
{
    fixture *f = *state;
    explain(f, "touch saved_model.pb",
            "%s holds a SavedModel itself, but a server wants it in a version directory: move it "
            "to %s/1");
    explain(f, "true",
            "%s has neither a saved_model.pb nor a version directory (a number, such as %s/1)");
    explain(f, "mkdir 1", "%s/1 has no saved_model.pb");
    explain(f, "mkdir 1 && touch 1/export.meta",
            "%s/1 is a session bundle of TensorFlow before 1.0 (export.meta), not a SavedModel");
    explain(f, "touch model.tflite",
            "%s holds a TensorFlow Lite model, which this server does not run");
    explain(f, "touch config.json",
            "%s has no saved_model.pb; a Keras model is exported with model.export(path)");
}

static void the_highest_version_is_found(void **state)
{
    fixture *f = *state;
    char command[300], *path;
    bool has_version;
    int64_t version;
    snprintf(command, sizeof command,
             "cd %s && mkdir 9 00010 x11 && touch 9/saved_model.pb 00010/saved_model.pb", f->dir);
    assert_int_equal(system(command), 0);
    assert_int_equal(sl_model_dir_find(f->dir, &path, &has_version, &version, &f->st), SL_OK);
    assert_true(has_version);
    assert_int_equal(version, 10);
    assert_non_null(strstr(path, "/00010"));
    assert_int_equal(sl_model_dir_check(f->dir, &f->st), SL_OK);
    char *again;
    assert_int_equal(sl_model_dir_find(path, &again, &has_version, &version, &f->st), SL_OK);
    assert_false(has_version);
    sl_free(path);
    sl_free(again);
}

/* Names that a source takes are versions here, too. */
static void a_negative_number_is_a_version(void **state)
{
    fixture *f = *state;
    char command[300], *path;
    bool has_version;
    int64_t version;
    snprintf(command, sizeof command, "cd %s && mkdir ./-7 ./-1 && touch ./-1/saved_model.pb",
             f->dir);
    assert_int_equal(system(command), 0);
    assert_int_equal(sl_model_dir_find(f->dir, &path, &has_version, &version, &f->st), SL_OK);
    assert_true(has_version);
    assert_int_equal(version, -1);
    assert_int_equal(sl_model_dir_check(f->dir, &f->st), SL_OK);
    sl_free(path);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_list_gives_names_paths_policies_and_labels),
        T(an_empty_file_is_not_an_empty_list),
        T(a_parse_error_names_file_line_and_column),
        T(a_missing_file_is_named),
        T(a_file_may_be_a_uri),
        T(lists_are_checked_in_the_words_of_the_original),
        T(logging_config_is_accepted_with_a_warning),
        T(the_command_line_makes_a_list_of_one),
        T(a_list_over_the_wire_gets_the_same_checks),
        T(what_a_sender_repeats_or_makes_up_is_not_kept),
        T(a_model_may_not_change_its_platform),
        T(a_list_that_finds_no_memory_is_refused),
        T(traffic_and_shadows_are_taken),
        T(a_list_with_everything_finds_no_memory),
        T(batching_parameters_have_the_originals_defaults),
        T(batching_parameters_are_taken),
        T(batching_parameters_are_checked),
        T(without_files_the_flags_make_the_platform),
        T(flags_that_are_given_overwrite_the_session_config_file),
        T(threads_and_shares_of_a_session_have_bounds_and_defaults),
        T(what_was_parsed_and_cannot_be_represented_is_said),
        T(the_name_of_a_file_may_hold_what_a_uri_does),
        T(batching_parameters_need_batching),
        T(a_model_config_file_goes_before_the_single_model),
        T(monitoring_says_where_metrics_are),
        T(keys_are_read),
        T(a_platform_file_takes_the_place_of_the_flags),
        T(a_platform_file_has_defaults_of_its_own),
        T(platforms_that_cannot_be_used_are_refused),
        T(the_last_entry_of_a_platform_counts),
        T(flags_without_effect_are_named_in_the_log),
        T(a_failed_allocation_is_an_error_and_nothing_leaks),
        T(a_directory_that_cannot_be_served_is_explained),
        T(a_survey_of_what_is_right_is_silent),
        T(a_survey_leaves_out_what_is_wrong),
        T(a_survey_goes_through_all_files),
        T(a_survey_finds_a_platform_to_open_models_with),
        T(a_platform_file_without_platforms_is_no_platform),
        T(a_survey_without_memory_says_so),
        T(the_highest_version_is_found),
        T(a_negative_number_is_a_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
