/* gRPC's messages: prefixes, compression, limits, pieces of a stream. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "api/grpc/frame.h"
#include "base/fault.h"
#include "http/gzip.h"

static const sl_grpc_frame_limits wide = {.max_message = 1 << 20, .max_decompressed = 1 << 20};

static sl_code unframe(sl_str body, const sl_grpc_frame_limits *l, bool *packed, sl_str *out,
                       const char *text)
{
    sl_status st = {0};
    sl_code rc = sl_grpc_unframe(body, l, packed, out, &st);
    if (text != NULL)
        assert_string_equal(st.msg, text);
    return rc;
}

static void one_message_is_taken_out_of_its_frame(void **state)
{
    bool packed;
    sl_str m;
    (void)state;
    assert_int_equal(unframe(SL_STR("\0\0\0\0\3abc"), &wide, &packed, &m, ""), SL_OK);
    assert_true(sl_str_is(m, "abc"));
    assert_false(packed);
    assert_int_equal(unframe(SL_STR("\1\0\0\0\1a"), &wide, &packed, &m, ""), SL_OK);
    assert_true(packed);
    assert_int_equal(unframe(SL_STR("\0\0\0\0\0"), &wide, &packed, &m, ""), SL_OK);
    assert_int_equal(m.n, 0);
}

static void a_body_that_is_not_exactly_one_message_is_refused(void **state)
{
    bool packed;
    sl_str m;
    (void)state;
    assert_int_equal(unframe(SL_STR(""), &wide, &packed, &m, "the call has no message"),
                     SL_INTERNAL);
    assert_int_equal(unframe(SL_STR("\0\0\0\0"), &wide, &packed, &m, "the message is cut off"),
                     SL_INTERNAL);
    assert_int_equal(
        unframe(SL_STR("\0\0\0\0\2a"), &wide, &packed, &m, "the message is cut off: 1 of 2 bytes"),
        SL_INTERNAL);
    assert_int_equal(
        unframe(SL_STR("\0\0\0\0\1aa"), &wide, &packed, &m, "a unary call has exactly one message"),
        SL_INTERNAL);
    assert_int_equal(unframe(SL_STR("\2\0\0\0\1a"), &wide, &packed, &m,
                             "malformed frame: its first byte is 2, not 0 or 1"),
                     SL_INTERNAL);
}

static void a_message_larger_than_the_limit_is_refused_by_its_prefix(void **state)
{
    static const sl_grpc_frame_limits three = {.max_message = 3};
    bool packed;
    sl_str m;
    (void)state;
    assert_int_equal(unframe(SL_STR("\0\0\0\0\3abc"), &three, &packed, &m, ""), SL_OK);
    assert_int_equal(unframe(SL_STR("\0\0\0\0\4"), &three, &packed, &m,
                             "Received message larger than max (4 vs. 3)"),
                     SL_RESOURCE_EXHAUSTED);
    assert_int_equal(unframe(SL_STR("\0\377\377\377\377"), &three, &packed, &m,
                             "Received message larger than max (4294967295 vs. 3)"),
                     SL_RESOURCE_EXHAUSTED);
}

static char *flat(const sl_chain *c)
{
    char *bytes = malloc(c->size + 1);
    sl_chain_copy(c, bytes);
    return bytes;
}

static void what_is_packed_comes_back(void **state)
{
    (void)state;
    for (int e = SL_GRPC_DEFLATE; e <= SL_GRPC_GZIP; e++) {
        sl_chain reply = {0}, message = {0};
        sl_status st = {0};
        sl_body body = {0};
        sl_str m;
        bool packed;
        for (int i = 0; i < 1000; i++)
            sl_chain_puts(&message, "the same again ");
        assert_int_equal(sl_grpc_frame_join(&reply, &message, (sl_grpc_encoding)e, &st), SL_OK);
        assert_true(reply.size < 1000);
        char *bytes = flat(&reply);
        assert_int_equal(unframe((sl_str){bytes, reply.size}, &wide, &packed, &m, ""), SL_OK);
        assert_true(packed);
        assert_int_equal(sl_grpc_decompress((sl_grpc_encoding)e, m, &wide, &body, &st), SL_OK);
        assert_int_equal(body.n, 15000);
        assert_memory_equal(body.buffer->data, "the same again the same", 23);
        sl_body_reset(&body);
        sl_chain_reset(&reply);
        free(bytes);
    }
}

static void what_does_not_shrink_is_sent_as_it_is(void **state)
{
    sl_chain reply = {0}, message = {0};
    sl_status st = {0};
    (void)state;
    sl_chain_puts(&message, "a");
    assert_int_equal(sl_grpc_frame_join(&reply, &message, SL_GRPC_GZIP, &st), SL_OK);
    char *bytes = flat(&reply);
    assert_int_equal(reply.size, 6);
    assert_memory_equal(bytes, "\0\0\0\0\1a", 6);
    free(bytes);
    sl_chain_reset(&reply);
}

static sl_code unpack_zeros(size_t n, const sl_grpc_frame_limits *l, sl_status *st)
{
    sl_chain message = {0};
    char *zeros = calloc(1, n);
    sl_chain_add(&message, zeros, n);
    assert_true(sl_zip_chain(SL_ZIP_GZIP, &message));
    char *bytes = flat(&message);
    sl_body body = {0};
    sl_code rc = sl_grpc_decompress(SL_GRPC_GZIP, (sl_str){bytes, message.size}, l, &body, st);
    sl_body_reset(&body);
    sl_chain_reset(&message);
    free(bytes);
    free(zeros);
    return rc;
}

static void a_bomb_stops_at_the_size_or_at_the_ratio(void **state)
{
    sl_grpc_frame_limits l = {.max_decompressed = 100000};
    sl_status st = {0};
    (void)state;
    assert_int_equal(unpack_zeros(100000, &l, &st), SL_OK);
    assert_int_equal(unpack_zeros(100001, &l, &st), SL_RESOURCE_EXHAUSTED);
    assert_string_equal(st.msg,
                        "the message is damaged, or larger than 100000 bytes when decompressed");
    l.max_ratio = 10;
    assert_int_equal(unpack_zeros(100000, &l, &st), SL_RESOURCE_EXHAUSTED);
    l.max_ratio = INT64_MAX; /* is none */
    assert_int_equal(unpack_zeros(100000, &l, &st), SL_OK);
}

static void a_compressed_message_needs_an_encoding(void **state)
{
    sl_body body = {0};
    sl_status st = {0};
    (void)state;
    assert_int_equal(sl_grpc_decompress(SL_GRPC_IDENTITY, SL_STR("x"), &wide, &body, &st),
                     SL_INTERNAL);
}

static void encodings_have_names_and_are_found_in_lists(void **state)
{
    sl_grpc_encoding e;
    (void)state;
    assert_true(sl_grpc_encoding_parse(SL_STR("gzip"), &e));
    assert_int_equal(e, SL_GRPC_GZIP);
    assert_false(sl_grpc_encoding_parse(SL_STR("snappy"), &e));
    assert_true(sl_grpc_encoding_accepted(SL_STR("identity, deflate,gzip"), SL_GRPC_GZIP));
    assert_true(sl_grpc_encoding_accepted(SL_STR("identity, deflate ,gzip"), SL_GRPC_DEFLATE));
    assert_false(sl_grpc_encoding_accepted(SL_STR("gzipped, x-gzip,"), SL_GRPC_GZIP));
    assert_false(sl_grpc_encoding_accepted(SL_STR(""), SL_GRPC_GZIP));
    assert_true(sl_grpc_encoding_accepted(SL_STR("\tgzip\t ,x"), SL_GRPC_GZIP));
    assert_false(sl_grpc_encoding_accepted(SL_STR(" \t , "), SL_GRPC_GZIP));
}

static void a_stream_is_cut_into_messages_wherever_its_pieces_end(void **state)
{
    static const char stream[] = "\0\0\0\0\3abc\0\0\0\0\0\1\0\0\0\2de";
    (void)state;
    for (size_t step = 1; step < sizeof stream; step++) {
        sl_grpc_deframer d = {0};
        sl_status st = {0};
        sl_text seen = {0};
        for (size_t at = 0; at < sizeof stream - 1; at += step) {
            size_t n = sizeof stream - 1 - at < step ? sizeof stream - 1 - at : step;
            bool packed;
            sl_str m;
            sl_code rc;
            assert_int_equal(sl_grpc_deframer_add(&d, (sl_str){stream + at, n}, &st), SL_OK);
            while (sl_grpc_deframer_next(&d, &wide, &packed, &m, &rc, &st))
                sl_text_printf(&seen, "%s%.*s;", packed ? "*" : "", (int)m.n, m.p);
            assert_int_equal(rc, SL_OK);
        }
        assert_string_equal(seen.p, "abc;;*de;");
        assert_int_equal(sl_grpc_deframer_end(&d, &st), SL_OK);
        sl_text_fini(&seen);
        sl_text_fini(&d.bytes);
    }
}

static void a_stream_that_ends_inside_a_message_is_cut_off(void **state)
{
    sl_grpc_deframer d = {0};
    sl_status st = {0};
    bool packed;
    sl_str m;
    sl_code rc;
    (void)state;
    sl_grpc_deframer_add(&d, SL_STR("\0\0\0\0\3ab"), &st);
    assert_false(sl_grpc_deframer_next(&d, &wide, &packed, &m, &rc, &st));
    assert_int_equal(rc, SL_OK);
    assert_int_equal(sl_grpc_deframer_end(&d, &st), SL_INTERNAL);
    sl_text_fini(&d.bytes);
}

/* A chain holds what it was lent, not copies: so much can be in it. */
static void a_reply_that_no_prefix_can_tell_is_refused(void **state)
{
    sl_chain out = {0};
    sl_status st = {0};
    sl_buffer *b = sl_buffer_try_new(16);
    (void)state;
    sl_grpc_frame f = sl_grpc_frame_begin(&out);
    sl_chain_lend(&out, b, b->data, (size_t)UINT32_MAX + 1);
    assert_int_equal(sl_grpc_frame_end(&out, &f, &st), SL_RESOURCE_EXHAUSTED);
    assert_string_equal(st.msg, "the reply has 4294967296 bytes: a message cannot");
    sl_chain_reset(&out);
    sl_buffer_release(b);
}

static void without_memory_a_reply_is_refused(void **state)
{
    sl_chain out = {0}, message = {0};
    sl_status st = {0};
    (void)state;
    sl_fault_arm(SL_FAULT_ALLOC, 1);
    assert_int_equal(sl_grpc_frame_join(&out, &message, SL_GRPC_GZIP, &st), SL_RESOURCE_EXHAUSTED);
    sl_fault_arm(SL_FAULT_ALLOC, 0);
    assert_string_equal(st.msg, "out of memory: the reply does not fit");
    sl_chain_reset(&out);
    out = (sl_chain){0};
    sl_chain_puts(&message, "half of a reply");
    message.failed = true;
    assert_int_equal(sl_grpc_frame_join(&out, &message, SL_GRPC_GZIP, &st), SL_RESOURCE_EXHAUSTED);
    sl_chain_reset(&out);
    sl_chain_reset(&message);
}

static void what_is_empty_or_not_to_be_packed_is_framed_as_it_is(void **state)
{
    static const struct {
        const char *text;
        sl_grpc_encoding e;
    } list[] = {{"", SL_GRPC_GZIP}, {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", SL_GRPC_IDENTITY}};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        sl_chain out = {0}, message = {0};
        sl_status st = {0};
        char got[64];
        size_t n = strlen(list[i].text);
        sl_chain_puts(&message, list[i].text);
        assert_int_equal(sl_grpc_frame_join(&out, &message, list[i].e, &st), SL_OK);
        assert_int_equal(out.size, 5 + n);
        sl_chain_copy(&out, got);
        assert_int_equal(got[0], 0);
        assert_int_equal(got[4], n);
        assert_memory_equal(got + 5, list[i].text, n);
        sl_chain_reset(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_message_is_taken_out_of_its_frame),
        cmocka_unit_test(a_body_that_is_not_exactly_one_message_is_refused),
        cmocka_unit_test(a_message_larger_than_the_limit_is_refused_by_its_prefix),
        cmocka_unit_test(what_is_packed_comes_back),
        cmocka_unit_test(what_does_not_shrink_is_sent_as_it_is),
        cmocka_unit_test(a_bomb_stops_at_the_size_or_at_the_ratio),
        cmocka_unit_test(a_compressed_message_needs_an_encoding),
        cmocka_unit_test(encodings_have_names_and_are_found_in_lists),
        cmocka_unit_test(a_stream_is_cut_into_messages_wherever_its_pieces_end),
        cmocka_unit_test(a_stream_that_ends_inside_a_message_is_cut_off),
        cmocka_unit_test(a_reply_that_no_prefix_can_tell_is_refused),
        cmocka_unit_test(without_memory_a_reply_is_refused),
        cmocka_unit_test(what_is_empty_or_not_to_be_packed_is_framed_as_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
