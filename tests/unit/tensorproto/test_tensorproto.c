/* test_tensorproto.c - TensorProto to tensor and back, and what is refused */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/mem.h"
#include "format/wire.h"
#include "support/faults.h"
#include "tensorproto/tensorproto.h"

enum { BOUND = 1 << 20 };

/* A proto being written: dtype and dims first, then whatever a test adds. */
static sl_text begin(sl_dtype dtype, int rank, const int64_t *dims)
{
    sl_text t = {0}, shape = {0}, dim = {0};
    for (int i = 0; i < rank; i++) {
        dim.n = 0;
        sl_wire_put_varint(&dim, 1, (uint64_t)dims[i]);
        sl_wire_put_bytes(&shape, 2, dim.p, dim.n);
    }
    sl_wire_put_varint(&t, 1, dtype);
    sl_wire_put_bytes(&t, 2, shape.n ? shape.p : "", shape.n);
    sl_text_fini(&shape);
    sl_text_fini(&dim);
    return t;
}

static sl_code decode(sl_text *t, sl_tensor *out, sl_status *st)
{
    /* an allocation of its own size, so that a read beyond it is seen */
    char *exact = sl_malloc(t->n);
    memcpy(exact, t->p, t->n);
    *out = (sl_tensor){0};
    sl_code rc = sl_tensorproto_decode((sl_str){exact, t->n}, BOUND, out, st);
    sl_free(exact);
    sl_text_fini(t);
    return rc;
}

static void fails(sl_text *t, sl_code code, const char *text)
{
    sl_tensor out;
    sl_status st = {0};
    assert_int_equal(decode(t, &out, &st), code);
    if (strstr(st.msg, text) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", text, st.msg);
    assert_null(out.buffer);
}

static sl_tensor decoded(sl_text *t)
{
    sl_tensor out;
    sl_status st = {0};
    if (decode(t, &out, &st))
        fail_msg("%s", st.msg);
    return out;
}

static void content_is_copied_as_it_is(void **state)
{
    (void)state;
    const int64_t dims[] = {2, 2};
    const float values[] = {1, 2, 3, -4};
    sl_text t = begin(SL_DT_FLOAT, 2, dims);
    sl_wire_put_bytes(&t, 4, values, sizeof values);
    sl_tensor out = decoded(&t);
    assert_int_equal(out.rank, 2);
    assert_int_equal(out.size, 16);
    assert_memory_equal(out.data, values, 16);
    sl_tensor_release(&out);
}

static void content_wins_over_a_list(void **state)
{
    (void)state;
    const int32_t v = 7;
    sl_text t = begin(SL_DT_INT32, 0, NULL);
    sl_wire_put_varint(&t, 7, 9);
    sl_wire_put_bytes(&t, 4, &v, 4);
    sl_tensor out = decoded(&t);
    assert_int_equal(*(int32_t *)out.data, 7);
    sl_tensor_release(&out);
}

static void content_of_another_size_is_refused(void **state)
{
    (void)state;
    const int64_t dims[] = {3};
    sl_text t = begin(SL_DT_INT32, 1, dims);
    sl_wire_put_bytes(&t, 4, "12345678", 8);
    fails(&t, SL_INVALID_ARGUMENT, "tensor_content of 8 bytes does not fit a int32 tensor");
}

static void a_short_list_repeats_its_last_value(void **state)
{
    (void)state;
    const int64_t dims[] = {7};
    sl_text t = begin(SL_DT_INT16, 1, dims);
    sl_wire_put_varint(&t, 7, 5);
    sl_wire_put_varint(&t, 7, (uint64_t)-2);
    sl_tensor out = decoded(&t);
    const int16_t want[] = {5, -2, -2, -2, -2, -2, -2};
    assert_memory_equal(out.data, want, sizeof want);
    sl_tensor_release(&out);
}

static void an_empty_list_means_zeros(void **state)
{
    (void)state;
    const int64_t dims[] = {5};
    sl_text t = begin(SL_DT_DOUBLE, 1, dims);
    sl_wire_put_varint(&t, 7, 1); /* a list of another dtype */
    sl_tensor out = decoded(&t);
    const double want[5] = {0};
    assert_memory_equal(out.data, want, sizeof want);
    sl_tensor_release(&out);
}

static void surplus_values_are_ignored(void **state)
{
    (void)state;
    const int64_t dims[] = {2};
    sl_text t = begin(SL_DT_INT64, 1, dims);
    sl_wire_put_bytes(&t, 10, "\1\2\3", 3);
    sl_wire_put_varint(&t, 10, 4);
    sl_tensor out = decoded(&t);
    assert_int_equal(((int64_t *)out.data)[0], 1);
    assert_int_equal(((int64_t *)out.data)[1], 2);
    sl_tensor_release(&out);
}

static void packed_and_single_values_mix(void **state)
{
    (void)state;
    const int64_t dims[] = {4};
    const float two[] = {2, 3};
    const float want[] = {1, 2, 3, 4};
    uint32_t bits[2];
    memcpy(&bits[0], &want[0], 4);
    memcpy(&bits[1], &want[3], 4);
    sl_text t = begin(SL_DT_FLOAT, 1, dims);
    sl_wire_put_fixed32(&t, 5, bits[0]);
    sl_wire_put_bytes(&t, 5, two, 8);
    sl_wire_put_fixed32(&t, 5, bits[1]);
    sl_tensor out = decoded(&t);
    assert_memory_equal(out.data, want, sizeof want);
    sl_tensor_release(&out);
}

static void half_and_bfloat16_come_as_bit_patterns(void **state)
{
    (void)state;
    const sl_dtype types[] = {SL_DT_HALF, SL_DT_BFLOAT16};
    for (int i = 0; i < 2; i++) {
        sl_text t = begin(types[i], 0, NULL);
        sl_wire_put_varint(&t, 13, 0x3c01);
        sl_tensor out = decoded(&t);
        assert_int_equal(out.dtype, types[i]);
        assert_int_equal(*(uint16_t *)out.data, 0x3c01);
        sl_tensor_release(&out);
    }
}

static void complex_values_are_pairs_and_an_odd_one_is_ignored(void **state)
{
    (void)state;
    const int64_t dims[] = {2};
    const double list[] = {1, 2, 9};
    const double want[] = {1, 2, 1, 2};
    sl_text t = begin(SL_DT_COMPLEX128, 1, dims);
    sl_wire_put_bytes(&t, 12, list, sizeof list);
    sl_tensor out = decoded(&t);
    assert_memory_equal(out.data, want, sizeof want);
    sl_tensor_release(&out);
}

static void integers_are_cut_to_their_width(void **state)
{
    (void)state;
    sl_text t = begin(SL_DT_INT8, 0, NULL);
    sl_wire_put_varint(&t, 7, 300);
    sl_tensor out = decoded(&t);
    assert_int_equal(*(int8_t *)out.data, 44);
    sl_tensor_release(&out);
    t = begin(SL_DT_UINT8, 0, NULL);
    sl_wire_put_varint(&t, 7, (uint64_t)-2);
    out = decoded(&t);
    assert_int_equal(*(uint8_t *)out.data, 254);
    sl_tensor_release(&out);
}

static void every_integer_and_float8_has_its_list(void **state)
{
    (void)state;
    static const struct {
        sl_dtype dtype;
        unsigned field;
    } list[] = {{SL_DT_INT32, 7},   {SL_DT_UINT8, 7},  {SL_DT_UINT16, 7}, {SL_DT_QINT8, 7},
                {SL_DT_QUINT8, 7},  {SL_DT_QINT32, 7}, {SL_DT_QINT16, 7}, {SL_DT_QUINT16, 7},
                {SL_DT_INT4, 7},    {SL_DT_UINT4, 7},  {SL_DT_BOOL, 11},  {SL_DT_INT64, 10},
                {SL_DT_UINT32, 16}, {SL_DT_UINT64, 17}};
    for (size_t i = 0; i < SL_COUNTOF(list); i++) {
        sl_text t = begin(list[i].dtype, 0, NULL);
        sl_wire_put_varint(&t, list[i].field, 1);
        sl_tensor out = decoded(&t);
        assert_int_equal(*(uint8_t *)out.data, 1);
        sl_tensor_release(&out);
    }
    const int64_t dims[] = {3};
    sl_text t = begin(SL_DT_FLOAT8_E5M2, 1, dims);
    sl_wire_put_bytes(&t, 18, "ab", 2);
    sl_tensor out = decoded(&t);
    assert_memory_equal(out.data, "abb", 3);
    sl_tensor_release(&out);
}

static void strings_repeat_their_last_one(void **state)
{
    (void)state;
    const int64_t dims[] = {4};
    sl_text t = begin(SL_DT_STRING, 1, dims);
    sl_wire_put_bytes(&t, 8, "a\0b", 3);
    sl_wire_put_bytes(&t, 8, "end", 3);
    sl_tensor out = decoded(&t);
    const sl_str *s = out.data;
    assert_int_equal(s[0].n, 3);
    assert_memory_equal(s[0].p, "a\0b", 3);
    assert_true(sl_str_is(s[1], "end"));
    assert_true(sl_str_is(s[3], "end"));
    sl_tensor_release(&out);
}

static void string_content_is_lengths_then_bytes(void **state)
{
    (void)state;
    const int64_t dims[] = {3};
    sl_text t = begin(SL_DT_STRING, 1, dims);
    sl_wire_put_bytes(&t, 4, "\2\0\1abc", 6);
    sl_tensor out = decoded(&t);
    const sl_str *s = out.data;
    assert_true(sl_str_is(s[0], "ab"));
    assert_int_equal(s[1].n, 0);
    assert_true(sl_str_is(s[2], "c"));
    sl_tensor_release(&out);

    static const char *const wrong[] = {"\2\1\1abc", "\144\1\1abc", "\1\1\1abcd", "\x80\x80\x80",
                                        "\1"};
    for (size_t i = 0; i < SL_COUNTOF(wrong); i++) {
        t = begin(SL_DT_STRING, 1, dims);
        sl_wire_put_bytes(&t, 4, wrong[i], strlen(wrong[i]));
        fails(&t, SL_INVALID_ARGUMENT, "does not fit a string tensor of shape [3]");
    }
}

static void bool_content_must_be_0_or_1(void **state)
{
    (void)state;
    const int64_t dims[] = {2};
    sl_text t = begin(SL_DT_BOOL, 1, dims);
    sl_wire_put_bytes(&t, 4, "\1\2", 2);
    fails(&t, SL_INVALID_ARGUMENT, "bool that is neither 0 nor 1");
    t = begin(SL_DT_BOOL, 0, NULL);
    sl_wire_put_varint(&t, 11, 77);
    sl_tensor out = decoded(&t);
    assert_int_equal(*(uint8_t *)out.data, 1);
    sl_tensor_release(&out);
}

static void a_tensor_without_elements_ignores_its_values(void **state)
{
    (void)state;
    const int64_t dims[] = {0, (int64_t)1 << 60};
    sl_text t = begin(SL_DT_FLOAT, 2, dims);
    sl_wire_put_bytes(&t, 4, "abc", 3);
    sl_tensor out = decoded(&t);
    assert_int_equal(out.size, 0);
    assert_int_equal(out.dims[1], (int64_t)1 << 60);
    sl_tensor_release(&out);
}

static void an_unknown_rank_is_a_scalar(void **state)
{
    (void)state;
    sl_text t = {0};
    sl_wire_put_varint(&t, 1, SL_DT_INT32);
    sl_wire_put_bytes(&t, 2, "\x18\1", 2);
    sl_wire_put_varint(&t, 7, 3);
    sl_tensor out = decoded(&t);
    assert_int_equal(out.rank, 0);
    sl_tensor_release(&out);
}

static void shapes_out_of_range_are_refused(void **state)
{
    (void)state;
    const int64_t negative[] = {-1}, below[] = {-2}, huge[] = {(int64_t)1 << 40, (int64_t)1 << 40};
    const int64_t nine[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    sl_text t = begin(SL_DT_FLOAT, 1, negative);
    fails(&t, SL_INVALID_ARGUMENT, "out of range");
    t = begin(SL_DT_FLOAT, 1, below);
    fails(&t, SL_INVALID_ARGUMENT, "size -2 in a shape is negative");
    t = begin(SL_DT_FLOAT, 2, huge);
    fails(&t, SL_INVALID_ARGUMENT, "out of range");
    t = begin(SL_DT_FLOAT, 9, nine);
    fails(&t, SL_INVALID_ARGUMENT, "more than 8 dimensions");
}

static void dtypes_without_a_value_are_refused(void **state)
{
    (void)state;
    sl_text t = begin(SL_DT_INVALID, 0, NULL);
    fails(&t, SL_INVALID_ARGUMENT, "number 0");
    t = begin((sl_dtype)(SL_DT_REF + SL_DT_FLOAT), 0, NULL);
    fails(&t, SL_INVALID_ARGUMENT, "number 101");
    t = begin(SL_DT_RESOURCE, 0, NULL);
    fails(&t, SL_UNIMPLEMENTED, "resource");
    t = begin(SL_DT_VARIANT, 0, NULL);
    fails(&t, SL_UNIMPLEMENTED, "variant");
}

static void a_few_bytes_cannot_ask_for_gigabytes(void **state)
{
    (void)state;
    const int64_t dims[] = {1 << 28};
    sl_text t = begin(SL_DT_FLOAT, 1, dims);
    sl_wire_put_fixed32(&t, 5, 0);
    fails(&t, SL_RESOURCE_EXHAUSTED, "more than the 1048576 bytes");
    t = begin(SL_DT_STRING, 1, dims);
    fails(&t, SL_RESOURCE_EXHAUSTED, "more than the 1048576 bytes");
}

static void malformed_lists_are_refused(void **state)
{
    (void)state;
    const int64_t dims[] = {4};
    sl_text t = begin(SL_DT_FLOAT, 1, dims);
    sl_wire_put_bytes(&t, 5, "abcde", 5);
    fails(&t, SL_INVALID_ARGUMENT, "no multiple of 4");
    t = begin(SL_DT_INT32, 1, dims);
    sl_wire_put_bytes(&t, 7, "\1\x80", 2);
    fails(&t, SL_INVALID_ARGUMENT, "ends inside a number");
    t = begin(SL_DT_INT32, 1, dims);
    sl_wire_put_bytes(&t, 7, "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\1", 12);
    fails(&t, SL_INVALID_ARGUMENT, "overlong");
}

static void every_prefix_is_an_error_or_a_tensor(void **state)
{
    (void)state;
    const int64_t dims[] = {3};
    sl_text t = begin(SL_DT_STRING, 1, dims);
    sl_wire_put_bytes(&t, 8, "abc", 3);
    sl_wire_put_bytes(&t, 8, "def", 3);
    int errors = 0;
    for (size_t n = 0; n < t.n; n++) {
        sl_text part = {0};
        sl_text_add(&part, t.p, n);
        if (n == 0)
            sl_text_putc(&part, 8);
        sl_tensor out;
        sl_status st = {0};
        if (decode(&part, &out, &st)) {
            assert_true(st.msg[0] != '\0');
            errors++;
        } else {
            sl_tensor_release(&out);
        }
    }
    assert_true(errors > 10);
    sl_text_fini(&t);
}

static sl_text encoded(const sl_tensor *t, bool as_content)
{
    sl_tensorproto_form f;
    sl_chain c = {0};
    sl_text out = {0};
    assert_int_equal(sl_tensorproto_measure(t, as_content, &f, NULL), SL_OK);
    sl_tensorproto_write(t, &f, &c);
    assert_false(c.failed);
    assert_int_equal(c.size, f.size);
    char *copy = sl_malloc(c.size);
    sl_chain_copy(&c, copy);
    sl_text_add(&out, copy, c.size);
    sl_free(copy);
    sl_chain_reset(&c);
    return out;
}

/* The bytes of an element that its dtype can have: all, but for bools and numbers of few bits. */
static void fill(sl_tensor *t)
{
    unsigned char *p = t->data;
    for (size_t i = 0; i < t->size; i++) {
        p[i] = (unsigned char)(i * 151 + 3);
        if (t->dtype == SL_DT_BOOL)
            p[i] &= 1;
        else if (t->dtype == SL_DT_UINT4)
            p[i] &= 15;
        else if (t->dtype == SL_DT_UINT2)
            p[i] &= 3;
        else if (t->dtype == SL_DT_INT4)
            p[i] = (unsigned char)((p[i] & 15) - 8);
        else if (t->dtype == SL_DT_INT2)
            p[i] = (unsigned char)((p[i] & 3) - 2);
    }
}

static void every_dtype_is_written_in_both_forms_and_read_again(void **state)
{
    (void)state;
    const int64_t dims[] = {2, 0, 3}, full[] = {2, 1500, 3};
    int dtypes = 0;
    for (int dtype = 1; dtype < SL_DT_COUNT; dtype++)
        for (int k = 0; k < 4 && sl_dtype_size((sl_dtype)dtype) && dtype != SL_DT_STRING; k++) {
            sl_tensor a, b;
            assert_int_equal(sl_tensor_try_new((sl_dtype)dtype, k & 1 ? full : dims, 3, &a, NULL),
                             SL_OK);
            fill(&a);
            sl_text t = encoded(&a, k & 2);
            b = decoded(&t);
            assert_int_equal(b.dtype, a.dtype);
            assert_memory_equal(b.dims, a.dims, sizeof a.dims);
            assert_int_equal(b.size, a.size);
            if (a.size)
                assert_memory_equal(b.data, a.data, a.size);
            sl_tensor_release(&a);
            sl_tensor_release(&b);
            dtypes++;
        }
    assert_int_equal(dtypes, 4 * 29);
}

static void strings_are_written_in_both_forms_and_read_again(void **state)
{
    (void)state;
    static char large[20000];
    const sl_str values[] = {SL_STR("x\0y"), SL_STR(""), {large, sizeof large}, SL_STR("zz")};
    const int64_t dims[] = {4};
    sl_tensor a, b;
    assert_int_equal(sl_tensor_try_new_strings(values, dims, 1, &a, NULL), SL_OK);
    for (int k = 0; k < 2; k++) {
        sl_text t = encoded(&a, k);
        b = decoded(&t);
        for (int i = 0; i < 4; i++)
            assert_true(sl_str_eq(((sl_str *)b.data)[i], values[i]));
        sl_tensor_release(&b);
    }
    sl_tensor_release(&a);
}

static void what_is_large_is_lent_to_the_chain(void **state)
{
    (void)state;
    const int64_t dims[] = {1 << 16};
    for (int k = 0; k < 2; k++) {
        sl_tensor t;
        sl_tensorproto_form f;
        sl_chain c = {0};
        struct iovec v[4];
        assert_int_equal(sl_tensor_try_new(SL_DT_FLOAT, dims, 1, &t, NULL), SL_OK);
        fill(&t);
        assert_int_equal(sl_tensorproto_measure(&t, k, &f, NULL), SL_OK);
        sl_tensorproto_write(&t, &f, &c);
        assert_int_equal(sl_chain_vectors(&c, v, 4), 2);
        assert_ptr_equal(v[1].iov_base, t.data);
        assert_int_equal(v[1].iov_len, t.size);
        sl_tensor_release(&t);
        assert_int_equal(((char *)v[1].iov_base)[0], 3); /* the chain keeps it */
        sl_chain_reset(&c);
    }
}

/* ---- sharing the bytes of the request ---- */

/* A buffer that holds `shift` bytes and then the message. */
static sl_buffer *lender(sl_text *t, size_t shift, sl_str *wire)
{
    sl_buffer *b = sl_buffer_try_new(t->n + shift);
    assert_non_null(b);
    *wire = (sl_str){(char *)b->data + shift, t->n};
    memcpy((char *)b->data + shift, t->p, t->n);
    sl_text_fini(t);
    return b;
}

static void aligned_numbers_stay_where_they_are(void **state)
{
    (void)state;
    const int64_t dims[] = {3};
    const float values[] = {1, 2, 3};
    int shared = 0;
    for (int field = 4; field <= 5; field++)
        for (size_t shift = 0; shift < 8; shift++) {
            sl_text t = begin(SL_DT_FLOAT, 1, dims);
            sl_wire_put_bytes(&t, (unsigned)field, values, sizeof values);
            sl_str wire;
            size_t budget = 0;
            sl_tensor out;
            sl_buffer *b = lender(&t, shift, &wire);
            assert_int_equal(sl_tensorproto_decode_in(wire, b, &budget, &out, NULL), SL_OK);
            assert_int_equal((uintptr_t)out.data % 4, 0);
            shared += out.buffer == b;
            sl_buffer_release(b);
            assert_memory_equal(out.data, values, sizeof values);
            sl_tensor_release(&out);
        }
    assert_int_equal(shared, 4);
}

static void many_bytes_of_strings_stay_where_they_are(void **state)
{
    (void)state;
    static char large[2000];
    const int64_t dims[] = {2};
    for (int content = 0; content < 2; content++) {
        sl_text t = begin(SL_DT_STRING, 1, dims), joined = {0};
        if (content) {
            sl_text_add(&joined, "\xd0\x0f\x03", 3);
            sl_text_add(&joined, large, sizeof large);
            sl_text_add(&joined, "abc", 3);
            sl_wire_put_bytes(&t, 4, joined.p, joined.n);
        } else {
            sl_wire_put_bytes(&t, 8, large, sizeof large);
            sl_wire_put_bytes(&t, 8, "abc", 3);
        }
        sl_str wire;
        size_t budget = 0;
        sl_tensor out;
        sl_buffer *b = lender(&t, 0, &wire);
        assert_int_equal(sl_tensorproto_decode_in(wire, b, &budget, &out, NULL), SL_OK);
        const sl_str *s = out.data;
        assert_true(s[0].p > wire.p && s[1].p + 3 == wire.p + wire.n);
        sl_buffer_release(b);
        assert_int_equal(s[0].n, sizeof large);
        assert_memory_equal(s[0].p, large, sizeof large);
        assert_memory_equal(s[1].p, "abc", 3);
        sl_tensor_release(&out);
        sl_text_fini(&joined);
    }
}

static void a_budget_serves_several_tensors(void **state)
{
    (void)state;
    const int64_t dims[] = {100};
    size_t budget = 1000;
    for (int i = 0; i < 3; i++) {
        sl_text t = begin(SL_DT_FLOAT, 1, dims);
        sl_wire_put_fixed32(&t, 5, 0);
        sl_tensor out = {0};
        sl_code rc = sl_tensorproto_decode_in((sl_str){t.p, t.n}, NULL, &budget, &out, NULL);
        assert_int_equal(rc, i < 2 ? SL_OK : SL_RESOURCE_EXHAUSTED);
        assert_int_equal(budget, i == 0 ? 600 : 200);
        sl_tensor_release(&out);
        sl_text_fini(&t);
    }
}

static void shapes_in_two_parts_are_one(void **state)
{
    (void)state;
    const int64_t dims[] = {2};
    sl_text t = begin(SL_DT_INT8, 1, dims);
    sl_wire_put_bytes(&t, 2, "\x12\x02\x08\x03", 4);
    sl_tensor out = decoded(&t);
    assert_int_equal(out.rank, 2);
    assert_int_equal(out.dims[0], 2);
    assert_int_equal(out.dims[1], 3);
    sl_tensor_release(&out);
}

static void running_out_of_memory_is_an_error(void **state)
{
    (void)state;
    static const sl_dtype types[] = {SL_DT_FLOAT, SL_DT_STRING};
    for (int i = 0; i < 2; i++) {
        sl_text t = begin(types[i], 0, NULL);
        sl_tensor out = {0};
        sl_status st = {0};
        sl_fault_arm(SL_FAULT_ALLOC, 1);
        assert_int_equal(sl_tensorproto_decode((sl_str){t.p, t.n}, BOUND, &out, &st),
                         SL_RESOURCE_EXHAUSTED);
        sl_fault_arm(SL_FAULT_ALLOC, 0);
        sl_text_fini(&t);
    }
}

static void shapes_say_unknown_size_and_rank(void **state)
{
    (void)state;
    int rank;
    int64_t dims[SL_MAX_RANK];
    assert_int_equal(sl_tensorshape_decode((sl_str){"\x18\1", 2}, &rank, dims, NULL), SL_OK);
    assert_int_equal(rank, -1);
    const sl_str two =
        SL_STR("\x12\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x12\x02\x08\x05");
    assert_int_equal(sl_tensorshape_decode(two, &rank, dims, NULL), SL_OK);
    assert_int_equal(rank, 2);
    assert_int_equal(dims[0], -1);
    assert_int_equal(dims[1], 5);
}

/* ---- what is not what it seems ---- */

static void fields_of_another_wire_type_are_not_taken(void **state)
{
    (void)state;
    const int64_t dims[] = {2};
    sl_text t = begin(SL_DT_INT32, 1, dims);
    sl_wire_put_fixed32(&t, 1, SL_DT_FLOAT); /* dtype */
    sl_wire_put_varint(&t, 2, 7);            /* shape */
    sl_wire_put_varint(&t, 4, 7);            /* tensor_content */
    sl_wire_put_varint(&t, 8, 7);            /* string_val */
    sl_wire_put_varint(&t, 19, 7);           /* of a later version */
    sl_wire_put_bytes(&t, 2, "\x1a\x00\x10\x05\x12\x06\x0a\x01x\x12\x01n",
                      12);         /* and inside of it */
    sl_wire_put_fixed32(&t, 7, 7); /* int_val */
    sl_wire_put_varint(&t, 7, 3);
    sl_tensor out = decoded(&t);
    assert_int_equal(out.dtype, SL_DT_INT32);
    assert_int_equal(out.rank, 2);
    assert_int_equal(out.dims[1], 0); /* a dimension without a size */
    sl_tensor_release(&out);
    t = begin(SL_DT_INT32, 1, dims);
    sl_wire_put_fixed32(&t, 7, 7);
    sl_wire_put_varint(&t, 7, 3);
    out = decoded(&t);
    assert_int_equal(((int32_t *)out.data)[0], 3);
    assert_int_equal(((int32_t *)out.data)[1], 3);
    sl_tensor_release(&out);
    t = begin(SL_DT_STRING, 1, dims);
    sl_wire_put_bytes(&t, 8, "a", 1);
    sl_wire_put_varint(&t, 8, 7);
    sl_wire_put_bytes(&t, 8, "b", 1);
    out = decoded(&t);
    assert_true(sl_str_is(((sl_str *)out.data)[1], "b"));
    sl_tensor_release(&out);
    t = begin(SL_DT_FLOAT8_E5M2, 1, dims);
    sl_wire_put_bytes(&t, 18, "ab", 2);
    sl_wire_put_varint(&t, 18, 7);
    out = decoded(&t);
    assert_memory_equal(out.data, "ab", 2);
    sl_tensor_release(&out);
}

static void float8_of_several_pieces_is_the_last_one(void **state)
{
    (void)state;
    const int64_t dims[] = {3};
    sl_text t = begin(SL_DT_FLOAT8_E5M2, 1, dims);
    sl_wire_put_bytes(&t, 18, "abc", 3);
    sl_wire_put_bytes(&t, 18, "de", 2);
    sl_tensor out = decoded(&t);
    assert_memory_equal(out.data, "dee", 3);
    sl_tensor_release(&out);
}

static void an_empty_packed_list_means_zeros(void **state)
{
    (void)state;
    const int64_t dims[] = {2};
    sl_text t = begin(SL_DT_INT64, 1, dims);
    sl_wire_put_bytes(&t, 10, "", 0);
    sl_tensor out = decoded(&t);
    assert_int_equal(((int64_t *)out.data)[1], 0);
    sl_tensor_release(&out);
}

static void the_first_mistake_of_a_shape_is_reported_when_the_rest_is_well_formed(void **state)
{
    (void)state;
    const int64_t below[] = {-2};
    sl_text t = begin(SL_DT_FLOAT, 1, below);
    sl_wire_put_bytes(&t, 2, "\x12\x0b\x08\xfd\xff\xff\xff\xff\xff\xff\xff\xff\x01", 13);
    fails(&t, SL_INVALID_ARGUMENT, "size -2 in a shape is negative");
    t = begin(SL_DT_FLOAT, 0, NULL);
    sl_wire_put_bytes(&t, 2, "\x12\x02\x08\x80", 4); /* a number without an end */
    fails(&t, SL_INVALID_ARGUMENT, "dimension of a shape cannot be parsed");
    t = begin(SL_DT_FLOAT, 0, NULL);
    sl_wire_put_bytes(&t, 2, "\x12\x09", 2);
    fails(&t, SL_INVALID_ARGUMENT, "shape cannot be parsed");
    int rank = 7;
    int64_t sizes[SL_MAX_RANK];
    assert_int_equal(sl_tensorshape_decode(SL_STR("\x12\x09"), &rank, sizes, NULL),
                     SL_INVALID_ARGUMENT);
    assert_int_equal(rank, 7);
    t = begin(SL_DT_FLOAT, 1, below);
    sl_text_add(&t, "\x22\x05", 2);
    fails(&t, SL_INVALID_ARGUMENT, "cannot be parsed");
}

static void lengths_that_overflow_are_refused(void **state)
{
    (void)state;
    const int64_t dims[] = {2};
    sl_text t = begin(SL_DT_STRING, 1, dims);
    sl_wire_put_bytes(&t, 4, "\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x", 12);
    fails(&t, SL_INVALID_ARGUMENT, "does not fit a string tensor of shape [2]");
}

static void forget(sl_buffer *b)
{
    sl_free(b);
}

/* Whoever lends a buffer that the message does not lie in gets a copy. */
static void a_message_outside_of_its_lender_is_copied(void **state)
{
    (void)state;
    static char large[2000];
    const int64_t dims[] = {1};
    char *place = sl_malloc(3 * 4096);
    for (int at = 0; at < 3; at++)
        for (int strings = 0; strings < 2; strings++) {
            sl_text t = begin(strings ? SL_DT_STRING : SL_DT_FLOAT, 1, dims);
            sl_wire_put_bytes(&t, strings ? 8 : 4, large, strings ? sizeof large : 4);
            memcpy(place + at * 4096, t.p, t.n);
            sl_buffer *b = sl_buffer_try_wrap(place + 4096, at == 1 ? 10 : 4096, forget, NULL);
            size_t budget = 0;
            sl_tensor out;
            assert_int_equal(
                sl_tensorproto_decode_in((sl_str){place + at * 4096, t.n}, b, &budget, &out, NULL),
                SL_OK);
            assert_ptr_not_equal(out.buffer, b);
            sl_tensor_release(&out);
            sl_buffer_release(b);
            sl_text_fini(&t);
        }
    sl_free(place);
}

static void what_has_no_form_or_size_is_not_written(void **state)
{
    (void)state;
    sl_tensorproto_form f;
    sl_status st = {0};
    sl_tensor resource = {.dtype = SL_DT_RESOURCE};
    assert_int_equal(sl_tensorproto_measure(&resource, false, &f, &st), SL_UNIMPLEMENTED);
    assert_string_equal(st.msg, "a resource has no wire form");
    static const size_t sizes[][2] = {{SIZE_MAX - 20, 20}, {SIZE_MAX - 12, 2}};
    for (size_t i = 0; i < SL_COUNTOF(sizes); i++)
        for (int content = 0; content < 2; content++) {
            sl_str two[] = {{"", sizes[i][0]}, {"", sizes[i][1]}};
            sl_tensor t = {
                .dtype = SL_DT_STRING, .rank = 1, .dims = {2}, .size = sizeof two, .data = two};
            assert_int_equal(sl_tensorproto_measure(&t, content, &f, &st), SL_RESOURCE_EXHAUSTED);
        }
}

static void what_nobody_can_lend_is_copied(void **state)
{
    (void)state;
    static float values[4096];
    sl_tensorproto_form f;
    sl_chain c = {0};
    struct iovec v[9];
    sl_tensor t = {
        .dtype = SL_DT_FLOAT, .rank = 1, .dims = {4096}, .size = sizeof values, .data = values};
    assert_int_equal(sl_tensorproto_measure(&t, false, &f, NULL), SL_OK);
    sl_tensorproto_write(&t, &f, &c);
    assert_int_equal(c.size, f.size);
    for (int i = 0, n = sl_chain_vectors(&c, v, 9); i < n; i++)
        assert_ptr_not_equal(v[i].iov_base, values);
    sl_chain_reset(&c);
}

static sl_code write_once(void *arg, sl_status *st)
{
    sl_tensorproto_form f;
    sl_chain c = {0};
    sl_code rc = sl_tensorproto_measure(arg, true, &f, st);
    sl_tensorproto_write(arg, &f, &c);
    sl_tensorproto_form list;
    if (rc == SL_OK)
        rc = sl_tensorproto_measure(arg, false, &list, st);
    sl_tensorproto_write(arg, &list, &c);
    if (!c.failed)
        assert_int_equal(c.size, f.size + list.size);
    else
        rc = sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory");
    sl_chain_reset(&c);
    return rc;
}

static void a_message_that_finds_no_memory_is_known_to_have_failed(void **state)
{
    (void)state;
    sl_str strings[300];
    static int64_t numbers[9000];
    for (size_t i = 0; i < SL_COUNTOF(strings); i++)
        strings[i] = SL_STR("a string of some bytes, so that there are several blocks of them");
    sl_tensor s = {
        .dtype = SL_DT_STRING, .rank = 1, .dims = {300}, .size = sizeof strings, .data = strings};
    sl_tensor n = {
        .dtype = SL_DT_INT64, .rank = 1, .dims = {9000}, .size = sizeof numbers, .data = numbers};
    assert_in_range(fail_each_allocation(write_once, &s), 1, 200);
    assert_in_range(fail_each_allocation(write_once, &n), 1, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(content_is_copied_as_it_is),
        cmocka_unit_test(content_wins_over_a_list),
        cmocka_unit_test(content_of_another_size_is_refused),
        cmocka_unit_test(a_short_list_repeats_its_last_value),
        cmocka_unit_test(an_empty_list_means_zeros),
        cmocka_unit_test(surplus_values_are_ignored),
        cmocka_unit_test(packed_and_single_values_mix),
        cmocka_unit_test(half_and_bfloat16_come_as_bit_patterns),
        cmocka_unit_test(complex_values_are_pairs_and_an_odd_one_is_ignored),
        cmocka_unit_test(integers_are_cut_to_their_width),
        cmocka_unit_test(every_integer_and_float8_has_its_list),
        cmocka_unit_test(strings_repeat_their_last_one),
        cmocka_unit_test(string_content_is_lengths_then_bytes),
        cmocka_unit_test(bool_content_must_be_0_or_1),
        cmocka_unit_test(a_tensor_without_elements_ignores_its_values),
        cmocka_unit_test(an_unknown_rank_is_a_scalar),
        cmocka_unit_test(shapes_out_of_range_are_refused),
        cmocka_unit_test(dtypes_without_a_value_are_refused),
        cmocka_unit_test(a_few_bytes_cannot_ask_for_gigabytes),
        cmocka_unit_test(malformed_lists_are_refused),
        cmocka_unit_test(every_prefix_is_an_error_or_a_tensor),
        cmocka_unit_test(every_dtype_is_written_in_both_forms_and_read_again),
        cmocka_unit_test(strings_are_written_in_both_forms_and_read_again),
        cmocka_unit_test(what_is_large_is_lent_to_the_chain),
        cmocka_unit_test(aligned_numbers_stay_where_they_are),
        cmocka_unit_test(many_bytes_of_strings_stay_where_they_are),
        cmocka_unit_test(a_budget_serves_several_tensors),
        cmocka_unit_test(shapes_in_two_parts_are_one),
        cmocka_unit_test(running_out_of_memory_is_an_error),
        cmocka_unit_test(shapes_say_unknown_size_and_rank),
        cmocka_unit_test(fields_of_another_wire_type_are_not_taken),
        cmocka_unit_test(float8_of_several_pieces_is_the_last_one),
        cmocka_unit_test(an_empty_packed_list_means_zeros),
        cmocka_unit_test(the_first_mistake_of_a_shape_is_reported_when_the_rest_is_well_formed),
        cmocka_unit_test(lengths_that_overflow_are_refused),
        cmocka_unit_test(a_message_outside_of_its_lender_is_copied),
        cmocka_unit_test(what_has_no_form_or_size_is_not_written),
        cmocka_unit_test(what_nobody_can_lend_is_copied),
        cmocka_unit_test(a_message_that_finds_no_memory_is_known_to_have_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
