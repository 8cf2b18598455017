/* test_textpb.c - protobuf's text form: what is understood, what is refused and where */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/mem.h"
#include "format/textpb.h"
#include "format/wire.h"
#include "proto/model_server_config.pb-c.h"
#include "proto/server_config.pb-c.h"

typedef Tensorflow__Serving__ModelServerConfig pb_server;
typedef Tensorflow__Serving__ModelConfig pb_model;
typedef Tensorflow__Serving__SamplingConfig pb_sampling;
typedef Tensorflow__Serving__BatchingParameters pb_batching;
typedef Tensorflow__ConfigProto pb_session;

static const ProtobufCMessageDescriptor *const known[] = {
    &tensorflow__serving__saved_model_bundle_source_adapter_config__descriptor};

static sl_text wire;
static sl_status st;
static ProtobufCMessage *message;

static int teardown(void **state)
{
    (void)state;
    if (message)
        protobuf_c_message_free_unpacked(message, NULL);
    message = NULL;
    sl_text_fini(&wire);
    return 0;
}

static sl_code parse_bytes(const char *text, size_t n, const ProtobufCMessageDescriptor *type)
{
    teardown(NULL);
    memset(&st, 0, sizeof st);
    return sl_textpb_parse((sl_str){text, n}, type, known, SL_COUNTOF(known), &wire, &st);
}

/* The text as a message, which lives until the next one is parsed. */
static const void *parsed(const char *text, const ProtobufCMessageDescriptor *type)
{
    if (parse_bytes(text, strlen(text), type))
        fail_msg("%s\nin: %s", st.msg, text);
    message = protobuf_c_message_unpack(type, NULL, wire.n, (const uint8_t *)wire.p);
    assert_non_null(message);
    return message;
}

static const pb_model *model(const char *text)
{
    return parsed(text, &tensorflow__serving__model_config__descriptor);
}

static const pb_sampling *sampling(const char *text)
{
    return parsed(text, &tensorflow__serving__sampling_config__descriptor);
}

static const pb_session *session(const char *text)
{
    return parsed(text, &tensorflow__config_proto__descriptor);
}

static void refused_for(const ProtobufCMessageDescriptor *type, const char *text, const char *why)
{
    assert_int_equal(parse_bytes(text, strlen(text), type), SL_INVALID_ARGUMENT);
    assert_string_equal(st.msg, why);
}

static void refused(const char *text, const char *why)
{
    refused_for(&tensorflow__serving__model_config__descriptor, text, why);
}

static void an_empty_text_is_an_empty_message(void **state)
{
    (void)state;
    assert_int_equal(parse_bytes("", 0, &tensorflow__serving__model_config__descriptor), SL_OK);
    assert_int_equal(wire.n, 0);
    model(" # nothing\n\t\r\n#");
    assert_int_equal(wire.n, 0);
    model("\xEF\xBB\xBF name: 'bom'");
}

static void fields_are_separated_by_blanks_commas_or_semicolons(void **state)
{
    (void)state;
    const pb_model *m = model("name: 'a', base_path:'/b';model_platform : \"c\"# end");
    assert_string_equal(m->name, "a");
    assert_string_equal(m->base_path, "/b");
    assert_string_equal(m->model_platform, "c");
    refused("name: 'a',, base_path: 'b'", "1:11: expected a field of ModelConfig, found \",\"");
}

static void messages_take_braces_or_angles_with_or_without_colon(void **state)
{
    (void)state;
    static const char *const forms[] = {
        "model_version_policy { latest { num_versions: 3 } }",
        "model_version_policy: { latest: { num_versions: 3 } }",
        "model_version_policy < latest: < num_versions: 3, >; >;",
    };
    for (size_t i = 0; i < SL_COUNTOF(forms); i++)
        assert_int_equal(model(forms[i])->model_version_policy->latest->num_versions, 3);
}

static void lists_hold_values_or_messages(void **state)
{
    (void)state;
    const pb_model *m =
        model("model_version_policy { specific { versions: [1, -2,3] versions: 4 } }");
    assert_int_equal(m->model_version_policy->specific->n_versions, 4);
    assert_int_equal(m->model_version_policy->specific->versions[1], -2);
    m = model("model_version_policy { specific { versions: [] } } version_labels []");
    assert_int_equal(m->model_version_policy->specific->n_versions, 0);
    const pb_server *s = parsed("model_config_list { config: [ {name:'a'}, <name:'b'>, { } ] "
                                "config [{name: 'd'}], config { name: 'e' } }",
                                &tensorflow__serving__model_server_config__descriptor);
    assert_int_equal(s->model_config_list->n_config, 5);
    assert_string_equal(s->model_config_list->config[1]->name, "b");
    assert_string_equal(s->model_config_list->config[4]->name, "e");
}

static void wrong_lists_are_refused(void **state)
{
    (void)state;
    refused("model_version_policy { specific { versions: [1,] } }",
            "1:48: expected an integer for \"versions\", found \"]\"");
    refused("model_version_policy { specific { versions: [1 2] } }",
            "1:48: expected \",\" or \"]\", found \"2\"");
    refused("version_labels [{key:'a'},]", "1:27: expected \"{\", found \"]\"");
    refused("version_labels [{key:'a'} {key:'b'}]", "1:27: expected \",\" or \"]\", found \"{\"");
    refused("name: ['a']", "1:7: field \"name\" is not repeated and takes no list");
    refused("model_version_policy [{}]",
            "1:22: field \"model_version_policy\" is not repeated and takes no list");
    refused("version_labels [", "1:17: expected \"{\", found the end of the file");
}

static void strings_join_and_undo_escapes(void **state)
{
    (void)state;
    assert_string_equal(model("name: \"a\" 'b'\n # and\n \"c\"")->name, "abc");
    assert_string_equal(model("name: '\\a\\b\\f\\n\\r\\t\\v\\\\\\'\\\"\\?'")->name,
                        "\a\b\f\n\r\t\v\\'\"?");
    assert_string_equal(model("name: '\\101\\x42\\x4a\\7'")->name, "ABJ\7");
    assert_string_equal(model("name: '\\u00e4\\U0001F600\\ud83d\\ude00'")->name,
                        "\xC3\xA4\xF0\x9F\x98\x80\xF0\x9F\x98\x80");
    assert_string_equal(model("name: 'it is \"so\"'")->name, "it is \"so\"");
}

static void wrong_strings_are_refused(void **state)
{
    (void)state;
    refused("name: 'a\nb'",
            "1:9: a string does not go on in the next line; close it here and open another");
    refused("name: 'a", "1:7: the string that begins here is never closed");
    refused("name: 'a\\", "1:7: the string that begins here is never closed");
    refused("name: '\\q'", "1:7: wrong escape \"\\q\" in a string");
    refused("name: '\\400'", "1:7: wrong escape \"\\400\" in a string");
    refused("name: '\\xg'", "1:7: wrong escape \"\\xg\" in a string");
    refused("name: '\\u12'", "1:7: wrong escape \"\\u12\" in a string");
    refused("name: '\\ud800'", "1:7: wrong escape \"\\ud800\" in a string");
    static const char *const halves[] = {"\\ud800123456",  "\\ud800\\n1234", "\\ud800\\u12zz",
                                         "\\ud800\\u0041", "\\ud800\\ue000", "\\udc00\\udc00"};
    for (size_t i = 0; i < SL_COUNTOF(halves); i++) {
        char text[40], why[60];
        snprintf(text, sizeof text, "name: '%s'", halves[i]);
        snprintf(why, sizeof why, "1:7: wrong escape \"%.6s\" in a string", halves[i]);
        refused(text, why);
    }
    refused("name: '\\U0000d800\\udc00'", "1:7: wrong escape \"\\U0000\" in a string");
    refused("name: '\\ '", "1:7: wrong escape \"\\ \" in a string");
    assert_int_equal(
        parse_bytes("name: '\\\0'", 10, &tensorflow__serving__model_config__descriptor),
        SL_INVALID_ARGUMENT);
    refused("name: '\\U00110000'", "1:7: wrong escape \"\\U0011\" in a string");
    refused("name: 'a\\0b'", "1:7: a string may not contain a zero byte");
    refused("name: half", "1:7: expected a string in quotes for \"name\", found \"half\"");
}

static void who_does_not_want_the_reason_gets_none(void **state)
{
    sl_text out = {0};
    (void)state;
    assert_int_equal(sl_textpb_parse(SL_STR("name 'a'"),
                                     &tensorflow__serving__model_config__descriptor, known,
                                     SL_COUNTOF(known), &out, NULL),
                     SL_INVALID_ARGUMENT);
    sl_text_fini(&out);
}

static void enums_have_names_and_numbers(void **state)
{
    (void)state;
    assert_int_equal(model("model_type: TENSORFLOW")->model_type, 1);
    assert_int_equal(model("model_type: 2")->model_type, 2);
    assert_int_equal((int)model("model_type: 77")->model_type, 77);
    assert_int_equal(session("graph_options { optimizer_options { opt_level: L0 } }")
                         ->graph_options->optimizer_options->opt_level,
                     -1);
    refused("model_type: TENSORFLO",
            "1:13: enum ModelType has no value named \"TENSORFLO\"; did you mean \"TENSORFLOW\"?");
    refused("model_type: 'x'", "1:13: expected an integer for \"model_type\", found 'x'");
}

static void bools_have_many_forms(void **state)
{
    (void)state;
    static const char *const yes[] = {"true", "True", "t", "1", "0x1", "01"};
    static const char *const no[] = {"false", "False", "f", "0", "0x0", "00"};
    char text[64];
    for (size_t i = 0; i < SL_COUNTOF(yes); i++) {
        snprintf(text, sizeof text, "allow_soft_placement: %s", yes[i]);
        assert_true(session(text)->allow_soft_placement);
        snprintf(text, sizeof text, "allow_soft_placement: %s", no[i]);
        assert_false(session(text)->allow_soft_placement);
    }
    refused_for(&tensorflow__config_proto__descriptor, "allow_soft_placement: yes",
                "1:23: expected true or false for \"allow_soft_placement\", found \"yes\"");
    refused_for(&tensorflow__config_proto__descriptor, "allow_soft_placement: 2",
                "1:23: expected true or false for \"allow_soft_placement\", found \"2\"");
}

static void integers_are_decimal_hex_or_octal_and_must_fit(void **state)
{
    (void)state;
    assert_int_equal(session("intra_op_parallelism_threads: 0x1F")->intra_op_parallelism_threads,
                     31);
    assert_int_equal(session("intra_op_parallelism_threads: 017")->intra_op_parallelism_threads,
                     15);
    assert_int_equal(session("intra_op_parallelism_threads: -1")->intra_op_parallelism_threads, -1);
    assert_int_equal(
        session("intra_op_parallelism_threads: - 2147483648")->intra_op_parallelism_threads,
        INT32_MIN);
    assert_true(session("operation_timeout_in_ms: -9223372036854775808")->operation_timeout_in_ms ==
                INT64_MIN);
    const ProtobufCMessageDescriptor *type = &tensorflow__config_proto__descriptor;
    refused_for(type, "placement_period: 2147483648",
                "1:19: 2147483648 is out of range for \"placement_period\"");
    refused_for(type, "placement_period: -2147483649",
                "1:20: -2147483649 is out of range for \"placement_period\"");
    refused_for(type, "operation_timeout_in_ms: 99999999999999999999",
                "1:26: 99999999999999999999 is out of range for \"operation_timeout_in_ms\"");
    refused_for(type, "placement_period: 08", "1:19: 08 is out of range for \"placement_period\"");
    refused_for(type, "placement_period: 1.5",
                "1:19: expected an integer for \"placement_period\", found \"1.5\"");
    refused_for(type, "placement_period: 0x", "1:21: expected a hexadecimal digit behind \"0x\"");
    refused_for(type, "placement_period: 1f5", "1:21: expected a blank between a number and \"5\"");
    refused_for(type, "placement_period: 12ab",
                "1:21: expected a blank between a number and \"a\"");
    refused("model_version_policy { latest { num_versions: -1 } }",
            "1:48: -1 is out of range for \"num_versions\"");
}

static void floats_have_many_forms(void **state)
{
    (void)state;
    assert_true(sampling("sampling_rate: 0.25")->sampling_rate == 0.25);
    assert_true(sampling("sampling_rate: .5f")->sampling_rate == 0.5);
    assert_true(sampling("sampling_rate: -1e-3")->sampling_rate == -1e-3);
    assert_true(sampling("sampling_rate: 2.")->sampling_rate == 2);
    assert_true(sampling("sampling_rate: 3f")->sampling_rate == 3);
    assert_true(sampling("sampling_rate: 0")->sampling_rate == 0);
    assert_true(sampling("sampling_rate: -inf")->sampling_rate == -(double)INFINITY);
    assert_true(isinf(sampling("sampling_rate: Infinity")->sampling_rate));
    assert_true(isnan(sampling("sampling_rate: nan")->sampling_rate));
    const pb_session *s = session("gpu_options { experimental { gpu_host_mem_limit_in_mb: 0.1 } }");
    assert_true(s->gpu_options->experimental->gpu_host_mem_limit_in_mb == 0.1f);
    const ProtobufCMessageDescriptor *type = &tensorflow__serving__sampling_config__descriptor;
    refused_for(type, "sampling_rate: 0x10",
                "1:16: expected a decimal number for \"sampling_rate\", found \"0x10\"");
    refused_for(type, "sampling_rate: 1e", "1:18: expected a digit of the exponent");
    refused_for(type, "sampling_rate: high",
                "1:16: expected a decimal number for \"sampling_rate\", found \"high\"");
}

static void maps_are_repeated_entries(void **state)
{
    (void)state;
    const pb_model *m =
        model("version_labels { key: 'stable' value: 3 } version_labels { value: 4 }");
    assert_int_equal(m->n_version_labels, 2);
    assert_string_equal(m->version_labels[0]->key, "stable");
    assert_int_equal(m->version_labels[0]->value, 3);
    assert_string_equal(m->version_labels[1]->key, "");
}

static void an_unknown_field_is_refused_with_the_nearest_name(void **state)
{
    (void)state;
    refused_for(
        &tensorflow__serving__model_server_config__descriptor,
        "model_config_list {\n  config {\n    base_pth: '/m'\n",
        "3:5: message ModelConfig has no field named \"base_pth\"; did you mean \"base_path\"?");
    refused("zzzzzz: 1", "1:1: message ModelConfig has no field named \"zzzzzz\"");
    refused("[pkg.extension]: 1", "1:1: message ModelConfig has no extensions");
    refused("improperly formatted file",
            "1:1: message ModelConfig has no field named \"improperly\"");
}

static void a_singular_field_given_twice_is_refused(void **state)
{
    (void)state;
    refused("name: 'a'\nname: 'a'", "2:1: field \"name\" of message ModelConfig is given twice");
    refused("model_version_policy {} model_version_policy {}",
            "1:25: field \"model_version_policy\" of message ModelConfig is given twice");
    /* ... but each message counts for itself */
    parsed("model_config_list { config { name: 'a' } config { name: 'a' } }",
           &tensorflow__serving__model_server_config__descriptor);
}

static void two_members_of_a_oneof_are_refused(void **state)
{
    (void)state;
    refused("model_version_policy { latest {} all {} }",
            "1:34: field \"all\" of message ServableVersionPolicy excludes \"latest\", which is "
            "given, too");
}

static void a_wrapper_without_braces_is_explained(void **state)
{
    (void)state;
    refused_for(&tensorflow__serving__batching_parameters__descriptor, "max_batch_size: 128",
                "1:17: expected \"{\", found \"128\"; write max_batch_size { value: 128 }");
    refused_for(&tensorflow__serving__batching_parameters__descriptor,
                "max_batch_size:", "1:16: expected \"{\", found the end of the file");
    refused_for(&tensorflow__serving__batching_parameters__descriptor,
                "max_batch_size: "
                "11111111111111111111111111111111111111111111111111111111111111111111111111111111"
                "1",
                "1:17: expected \"{\", found "
                "\"111111111111111111111111111111111111111111111111111111111111\"...");
    refused_for(&tensorflow__serving__model_server_config__descriptor, "model_config_list: 5",
                "1:20: expected \"{\", found \"5\""); /* whose only field is no value */
    const pb_batching *b = parsed("max_batch_size { value: 128 }",
                                  &tensorflow__serving__batching_parameters__descriptor);
    assert_int_equal(b->max_batch_size->value, 128);
}

static void an_any_may_be_written_out(void **state)
{
    (void)state;
    const Tensorflow__Serving__PlatformConfig *p =
        parsed("source_adapter_config { [type.googleapis.com/tensorflow.serving."
               "SavedModelBundleSourceAdapterConfig] { legacy_config { saved_model_tags: 'x' } } }",
               &tensorflow__serving__platform_config__descriptor);
    assert_string_equal(
        p->source_adapter_config->type_url,
        "type.googleapis.com/tensorflow.serving.SavedModelBundleSourceAdapterConfig");
    Tensorflow__Serving__SavedModelBundleSourceAdapterConfig *a =
        tensorflow__serving__saved_model_bundle_source_adapter_config__unpack(
            NULL, p->source_adapter_config->value.len, p->source_adapter_config->value.data);
    assert_string_equal(a->legacy_config->saved_model_tags[0], "x");
    tensorflow__serving__saved_model_bundle_source_adapter_config__free_unpacked(a, NULL);
}

static void an_any_may_be_written_in_parts(void **state)
{
    (void)state;
    const Tensorflow__Serving__PlatformConfig *p =
        parsed("source_adapter_config { type_url: 'a/b' value: '\\000\\377' }",
               &tensorflow__serving__platform_config__descriptor);
    assert_int_equal(p->source_adapter_config->value.len, 2);
    assert_int_equal(p->source_adapter_config->value.data[1], 0xFF);
}

static void wrong_anys_are_refused(void **state)
{
    (void)state;
    const ProtobufCMessageDescriptor *type = &tensorflow__serving__platform_config__descriptor;
    refused_for(type, "source_adapter_config { [type.googleapis.com/pkg.Msg] {} }",
                "1:53: there is no message type \"pkg.Msg\" in this server");
    refused_for(type, "source_adapter_config { [a/b-1] {} }",
                "1:31: there is no message type \"b-1\" in this server");
    refused_for(type, "source_adapter_config { type_url: 'x' [a/b] {} }",
                "1:39: field \"type_url\" of message Any is given twice");
    assert_int_equal(parse_bytes("source_adapter_config { [b] {} }", 32, type),
                     SL_INVALID_ARGUMENT);
    assert_int_equal(parse_bytes("source_adapter_config { [] {} }", 31, type), SL_INVALID_ARGUMENT);
    assert_int_equal(parse_bytes("source_adapter_config { [a/b-1.c] {} }", 38, type),
                     SL_INVALID_ARGUMENT);
    assert_int_equal(parse_bytes("source_adapter_config { [a/b\1] {} }", 36, type),
                     SL_INVALID_ARGUMENT);
    assert_int_equal(parse_bytes("source_adapter_config { ['a'] {} }", 34, type),
                     SL_INVALID_ARGUMENT);
    parsed(
        "source_adapter_config { [a/tensorflow.serving.SavedModelBundleSourceAdapterConfig]: {} }",
        type);
    refused_for(type, "source_adapter_config { [a/{ }",
                "1:28: expected \"]\" behind the type's URL, found \"{\"");
    refused_for(type, "source_adapter_config { [a/",
                "1:28: expected \"]\" behind the type's URL, found the end of the file");
}

static void an_error_says_which_message_is_still_open(void **state)
{
    (void)state;
    refused("\nversion_labels {\n key: 'a'", "3:10: expected a field of VersionLabelsEntry or "
                                             "\"}\" (opened in line 2), found the end of "
                                             "the file");
    refused(
        "version_labels { key: 'a' >",
        "1:27: expected a field of VersionLabelsEntry or \"}\" (opened in line 1), found \">\"");
    refused("name: 'a' }", "1:11: expected a field of ModelConfig, found \"}\"");
    refused("name 'a'", "1:6: expected \":\", found 'a'");
}

static void columns_count_characters(void **state)
{
    (void)state;
    refused("name: '\xC3\xA4\xE2\x82\xAC' x", "1:12: message ModelConfig has no field named \"x\"");
    refused("name: \xE2\x82\xAC",
            "1:7: expected a string in quotes for \"name\", found \"\xE2\x82\xAC\"");
}

static void bytes_that_are_no_text_are_refused(void **state)
{
    (void)state;
    assert_int_equal(parse_bytes("name: 'a'\0", 10, &tensorflow__serving__model_config__descriptor),
                     SL_INVALID_ARGUMENT);
    assert_string_equal(st.msg, "1:10: this is no text: byte 0x00");
}

/* A message type that contains itself, as no configuration message does. */
static const ProtobufCMessageDescriptor nested;
static const ProtobufCFieldDescriptor nested_fields[] = {{.name = "a",
                                                          .id = 1,
                                                          .label = PROTOBUF_C_LABEL_NONE,
                                                          .type = PROTOBUF_C_TYPE_MESSAGE,
                                                          .descriptor = &nested}};
static const ProtobufCMessageDescriptor nested = {
    .name = "Nested", .short_name = "Nested", .n_fields = 1, .fields = nested_fields};

static void messages_nest_a_hundred_deep_and_no_deeper(void **state)
{
    (void)state;
    sl_text text = {0};
    for (int i = 0; i < SL_TEXTPB_DEPTH; i++)
        sl_text_puts(&text, "a{");
    for (int i = 0; i < SL_TEXTPB_DEPTH; i++)
        sl_text_puts(&text, "}");
    assert_int_equal(parse_bytes(text.p, text.n, &nested), SL_OK);
    assert_int_equal(wire.n, 100 * 2 + 36); /* the outer 36 lengths take two bytes */
    text.n = 0;
    for (int i = 0; i <= SL_TEXTPB_DEPTH; i++)
        sl_text_puts(&text, "a{");
    assert_int_equal(parse_bytes(text.p, text.n, &nested), SL_INVALID_ARGUMENT);
    assert_string_equal(st.msg, "1:202: messages nest more than 100 deep");
    sl_text_fini(&text);
}

static void a_failed_allocation_is_an_error(void **state)
{
    (void)state;
    static const char text[] = "name: 'a' version_labels { key: 'abc' value: 3 }";
    for (int nth = 1; nth <= 3; nth++) {
        sl_fault_arm(SL_FAULT_ALLOC, nth);
        sl_code rc =
            parse_bytes(text, strlen(text), &tensorflow__serving__model_config__descriptor);
        bool hit = sl_fault_count(SL_FAULT_ALLOC) >= nth;
        sl_fault_arm(SL_FAULT_ALLOC, 0);
        assert_int_equal(rc, hit ? SL_RESOURCE_EXHAUSTED : SL_OK);
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_teardown(name, teardown)
    const struct CMUnitTest tests[] = {
        T(an_empty_text_is_an_empty_message),
        T(fields_are_separated_by_blanks_commas_or_semicolons),
        T(messages_take_braces_or_angles_with_or_without_colon),
        T(lists_hold_values_or_messages),
        T(wrong_lists_are_refused),
        T(strings_join_and_undo_escapes),
        T(wrong_strings_are_refused),
        T(who_does_not_want_the_reason_gets_none),
        T(enums_have_names_and_numbers),
        T(bools_have_many_forms),
        T(integers_are_decimal_hex_or_octal_and_must_fit),
        T(floats_have_many_forms),
        T(maps_are_repeated_entries),
        T(an_unknown_field_is_refused_with_the_nearest_name),
        T(a_singular_field_given_twice_is_refused),
        T(two_members_of_a_oneof_are_refused),
        T(a_wrapper_without_braces_is_explained),
        T(an_any_may_be_written_out),
        T(an_any_may_be_written_in_parts),
        T(wrong_anys_are_refused),
        T(an_error_says_which_message_is_still_open),
        T(columns_count_characters),
        T(bytes_that_are_no_text_are_refused),
        T(messages_nest_a_hundred_deep_and_no_deeper),
        T(a_failed_allocation_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
