/* test_oip_json.c - infer requests in JSON, with and without binary tensors, and their answers */
/* clang-format off: JSON in pieces, between which stand macros */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/mem.h"
#include "base/str.h"
#include "codec/oip_json.h"
#include "support/faults.h"

typedef struct fixture {
    sl_arena arena;
    sl_status st;
    sl_oip_request r;
    sl_oip_run run;
    sl_buffer *body;
} fixture;

static int setup(void **state)
{
    fixture *f = sl_calloc(1, sizeof *f);
    assert_int_equal(sl_arena_init(&f->arena, 0), SL_OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    sl_oip_request_release(&f->r);
    sl_buffer_release(f->body);
    sl_arena_fini(&f->arena);
    sl_free(f);
    return 0;
}

/* From a buffer of its own size, which stays until the next one. */
static sl_code decode(fixture *f, sl_str body, size_t json_bytes, bool share)
{
    sl_oip_request_release(&f->r);
    sl_arena_reset(&f->arena);
    f->st = (sl_status){0};
    sl_buffer_release(f->body);
    sl_buffer *b = f->body = sl_buffer_try_new(body.n);
    assert_non_null(b);
    memcpy(b->data, body.p, body.n);
    return sl_oip_json_decode((sl_str){b->data, body.n}, json_bytes, share ? b : NULL, 100,
                              &f->arena, &f->r, &f->st);
}

static void decodes(fixture *f, const char *json)
{
    if (decode(f, sl_str_of(json), strlen(json), false))
        fail_msg("%s", f->st.msg);
}

static void fails(fixture *f, const char *json, const char *text)
{
    assert_int_equal(decode(f, sl_str_of(json), strlen(json), false), SL_INVALID_ARGUMENT);
    if (strstr(f->st.msg, text) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", text, f->st.msg);
    assert_int_equal(f->r.n_inputs, 0);
}

#define INPUT(datatype, shape, data) \
    "{\"name\":\"x\",\"datatype\":\"" datatype "\",\"shape\":" shape ",\"data\":" data "}"
#define REQUEST(datatype, shape, data) "{\"inputs\":[" INPUT(datatype, shape, data) "]}"

static void every_datatype_has_its_json(void **state)
{
    fixture *f = *state;
    static const struct {
        const char *json;
        sl_dtype dtype;
        const char *bytes;
        size_t n;
    } cases[] = {
        {REQUEST("BOOL", "[2]", "[true,false]"), SL_DT_BOOL, "\1\0", 2},
        {REQUEST("UINT8", "[2]", "[0,255]"), SL_DT_UINT8, "\0\xff", 2},
        {REQUEST("UINT16", "[2]", "[1,65535]"), SL_DT_UINT16, "\1\0\xff\xff", 4},
        {REQUEST("UINT32", "[1]", "[4294967295]"), SL_DT_UINT32, "\xff\xff\xff\xff", 4},
        {REQUEST("UINT64", "[1]", "[18446744073709551615]"), SL_DT_UINT64,
         "\xff\xff\xff\xff\xff\xff\xff\xff", 8},
        {REQUEST("INT8", "[2]", "[-1,127]"), SL_DT_INT8, "\xff\x7f", 2},
        {REQUEST("INT16", "[1]", "[-2]"), SL_DT_INT16, "\xfe\xff", 2},
        {REQUEST("INT32", "[1]", "[-2]"), SL_DT_INT32, "\xfe\xff\xff\xff", 4},
        {REQUEST("INT64", "[1]", "[-2]"), SL_DT_INT64, "\xfe\xff\xff\xff\xff\xff\xff\xff", 8},
        {REQUEST("FP32", "[2]", "[1, -2.0]"), SL_DT_FLOAT, "\0\0\x80\x3f\0\0\0\xc0", 8},
        {REQUEST("FP64", "[1]", "[1]"), SL_DT_DOUBLE, "\0\0\0\0\0\0\xf0\x3f", 8},
    };
    for (size_t i = 0; i < SL_COUNTOF(cases); i++) {
        decodes(f, cases[i].json);
        assert_int_equal(f->r.n_inputs, 1);
        const sl_tensor *t = &f->r.inputs[0].tensor;
        assert_int_equal(t->dtype, cases[i].dtype);
        assert_int_equal(t->size, cases[i].n);
        assert_memory_equal(t->data, cases[i].bytes, cases[i].n);
    }
}

static void strings_are_bytes(void **state)
{
    fixture *f = *state;
    decodes(f, REQUEST("BYTES", "[3]", "[\"a\\nb\", \"\", \"c\"]"));
    const sl_str *s = f->r.inputs[0].tensor.data;
    assert_true(sl_str_is(s[0], "a\nb") && s[1].n == 0 && sl_str_is(s[2], "c"));
}

static void data_is_flat_or_nested_and_members_come_in_any_order(void **state)
{
    fixture *f = *state;
    decodes(
        f,
        "{\"outputs\":[{\"name\":\"y\"}],\"inputs\":[{\"data\":[[1,2],[3,4]],\"parameters\":"
        "{\"x\":[{}]},\"shape\":[2,2],\"more\":null,\"datatype\":\"INT32\",\"name\":\"x\"}, " INPUT(
            "INT32", "[2,2]",
            "[1,2,3,4]") "],\"id\":\"7\",\"parameters\":"
                         "{\"signature_name\":\"s\",\"binary_data_output\":true}}");
    assert_int_equal(f->r.n_inputs, 2);
    assert_int_equal(f->r.inputs[0].tensor.rank, 2);
    assert_int_equal(f->r.inputs[0].tensor.dims[1], 2);
    assert_memory_equal(f->r.inputs[0].tensor.data, f->r.inputs[1].tensor.data, 16);
    assert_int_equal(((int32_t *)f->r.inputs[0].tensor.data)[3], 4);
    assert_true(sl_str_is(f->r.id, "7"));
    assert_true(sl_str_is(f->r.signature, "s"));
    assert_int_equal(f->r.n_outputs, 1);
    assert_true(f->r.outputs[0].binary);
    decodes(f, REQUEST("FP32", "[]", "[5]"));
    assert_int_equal(f->r.inputs[0].tensor.rank, 0);
    decodes(f, REQUEST("FP32", "[0,3]", "[]"));
    assert_int_equal(f->r.inputs[0].tensor.size, 0);
}

/* As http/ has a request without one: what computes with its address is seen by clang's UBSan. */
static void a_body_that_is_missing_is_an_empty_one(void **state)
{
    fixture *f = *state;
    assert_int_equal(sl_oip_json_decode((sl_str){NULL, 0}, 0, NULL, 100, &f->arena, &f->r, &f->st),
                     SL_INVALID_ARGUMENT);
    assert_string_equal(f->st.msg, "JSON Parse error: The document is empty. at offset: 0");
    assert_int_equal(sl_oip_json_decode((sl_str){NULL, 0}, 1, NULL, 100, &f->arena, &f->r, &f->st),
                     SL_INVALID_ARGUMENT);
    assert_non_null(strstr(f->st.msg, "goes beyond the body"));
}

static void what_does_not_fit_is_named(void **state)
{
    fixture *f = *state;
    fails(f, "", "JSON Parse error: The document is empty. at offset: 0");
    fails(f, "[]", "the request is not a JSON object");
    fails(f, "{}", "the request has no inputs");
    fails(f, "{\"inputs\":{}}", "inputs are not one array");
    fails(f, "{\"inputs\":[],\"inputs\":[]}", "inputs are not one array");
    fails(f, "{\"inputs\":[1]}", "an input is not an object");
    fails(f, "{\"inputs\":[{}]}", "an input has no name");
    fails(f, "{\"inputs\":[{\"name\":1}]}", "the name of an input is not a string");
    fails(f, REQUEST("FP31", "[1]", "[1]"), "input \"x\": unknown datatype \"FP31\"");
    fails(f, "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"data\":[1]}]}", "has no shape");
    fails(f, "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1]}]}", "has no data");
    fails(f,
          "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1],\"data\":[1],"
          "\"parameters\":{\"binary_data_size\":4}}]}",
          "has data and binary data");
    fails(f,
          "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1],\"data\":[1],"
          "\"data\":[2]}]}",
          "has data twice");
    fails(f, REQUEST("FP32", "[-1]", "[1]"), "something else than sizes");
    fails(f, REQUEST("FP32", "[1,1,1,1,1,1,1,1,1]", "[1]"), "more than 8 dimensions");
    fails(f, REQUEST("FP32", "[2]", "[1]"), "its data has not the 2 elements of shape [2]");
    fails(f, REQUEST("FP32", "[2]", "[1,2,3]"), "its data has not the 2 elements");
    fails(f, REQUEST("FP32", "[2]", "[[1,2],[3]]"), "its data has not the 2 elements");
    fails(f, REQUEST("FP32", "[1099511627776]", "[1]"), "its data has not");
    fails(f, REQUEST("FP32", "[9223372036854775807,9]", "[1]"), "is out of range");
    fails(f, REQUEST("INT8", "[1]", "[128]"), "element 0 of its data is not of datatype INT8");
    fails(f, REQUEST("INT32", "[2]", "[1,1.5]"), "element 1");
    fails(f, REQUEST("UINT16", "[1]", "[65536]"), "element 0");
    fails(f, REQUEST("BOOL", "[1]", "[1]"), "element 0");
    fails(f, REQUEST("BYTES", "[1]", "[1]"), "element 0");
    fails(f, REQUEST("FP32", "[1]", "[\"1\"]"), "element 0");
    fails(f, REQUEST("FP32", "[1]", "1"), "not an array");
    fails(f, REQUEST("FP16", "[1]", "[1]"), "JSON cannot hold FP16");
    fails(f, "{\"inputs\":[" INPUT("FP32", "[1]", "[1]") "],\"outputs\":[3]}", "not an object");
    fails(f, "{\"inputs\":[" INPUT("FP32", "[1]", "[1]") ",]}", "JSON Parse error: ");
    fails(f, "{\"inputs\":[" INPUT("FP32", "[1]", "[1]") "]", "JSON Parse error: ");
}

#define BINARY(datatype, shape, size)                                                    \
    "{\"name\":\"x\",\"datatype\":\"" datatype "\",\"shape\":" shape ",\"parameters\":{" \
    "\"binary_data_size\":" size "}}"

static sl_code decode_binary(fixture *f, const char *json, const char *data, size_t n, bool share)
{
    sl_text t = {0};
    sl_text_puts(&t, json);
    sl_text_add(&t, data, n);
    sl_code rc = decode(f, (sl_str){t.p, t.n}, strlen(json), share);
    sl_text_fini(&t);
    return rc;
}

static void binary_tensors_stand_behind_the_json(void **state)
{
    fixture *f = *state;
    static const char data[] = "\1\0\0\0\2\0\0\0\0\x3c\2\0\0\0abzz";
    const char *json =
        "{\"inputs\":[" BINARY("INT32", "[2]", "8") "," BINARY("FP16", "[1]", "2") "," BINARY(
            "BYTES", "[1]", "6") ",{\"name\":\"y\",\"datatype\":\"UINT8\","
                                 "\"shape\":[1],\"data\":[9]}," BINARY("INT8", "[2]", "2") "]}";
    for (int share = 0; share < 2; share++) {
        assert_int_equal(decode_binary(f, json, data, sizeof data - 1, share), SL_OK);
        assert_int_equal(f->r.n_inputs, 5);
        assert_memory_equal(f->r.inputs[0].tensor.data, data, 8);
        assert_int_equal(f->r.inputs[1].tensor.dtype, SL_DT_HALF);
        assert_true(sl_str_is(*(sl_str *)f->r.inputs[2].tensor.data, "ab"));
        assert_int_equal(*(uint8_t *)f->r.inputs[3].tensor.data, 9);
        assert_memory_equal(f->r.inputs[4].tensor.data, "zz", 2);
    }
}

static void binary_data_may_be_empty(void **state)
{
    fixture *f = *state;
    static const char *const json[] = {"{\"inputs\":[" BINARY("INT32", "[0]", "0") "]}",
                                       "{\"inputs\":[" BINARY("BYTES", "[2,0]", "0") "]}"};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(decode_binary(f, json[i / 2], "", 0, i & 1), SL_OK);
        assert_int_equal(f->r.inputs[0].tensor.size, 0);
        assert_int_equal(f->r.inputs[0].tensor.rank, 1 + i / 2);
    }
}

static void binary_data_must_fit(void **state)
{
    fixture *f = *state;
    static const struct {
        const char *json, *data;
        size_t n;
        const char *text;
    } cases[] = {
        {"{\"inputs\":[" BINARY("INT32", "[2]", "8") "]}", "1234567", 7, "goes beyond the body"},
        {"{\"inputs\":[" BINARY("INT32", "[2]", "4") "]}", "1234", 4, "4 bytes are not a INT32"},
        {"{\"inputs\":[" BINARY("INT32", "[4611686018427387904,4]", "4") "]}", "1234", 4,
         "shape [4611686018427387904,4] is out of range"},
        {"{\"inputs\":[" BINARY("INT32", "[1]", "4") "]}", "12345", 5, "belong to none"},
        {"{\"inputs\":[" BINARY("INT32", "[1]", "-4") "]}", "1234", 4, "not a number of bytes"},
        {"{\"inputs\":[" BINARY("BOOL", "[1]", "1") "]}", "\2", 1, "a BOOL is 0 or 1"},
        {"{\"inputs\":[" BINARY("BYTES", "[1]", "5") "]}", "\2\0\0\0a", 5, "5 bytes are not"},
        {"{\"inputs\":[" BINARY("BYTES", "[2]", "5") "]}", "\1\0\0\0a", 5, "5 bytes are not"},
        {"{\"inputs\":[" BINARY("BYTES", "[1]", "6") "]}", "\1\0\0\0ab", 6, "6 bytes are not"},
        {"{\"inputs\":[" BINARY("BYTES", "[1099511627776]", "4") "]}", "\0\0\0\0", 4, "not a BY"},
    };
    for (size_t i = 0; i < SL_COUNTOF(cases); i++) {
        assert_int_equal(decode_binary(f, cases[i].json, cases[i].data, cases[i].n, i & 1),
                         SL_INVALID_ARGUMENT);
        if (strstr(f->st.msg, cases[i].text) == NULL)
            fail_msg("\"%s\" is not in \"%s\"", cases[i].text, f->st.msg);
    }
    assert_int_equal(decode(f, SL_STR("{}"), 3, false), SL_INVALID_ARGUMENT);
}

/* ---- matching ---- */

static const sl_tensor_info infos[] = {
    {.key = "a", .dtype = SL_DT_FLOAT, .rank = -1},
    {.key = "b", .dtype = SL_DT_STRING, .rank = 2, .dims = {-1, 3}}};
static const sl_signature two = {
    .key = "serving_default", .inputs = infos, .n_inputs = 2, .outputs = infos, .n_outputs = 2};

static sl_code match(fixture *f, const char *json)
{
    decodes(f, json);
    return sl_oip_match(&f->r, &two, &f->arena, &f->run, &f->st);
}

#define NAMED(name) "{\"name\":\"" name "\",\"datatype\":\"INT8\",\"shape\":[1],\"data\":[1]}"

static void tensors_are_brought_into_the_order_of_the_signature(void **state)
{
    fixture *f = *state;
    assert_int_equal(match(f, "{\"inputs\":[" NAMED("b") "," NAMED(
                                  "a") "],\"outputs\":"
                                       "[{\"name\":\"b\",\"parameters\":{\"binary_data\":true}}]}"),
                     SL_OK);
    assert_int_equal(f->run.n_inputs, 2);
    assert_ptr_equal(f->run.inputs[0].data, f->r.inputs[1].tensor.data);
    assert_int_equal(f->run.n_outputs, 1);
    assert_int_equal(f->run.output_index[0], 1);
    assert_true(f->run.binary[0]);
    assert_int_equal(match(f, "{\"inputs\":[" NAMED("a") "," NAMED("b") "]}"), SL_OK);
    assert_int_equal(f->run.n_outputs, 2);
    assert_false(f->run.binary[1]);

    assert_int_equal(match(f, "{\"inputs\":[" NAMED("a") "]}"), SL_INVALID_ARGUMENT);
    assert_string_equal(f->st.msg,
                        "missing inference input \"b\" of signature \"serving_default\"");
    assert_int_equal(match(f, "{\"inputs\":[" NAMED("q") "]}"), SL_INVALID_ARGUMENT);
    assert_string_equal(f->st.msg, "unexpected inference input \"q\": signature "
                                   "\"serving_default\" has \"a\", \"b\"");
    assert_int_equal(match(f, "{\"inputs\":[" NAMED("a") "," NAMED("a") "]}"), SL_INVALID_ARGUMENT);
    assert_string_equal(f->st.msg, "inference input \"a\" is given twice");
    assert_int_equal(
        match(f, "{\"inputs\":[" NAMED("a") "," NAMED("b") "],\"outputs\":[{\"name\":\"a\"},"
                                                           "{\"name\":\"b\"},{\"name\":\"b\"}]}"),
        SL_INVALID_ARGUMENT);
    assert_string_equal(f->st.msg, "inference output \"b\" is given twice");
    assert_int_equal(match(f, "{\"inputs\":[" NAMED("a") "," NAMED("b") "],\"outputs\":"
                                                                        "[{\"name\":\"c\"}]}"),
                     SL_INVALID_ARGUMENT);
}

/* ---- answers ---- */

static void text_is(sl_chain *c, const char *expected)
{
    char *all = sl_malloc(c->size + 1);
    sl_chain_copy(c, all);
    all[c->size] = '\0';
    assert_string_equal(all, expected);
    sl_free(all);
    sl_chain_reset(c);
}

static void answers_are_json_and_binary_behind_it(void **state)
{
    fixture *f = *state;
    static const int index[] = {0, 1};
    bool binary[] = {false, false};
    float values[] = {1.5f, -2};
    sl_str strings[] = {SL_STR("x\""), SL_STR("")};
    sl_tensor out[] = {
        {.dtype = SL_DT_FLOAT, .rank = 2, .dims = {2, 1}, .size = 8, .data = values},
        {.dtype = SL_DT_STRING, .rank = 1, .dims = {2}, .size = sizeof strings, .data = strings}};
    sl_oip_answer a = {.model = SL_STR("m"),
                       .id = SL_STR("4\n2"),
                       .version = 7,
                       .signature = &two,
                       .output_index = index,
                       .outputs = out,
                       .binary = binary,
                       .n_outputs = 2};
    sl_chain c = {0};
    size_t json;
    assert_int_equal(sl_oip_json_encode(&a, &c, &json, &f->st), SL_OK);
    assert_int_equal(json, c.size);
    text_is(&c, "{\"model_name\":\"m\",\"model_version\":\"7\",\"id\":\"4\\n2\",\"outputs\":["
                "{\"name\":\"a\",\"datatype\":\"FP32\",\"shape\":[2,1],\"data\":[1.5,-2.0]},"
                "{\"name\":\"b\",\"datatype\":\"BYTES\",\"shape\":[2],"
                "\"data\":[\"x\\\"\",\"\"]}]}");
    binary[1] = true;
    a.id.n = 0;
    assert_int_equal(sl_oip_json_encode(&a, &c, &json, &f->st), SL_OK);
    assert_int_equal(c.size - json, 10);
    char all[512];
    sl_chain_copy(&c, all);
    assert_memory_equal(all + json, "\2\0\0\0x\"\0\0\0\0", 10);
    const char *form = "\"shape\":[2],\"parameters\":{\"binary_data_size\":10}}";
    assert_non_null(memmem(all, json, form, strlen(form)));
    sl_chain_reset(&c);
}

/* One output y, as binary data or not. */
static sl_code answer_one(const sl_tensor *t, bool binary, sl_chain *c, sl_status *st)
{
    static const int index[] = {0};
    size_t json;
    const sl_oip_answer a = {.version = 1,
                             .signature = &two,
                             .output_index = index,
                             .outputs = t,
                             .binary = &binary,
                             .n_outputs = 1};
    return sl_oip_json_encode(&a, c, &json, st);
}

static void what_an_answer_cannot_hold_is_refused(void **state)
{
    fixture *f = *state;
    sl_str strings[] = {SL_STR("x"), {"x", (size_t)1 << 32}}; /* of which nobody reads a byte */
    const sl_tensor long_string = {
        .dtype = SL_DT_STRING, .rank = 1, .dims = {2}, .size = sizeof strings, .data = strings};
    const struct {
        sl_tensor t;
        bool binary;
        sl_code code;
        const char *text;
    } cases[] = {
        {{.dtype = SL_DT_HALF}, false, SL_INVALID_ARGUMENT,
         "output \"a\": JSON cannot hold FP16, ask for binary_data"},
        {{.dtype = SL_DT_BFLOAT16}, false, SL_INVALID_ARGUMENT,
         "output \"a\": JSON cannot hold BF16, ask for binary_data"},
        {{.dtype = SL_DT_COMPLEX64}, false, SL_UNIMPLEMENTED,
         "output \"a\" is of type complex64, which the protocol has no datatype for"},
        {long_string, true, SL_RESOURCE_EXHAUSTED,
         "output \"a\" has a string that is too long for binary data"},
    };
    for (size_t i = 0; i < SL_COUNTOF(cases); i++) {
        sl_chain c = {0};
        assert_int_equal(answer_one(&cases[i].t, cases[i].binary, &c, &f->st), cases[i].code);
        assert_string_equal(f->st.msg, cases[i].text);
        assert_int_equal(c.size, 0);
    }
}

static void large_binary_outputs_are_lent_to_the_answer(void **state)
{
    fixture *f = *state;
    enum { LARGE = 8192 };
    sl_tensor numbers, strings;
    struct iovec v[4];
    char large[LARGE] = "x";
    const sl_str values[] = {{large, LARGE}};
    assert_int_equal(sl_tensor_try_new(SL_DT_UINT8, (int64_t[]){LARGE}, 1, &numbers, &f->st),
                     SL_OK);
    memset(numbers.data, 7, LARGE);
    assert_int_equal(sl_tensor_try_new_strings(values, (int64_t[]){1}, 1, &strings, &f->st), SL_OK);
    sl_tensor *all[] = {&numbers, &strings};
    for (int i = 0; i < 2; i++) {
        const char *bytes = i ? ((sl_str *)strings.data)->p : numbers.data;
        for (int owned = 1; owned >= 0; owned--) { /* without a buffer the bytes are copied */
            sl_chain c = {0};
            sl_tensor t = *all[i];
            t.buffer = owned ? t.buffer : NULL;
            assert_int_equal(answer_one(&t, true, &c, &f->st), SL_OK);
            int n = sl_chain_vectors(&c, v, 4);
            assert_int_equal(v[n - 1].iov_base == bytes, owned);
            assert_int_equal(all[i]->buffer->refs, 1 + owned);
            char *whole = sl_malloc(c.size);
            sl_chain_copy(&c, whole);
            assert_memory_equal(whole + c.size - LARGE, bytes, LARGE);
            sl_free(whole);
            sl_chain_reset(&c);
        }
        sl_tensor_release(all[i]);
    }
}

static void metadata_and_index_are_lists(void **state)
{
    fixture *f = *state;
    static const int64_t versions[] = {12, 3};
    static const sl_oip_model models[] = {{"m", 12, true, "READY", ""},
                                          {"n", -1, false, "UNAVAILABLE", "no \"x\""}};
    static const sl_tensor_info complex_one = {.key = "c", .dtype = SL_DT_COMPLEX64};
    static const sl_signature odd = {.inputs = &complex_one, .n_inputs = 1};
    sl_chain c = {0};
    bool ready;
    assert_int_equal(sl_oip_json_encode_metadata(SL_STR("m"), versions, 2, &two, &c, &f->st),
                     SL_OK);
    text_is(&c, "{\"name\":\"m\",\"versions\":[\"12\",\"3\"],\"platform\":"
                "\"tensorflow_savedmodel\",\"inputs\":[{\"name\":\"a\",\"datatype\":\"FP32\","
                "\"shape\":[-1]},{\"name\":\"b\",\"datatype\":\"BYTES\",\"shape\":[-1,3]}],"
                "\"outputs\":[{\"name\":\"a\",\"datatype\":\"FP32\",\"shape\":[-1]},"
                "{\"name\":\"b\",\"datatype\":\"BYTES\",\"shape\":[-1,3]}]}");
    assert_int_equal(sl_oip_json_encode_metadata(SL_STR("m"), NULL, 0, &odd, &c, &f->st), SL_OK);
    text_is(&c, "{\"name\":\"m\",\"versions\":[],\"platform\":\"tensorflow_savedmodel\","
                "\"inputs\":[{\"name\":\"c\",\"datatype\":\"DT_COMPLEX64\",\"shape\":[]}],\"outputs\":[]}");
    sl_oip_json_encode_index(models, 2, &c);
    text_is(&c, "[{\"name\":\"m\",\"version\":\"12\",\"state\":\"READY\",\"reason\":\"\"},"
                "{\"name\":\"n\",\"state\":\"UNAVAILABLE\",\"reason\":\"no \\\"x\\\"\"}]");
    assert_int_equal(
        sl_oip_json_decode_index(SL_STR("{\"a\":1,\"ready\":true}"), &f->arena, &ready, &f->st),
        SL_OK);
    assert_true(ready);
    assert_int_equal(sl_oip_json_decode_index(SL_STR(""), &f->arena, &ready, &f->st), SL_OK);
    assert_false(ready);
    assert_int_equal(sl_oip_json_decode_index(SL_STR("{\"ready\":1}"), &f->arena, &ready, &f->st),
                     SL_INVALID_ARGUMENT);
}

/* ---- what else may stand there, and what may not ---- */

#define X_IS "\"name\":\"x\",\"datatype\":\"INT8\",\"shape\":[1]"
#define ALONE "\"inputs\":[{" X_IS ",\"data\":[1]}]"

static void what_is_not_known_is_skipped_and_null_is_nothing(void **state)
{
    fixture *f = *state;
    static const char *const fine[] = {
        "{\"id\":null,\"parameters\":null,\"outputs\":null,\"more\":{\"a\":[]}," ALONE "}",
        "{\"outputs\":[{\"name\":\"y\",\"more\":1,\"parameters\":{}}]," ALONE "}",
        "{\"outputs\":[]," ALONE ",\"parameters\":{\"binary_data_output\":false}}",
        "{\"inputs\":[]}",
        "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"INT8\",\"data\":[1],\"shape\":[1]}]}",
        "{\"inputs\":[{\"name\":\"x\",\"shape\":[1],\"data\":[1],\"datatype\":\"INT8\"}]}",
        "{\"inputs\":[{\"datatype\":\"INT8\",\"shape\":[1],\"data\":[1],\"name\":\"x\"}]}",
        REQUEST("UINT16", "[0]", "[]"),
    };
    for (size_t i = 0; i < SL_COUNTOF(fine); i++)
        decodes(f, fine[i]);
}

static void each_mistake_has_its_sentence(void **state)
{
    fixture *f = *state;
    static const struct {
        const char *json, *text;
    } cases[] = {
        {"1", "not a JSON object"},
        {"", "JSON Parse error"},
        {"{\"id\":1," ALONE "}", "the id is not a string"},
        {"{\"id\":\"\\q\"," ALONE "}", "JSON Parse error"},
        {"{\"inputs\":null}", "inputs are not one array"},
        {"{" ALONE "," ALONE "}", "inputs are not one array"},
        {"{\"outputs\":{}," ALONE "}", "outputs are not one array"},
        {"{\"outputs\":[],\"outputs\":[]," ALONE "}", "outputs are not one array"},
        {"{\"outputs\":[{\"name\":1}]," ALONE "}", "the name of an output is not a string"},
        {"{\"outputs\":[{\"more\":tru}]," ALONE "}", "JSON Parse error"},
        {"{\"outputs\":[{\"name\":\"y\" 1}]," ALONE "}", "JSON Parse error"},
        {"{\"outputs\":[{\"parameters\":{\"binary_data\":1}}]," ALONE "}", "not a boolean"},
        {"{\"outputs\":[{\"parameters\":{\"binary_data\":falsy}}]," ALONE "}", "JSON Parse error"},
        {"{\"parameters\":[]," ALONE "}", "parameters are not an object"},
        {"{\"parameters\":{\"a\":1 2}," ALONE "}", "JSON Parse error"},
        {"{\"parameters\":{\"a\":nul}," ALONE "}", "JSON Parse error"},
        {"{\"parameters\":{\"signature_name\":1}," ALONE "}", "signature_name is not a string"},
        {"{\"more\":nul," ALONE "}", "JSON Parse error"},
        {"{" ALONE " 1}", "JSON Parse error"},
        {"{\"inputs\":[{\"name\":1}]}", "the name of an input is not a string"},
        {"{\"inputs\":[{\"datatype\":[]}]}", "the datatype of an input is not a string"},
        {"{\"inputs\":[{\"shape\":1}]}", "the shape of an input is not an array"},
        {"{\"inputs\":[{\"shape\":[\"1\"]}]}", "something else than sizes"},
        {"{\"inputs\":[{\"shape\":[1.5]}]}", "something else than sizes"},
        {"{\"inputs\":[{\"shape\":[1 1]}]}", "JSON Parse error"},
        {"{\"inputs\":[{\"more\":tru}]}", "JSON Parse error"},
        {"{\"inputs\":[{" X_IS ",\"parameters\":[]}]}", "parameters are not an object"},
        {"{\"inputs\":[{" X_IS ",\"parameters\":{\"binary_data_size\":\"1\"}}]}",
         "number of bytes"},
        {"{\"inputs\":[{" X_IS ",\"parameters\":{\"binary_data_size\":1.5}}]}", "number of bytes"},
        {"{\"inputs\":[{" X_IS ",\"data\":[1],\"parameters\":{\"binary_data_size\":1}}]}",
         "has data and binary data"},
        {"{\"inputs\":[{" X_IS "}]}", "has no data"},
        {"{\"inputs\":[{\"datatype\":\"INT8\",\"shape\":[1],\"data\":[1]}]}",
         "an input has no name"},
        {"{\"inputs\":[{\"name\":\"x\",\"datatype\":\"INT8\",\"data\":[1]}]}", "has no shape"},
        {"{\"inputs\":[{\"name\":\"x\",\"datatype\":\"INT8\",\"data\":[\"1\"],\"shape\":[1]}]}",
         "element 0"},
        {REQUEST("UINT16", "[1]", "[\"a\"]"), "element 0"},
        {REQUEST("UINT16", "[1]", "[1.5]"), "element 0"},
        {REQUEST("UINT16", "[1]", "[-1]"), "element 0"},
        {REQUEST("UINT16", "[1]", "[1e]"), "JSON Parse error"},
        {REQUEST("UINT16", "[1]", "[1 1]"), "JSON Parse error"},
        {REQUEST("BOOL", "[1]", "[\"a\"]"), "element 0"},
        {REQUEST("BYTES", "[2]", "[\"a\"]"), "its data has not the 2 elements"},
        {REQUEST("BF16", "[1]", "[1]"), "JSON cannot hold BF16"},
    };
    for (size_t i = 0; i < SL_COUNTOF(cases); i++)
        fails(f, cases[i].json, cases[i].text);
    sl_text deep = {0};
    sl_text_puts(&deep, "{\"inputs\":[{" X_IS ",\"data\":");
    for (int i = 0; i < 200; i++)
        sl_text_putc(&deep, '[');
    assert_int_equal(decode(f, (sl_str){deep.p, deep.n}, deep.n, false), SL_INVALID_ARGUMENT);
    sl_text_fini(&deep);
}

static void an_error_has_the_whole_message(void **state)
{
    static const sl_status list[] = {{.msg = "a \"b\""}, {.msg = "a", .more = "\nb"}};
    sl_chain c = {0};
    (void)state;
    sl_oip_json_encode_error(&list[0], &c);
    text_is(&c, "{\"error\":\"a \\\"b\\\"\"}");
    sl_oip_json_encode_error(&list[1], &c);
    text_is(&c, "{\"error\":\"a\\nb\"}");
}

static void an_index_request_is_an_object(void **state)
{
    fixture *f = *state;
    bool ready;
    static const char *const wrong[] = {"[]", "{\"ready\":true", "{\"a\":nul}", "{\"ready\":tru}"};
    for (size_t i = 0; i < SL_COUNTOF(wrong); i++)
        assert_int_equal(sl_oip_json_decode_index(sl_str_of(wrong[i]), &f->arena, &ready, &f->st),
                         SL_INVALID_ARGUMENT);
}

static void every_dtype_has_its_datatype(void **state)
{
    fixture *f = *state;
    static const struct {
        sl_dtype dtype;
        const char *name, *data;
    } cases[] = {
        {SL_DT_BOOL, "BOOL", "[true,false]"}, {SL_DT_INT8, "INT8", "[1,0]"},
        {SL_DT_UINT8, "UINT8", "[1,0]"},      {SL_DT_INT16, "INT16", "[1,0]"},
        {SL_DT_UINT16, "UINT16", "[1,0]"},    {SL_DT_INT32, "INT32", "[1,0]"},
        {SL_DT_UINT32, "UINT32", "[1,0]"},    {SL_DT_INT64, "INT64", "[1,0]"},
        {SL_DT_UINT64, "UINT64", "[1,0]"},    {SL_DT_QINT8, "INT8", "[1,0]"},
        {SL_DT_QUINT8, "UINT8", "[1,0]"},     {SL_DT_QINT16, "INT16", "[1,0]"},
        {SL_DT_QUINT16, "UINT16", "[1,0]"},   {SL_DT_QINT32, "INT32", "[1,0]"},
        {SL_DT_FLOAT, "FP32", NULL},          {SL_DT_DOUBLE, "FP64", NULL},
        {SL_DT_HALF, "FP16", NULL},           {SL_DT_BFLOAT16, "BF16", NULL},
        {SL_DT_STRING, "BYTES", NULL},        {SL_DT_COMPLEX64, NULL, NULL},
    };
    static const int index[] = {0};
    for (size_t i = 0; i < SL_COUNTOF(cases); i++) {
        const char *name = sl_oip_datatype(cases[i].dtype);
        assert_true(cases[i].name ? name && strcmp(name, cases[i].name) == 0 : name == NULL);
        if (cases[i].data == NULL)
            continue;
        unsigned char bytes[16] = {1}; /* of each width: one and zero */
        bool binary = false;
        sl_tensor t = {.dtype = cases[i].dtype,
                       .rank = 1,
                       .dims = {2},
                       .data = bytes,
                       .size = 2 * sl_dtype_size(cases[i].dtype)};
        sl_oip_answer a = {.signature = &two,
                           .output_index = index,
                           .outputs = &t,
                           .binary = &binary,
                           .n_outputs = 1};
        sl_chain c = {0};
        size_t json;
        assert_int_equal(sl_oip_json_encode(&a, &c, &json, &f->st), SL_OK);
        char text[512] = "";
        sl_chain_copy(&c, text);
        if (strstr(text, cases[i].data) == NULL)
            fail_msg("%s", text);
        sl_chain_reset(&c);
    }
}

static void a_default_takes_the_place_of_an_input_that_is_missing(void **state)
{
    fixture *f = *state;
    float one = 1;
    const sl_tensor defaults[] = {{.dtype = SL_DT_INVALID},
                                  {.dtype = SL_DT_FLOAT, .size = 4, .data = &one}};
    sl_signature s = two;
    s.defaults = defaults;
    decodes(f, "{\"inputs\":[" NAMED("a") "]}");
    assert_int_equal(sl_oip_match(&f->r, &s, &f->arena, &f->run, &f->st), SL_OK);
    assert_ptr_equal(f->run.inputs[1].data, &one);
    decodes(f, "{\"inputs\":[" NAMED("b") "]}");
    assert_int_equal(sl_oip_match(&f->r, &s, &f->arena, &f->run, &f->st), SL_INVALID_ARGUMENT);
    s.n_inputs = 0;
    assert_int_equal(sl_oip_match(&f->r, &s, &f->arena, &f->run, &f->st), SL_INVALID_ARGUMENT);
    assert_non_null(strstr(f->st.msg, "has none"));
}

/* ---- memory ---- */

static sl_code read_match_answer(void *arg, sl_status *st)
{
    static const char json[] =
        "{\"id\":\"\\u0034\",\"parameters\":{\"signature_name\":\"\\u0061\"},\"inputs\":["
        "{\"name\":\"\\u0061\",\"datatype\":\"BYTES\",\"shape\":[2],\"data\":[\"\\u0062\",\"c\"]},"
        "{\"name\":\"b\",\"datatype\":\"BYTES\",\"shape\":[1],\"parameters\":"
        "{\"binary_data_size\":5}}],\"outputs\":[{\"name\":\"\\u0062\"}]}";
    static const bool binary[] = {false, true};
    static const int index[] = {0, 1};
    sl_arena *arena = arg;
    sl_oip_request r;
    sl_oip_run run;
    sl_chain c = {0};
    size_t n = sizeof json - 1, json_bytes;
    char body[sizeof json + 5];
    memcpy(body, json, n);
    memcpy(body + n, "\1\0\0\0z", 5);
    sl_arena_reset(arena);
    sl_code rc = sl_oip_json_decode((sl_str){body, n + 5}, n, NULL, 100, arena, &r, st);
    if (rc == SL_OK)
        rc = sl_oip_match(&r, &two, arena, &run, st);
    if (rc == SL_OK) {
        const sl_oip_answer a = {.model = SL_STR("m"),
                                 .id = r.id,
                                 .version = 7,
                                 .signature = &two,
                                 .output_index = index,
                                 .outputs = run.inputs,
                                 .binary = binary,
                                 .n_outputs = 2};
        rc = sl_oip_json_encode(&a, &c, &json_bytes, st);
    }
    sl_chain_reset(&c);
    sl_oip_request_release(&r);
    return rc;
}

static sl_code ask_for_an_unknown_input(void *arg, sl_status *st)
{
    sl_oip_input input = {.name = SL_STR("q")};
    const sl_oip_request r = {.inputs = &input, .n_inputs = 1};
    sl_arena *arena = arg;
    sl_oip_run run;
    sl_arena_reset(arena);
    return sl_oip_match(&r, &two, arena, &run, st);
}

static sl_code write_metadata(void *arg, sl_status *st)
{
    static const int64_t versions[] = {12, 3};
    sl_chain c = {0};
    (void)arg;
    sl_code rc = sl_oip_json_encode_metadata(SL_STR("m"), versions, 2, &two, &c, st);
    sl_chain_reset(&c);
    return rc;
}

static void without_memory_it_says_so(void **state)
{
    fixture *f = *state;
    assert_in_range(fail_each_allocation(read_match_answer, &f->arena), 12, 100);
    assert_in_range(fail_each_allocation(ask_for_an_unknown_input, &f->arena), 5, 20);
    assert_in_range(fail_each_allocation(write_metadata, NULL), 1, 20);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(every_datatype_has_its_json),
        T(strings_are_bytes),
        T(data_is_flat_or_nested_and_members_come_in_any_order),
        T(a_body_that_is_missing_is_an_empty_one),
        T(what_does_not_fit_is_named),
        T(binary_tensors_stand_behind_the_json),
        T(binary_data_may_be_empty),
        T(binary_data_must_fit),
        T(tensors_are_brought_into_the_order_of_the_signature),
        T(answers_are_json_and_binary_behind_it),
        T(what_an_answer_cannot_hold_is_refused),
        T(large_binary_outputs_are_lent_to_the_answer),
        T(metadata_and_index_are_lists),
        T(what_is_not_known_is_skipped_and_null_is_nothing),
        T(each_mistake_has_its_sentence),
        T(an_error_has_the_whole_message),
        T(an_index_request_is_an_object),
        T(every_dtype_has_its_datatype),
        T(a_default_takes_the_place_of_an_input_that_is_missing),
        T(without_memory_it_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
