/*
 * test_ops_text.c - what ops on text refuse when the plan is built, and empty tensors of absurd extents
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "support/op_harness.h"

typedef struct attr {
    const char *name, *text; /* text NULL: the number */
    int8_t number;
} attr;

/* One call with an empty input of the shape; the code must be as told. */
static void outcome(const char *op, int n_out, sl_dtype t, int rank, const attr *attrs, int n,
                    sl_code code, const char *message)
{
    const int64_t huge[] = {1ll << 40, 0, 1ll << 40, 1ll << 40};
    op_call *c = sl_calloc(1, sizeof *c);
    sl_status st = {SL_OK, "", NULL};
    char wires[4][80];
    op_call_init(c, sl_op_find(sl_str_of(op)), n_out);
    assert_non_null(c->op);
    for (int i = 0; i < n; i++) { /* AttrValue: s is field 2, i is field 3 */
        size_t size = attrs[i].text ? strlen(attrs[i].text) : 0;
        wires[i][0] = attrs[i].text ? 0x12 : 0x18;
        wires[i][1] = attrs[i].text ? (char)size : attrs[i].number;
        if (size)
            memcpy(wires[i] + 2, attrs[i].text, size);
        op_call_attr(c, sl_str_of(attrs[i].name), (sl_str){wires[i], size + 2});
    }
    op_call_input(c, t, huge, rank);
    assert_int_equal(op_call_run(c, -1, &st), code);
    if (message != NULL)
        assert_string_equal(st.msg, message);
    op_call_fini(c);
    sl_free(c);
}

static void encodings_but_utf8_are_refused(void **state)
{
    (void)state;
    const attr utf16 = {"input_encoding", "UTF-16-BE", 0}, none = {"input_encoding", "", 0};
    outcome("UnicodeDecode", 2, SL_DT_STRING, 2, &utf16, 1, SL_FAILED_PRECONDITION,
            "input_encoding \"UTF-16-BE\" is not supported");
    outcome("UnicodeDecodeWithOffsets", 3, SL_DT_STRING, 2, &none, 1, SL_FAILED_PRECONDITION,
            "input_encoding \"\" is not supported");
    const attr errors[] = {{"errors", "louder", 0}, {"input_encoding", "UTF-8", 0}};
    outcome("UnicodeDecode", 2, SL_DT_STRING, 2, errors, 2, SL_INVALID_ARGUMENT,
            "errors policy must be one of: 'strict', 'replace', or 'ignore'");
    outcome("UnicodeDecode", 3, SL_DT_STRING, 2, errors, 2, SL_INVALID_ARGUMENT,
            "UnicodeDecode has 3 outputs");
}

static void a_template_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    const attr two = {"template", "%s %s", 0}, none = {"template", "", 0};
    const attr empty = {"placeholder", "", 0};
    outcome("StringFormat", 1, SL_DT_STRING, 2, &two, 1, SL_INVALID_ARGUMENT,
            "num placeholders in template and num inputs must match: 2 vs. 1");
    outcome("StringFormat", 1, SL_DT_STRING, 2, &none, 1, SL_INVALID_ARGUMENT,
            "num placeholders in template and num inputs must match: 0 vs. 1");
    outcome("StringFormat", 1, SL_DT_STRING, 2, &empty, 1, SL_FAILED_PRECONDITION,
            "an empty placeholder is not supported");
    outcome("StringFormat", 1, SL_DT_COMPLEX64, 2, NULL, 0, SL_FAILED_PRECONDITION,
            "dtype complex64 is not supported");
}

static void a_hash_without_key_is_refused(void **state)
{
    (void)state;
    const attr buckets = {"num_buckets", NULL, 7}, none = {"num_buckets", NULL, 0};
    outcome("StringToHashBucketStrong", 1, SL_DT_STRING, 2, &buckets, 1, SL_INVALID_ARGUMENT,
            "Key must have 2 elements");
    outcome("StringToHashBucketStrong", 1, SL_DT_STRING, 2, &none, 1, SL_INVALID_ARGUMENT,
            "num_buckets must be positive");
}

static void empty_tensors_of_absurd_extents_are_harmless(void **state)
{
    (void)state;
    const attr utf8 = {"input_encoding", "UTF-8", 0};
    outcome("UnicodeDecode", 2, SL_DT_STRING, 4, &utf8, 1, SL_OK, NULL);
    outcome("UnicodeDecodeWithOffsets", 3, SL_DT_STRING, 4, &utf8, 1, SL_OK, NULL);
    for (int8_t i = 0; i < 4; i++) {
        const attr summarize = {"summarize", NULL, i};
        outcome("StringFormat", 1, SL_DT_STRING, 4, &summarize, 1, SL_OK, NULL);
        outcome("StringFormat", 1, SL_DT_FLOAT, 4, &summarize, 1, SL_OK, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encodings_but_utf8_are_refused),
        cmocka_unit_test(a_template_that_does_not_fit_is_refused),
        cmocka_unit_test(a_hash_without_key_is_refused),
        cmocka_unit_test(empty_tensors_of_absurd_extents_are_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
