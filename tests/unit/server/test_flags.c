/* test_flags.c - the command line: syntax, defaults, refusals, texts */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "net/tls.h"
#include "server/flags.h"
#include "server/flags_table.h"

/* Every flag of tensorflow_model_server: name, type, default ("*": computed from the number of
 * CPUs). */
static const struct {
    const char *name, *type, *def;
} originals[] = {
    {"port", "int32", "8500"},
    {"grpc_socket_path", "string", ""},
    {"rest_api_port", "int32", "0"},
    {"rest_api_num_threads", "int32", "0"},
    {"rest_api_timeout_in_ms", "int32", "30000"},
    {"rest_api_enable_cors_support", "bool", "false"},
    {"grpc_channel_arguments", "string", ""},
    {"grpc_max_threads", "int32", "*"},
    {"use_alts_credentials", "bool", "false"},
    {"ssl_config_file", "string", ""},
    {"enable_grpc_healthcheck_service", "bool", "false"},
    {"enable_profiler", "bool", "true"},
    {"model_name", "string", "default"},
    {"model_base_path", "string", ""},
    {"model_config_file", "string", ""},
    {"model_config_file_poll_wait_seconds", "int32", "0"},
    {"file_system_poll_wait_seconds", "int32", "1"},
    {"allow_version_labels_for_unavailable_models", "bool", "false"},
    {"saved_model_tags", "string", "serve"},
    {"platform_config_file", "string", ""},
    {"num_load_threads", "int32", "0"},
    {"num_unload_threads", "int32", "0"},
    {"max_num_load_retries", "int32", "5"},
    {"load_retry_interval_micros", "int64", "60000000"},
    {"flush_filesystem_caches", "bool", "true"},
    {"enable_model_warmup", "bool", "true"},
    {"num_request_iterations_for_warmup", "int32", "0"},
    {"remove_unused_fields_from_bundle_metagraph", "bool", "true"},
    {"skip_initialize_tpu", "bool", "false"},
    {"prefer_tflite_model", "bool", "false"},
    {"num_tflite_pools", "int32", "*"},
    {"num_tflite_interpreters_per_pool", "int32", "1"},
    {"enable_batching", "bool", "false"},
    {"batching_parameters_file", "string", ""},
    {"enable_per_model_batching_parameters", "bool", "false"},
    {"tensorflow_session_parallelism", "int64", "0"},
    {"tensorflow_intra_op_parallelism", "int64", "0"},
    {"tensorflow_inter_op_parallelism", "int64", "0"},
    {"tensorflow_session_config_file", "string", ""},
    {"per_process_gpu_memory_fraction", "float", "0"},
    {"mixed_precision", "string", ""},
    {"enable_signature_method_name_check", "bool", "false"},
    {"enable_serialization_as_tensor_content", "bool", "false"},
    {"thread_pool_factory_config_file", "string", ""},
    {"xla_cpu_compilation_enabled", "bool", "false"},
    {"xla_gpu_compilation_enabled", "bool", "false"},
    {"monitoring_config_file", "string", ""},
    {"version", "bool", "false"},
};

static const sl_flag *row_of(const char *name)
{
    for (int i = 0; i < sl_flag_count; i++)
        if (strcmp(sl_flag_table[i].name, name) == 0)
            return &sl_flag_table[i];
    return NULL;
}

static sl_code parse_as(const char *program, sl_flags *f, sl_status *st, const char *a,
                        const char *b, const char *c)
{
    char *argv[5] = {(char *)(uintptr_t)program};
    int argc = 1;
    for (const char *arg = a; arg != NULL; arg = arg == a ? b : arg == b ? c : NULL)
        argv[argc++] = (char *)(uintptr_t)arg;
    sl_flags_init(f, program);
    return sl_flags_parse(f, argc, argv, st);
}

static sl_flags f;
static sl_status st;

static sl_code parse(const char *a, const char *b, const char *c)
{
    return parse_as("sluice", &f, &st, a, b, c);
}

static void refused(const char *arg, const char *message)
{
    assert_int_equal(parse(arg, NULL, NULL), SL_INVALID_ARGUMENT);
    assert_string_equal(st.msg, message);
}

static void every_flag_of_the_original_is_known_with_its_type_and_default(void **state)
{
    (void)state;
    assert_int_equal(SL_COUNTOF(originals), 48);
    for (size_t i = 0; i < SL_COUNTOF(originals); i++) {
        const sl_flag *row = row_of(originals[i].name);
        if (row == NULL)
            fail_msg("--%s is missing", originals[i].name);
        assert_false(row->ours);
        assert_string_equal(sl_flag_type_name(row), originals[i].type);
        if (strcmp(originals[i].def, "*") == 0)
            assert_non_null(row->shown);
        else
            assert_string_equal(row->def, originals[i].def);
    }
    int theirs = 0;
    for (int i = 0; i < sl_flag_count; i++)
        theirs += !sl_flag_table[i].ours;
    assert_int_equal(theirs, 48);
}

static void only_what_this_server_has_no_place_for_is_without_effect(void **state)
{
    static const char *const may[] = {
        "enable_profiler",
        "flush_filesystem_caches",
        "skip_initialize_tpu",
        "num_tflite_pools",
        "num_tflite_interpreters_per_pool",
        "thread_pool_factory_config_file",
        "xla_cpu_compilation_enabled",
        "xla_gpu_compilation_enabled",
    };
    (void)state;
    for (int i = 0; i < sl_flag_count; i++) {
        bool allowed = false;
        for (size_t k = 0; k < SL_COUNTOF(may); k++)
            allowed |= strcmp(may[k], sl_flag_table[i].name) == 0;
        if ((sl_flag_table[i].no_effect != NULL) != allowed)
            fail_msg("--%s", sl_flag_table[i].name);
    }
}

static void values_are_taken_and_the_last_occurrence_wins(void **state)
{
    (void)state;
    assert_int_equal(parse("--port=1", "--port= +8502", "--model_name=a=b"), SL_OK);
    assert_int_equal(f.port, 8502);
    assert_string_equal(f.model_name, "a=b");
    assert_true(sl_flags_given(&f, "port"));
    assert_false(sl_flags_given(&f, "rest_api_port"));
    assert_int_equal(parse("--model_name=", "--load_retry_interval_micros=-5",
                           "--per_process_gpu_memory_fraction=.25"),
                     SL_OK);
    assert_string_equal(f.model_name, "");
    assert_int_equal(f.load_retry_interval_micros, -5);
    assert_true(f.per_process_gpu_memory_fraction == 0.25f);
}

static void bools_have_three_forms(void **state)
{
    (void)state;
    assert_int_equal(parse("--enable_batching", "--enable_profiler=false", "--version=true"),
                     SL_OK);
    assert_true(f.enable_batching);
    assert_false(f.enable_profiler);
    assert_true(f.version);
    refused("--enable_batching=1", "Couldn't interpret value =1 for flag enable_batching.");
    refused("--enable_batching=True", "Couldn't interpret value =True for flag enable_batching.");
    refused("--enable_batching=", "Couldn't interpret value = for flag enable_batching.");
    refused("--enable_batchingx", "Couldn't interpret value x for flag enable_batching.");
}

static void values_that_cannot_be_interpreted_are_refused(void **state)
{
    (void)state;
    refused("--port=85k", "Couldn't interpret value 85k for flag port.");
    refused("--port=", "Couldn't interpret value  for flag port.");
    refused("--port=1 ", "Couldn't interpret value 1  for flag port.");
    refused("--port=+-1", "Couldn't interpret value +-1 for flag port.");
    refused("--port=2147483648", "Couldn't interpret value 2147483648 for flag port.");
    refused("--load_retry_interval_micros=99999999999999999999",
            "Couldn't interpret value 99999999999999999999 for flag load_retry_interval_micros.");
    refused("--per_process_gpu_memory_fraction=half",
            "Couldn't interpret value half for flag per_process_gpu_memory_fraction.");
    refused("--engine=naitve", "Couldn't interpret value naitve for flag engine.");
    refused("--max_queue=0", "Couldn't interpret value 0 for flag max_queue.");
    refused("--log_format=xml", "Couldn't interpret value xml for flag log_format.");
    refused("--access_log=sampled:0", "Couldn't interpret value sampled:0 for flag access_log.");
}

static void an_unknown_flag_is_refused_with_the_nearest_name(void **state)
{
    (void)state;
    refused("--prot=8500", "unknown argument: --prot=8500; did you mean --port?");
    refused("--modle_base_path=/m",
            "unknown argument: --modle_base_path=/m; did you mean --model_base_path?");
    refused("--rest-api-port=1",
            "unknown argument: --rest-api-port=1; did you mean --rest_api_port?");
    refused("--enable_btaching",
            "unknown argument: --enable_btaching; did you mean --enable_batching?");
    refused("--frobnicate", "unknown argument: --frobnicate");
    refused("models", "unknown argument: models");
    refused("--", "unknown argument: --");
}

static void forms_that_the_original_does_not_know_are_explained(void **state)
{
    (void)state;
    refused("--port", "unknown argument: --port; write --port=<int32>");
    refused("-port=1", "unknown argument: -port=1; write --port=<int32>");
    refused("--no-enable_batching",
            "unknown argument: --no-enable_batching; write --enable_batching=false");
    refused("--noenable_batching",
            "unknown argument: --noenable_batching; write --enable_batching=false");
}

static void the_name_decides_about_the_manner(void **state)
{
    (void)state;
    assert_int_equal(parse_as("/usr/bin/tensorflow_model_server", &f, &st, "--port=1", NULL, NULL),
                     SL_OK);
    assert_true(f.as_original);
    assert_int_equal(parse_as("./sluice", &f, &st, NULL, NULL, NULL), SL_OK);
    assert_false(f.as_original);
}

static void help_and_our_own_values_are_understood(void **state)
{
    (void)state;
    assert_int_equal(parse("--help", NULL, NULL), SL_OK);
    assert_string_equal(f.help, "");
    assert_int_equal(parse("--help=man", "--engine=tensorflow", "--access_log=sampled:7"), SL_OK);
    assert_string_equal(f.help, "man");
    assert_int_equal(f.engine, SL_ENGINE_TENSORFLOW);
    assert_int_equal(f.access_log, SL_ACCESS_SAMPLED);
    assert_int_equal(f.access_log_every, 7);
    assert_int_equal(parse("--log_level=debug", "--log_format=json", "--access_log=all"), SL_OK);
    assert_int_equal(f.log_level, SL_DEBUG);
    assert_true(f.log_json);
    assert_int_equal(f.access_log, SL_ACCESS_ALL);
}

static void the_log_level_follows_the_environment_unless_a_flag_sets_it(void **state)
{
    (void)state;
    setenv("TF_CPP_MIN_LOG_LEVEL", "2", 1);
    assert_int_equal(parse(NULL, NULL, NULL), SL_OK);
    assert_int_equal(f.log_level, SL_ERROR);
    assert_int_equal(parse("--log_level=info", NULL, NULL), SL_OK);
    assert_int_equal(f.log_level, SL_INFO);
    unsetenv("TF_CPP_MIN_LOG_LEVEL");
    setenv("TF_CPP_MAX_VLOG_LEVEL", "1", 1);
    assert_int_equal(parse(NULL, NULL, NULL), SL_OK);
    assert_int_equal(f.log_level, SL_DEBUG);
    unsetenv("TF_CPP_MAX_VLOG_LEVEL");
}

/* ---- checks ---- */

static void check_fails(sl_code code, const char *message, const char *a, const char *b,
                        const char *c)
{
    assert_int_equal(parse(a, b, c), SL_OK);
    assert_int_equal(sl_flags_check(&f, &st), code);
    assert_string_equal(st.msg, message);
}

static void a_server_needs_a_place_to_listen(void **state)
{
    (void)state;
    check_fails(
        SL_INVALID_ARGUMENT,
        "At least one of server_options.grpc_port or server_options.grpc_socket_path must be "
        "set.",
        "--port=0", "--model_base_path=/m", NULL);
    assert_int_equal(parse("--port=0", "--model_base_path=/m", "--rest_api_port=8501"), SL_OK);
    assert_int_equal(sl_flags_check(&f, &st), SL_OK);
    assert_int_equal(parse("--port=0", "--model_base_path=/m", "--grpc_socket_path=/tmp/s"), SL_OK);
    assert_int_equal(sl_flags_check(&f, &st), SL_OK);
    check_fails(SL_INVALID_ARGUMENT, "rest_api_port=65536 is no port: 0 to 65535",
                "--rest_api_port=65536", "--model_base_path=/m", NULL);
}

static void a_server_needs_models(void **state)
{
    (void)state;
    check_fails(
        SL_INVALID_ARGUMENT,
        "Both server_options.model_base_path and server_options.model_config_file are empty!",
        "--model_name=x", NULL, NULL);
}

static void alts_and_tflite_are_errors_not_shrugs(void **state)
{
    (void)state;
    check_fails(SL_INVALID_ARGUMENT,
                "Either use_alts_credentials must be false or ssl_config_file must be empty.",
                "--use_alts_credentials", "--ssl_config_file=/s", "--model_base_path=/m");
    assert_int_equal(parse("--use_alts_credentials", "--model_base_path=/m", NULL), SL_OK);
    assert_int_equal(sl_flags_check(&f, &st), SL_UNIMPLEMENTED);
    assert_int_equal(parse("--prefer_tflite_model", "--model_base_path=/m", NULL), SL_OK);
    assert_int_equal(sl_flags_check(&f, &st), SL_UNIMPLEMENTED);
    assert_int_equal(parse("--prefer_tflite_model=false", "--use_alts_credentials=false",
                           "--model_base_path=/m"),
                     SL_OK);
    assert_int_equal(sl_flags_check(&f, &st), SL_OK);
}

static void tls_that_is_not_said_for_some_listeners_is_as_for_all(void **state)
{
    (void)state;
    assert_int_equal(parse("--model_base_path=/m", "--tls_cert_file=/c", "--tls_key_file=/k"),
                     SL_OK);
    f.tls_client_ca_file = "/ca";
    f.admin_tls_cert_file = "/ac";
    f.admin_tls_key_file = "/ak";
    assert_int_equal(sl_flags_check(&f, &st), SL_OK);
    assert_string_equal(f.grpc_tls_cert_file, "/c");
    assert_string_equal(f.grpc_tls_client_ca_file, "/ca");
    assert_string_equal(f.admin_tls_cert_file, "/ac");
    assert_string_equal(f.admin_tls_key_file, "/ak");
    assert_int_equal(f.tls_client_verify, SL_TLS_VERIFY_REQUIRED);
    assert_int_equal(f.grpc_tls_client_verify, SL_TLS_VERIFY_REQUIRED);
    assert_int_equal(f.admin_tls_client_verify, SL_TLS_VERIFY_REQUIRED);
    /* An authority for one kind of listener asks clients of that one alone. */
    assert_int_equal(parse("--model_base_path=/m", "--tls_cert_file=/c", "--tls_key_file=/k"),
                     SL_OK);
    f.grpc_tls_client_ca_file = "/ca";
    assert_int_equal(sl_flags_check(&f, &st), SL_OK);
    assert_int_equal(f.tls_client_verify, SL_TLS_VERIFY_NONE);
    assert_int_equal(f.grpc_tls_client_verify, SL_TLS_VERIFY_REQUIRED);
    assert_int_equal(f.admin_tls_client_verify, SL_TLS_VERIFY_NONE);
    /* What is said of all is so for each that has no authority of its own. */
    assert_int_equal(
        parse("--model_base_path=/m", "--tls_client_verify=optional", "--tls_client_ca_file=/ca"),
        SL_OK);
    f.tls_cert_file = "/c";
    f.tls_key_file = "/k";
    f.admin_tls_client_ca_file = "/aca";
    assert_int_equal(sl_flags_check(&f, &st), SL_OK);
    assert_int_equal(f.tls_client_verify, SL_TLS_VERIFY_OPTIONAL);
    assert_int_equal(f.grpc_tls_client_verify, SL_TLS_VERIFY_OPTIONAL);
    assert_int_equal(f.admin_tls_client_verify, SL_TLS_VERIFY_REQUIRED);
    check_fails(SL_INVALID_ARGUMENT, "grpc_tls_key_file needs grpc_tls_cert_file, too",
                "--grpc_tls_key_file=/k", "--model_base_path=/m", NULL);
    check_fails(SL_INVALID_ARGUMENT,
                "ssl_config_file and grpc_tls_... are two ways to say the same: give one",
                "--grpc_tls_client_verify=none", "--ssl_config_file=/s", "--model_base_path=/m");
}

static void a_rank_beyond_what_a_tensor_can_have_is_refused(void **state)
{
    (void)state;
    check_fails(SL_INVALID_ARGUMENT, "max_tensor_rank=9: expected 1 to 8", "--max_tensor_rank=9",
                "--model_base_path=/m", NULL);
}

static void equal_ports_mean_no_rest_or_no_start_for_the_original(void **state)
{
    static const char original[] = "/usr/bin/tensorflow_model_server";
    (void)state;
    assert_int_equal(
        parse_as(original, &f, &st, "--port=8500", "--rest_api_port=8500", "--model_base_path=/m"),
        SL_OK);
    assert_int_equal(sl_flags_check(&f, &st), SL_OK);
    assert_int_equal(f.rest_api_port, 0);
    assert_int_equal(parse_as(original, &f, &st, "--rest_api_port=8500", "--model_base_path=/m",
                              "--strict_startup"),
                     SL_OK);
    assert_int_equal(sl_flags_check(&f, &st), SL_INVALID_ARGUMENT);
    assert_string_equal(
        st.msg, "server_options.http_port cannot be same as grpc_port. Please use a different port "
                "for HTTP/REST API. Skipped exporting HTTP/REST API.");
}

static void equal_ports_mean_one_port_for_both_for_us(void **state)
{
    (void)state;
    assert_int_equal(parse("--rest_api_port=8500", "--model_base_path=/m", "--strict_startup"),
                     SL_OK);
    assert_int_equal(sl_flags_check(&f, &st), SL_OK);
    assert_int_equal(f.rest_api_port, 8500);
}

static void channel_arguments_are_checked_and_found(void **state)
{
    (void)state;
    sl_str value;
    check_fails(SL_INVALID_ARGUMENT,
                "grpc_channel_arguments: \"grpc.b\" is not of the form key=value",
                "--grpc_channel_arguments=grpc.a=1,grpc.b", "--model_base_path=/m", NULL);
    assert_int_equal(parse("--grpc_channel_arguments=a=1,ab=2=x,,a=3", NULL, NULL), SL_OK);
    assert_true(sl_flags_channel_argument(&f, "a", &value));
    assert_true(sl_str_is(value, "3"));
    assert_true(sl_flags_channel_argument(&f, "ab", &value));
    assert_true(sl_str_is(value, "2"));
    assert_false(sl_flags_channel_argument(&f, "abc", &value));
}

static void only_bfloat16_is_a_mixed_precision(void **state)
{
    (void)state;
    assert_int_equal(parse("--mixed_precision=half", "--model_base_path=/m", NULL), SL_OK);
    assert_int_equal(sl_flags_check(&f, &st), SL_OK);
    assert_string_equal(f.mixed_precision, "");
    assert_int_equal(parse("--mixed_precision=bfloat16", "--model_base_path=/m", NULL), SL_OK);
    assert_int_equal(sl_flags_check(&f, &st), SL_OK);
    assert_string_equal(f.mixed_precision, "bfloat16");
}

static void thread_counts_follow_the_rule(void **state)
{
    (void)state;
    int64_t intra, inter;
    assert_int_equal(parse("--tensorflow_session_parallelism=3", NULL, NULL), SL_OK);
    assert_int_equal(sl_flags_threads(&f, &intra, &inter, &st), SL_OK);
    assert_int_equal(intra, 3);
    assert_int_equal(inter, 3);
    assert_int_equal(
        parse("--tensorflow_session_parallelism=3", "--tensorflow_intra_op_parallelism=2", NULL),
        SL_OK);
    assert_int_equal(sl_flags_threads(&f, &intra, &inter, &st), SL_OK);
    assert_int_equal(intra, 2);
    assert_int_equal(inter, 0);
    assert_int_equal(parse("--tensorflow_session_parallelism=3",
                           "--tensorflow_intra_op_parallelism=2",
                           "--tensorflow_inter_op_parallelism=1"),
                     SL_OK);
    assert_int_equal(sl_flags_threads(&f, &intra, &inter, &st), SL_INVALID_ARGUMENT);
    assert_string_equal(st.msg,
                        "Either configure server_options.tensorflow_session_parallelism or "
                        "(server_options.tensorflow_intra_op_parallelism, "
                        "server_options.tensorflow_inter_op_parallelism) separately. You cannot "
                        "configure all.");
}

static void lists_are_walked_without_empty_items(void **state)
{
    (void)state;
    size_t at = 0;
    sl_str item;
    const char *list = ",a,,b c,";
    assert_true(sl_flags_item(list, &at, &item) && sl_str_is(item, "a"));
    assert_true(sl_flags_item(list, &at, &item) && sl_str_is(item, "b c"));
    assert_false(sl_flags_item(list, &at, &item));
}

/* ---- texts ---- */

static void usage_has_the_form_of_the_original(void **state)
{
    (void)state;
    sl_text text = {0};
    sl_flags_usage("./tensorflow_model_server", &text);
    assert_true(sl_str_starts((sl_str){text.p, text.n},
                              "usage: ./tensorflow_model_server\nFlags:\n"
                              "\t--port=8500                      \tint32\t"));
    assert_non_null(strstr(text.p, "\t--model_name=\"default\"           \tstring\t"));
    assert_non_null(strstr(text.p, "\t--per_process_gpu_memory_fraction=0.000000\tfloat\t"));
    assert_non_null(strstr(text.p, "\t--enable_profiler=true           \tbool\t"));
    sl_text_fini(&text);
}

static void help_names_every_flag(void **state)
{
    (void)state;
    sl_text text = {0};
    sl_flags_help(&text);
    for (int i = 0; i < sl_flag_count; i++) {
        char line[80];
        snprintf(line, sizeof line, "\n  --%s=<", sl_flag_table[i].name);
        assert_non_null(strstr(text.p, line));
    }
    sl_text_fini(&text);
}

static void the_man_page_in_docs_is_the_one_that_the_table_makes(void **state)
{
    (void)state;
    sl_text text = {0};
    sl_buffer *file;
    sl_flags_man(&text);
    assert_int_equal(sl_file_read(SLUICE_SOURCE_DIR "/docs/sluice.1", 1 << 20, &file, &st), SL_OK);
    assert_string_equal(text.p, file->data); /* else: sluice serve --help=man >docs/sluice.1 */
    sl_buffer_release(file);
    sl_text_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tls_that_is_not_said_for_some_listeners_is_as_for_all),
        cmocka_unit_test(a_rank_beyond_what_a_tensor_can_have_is_refused),
        cmocka_unit_test(every_flag_of_the_original_is_known_with_its_type_and_default),
        cmocka_unit_test(only_what_this_server_has_no_place_for_is_without_effect),
        cmocka_unit_test(values_are_taken_and_the_last_occurrence_wins),
        cmocka_unit_test(bools_have_three_forms),
        cmocka_unit_test(values_that_cannot_be_interpreted_are_refused),
        cmocka_unit_test(an_unknown_flag_is_refused_with_the_nearest_name),
        cmocka_unit_test(forms_that_the_original_does_not_know_are_explained),
        cmocka_unit_test(the_name_decides_about_the_manner),
        cmocka_unit_test(help_and_our_own_values_are_understood),
        cmocka_unit_test(the_log_level_follows_the_environment_unless_a_flag_sets_it),
        cmocka_unit_test(a_server_needs_a_place_to_listen),
        cmocka_unit_test(a_server_needs_models),
        cmocka_unit_test(alts_and_tflite_are_errors_not_shrugs),
        cmocka_unit_test(equal_ports_mean_no_rest_or_no_start_for_the_original),
        cmocka_unit_test(equal_ports_mean_one_port_for_both_for_us),
        cmocka_unit_test(channel_arguments_are_checked_and_found),
        cmocka_unit_test(only_bfloat16_is_a_mixed_precision),
        cmocka_unit_test(thread_counts_follow_the_rule),
        cmocka_unit_test(lists_are_walked_without_empty_items),
        cmocka_unit_test(usage_has_the_form_of_the_original),
        cmocka_unit_test(help_names_every_flag),
        cmocka_unit_test(the_man_page_in_docs_is_the_one_that_the_table_makes),
    };
    unsetenv("TF_CPP_MIN_LOG_LEVEL");
    unsetenv("TF_CPP_MAX_VLOG_LEVEL");
    unsetenv("TF_CPP_MIN_VLOG_LEVEL");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
