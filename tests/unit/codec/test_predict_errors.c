/* test_predict_errors.c - what a wrong :predict request is told, and which of two errors wins */
#include "codec/dump.h"
#include "predict_fixture.h"
#include "support/faults.h"

#define ROW "Failed to process element: "
#define OF " of 'instances' list. Error: INVALID_ARGUMENT: "
#define DUMP(inside) "JSON Value: {\n    " inside "\n}"

typedef struct wrong {
    const char *name, *body, *message;
} wrong;

static void check_all(sl_dtype dtype, const wrong *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        expect_error(dtype, list[i].name, list[i].body, SL_INVALID_ARGUMENT, list[i].message);
}

static void a_request_is_refused_as_a_whole(void **state)
{
    static const wrong list[] = {
        {"empty", "", "JSON Parse error: The document is empty"},
        {"blank", "   ", "JSON Parse error: The document is empty. at offset: 3"},
        {"syntax", "{\"instances\": [1, 2]",
         "JSON Parse error: Missing a comma or '}' after an object member. at offset: 20"},
        {"root is a number", "5", "JSON Value: 5 Is not object"},
        {"root is a string", "\"x\"", "JSON Value: \"x\" Is not object"},
        {"root is an array", "[1]", "JSON Value: [1] Is not object"},
        {"root is null", "null", "JSON Value: null Is not object"},
        {"root is NaN", "NaN", "JSON Value:  Is not object"},
        {"name is a number", "{\"signature_name\": 5, \"instances\": [1]}",
         DUMP("\"signature_name\": 5,\n    \"instances\": [1]") " not formatted correctly. "
                                                                "'signature_name' key must be a "
                                                                "string value."},
        {"unknown name", "{\"signature_name\": \"nope\", \"instances\": [1]}",
         "Serving signature name: \"nope\" not found in signature def"},
        {"no inputs", "{\"signature_name\": \"none\", \"instances\": [1]}",
         "Failed to get input map for signature: none"},
        {"both", "{\"instances\": [1], \"inputs\": [1]}",
         DUMP("\"instances\": [1],\n    \"inputs\": [1]") " Not formatted correctly expecting only "
                                                          "one of 'inputs' or 'instances' keys to "
                                                          "exist "},
        {"not an array", "{\"instances\": {\"x\": 1}}",
         DUMP("\"instances\": {\n        \"x\": 1\n    }") " Expecting 'instances' to be an "
                                                           "list/array"},
        {"empty array", "{\"instances\": []}",
         DUMP("\"instances\": []") " No values in 'instances' array"},
        {"neither", "{}", "Missing 'inputs' or 'instances' key"},
    };
    (void)state;
    check_all(SL_DT_FLOAT, list, SL_COUNTOF(list));
}

static void rows_of_one_input_are_checked(void **state)
{
    static const wrong list[] = {
        {"object, then a value", "{\"instances\": [{\"x\": 1}, 5]}",
         "Expecting object but got list at item 1 of input list"},
        {"object, then base64", "{\"instances\": [{\"x\": 1}, {\"b64\": \"YQ==\"}]}",
         "Expecting object but got list at item 1 of input list"},
        {"value, then an object", "{\"instances\": [5, {\"x\": 1}]}",
         "Expecting value/list but got object at item 1 of input list"},
        {"unknown input", "{\"instances\": [{\"z\": 2}]}",
         ROW "0 key: z" OF "JSON object: does not have named input: z"},
        {"no input", "{\"instances\": [{}]}",
         ROW "0 of 'instances' list. JSON object: {} keys must be equal to: x"},
        {"wrong value", "{\"instances\": [1, \"x\"]}",
         ROW "1" OF "JSON Value: \"x\" Type: String is not of expected type: float"},
        {"size", "{\"instances\": [[1, 2], [3]]}",
         ROW "1" OF "Expecting tensor size: 2 but got: 1"},
        {"shape", "{\"instances\": [[1, 2], [[3, 4]]]}",
         ROW "1" OF "Expecting shape [2] but got: [1,2]"},
        {"shape, not size", "{\"instances\": [1, [1]]}",
         ROW "1" OF "Expecting shape [] but got: [1]"},
        {"the element before its size", "{\"instances\": [[1, 2], [3, \"x\", 4]]}",
         ROW "1" OF "JSON Value: \"x\" Type: String is not of expected type: float"},
        {"the size inside an element first", "{\"instances\": [[[1], [2]], [[3], [\"x\", 4]]]}",
         ROW "1" OF "Encountered list at unexpected size: 2 at level: 1 expected size: 1"},
        {"shape, neither size nor rank",
         "{\"instances\": [[[1, 2, 3], [4, 5, 6]], [[1, 2], [3, 4], [5, 6]]]}",
         ROW "1" OF "Expecting shape [2,3] but got: [3,2]"},
        {"the third", "{\"instances\": [[1], [2], [\"x\"]]}",
         ROW "2" OF "JSON Value: \"x\" Type: String is not of expected type: float"},
        {"rank 9 of values", "{\"instances\": [[[[[[[[[1]]]]]]]]]}",
         "a tensor of rank 9 is not supported: at most 8"},
        {"rank 9 of objects", "{\"instances\": [{\"x\": [[[[[[[[1]]]]]]]]}]}",
         "a tensor of rank 9 is not supported: at most 8"},
        {"the first of two", "{\"instances\": [\"a\", {\"x\": 1}]}",
         ROW "0" OF "JSON Value: \"a\" Type: String is not of expected type: float"},
    };
    (void)state;
    check_all(SL_DT_FLOAT, list, SL_COUNTOF(list));
}

static void rows_of_two_inputs_are_checked(void **state)
{
    static const char plain[] =
        "instances is a plain list, but expecting list of objects as multiple "
        "input tensors required as per tensorinfo_map";
    static const wrong list[] = {
        {"numbers", "{\"instances\": [1, 2]}", plain},
        {"null", "{\"instances\": [null]}", plain},
        {"one is missing", "{\"instances\": [{\"a\": 1}]}",
         ROW "0 of 'instances' list. JSON object: {\n    \"a\": 1\n} keys must be equal to: a,b"},
        {"one is missing later", "{\"instances\": [{\"a\": 1, \"b\": 2}, {\"b\": 1}]}",
         ROW "1 of 'instances' list. JSON object: {\n    \"b\": 1\n} keys must be equal to: a,b"},
        {"one too many", "{\"instances\": [{\"a\": 1, \"b\": 2, \"c\": 3}]}",
         ROW "0 key: c" OF "JSON object: does not have named input: c"},
        {"shape", "{\"instances\": [{\"a\": 1, \"b\": 2}, {\"a\": [1], \"b\": 2}]}",
         ROW "1 key: a" OF "Expecting shape [] but got: [1]"},
        {"size", "{\"instances\": [{\"a\": 1, \"b\": 2}, {\"a\": [1, 2], \"b\": 2}]}",
         ROW "1 key: a" OF "Expecting tensor size: 1 but got: 2"},
        {"type", "{\"instances\": [{\"a\": 1, \"b\": 2.0}]}",
         ROW "0 key: b" OF "JSON Value: 2.0 Type: Number is not of expected type: int32"},
        {"object", "{\"instances\": [{\"a\": {\"c\": 1}, \"b\": 2}]}",
         ROW "0 key: a" OF
             "JSON Value: {\n    \"c\": 1\n} Type: Object is not of expected type: float"},
    };
    (void)state;
    check_all(SL_DT_INVALID, list, SL_COUNTOF(list));
}

static void columns_of_two_inputs_are_checked(void **state)
{
    static const char plain[] = "inputs is a plain value/list, but expecting an object as multiple "
                                "input tensors required as per tensorinfo_map";
    static const wrong list[] = {
        {"list", "{\"inputs\": [1, 2]}", plain},
        {"scalar", "{\"inputs\": 3}", plain},
        {"base64", "{\"inputs\": {\"b64\": \"YQ==\"}}", plain},
        {"one is missing", "{\"inputs\": {\"a\": 1}}",
         "Missing named input: b in 'inputs' object."},
        {"type", "{\"inputs\": {\"a\": 1, \"b\": [true]}}",
         "JSON Value: true Type: True is not of expected type: int32"},
    };
    (void)state;
    check_all(SL_DT_INVALID, list, SL_COUNTOF(list));
}

static void a_dense_value_must_be_regular(void **state)
{
    static const wrong list[] = {
        {"leaf too high", "{\"inputs\": [[1], 2]}",
         "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at level: 2"},
        {"list too deep", "{\"inputs\": [1, [2]]}",
         "Encountered list at unexpected level: 1 expected < 1"},
        {"too short", "{\"inputs\": [[1, 2], [3]]}",
         "Encountered list at unexpected size: 1 at level: 1 expected size: 2"},
        {"not empty", "{\"inputs\": [[], [1]]}",
         "Encountered list at unexpected size: 1 at level: 1 expected size: 0"},
        {"length before leaves", "{\"inputs\": [[1, 2], [3, \"x\", 4]]}",
         "Encountered list at unexpected size: 3 at level: 1 expected size: 2"},
        {"outer length before inner", "{\"inputs\": [[[1], [2]], [[\"x\", 3]]]}",
         "Encountered list at unexpected size: 1 at level: 1 expected size: 2"},
        {"outer length before a later inner", "{\"inputs\": [[[1]], [[2, 3], [4]]]}",
         "Encountered list at unexpected size: 2 at level: 1 expected size: 1"},
        {"leaf in a list of right length", "{\"inputs\": [[1, 2], [3, \"x\"]]}",
         "JSON Value: \"x\" Type: String is not of expected type: float"},
        {"rank 9", "{\"inputs\": [[[[[[[[[1]]]]]]]]]}",
         "a tensor of rank 9 is not supported: at most 8"},
        {"null", "{\"inputs\": null}",
         "JSON Value: null Type: Null is not of expected type: float"},
        {"false", "{\"inputs\": [false]}",
         "JSON Value: false Type: False is not of expected type: float"},
        {"base64 for a number", "{\"inputs\": {\"b64\": \"YQ==\"}}",
         "JSON Value: {\n    \"b64\": \"YQ==\"\n} Type: Object is not of expected type: float"},
    };
    (void)state;
    check_all(SL_DT_FLOAT, list, SL_COUNTOF(list));
}

#define NOT(value, type, dtype) \
    "JSON Value: " value " Type: " type " is not of expected type: " dtype

static void each_dtype_takes_only_its_values(void **state)
{
    static const struct {
        sl_dtype dtype;
        const char *body, *message;
        sl_code code;
    } list[] = {
        {SL_DT_DOUBLE, "{\"inputs\": \"1.0\"}", NOT("\"1.0\"", "String", "double"), 0},
        {SL_DT_INT32, "{\"inputs\": [1.0]}", NOT("1.0", "Number", "int32"), 0},
        {SL_DT_INT32, "{\"inputs\": [1e3]}", NOT("1000.0", "Number", "int32"), 0},
        {SL_DT_INT32, "{\"inputs\": [1e-7]}", NOT("1e-7", "Number", "int32"), 0},
        {SL_DT_INT32, "{\"inputs\": [NaN]}", NOT("", "Number", "int32"), 0},
        {SL_DT_INT32, "{\"inputs\": [2147483648]}", NOT("2147483648", "Number", "int32"), 0},
        {SL_DT_INT64, "{\"inputs\": [9223372036854775808]}",
         NOT("9223372036854775808", "Number", "int64"), 0},
        {SL_DT_UINT32, "{\"inputs\": [-1]}", NOT("-1", "Number", "uint32"), 0},
        {SL_DT_UINT32, "{\"inputs\": [4294967296]}", NOT("4294967296", "Number", "uint32"), 0},
        {SL_DT_UINT64, "{\"inputs\": [-1]}", NOT("-1", "Number", "uint64"), 0},
        {SL_DT_UINT8, "{\"inputs\": [300]}", "JSON Value: 300 is out of range of uint8: 0 to 255",
         0},
        {SL_DT_INT8, "{\"inputs\": [-129]}",
         "JSON Value: -129 is out of range of int8: -128 to 127", 0},
        {SL_DT_INT16, "{\"inputs\": [70000]}",
         "JSON Value: 70000 is out of range of int16: -32768 to 32767", 0},
        {SL_DT_INT16, "{\"inputs\": [2147483648]}", NOT("2147483648", "Number", "int16"), 0},
        {SL_DT_INT8, "{\"inputs\": [-3000000000]}", NOT("-3000000000", "Number", "int8"), 0},
        {SL_DT_BOOL, "{\"inputs\": [true, 1]}", NOT("1", "Number", "bool"), 0},
        {SL_DT_STRING, "{\"inputs\": [null]}", NOT("null", "Null", "string"), 0},
        {SL_DT_STRING, "{\"inputs\": [1]}", NOT("1", "Number", "string"), 0},
        {SL_DT_STRING, "{\"inputs\": [{\"b64\": \"!!\"}]}", "Unable to base64 decode", 0},
        {SL_DT_STRING, "{\"inputs\": [{\"b64\": \"YQ==\", \"z\": 1}]}",
         "JSON Value: {\n    \"b64\": \"YQ==\",\n    \"z\": 1\n} not formatted correctly for "
         "base64 "
         "data",
         0},
        {SL_DT_STRING, "{\"inputs\": [{\"b64\": 5}]}",
         "JSON Value: {\n    \"b64\": 5\n} not formatted correctly for base64 data", 0},
        {SL_DT_STRING, "{\"inputs\": [{\"b64\": \"YQ==\" 5}]}",
         "JSON Parse error: Missing a comma or '}' after an object member. at offset: 27", 0},
        {SL_DT_STRING, "{\"inputs\": [\"a\",", "JSON Parse error: Invalid value. at offset: 16", 0},
        {SL_DT_STRING, "{\"inputs\": ", "JSON Parse error: Invalid value. at offset: 11", 0},
        {SL_DT_VARIANT, "{\"inputs\": []}", "a tensor of type variant has no layout", 0},
        {SL_DT_STRING, "{\"instances\": [{\"b64\": \"aGVsbG8==\"}]}",
         ROW "0" OF "Unable to base64 decode", 0},
        {SL_DT_UINT16, "{\"inputs\": [1]}", "Conversion of JSON Value: 1 to type: uint16",
         SL_UNIMPLEMENTED},
        {SL_DT_HALF, "{\"inputs\": [1.5]}", "Conversion of JSON Value: 1.5 to type: half",
         SL_UNIMPLEMENTED},
        {SL_DT_HALF, "{\"inputs\": [{\"a\": 1}]}", NOT("{\n    \"a\": 1\n}", "Object", "half"), 0},
        {SL_DT_HALF, "{\"instances\": [1.5]}",
         ROW
         "0 of 'instances' list. Error: UNIMPLEMENTED: Conversion of JSON Value: 1.5 to type: half",
         0},
    };
    (void)state;
    for (size_t i = 0; i < SL_COUNTOF(list); i++)
        expect_error(list[i].dtype, sl_dtype_name(list[i].dtype), list[i].body,
                     list[i].code ? list[i].code : SL_INVALID_ARGUMENT, list[i].message);
}

static void the_error_that_comes_first_in_the_original_wins(void **state)
{
    static const wrong list[] = {
        {"syntax behind a wrong value", "{\"instances\": [\"x\"], \"a\" 1}",
         "JSON Parse error: Missing a colon after a name of object member. at offset: 25"},
        {"syntax behind a wrong name", "{\"signature_name\": 1, \"instances\": [1}",
         "JSON Parse error: Missing a comma or ']' after an array element. at offset: 37"},
        {"syntax in a dump", "{\"instances\": 5, \"a\": 1.}",
         "JSON Parse error: Miss fraction part in number. at offset: 24"},
        {"syntax behind too many levels", "{\"instances\": [[[[[[[[[1]]]]]]]] 1]}",
         "JSON Parse error: Missing a comma or ']' after an array element. at offset: 33"},
        {"name's type before its signature", "{\"instances\": [1], \"signature_name\": [\"nope\"]}",
         DUMP(
             "\"instances\": [1],\n    \"signature_name\": [\"nope\"]") " not formatted correctly. "
                                                                        "'signature_name' key must "
                                                                        "be a string value."},
        {"signature before values", "{\"instances\": [\"x\"], \"signature_name\": \"nope\"}",
         "Serving signature name: \"nope\" not found in signature def"},
        {"signature before missing values", "{\"signature_name\": \"nope\"}",
         "Serving signature name: \"nope\" not found in signature def"},
        {"both before values", "{\"inputs\": [\"x\"], \"instances\": []}",
         DUMP("\"inputs\": [\"x\"],\n    \"instances\": []") " Not formatted correctly expecting "
                                                             "only one of 'inputs' or 'instances' "
                                                             "keys to exist "},
    };
    (void)state;
    check_all(SL_DT_FLOAT, list, SL_COUNTOF(list));
}

static void dumps_are_laid_out_and_cut_as_the_original_does(void **state)
{
    static const wrong list[] = {
        {"objects in lists", "{\"inputs\": [{\"a\": [1, [2, {\"q\": \"w\"}]], \"b\": []}]}",
         "JSON Value: {\n    \"a\": [1, [2, {\n                \"q\": \"w\"\n            }]],\n    "
         "\"b\": []\n} Type: Object is not of expected type: float"},
        {"ends before NaN", "{\"inputs\": [{\"a\": [1, NaN, 2]}]}",
         "JSON Value: {\n    \"a\": [1,  Type: Object is not of expected type: float"},
        {"numbers", "{\"inputs\": [{\"a\": [-0, 18446744073709551615, 1e20, 1e21, 0.10]}]}",
         "JSON Value: {\n    \"a\": [0, 18446744073709551615, 100000000000000000000.0, 1e21, "
         "0.1]\n} "
         "Type: Object is not of expected type: float"},
        {"escapes", "{\"inputs\": [\"\\u00e9\\n\\\"\\/\\u0001\"]}",
         "JSON Value: \"\xC3\xA9\\n\\\"/\\u0001\" Type: String is not of expected type: float"},
    };
    (void)state;
    check_all(SL_DT_FLOAT, list, SL_COUNTOF(list));
}

static void a_dump_ends_after_256_bytes_but_cuts_no_string(void **state)
{
    fixture f;
    char body[4000] = "{\"instances\": [", *text;
    (void)state;
    fixture_init(&f, SL_DT_FLOAT);
    for (int i = 0; i < 100; i++)
        strcat(body, "1.25, ");
    strcat(body, "1], \"inputs\": 1}");
    assert_int_equal(decode(&f, body, strlen(body)), SL_INVALID_ARGUMENT);
    text = message(&f);
    /* 20 bytes to the bracket, 4 for the first number, 6 for each other: 39 more make 258 */
    assert_non_null(strstr(text, "1.25, 1.25 Not formatted"));
    assert_int_equal(strstr(text, " Not formatted") - text - strlen("JSON Value: "), 258);
    free(text);
    strcpy(body, "{\"inputs\": \"");
    memset(body + strlen(body), 'z', 3000);
    strcat(body, "\"}");
    assert_int_equal(decode(&f, body, strlen(body)), SL_INVALID_ARGUMENT);
    text = message(&f);
    assert_int_equal(strlen(text), strlen(NOT("", "String", "float")) + 3002);
    free(text);
    fixture_fini(&f);
}

static void a_signature_without_inputs_is_refused_by_its_name_or_as_the_default(void **state)
{
    fixture f;
    const char *body = "{\"instances\": [1]}";
    (void)state;
    fixture_init(&f, SL_DT_FLOAT);
    f.list[0].n_inputs = 0;
    assert_int_equal(decode(&f, body, strlen(body)), SL_INVALID_ARGUMENT);
    assert_string_equal(f.st.msg, "Failed to get input map for signature: DEFAULT");
    fixture_fini(&f);
}

static void depth_is_limited(void **state)
{
    static const struct {
        sl_dtype dtype;
        int max;
        const char *body;
        int offset;
    } list[] = {
        {SL_DT_FLOAT, 3, "{\"a\": [[[1]]], \"inputs\": 1}", 8},
        {SL_DT_FLOAT, 3, "{\"inputs\": [[[1]]]}", 13},
        {SL_DT_FLOAT, 1, "{\"instances\": [1]}", 14},
        {SL_DT_FLOAT, 2, "{\"instances\": [{\"x\": 1}]}", 15},
        {SL_DT_STRING, 2, "{\"inputs\": [{\"b64\": \"YQ==\"}]}", 12},
        {SL_DT_STRING, 2, "{\"instances\": [{\"b64\": \"YQ==\"}]}", 15},
    };
    char wanted[80];
    (void)state;
    for (size_t i = 0; i < SL_COUNTOF(list); i++) {
        fixture f;
        fixture_init(&f, list[i].dtype);
        f.limits.max_depth = list[i].max;
        snprintf(wanted, sizeof wanted,
                 "JSON Parse error: nested deeper than %d levels at offset: %d", list[i].max,
                 list[i].offset);
        assert_int_equal(decode(&f, list[i].body, strlen(list[i].body)), SL_INVALID_ARGUMENT);
        assert_string_equal(f.st.msg, wanted);
        f.limits.max_depth++;
        sl_code rc = decode(&f, list[i].body, strlen(list[i].body));
        if (rc)
            fail_msg("%s: %s", list[i].body, f.st.msg);
        fixture_fini(&f);
    }
}

static void elements_are_limited_over_all_inputs(void **state)
{
    static const struct {
        sl_dtype dtype; /* invalid: two inputs */
        const char *body;
        int elements;
    } list[] = {
        {SL_DT_FLOAT, "{\"inputs\": [1, 2, 3]}", 3},
        {SL_DT_FLOAT, "{\"instances\": [[1, 2], [3, 4]]}", 4},
        {SL_DT_FLOAT, "{\"instances\": [{\"x\": 1}, {\"x\": 2}]}", 2},
        {SL_DT_INVALID, "{\"inputs\": {\"a\": [1, 2], \"b\": [3]}}", 3},
        {SL_DT_INVALID, "{\"inputs\": {\"a\": [1], \"b\": 2}}", 2},
        {SL_DT_INVALID,
         "{\"instances\": [{\"a\": 1, \"b\": 2}, {\"a\": 3, \"b\": 4}, {\"a\": 5, \"b\": 6}]}", 6},
    };
    char wanted[80];
    (void)state;
    for (size_t i = 0; i < SL_COUNTOF(list); i++) {
        fixture f;
        fixture_init(&f, list[i].dtype);
        f.limits.max_elements = list[i].elements;
        if (decode(&f, list[i].body, strlen(list[i].body)))
            fail_msg("%s: %s", list[i].body, f.st.msg);
        while (f.limits.max_elements-- > 1) {
            snprintf(wanted, sizeof wanted, "request holds more than %d elements",
                     (int)f.limits.max_elements);
            assert_int_equal(decode(&f, list[i].body, strlen(list[i].body)), SL_RESOURCE_EXHAUSTED);
            assert_string_equal(f.st.msg, wanted);
        }
        fixture_fini(&f);
    }
}

static void bytes_of_strings_are_limited(void **state)
{
    fixture f;
    const char *body;
    (void)state;
    fixture_init(&f, SL_DT_STRING);
    f.limits.max_string_bytes = 4;
    body = "{\"inputs\": [\"ab\", \"cd\"]}";
    assert_int_equal(decode(&f, body, strlen(body)), SL_OK);
    body = "{\"inputs\": [\"ab\", \"cde\"]}";
    assert_int_equal(decode(&f, body, strlen(body)), SL_RESOURCE_EXHAUSTED);
    fixture_fini(&f);
}

typedef struct attempt {
    fixture f;
    const char *body;
} attempt;

static void without_memory_a_dump_ends(void **state)
{
    enum { DEEP = 1000 };
    char value[DEEP];
    sl_text t = {0};
    (void)state;
    memset(value, '[', sizeof value);
    sl_fault_arm_from(SL_FAULT_ALLOC, 1);
    sl_json_dump(&t, value, value + sizeof value);
    sl_fault_arm(SL_FAULT_ALLOC, 0);
    assert_true(t.failed && t.n == 0);
    t.failed = false;
    sl_json_dump(&t, value, value + sizeof value);
    assert_int_equal(t.n, 256);
    sl_text_fini(&t);
}

static sl_code decode_once(void *arg, sl_status *st)
{
    attempt *a = arg;
    sl_code rc = decode(&a->f, a->body, strlen(a->body));
    *st = a->f.st;
    return rc;
}

static void a_failed_allocation_is_an_error(void **state)
{
    static const char *const bodies[] = {
        "{\"instances\": [[1, 2], [3, 4]]}",
        "{\"instances\": [{\"x\": 1}, {\"\\u0078\": 2}]}",
        "{\"instances\": [{\"x\": 1, \"\\u0079\": 3}, {\"x\": 2}]}",
        "{\"inputs\": {\"\\u0078\": [1, 2], \"z\": 3}}",
        "{\"instances\": [{}]}",
        "{\"instances\": [[1, 2], [3, \"x\"]]}",
        "{\"instances\": [[1, 2], [3, \"\\n\"]]}",
        "{\"instances\": [{\"x\": 1}, {\"x\": {\"\\u0079\": \"\\n\"}}]}",
        "{\"instances\": [{\"x\": [1, 2]}, {\"x\": [3]}]}",
        "{\"instances\": [1], \"signature_name\": \"n\\u006fne\"}",
        "{\"signature_name\": \"other\", \"inputs\": [\"a\\n\", \"b\"]}",
        "{\"signature_name\": \"other\", \"instances\": [{\"b64\": \"YQ==\"}]}",
        "{\"signature_name\": \"other\", \"inputs\": [{\"b64\": \"\\u0059Q==\"}]}",
        "{\"signature_name\": \"other\", \"instances\": [{\"y\": {\"b\\u00364\": \"YQ==\"}}]}"};
    (void)state;
    for (size_t i = 0; i < SL_COUNTOF(bodies); i++) {
        attempt a = {.body = bodies[i]};
        fixture_init(&a.f, SL_DT_FLOAT);
        assert_in_range(fail_each_allocation(decode_once, &a), 2, 100);
        fixture_fini(&a.f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_refused_as_a_whole),
        cmocka_unit_test(rows_of_one_input_are_checked),
        cmocka_unit_test(rows_of_two_inputs_are_checked),
        cmocka_unit_test(columns_of_two_inputs_are_checked),
        cmocka_unit_test(a_dense_value_must_be_regular),
        cmocka_unit_test(each_dtype_takes_only_its_values),
        cmocka_unit_test(the_error_that_comes_first_in_the_original_wins),
        cmocka_unit_test(dumps_are_laid_out_and_cut_as_the_original_does),
        cmocka_unit_test(a_dump_ends_after_256_bytes_but_cuts_no_string),
        cmocka_unit_test(a_signature_without_inputs_is_refused_by_its_name_or_as_the_default),
        cmocka_unit_test(depth_is_limited),
        cmocka_unit_test(elements_are_limited_over_all_inputs),
        cmocka_unit_test(bytes_of_strings_are_limited),
        cmocka_unit_test(without_memory_a_dump_ends),
        cmocka_unit_test(a_failed_allocation_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
