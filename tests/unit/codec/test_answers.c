/* test_answers.c - the bytes of every answer: predict, classify, regress, error, status, metadata
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/mem.h"
#include "base/str.h"
#include "codec/examples_json.h"
#include "codec/metadata_json.h"
#include "format/wire.h"
#include "support/faults.h"

static sl_status st;
static sl_chain out;

static char *text_of(void)
{
    char *text = malloc(out.size + 1);
    sl_chain_copy(&out, text);
    text[out.size] = '\0';
    sl_chain_reset(&out);
    return text;
}

static void expect(sl_code rc, const char *wanted)
{
    assert_int_equal(rc, SL_OK);
    char *text = text_of();
    assert_string_equal(text, wanted);
    free(text);
}

static void expect_failure(sl_code rc, const char *wanted)
{
    assert_int_equal(rc, SL_INVALID_ARGUMENT);
    assert_string_equal(st.msg, wanted);
    sl_chain_reset(&out);
}

#define TENSOR(dt, array, r, ...) \
    ((sl_tensor){                 \
        .dtype = dt, .rank = r, .dims = {__VA_ARGS__}, .size = sizeof(array), .data = array})

static sl_code encode(const char *const *keys, const sl_tensor *tensors, int n, bool rows)
{
    sl_tensor_info infos[4] = {{0}};
    static const int index[4] = {0, 1, 2, 3};
    sl_signature s = {.outputs = infos, .n_outputs = n};
    sl_arena arena;
    assert_int_equal(sl_arena_init(&arena, 0), SL_OK);
    for (int i = 0; i < n; i++)
        infos[i].key = keys[i];
    sl_code rc = sl_json_encode_predict(&s, index, tensors, n, rows, &out, &arena, &st);
    sl_arena_fini(&arena);
    return rc;
}

static sl_code encode_one(const char *key, sl_tensor t, bool rows)
{
    return encode(&key, &t, 1, rows);
}

static float f4[] = {1, 2, 3, 4}, f2[] = {2.5f, 3};
static int32_t i2[] = {7, -8};
static sl_str s2[] = {{"cat", 3}, {"d\"g\n", 4}}, raw[] = {{"hello", 5}, {"world", 5}};

static void rows_stand_on_one_line_and_close_on_the_next(void **state)
{
    (void)state;
    expect(encode_one("y", TENSOR(SL_DT_FLOAT, f2, 1, 2), true),
           "{\n    \"predictions\": [2.5, 3.0\n    ]\n}");
    expect(encode_one("y", TENSOR(SL_DT_FLOAT, f4, 2, 2, 2), true),
           "{\n    \"predictions\": [[1.0, 2.0], [3.0, 4.0]\n    ]\n}");
    expect(encode_one("y", TENSOR(SL_DT_FLOAT, f4, 3, 2, 1, 2), true),
           "{\n    \"predictions\": [[[1.0, 2.0]], [[3.0, 4.0]]\n    ]\n}");
}

static void columns_have_a_line_for_each_element(void **state)
{
    (void)state;
    expect(
        encode_one("y", TENSOR(SL_DT_FLOAT, f4, 2, 2, 2), false),
        "{\n    \"outputs\": [\n        [\n            1.0,\n            2.0\n        ],\n        "
        "[\n            3.0,\n            4.0\n        ]\n    ]\n}");
    expect(encode_one("y", TENSOR(SL_DT_FLOAT, f2, 1, 1), false),
           "{\n    \"outputs\": [\n        2.5\n    ]\n}");
    expect(encode_one("y", TENSOR(SL_DT_FLOAT, f4, 0, 0), false), "{\n    \"outputs\": 1.0\n}");
}

static void several_outputs_are_named(void **state)
{
    const char *keys[] = {"label", "scores"};
    sl_tensor t[] = {TENSOR(SL_DT_STRING, s2, 1, 2), TENSOR(SL_DT_FLOAT, f4, 2, 2, 2)};
    (void)state;
    expect(encode(keys, t, 2, true),
           "{\n    \"predictions\": [\n        {\n            \"label\": \"cat\",\n            "
           "\"scores\": [1.0, 2.0]\n        },\n        {\n            \"label\": \"d\\\"g\\n\",\n"
           "            \"scores\": [3.0, 4.0]\n        }\n    ]\n}");
    expect(encode(keys, t, 2, false),
           "{\n    \"outputs\": {\n        \"label\": [\n            \"cat\",\n            "
           "\"d\\\"g\\n\"\n        ],\n        \"scores\": [\n            [\n                1.0,\n"
           "                2.0\n            ],\n            [\n                3.0,\n"
           "                4.0\n            ]\n        ]\n    }\n}");
}

static void named_outputs_come_sorted_whatever_their_order(void **state)
{
    sl_tensor_info infos[2] = {{.key = "a"}, {.key = "b"}};
    sl_signature s = {.outputs = infos, .n_outputs = 2};
    int index[] = {1, 0};
    sl_tensor t[] = {TENSOR(SL_DT_INT32, i2, 1, 1), TENSOR(SL_DT_FLOAT, f2, 1, 1)};
    sl_arena arena;
    (void)state;
    assert_int_equal(sl_arena_init(&arena, 0), SL_OK);
    expect(sl_json_encode_predict(&s, index, t, 2, true, &out, &arena, &st),
           "{\n    \"predictions\": [\n        {\n            \"a\": 2.5,\n            \"b\": 7\n"
           "        }\n    ]\n}");
    sl_arena_fini(&arena);
}

static void outputs_that_end_in_bytes_are_base64(void **state)
{
    const char *keys[] = {"a", "b_bytes"};
    sl_tensor t[] = {TENSOR(SL_DT_INT32, i2, 1, 2), TENSOR(SL_DT_STRING, raw, 2, 2, 1)};
    (void)state;
    expect(
        encode_one("out_bytes", TENSOR(SL_DT_STRING, raw, 1, 2), true),
        "{\n    \"predictions\": [{\n            \"b64\": \"aGVsbG8=\"\n        }, {\n            "
        "\"b64\": \"d29ybGQ=\"\n        }\n    ]\n}");
    expect(
        encode_one("out_bytes", TENSOR(SL_DT_STRING, raw, 1, 1), false),
        "{\n    \"outputs\": [\n        {\n            \"b64\": \"aGVsbG8=\"\n        }\n    ]\n}");
    expect(encode_one("out_bytes", TENSOR(SL_DT_STRING, raw, 0, 0), false),
           "{\n    \"outputs\": {\n        \"b64\": \"aGVsbG8=\"\n    }\n}");
    expect(
        encode(keys, t, 2, true),
        "{\n    \"predictions\": [\n        {\n            \"a\": 7,\n            \"b_bytes\": [{\n"
        "                    \"b64\": \"aGVsbG8=\"\n                }]\n        },\n        {\n"
        "            \"a\": -8,\n            \"b_bytes\": [{\n                    \"b64\": "
        "\"d29ybGQ=\"\n                }]\n        }\n    ]\n}");
    expect(encode_one("x_bytes", TENSOR(SL_DT_INT32, i2, 1, 2), true),
           "{\n    \"predictions\": [7, -8\n    ]\n}");
}

static void empty_dimensions_are_empty_lists(void **state)
{
    (void)state;
    expect(encode_one("y", TENSOR(SL_DT_FLOAT, f2, 2, 0, 3), true),
           "{\n    \"predictions\": []\n}");
    expect(encode_one("y", TENSOR(SL_DT_FLOAT, f2, 2, 0, 3), false), "{\n    \"outputs\": []\n}");
    expect(encode_one("y", TENSOR(SL_DT_FLOAT, f2, 2, 2, 0), true),
           "{\n    \"predictions\": [[], []\n    ]\n}");
    expect(encode_one("y", TENSOR(SL_DT_FLOAT, f2, 3, 2, 0, 5), false),
           "{\n    \"outputs\": [\n        [],\n        []\n    ]\n}");
}

static void each_dtype_is_written_in_its_way(void **state)
{
    int8_t i8[] = {-128, 127};
    uint8_t u8[] = {0, 255};
    int64_t i64[] = {INT64_MIN, INT64_MAX};
    uint64_t u64[] = {0, UINT64_MAX};
    bool b[] = {true, false};
    double d[] = {0.1, 1.0 / 3};
    (void)state;
    expect(encode_one("y", TENSOR(SL_DT_INT8, i8, 1, 2), true),
           "{\n    \"predictions\": [-128, 127\n    ]\n}");
    expect(encode_one("y", TENSOR(SL_DT_UINT8, u8, 1, 2), true),
           "{\n    \"predictions\": [0, 255\n    ]\n}");
    expect(encode_one("y", TENSOR(SL_DT_INT64, i64, 1, 2), true),
           "{\n    \"predictions\": [-9223372036854775808, 9223372036854775807\n    ]\n}");
    expect(encode_one("y", TENSOR(SL_DT_UINT64, u64, 1, 2), true),
           "{\n    \"predictions\": [0, 18446744073709551615\n    ]\n}");
    expect(encode_one("y", TENSOR(SL_DT_BOOL, b, 1, 2), true),
           "{\n    \"predictions\": [true, false\n    ]\n}");
    expect(encode_one("y", TENSOR(SL_DT_DOUBLE, d, 1, 2), true),
           "{\n    \"predictions\": [0.1, 0.33333333333333331\n    ]\n}");
}

static void outputs_that_cannot_be_written_are_refused(void **state)
{
    const char *keys[] = {"y", "z"};
    sl_tensor t[] = {TENSOR(SL_DT_FLOAT, f2, 1, 2), TENSOR(SL_DT_FLOAT, f4, 1, 1)};
    (void)state;
    expect_failure(encode_one("y", TENSOR(SL_DT_FLOAT, f2, 0, 0), true),
                   "Tensor name: y has no shape information ");
    expect_failure(encode(keys, t, 2, true),
                   "Tensor name: z has inconsistent batch size: 1 expecting: 2");
    expect_failure(encode_one("y", TENSOR(SL_DT_HALF, i2, 1, 1), true),
                   "Failed to write JSON value for tensor type: half");
    expect_failure(encode(keys, t, 0, true), "Cannot convert empty tensor map to JSON");
}

static void a_reply_of_many_blocks_is_whole(void **state)
{
    size_t n = 300000, at = 0;
    float *v = malloc(n * sizeof *v);
    (void)state;
    for (size_t i = 0; i < n; i++)
        v[i] = (float)i / 7;
    sl_tensor t = {.dtype = SL_DT_FLOAT, .rank = 1, .dims = {(int64_t)n}, .size = n * 4, .data = v};
    assert_int_equal(encode_one("y", t, true), SL_OK);
    char *text = text_of(), *p = text + strlen("{\n    \"predictions\": [");
    for (; at < n; at++) {
        assert_true(strtof(p, &p) == v[at]);
        p += 2;
    }
    free(text);
    free(v);
}

static void a_failed_allocation_is_an_error(void **state)
{
    sl_tensor big = {.dtype = SL_DT_INT32, .rank = 1, .dims = {100000}};
    int32_t *v = calloc(100000, sizeof *v);
    big.data = v;
    (void)state;
    for (int nth = 2; nth < 6; nth++) { /* the first is the arena's */
        sl_fault_arm(SL_FAULT_ALLOC, nth);
        sl_code rc = encode_one("y", big, false);
        sl_fault_arm(SL_FAULT_ALLOC, 0);
        assert_int_equal(rc, SL_RESOURCE_EXHAUSTED);
        sl_chain_reset(&out);
    }
    free(v);
}

static void classify_answers_label_and_score(void **state)
{
    sl_str labels[] = {{"car", 3}, {"bike", 4}, {"car", 3}, {"", 0}};
    float scores[] = {0.2f, 0.7f, 1, 9000000};
    sl_tensor c = TENSOR(SL_DT_STRING, labels, 2, 2, 2), s = TENSOR(SL_DT_FLOAT, scores, 2, 2, 2);
    sl_tensor none = TENSOR(SL_DT_FLOAT, scores, 2, 0, 2);
    (void)state;
    expect(
        sl_json_encode_classify(&c, &s, &out, &st),
        "{\n    \"results\": [[[\"car\", 0.2], [\"bike\", 0.7]], [[\"car\", 1.0], [\"\", 9e+06]]\n"
        "    ]\n}");
    expect(
        sl_json_encode_classify(NULL, &s, &out, &st),
        "{\n    \"results\": [[[\"\", 0.2], [\"\", 0.7]], [[\"\", 1.0], [\"\", 9e+06]]\n    ]\n}");
    c.dims[0] = c.dims[1] = 1;
    expect(sl_json_encode_classify(&c, NULL, &out, &st),
           "{\n    \"results\": [[[\"car\", 0.0]]\n    ]\n}");
    expect_failure(sl_json_encode_classify(NULL, &none, &out, &st),
                   "Cannot convert empty ClassificationResults to JSON");
}

static void regress_answers_one_number_an_example(void **state)
{
    float v[] = {3.5f, 4};
    sl_tensor t = TENSOR(SL_DT_FLOAT, v, 2, 2, 1), none = TENSOR(SL_DT_FLOAT, v, 1, 0);
    (void)state;
    expect(sl_json_encode_regress(&t, &out, &st), "{\n    \"results\": [3.5, 4.0]\n}");
    expect_failure(sl_json_encode_regress(&none, &out, &st),
                   "Cannot convert empty RegressionResults to JSON");
}

static sl_code write_results(void *arg, sl_status *status)
{
    static sl_str labels[] = {{"car", 3}};
    sl_tensor classes = TENSOR(SL_DT_STRING, labels, 2, 1, 1),
              values = TENSOR(SL_DT_FLOAT, f2, 1, 2);
    sl_chain c = {0};
    (void)arg;
    sl_code rc = sl_json_encode_classify(&classes, NULL, &c, status);
    sl_chain_reset(&c);
    if (rc == SL_OK)
        rc = sl_json_encode_regress(&values, &c, status);
    sl_chain_reset(&c);
    return rc;
}

static void results_without_memory_are_an_error(void **state)
{
    (void)state;
    assert_in_range(fail_each_allocation(write_results, NULL), 2, 10);
}

static void an_error_is_an_object_with_the_whole_message(void **state)
{
    sl_status s = {.msg = "a \"b\"\n", .more = "rest\x01"};
    (void)state;
    sl_json_encode_error(&s, &out);
    expect(SL_OK, "{\n    \"error\": \"a \\\"b\\\"\\nrest\\u0001\"\n}");
    sl_json_encode_string(SL_STR("x\ty"), &out);
    expect(SL_OK, "\"x\\ty\"");
}

static void status_lists_versions_as_protobuf_does(void **state)
{
    sl_version_status v[] = {{124, "AVAILABLE", SL_OK, ""}, {123, "END", SL_NOT_FOUND, "<gone>"}};
    (void)state;
    sl_json_encode_status(v, 2, &out);
    expect(SL_OK,
           "{\n \"model_version_status\": [\n  {\n   \"version\": \"124\",\n   \"state\": "
           "\"AVAILABLE\",\n   \"status\": {\n    \"error_code\": \"OK\",\n    "
           "\"error_message\": \"\"\n   }\n  },\n  {\n   \"version\": \"123\",\n   \"state\": "
           "\"END\",\n   \"status\": {\n    \"error_code\": \"NOT_FOUND\",\n    "
           "\"error_message\": \"\\u003cgone\\u003e\"\n   }\n  }\n ]\n}\n");
}

/* A SignatureDef's map entry: key, and a TensorInfo. */
static void put_info(sl_text *def, unsigned field, const char *key, const char *name, sl_str shape)
{
    sl_text info = {0}, entry = {0};
    sl_wire_put_varint(&info, 2, SL_DT_FLOAT);
    sl_wire_put_bytes(&info, 1, name, strlen(name));
    sl_wire_put_bytes(&info, 3, shape.p, shape.n);
    sl_wire_put_bytes(&entry, 1, key, strlen(key));
    sl_wire_put_bytes(&entry, 2, info.p, info.n);
    sl_wire_put_bytes(def, field, entry.p, entry.n);
    sl_text_fini(&info);
    sl_text_fini(&entry);
}

static void metadata_prints_the_whole_signature(void **state)
{
    static const char dims[] =
        "\x12\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x12\x02\x08\x01";
    sl_text def = {0};
    (void)state;
    put_info(&def, 2, "y", "y:0", (sl_str){"\x18\x01", 2});
    put_info(&def, 1, "x", "x:0", (sl_str){dims, sizeof dims - 1});
    sl_wire_put_bytes(&def, 3, "tensorflow/serving/predict", 26);
    sl_signature s = {.key = "serving_default", .def = {def.p, def.n}};
    sl_signatures all = {.list = &s, .count = 1};
    expect(
        sl_json_encode_metadata(SL_STR("m"), 123, &all, &out, &st),
        "{\n\"model_spec\":{\n \"name\": \"m\",\n \"version\": \"123\",\n \"signature_name\": "
        "\"\"\n}"
        "\n,\n\"metadata\": {\"signature_def\": {\n \"signature_def\": {\n  \"serving_default\": "
        "{\n"
        "   \"inputs\": {\n    \"x\": {\n     \"name\": \"x:0\",\n     \"dtype\": \"DT_FLOAT\",\n"
        "     \"tensor_shape\": {\n      \"dim\": [\n       {\n        \"size\": \"-1\",\n"
        "        \"name\": \"\"\n       },\n       {\n        \"size\": \"1\",\n        \"name\": "
        "\"\""
        "\n       }\n      ],\n      \"unknown_rank\": false\n     }\n    }\n   },\n   "
        "\"outputs\": {\n"
        "    \"y\": {\n     \"name\": \"y:0\",\n     \"dtype\": \"DT_FLOAT\",\n     "
        "\"tensor_shape\": {\n      \"dim\": [],\n      \"unknown_rank\": true\n     }\n    }\n   "
        "},\n"
        "   \"method_name\": \"tensorflow/serving/predict\",\n   \"defaults\": {}\n  }\n "
        "}\n}\n}\n}\n");
    s.def.n--; /* cut in the middle of the name */
    assert_int_equal(sl_json_encode_metadata(SL_STR("m"), 1, &all, &out, &st), SL_DATA_LOSS);
    sl_chain_reset(&out);
    sl_text_fini(&def);
}

static sl_code write_metadata_and_status(void *arg, sl_status *status)
{
    static const sl_signature list[] = {{.key = "a", .def = SL_STR("\x1a\x01p")},
                                        {.key = "b", .def = SL_STR("\x1a\x01p")}};
    const sl_signatures all = {.list = list, .count = 2}, none = {0};
    sl_version_status v = {1, "AVAILABLE", SL_OK, NULL};
    sl_chain c = {0};
    (void)arg;
    sl_code rc = sl_json_encode_metadata(SL_STR("m"), 1, &all, &c, status);
    sl_chain_reset(&c);
    if (rc)
        return rc;
    rc = sl_json_encode_metadata(SL_STR("m"), 1, &none, &c, status);
    sl_chain_reset(&c);
    if (rc)
        return rc;
    sl_json_encode_status(&v, 1, &c);
    if (c.failed)
        rc = sl_fail(status, SL_RESOURCE_EXHAUSTED, "the caller's");
    sl_chain_reset(&c);
    return rc;
}

static void nothing_and_no_memory_have_their_texts(void **state)
{
    sl_signatures none = {0};
    (void)state;
    expect(sl_json_encode_metadata(SL_STR("m"), 1, &none, &out, &st),
           "{\n\"model_spec\":{\n \"name\": \"m\",\n \"version\": \"1\",\n \"signature_name\": "
           "\"\"\n}\n,\n"
           "\"metadata\": {\"signature_def\": {\n \"signature_def\": {}\n}\n}\n}\n");
    sl_json_encode_status(NULL, 0, &out);
    expect(SL_OK, "{\n \"model_version_status\": []\n}\n");
    assert_in_range(fail_each_allocation(write_metadata_and_status, NULL), 2, 50);
}

static void metadata_nested_without_end_is_refused(void **state)
{
    sl_text value = {0}, outer = {0};
    (void)state;
    /* SignatureDef.defaults -> TensorProto.variant_val -> tensors -> variant_val ... */
    for (int i = 0; i < 300; i++) {
        outer.n = 0;
        sl_wire_put_bytes(&outer, i % 2 ? 15 : 3, value.p ? value.p : "", value.n);
        value.n = 0;
        sl_text_add(&value, outer.p, outer.n);
    }
    outer.n = 0;
    sl_wire_put_bytes(&outer, 2, value.p, value.n);
    value.n = 0;
    sl_wire_put_bytes(&value, 4, outer.p, outer.n);
    sl_signature s = {.key = "k", .def = {value.p, value.n}};
    sl_signatures all = {.list = &s, .count = 1};
    assert_int_equal(sl_json_encode_metadata(SL_STR("m"), 1, &all, &out, &st), SL_DATA_LOSS);
    assert_non_null(strstr(st.msg, "nested deeper than 100 messages"));
    sl_chain_reset(&out);
    sl_text_fini(&value);
    sl_text_fini(&outer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_stand_on_one_line_and_close_on_the_next),
        cmocka_unit_test(columns_have_a_line_for_each_element),
        cmocka_unit_test(several_outputs_are_named),
        cmocka_unit_test(named_outputs_come_sorted_whatever_their_order),
        cmocka_unit_test(outputs_that_end_in_bytes_are_base64),
        cmocka_unit_test(empty_dimensions_are_empty_lists),
        cmocka_unit_test(each_dtype_is_written_in_its_way),
        cmocka_unit_test(outputs_that_cannot_be_written_are_refused),
        cmocka_unit_test(a_reply_of_many_blocks_is_whole),
        cmocka_unit_test(a_failed_allocation_is_an_error),
        cmocka_unit_test(classify_answers_label_and_score),
        cmocka_unit_test(regress_answers_one_number_an_example),
        cmocka_unit_test(results_without_memory_are_an_error),
        cmocka_unit_test(an_error_is_an_object_with_the_whole_message),
        cmocka_unit_test(status_lists_versions_as_protobuf_does),
        cmocka_unit_test(metadata_prints_the_whole_signature),
        cmocka_unit_test(nothing_and_no_memory_have_their_texts),
        cmocka_unit_test(metadata_nested_without_end_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
