/* test_oip_pb.c - ModelInferRequest to tensors, tensors to ModelInferResponse; the small messages
 * */
#include <sys/mman.h>

#include "codec/oip_pb.h"
#include "pb_fixture.h"
#include "support/faults.h"

typedef struct oip {
    sl_arena arena;
    sl_status st;
    sl_oip_request r;
    sl_buffer *body;
} oip;

static int begin(void **state)
{
    oip *f = sl_calloc(1, sizeof *f);
    assert_int_equal(sl_arena_init(&f->arena, 0), SL_OK);
    *state = f;
    return 0;
}

static int end(void **state)
{
    oip *f = *state;
    sl_oip_request_release(&f->r);
    sl_buffer_release(f->body);
    sl_arena_fini(&f->arena);
    sl_free(f);
    return 0;
}

/* From a buffer of its own size, which stays until the next one. */
static sl_code read(oip *f, sl_text *t, bool share)
{
    sl_oip_request_release(&f->r);
    sl_buffer_release(f->body);
    sl_arena_reset(&f->arena);
    f->st = (sl_status){0};
    f->body = sl_buffer_try_new(t->n);
    assert_non_null(f->body);
    if (t->n)
        memcpy(f->body->data, t->p, t->n);
    sl_code rc = sl_oip_pb_decode((sl_str){f->body->data, t->n}, share ? f->body : NULL, &f->arena,
                                  &f->r, &f->st);
    sl_text_fini(t);
    return rc;
}

static sl_text input(const char *name, const char *datatype, int64_t size)
{
    sl_text t = {0};
    put_str(&t, 1, name);
    put_str(&t, 2, datatype);
    sl_wire_put_varint(&t, 3, (uint64_t)size); /* not packed */
    return t;
}

static sl_text bytes(const void *p, size_t n)
{
    sl_text t = {0};
    sl_text_add(&t, p, n);
    return t;
}

static void contents_come_packed_one_by_one_and_in_parts(void **state)
{
    oip *f = *state;
    static const float two[] = {1, 2};
    sl_text in = input("x", "FP32", 3), more = {0};
    put(&in, 5, within(6, bytes(two, sizeof two)));
    sl_wire_put_fixed32(&more, 6, 0x40400000);
    put(&in, 5, more);
    sl_text t = within(5, in);
    in = input("n", "INT8", 2);
    put(&in, 5, within(2, bytes("\x7f\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11)));
    put(&t, 5, in);
    in = input("s", "BYTES", 2);
    sl_text strings = {0};
    put_str(&strings, 8, "ab");
    put_str(&strings, 8, "");
    put(&in, 5, strings);
    put(&t, 5, in);
    put_str(&t, 1, "m");
    put_str(&t, 2, "7");
    put_str(&t, 3, "id");
    sl_text parameter = {0};
    put_str(&parameter, 1, "signature_name");
    put(&parameter, 2, within(3, bytes("sig", 3)));
    put(&t, 4, parameter);
    sl_text copy = bytes(t.p, t.n);
    for (int share = 0; share < 2; share++) {
        assert_int_equal(read(f, share ? &copy : &t, share), SL_OK);
        assert_int_equal(f->r.n_inputs, 3);
        assert_memory_equal(f->r.inputs[0].tensor.data, ((float[]){1, 2, 3}), 12);
        assert_memory_equal(f->r.inputs[1].tensor.data, "\x7f\xff", 2);
        const sl_str *s = f->r.inputs[2].tensor.data;
        assert_true(sl_str_is(s[0], "ab") && s[1].n == 0);
        assert_true(sl_str_is(f->r.model, "m") && sl_str_is(f->r.version, "7"));
        assert_true(sl_str_is(f->r.id, "id") && sl_str_is(f->r.signature, "sig"));
        assert_false(f->r.binary);
    }
}

static void a_number_of_ten_bytes_is_taken_packed_and_alone(void **state)
{
    oip *f = *state;
    static const char number[] = "\x85\x80\x80\x80\x80\x80\x80\x80\x80\x7e";
    sl_text in = {0}, alone = {0};
    put_str(&in, 1, "x");
    put_str(&in, 2, "INT64");
    put(&in, 3, bytes("\x83\x80\x80\x80\x80\x80\x80\x80\x80\x7e\1", 11));
    put(&in, 5, within(3, bytes(number, 10)));
    sl_text_puts(&alone, "\x18");
    sl_text_add(&alone, number, 10);
    put(&in, 5, alone);
    put(&in, 5, within(3, bytes("\7", 1)));
    sl_text t = within(5, in);
    if (read(f, &t, false))
        fail_msg("%s", f->st.msg);
    const sl_tensor *x = &f->r.inputs[0].tensor;
    assert_int_equal(x->rank, 2);
    assert_int_equal(x->dims[0], 3);
    assert_int_equal(x->dims[1], 1);
    assert_memory_equal(x->data, ((int64_t[]){5, 5, 7}), 24);
}

static void raw_contents_are_for_all_inputs_and_shared(void **state)
{
    oip *f = *state;
    static const char raw[] = "\2\0\0\0ab";
    sl_text t = within(5, input("x", "INT8", 4));
    put(&t, 5, input("s", "BYTES", 1));
    put_str(&t, 7, "abcd");
    sl_wire_put_bytes(&t, 7, raw, 6);
    assert_int_equal(read(f, &t, true), SL_OK);
    assert_true(f->r.binary);
    assert_ptr_equal(f->r.inputs[0].tensor.buffer, f->body);
    assert_memory_equal(f->r.inputs[0].tensor.data, "abcd", 4);
    assert_true(sl_str_is(*(sl_str *)f->r.inputs[1].tensor.data, "ab"));
}

static void fails_with(oip *f, sl_text t, sl_code code, const char *text)
{
    assert_int_equal(read(f, &t, false), code);
    if (strstr(f->st.msg, text) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", text, f->st.msg);
    assert_int_equal(f->r.n_inputs, 0);
}

static sl_text filled(const char *datatype, int64_t size, unsigned field, const char *packed)
{
    sl_text in = input("x", datatype, size);
    put(&in, 5, within(field, bytes(packed, strlen(packed))));
    return within(5, in);
}

static void what_does_not_fit_is_named(void **state)
{
    oip *f = *state;
    fails_with(f, filled("FP31", 1, 6, "1234"), SL_INVALID_ARGUMENT, "unknown datatype \"FP31\"");
    fails_with(f, filled("FP32", 2, 6, "1234"), SL_INVALID_ARGUMENT, "not the 2 elements");
    fails_with(f, filled("FP32", 1, 6, "12345678"), SL_INVALID_ARGUMENT, "not the 1 elements");
    fails_with(f, filled("INT8", 1, 2, "\1\2"), SL_INVALID_ARGUMENT, "not the 1 elements");
    fails_with(f, filled("FP32", 1, 2, "\1"), SL_INVALID_ARGUMENT, "not the 1 elements");
    fails_with(f, filled("FP16", 1, 2, "\1"), SL_INVALID_ARGUMENT, "sent in raw_input_contents");
    fails_with(f, filled("INT8", INT64_C(1) << 50, 2, "\1"), SL_INVALID_ARGUMENT, "not the");
    fails_with(f, filled("INT8", -1, 2, "\1"), SL_INVALID_ARGUMENT, "out of range");
    fails_with(f, filled("FP32", 1, 6, "123"), SL_INTERNAL, "");
    fails_with(f, filled("INT8", 1, 2, "\x80"), SL_INTERNAL, "");
    fails_with(f, within(1, bytes("\xff", 1)), SL_INTERNAL, "");
    sl_text in = input("x", "INT8", 1), t;
    for (int i = 0; i < 8; i++)
        sl_wire_put_varint(&in, 3, 1);
    fails_with(f, within(5, in), SL_INVALID_ARGUMENT, "more than 8 dimensions");
    t = filled("INT8", 1, 2, "\1");
    put_str(&t, 7, "a");
    fails_with(f, t, SL_INVALID_ARGUMENT, "has contents although");
    t = within(5, input("x", "INT8", 1));
    put_str(&t, 7, "a");
    put_str(&t, 7, "b");
    fails_with(f, t, SL_INVALID_ARGUMENT, "2 raw_input_contents for 1 inputs");
}

static void contents_beyond_the_shape_are_refused(void **state)
{
    oip *f = *state;
    sl_text in = input("x", "FP32", 2), strings = {0};
    put(&in, 5, within(6, bytes("12345678", 8)));
    put(&in, 5, within(6, bytes("1234", 4)));
    fails_with(f, within(5, in), SL_INVALID_ARGUMENT, "not the 2 elements of shape [2]");
    in = input("s", "BYTES", 1);
    sl_wire_put_varint(&strings, 8, 7); /* no string */
    put_str(&strings, 8, "a");
    put_str(&strings, 8, "");
    put(&in, 5, strings);
    fails_with(f, within(5, in), SL_INVALID_ARGUMENT, "not the 1 elements of shape [1]");
}

static void raw_contents_are_held_against_the_shape(void **state)
{
    oip *f = *state;
    sl_text t = within(5, input("x", "INT8", -1));
    put_str(&t, 7, "a");
    fails_with(f, t, SL_INVALID_ARGUMENT, "shape [?] is out of range");
    t = within(5, input("x", "INT8", 2));
    put_str(&t, 7, "a");
    fails_with(f, t, SL_INVALID_ARGUMENT, "1 bytes are not a INT8 tensor of shape [2]");
}

static void answers_have_contents_or_raw_ones(void **state)
{
    oip *f = *state;
    static const sl_tensor_info infos[] = {{.key = "y"}, {.key = "z"}};
    static const sl_signature sig = {.outputs = infos, .n_outputs = 2};
    static const int index[] = {0, 1};
    int32_t values[] = {1, -1};
    sl_str strings[] = {SL_STR("ab")};
    sl_tensor out[] = {{.dtype = SL_DT_INT32, .rank = 1, .dims = {2}, .size = 8, .data = values},
                       {.dtype = SL_DT_STRING, .rank = 0, .size = sizeof strings, .data = strings}};
    const sl_oip_answer a = {.model = SL_STR("m"),
                             .id = SL_STR("i"),
                             .version = 7,
                             .signature = &sig,
                             .output_index = index,
                             .outputs = out,
                             .n_outputs = 2};
    sl_chain c = {0};
    assert_int_equal(sl_oip_pb_encode(&a, false, &c, &f->arena, &f->st), SL_OK);
    assert_chain_is(&c, SL_STR("\x0a\1m\x12\1"
                               "7\x1a\1i"
                               "\x2a\x1c\x0a\1y\x12\5INT32\x1a\1\2"
                               "\x2a\x0d\x12\x0b\1\xff\xff\xff\xff\xff\xff\xff\xff\xff\1"
                               "\x2a\x10\x0a\1z\x12\5BYTES\x2a\4\x42\2ab"));
    assert_int_equal(sl_oip_pb_encode(&a, true, &c, &f->arena, &f->st), SL_OK);
    assert_chain_is(&c, SL_STR("\x0a\1m\x12\1"
                               "7\x1a\1i"
                               "\x2a\x0d\x0a\1y\x12\5INT32\x1a\1\2"
                               "\x2a\x0a\x0a\1z\x12\5BYTES"
                               "\x32\x08\1\0\0\0\xff\xff\xff\xff\x32\6\2\0\0\0ab"));
}

static sl_code answer_one(oip *f, const char *key, const sl_tensor *t, bool raw, sl_chain *c)
{
    static const int index[] = {0};
    const sl_tensor_info info = {.key = key};
    const sl_signature sig = {.outputs = &info, .n_outputs = 1};
    const sl_oip_answer a = {
        .version = 1, .signature = &sig, .output_index = index, .outputs = t, .n_outputs = 1};
    return sl_oip_pb_encode(&a, raw, c, &f->arena, &f->st);
}

static void an_output_without_a_name_has_none(void **state)
{
    oip *f = *state;
    sl_chain c = {0};
    const sl_tensor t = {.dtype = SL_DT_BOOL, .size = 1, .data = &(bool){true}};
    assert_int_equal(answer_one(f, "", &t, false, &c), SL_OK);
    assert_chain_is(&c, SL_STR("\x12\1"
                               "1\x2a\x0b\x12\4BOOL\x2a\3\x0a\1\1"));
}

static void a_dtype_without_a_datatype_is_refused(void **state)
{
    oip *f = *state;
    sl_chain c = {0};
    const sl_tensor t = {.dtype = SL_DT_COMPLEX64};
    assert_int_equal(answer_one(f, "y", &t, false, &c), SL_UNIMPLEMENTED);
    assert_string_equal(f->st.msg, "output \"y\" is of type complex64, which the protocol has no "
                                   "datatype for");
}

static void free_header(sl_buffer *b)
{
    sl_free(b);
}

static void an_answer_has_less_than_two_gib(void **state)
{
    oip *f = *state;
    enum { NEARLY = INT32_MAX - 1000 };
    sl_chain c = {0};
    /* pages that nobody touches: the bytes are lent, and only counted */
    void *pages =
        mmap(NULL, INT32_MAX, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_ptr_not_equal(pages, MAP_FAILED);
    sl_tensor t = {.dtype = SL_DT_UINT8, .rank = 1, .data = pages};
    t.buffer = sl_buffer_try_wrap(pages, INT32_MAX, free_header, NULL);
    t.size = (size_t)(t.dims[0] = NEARLY);
    assert_int_equal(answer_one(f, "y", &t, true, &c), SL_OK);
    size_t heads = c.size - NEARLY;
    sl_chain_reset(&c);
    t.size = (size_t)(t.dims[0] = INT32_MAX - 1 - (int64_t)heads);
    assert_int_equal(answer_one(f, "y", &t, true, &c), SL_OK);
    assert_int_equal(c.size, INT32_MAX - 1);
    sl_chain_reset(&c);
    t.size = (size_t)++t.dims[0];
    assert_int_equal(answer_one(f, "y", &t, true, &c), SL_RESOURCE_EXHAUSTED);
    assert_string_equal(f->st.msg,
                        "a reply of 2147483647 bytes is more than a protobuf message can "
                        "have");
    assert_int_equal(c.size, 0);
    sl_tensor_release(&t);
    assert_int_equal(munmap(pages, INT32_MAX), 0);

    static const size_t lengths[][2] = {{SIZE_MAX, SIZE_MAX}, {INT32_MAX, 0}, {1 << 30, 1 << 30}};
    for (size_t i = 0; i < SL_COUNTOF(lengths); i++) { /* strings of which nobody reads a byte */
        sl_str strings[] = {{"", lengths[i][0]}, {"", lengths[i][1]}};
        const sl_tensor s = {
            .dtype = SL_DT_STRING, .rank = 1, .dims = {2}, .size = sizeof strings, .data = strings};
        for (int raw = 0; raw < 2; raw++)
            assert_int_equal(answer_one(f, "y", &s, raw, &c), SL_RESOURCE_EXHAUSTED);
    }
    assert_int_equal(c.size, 0);
}

static void the_small_messages(void **state)
{
    oip *f = *state;
    sl_str name, version;
    bool ready;
    sl_chain c = {0};
    assert_int_equal(sl_oip_pb_decode_model(SL_STR("\x0a\1m\x12\1"
                                                   "1"),
                                            &name, &version, &f->st),
                     SL_OK);
    assert_true(sl_str_is(name, "m") && sl_str_is(version, "1"));
    assert_int_equal(sl_oip_pb_decode_change(SL_STR("\x0a\1r\x12\1m"), &name, &f->st), SL_OK);
    assert_true(sl_str_is(name, "m"));
    assert_int_equal(sl_oip_pb_decode_change(SL_STR("\x12\1\xff"), &name, &f->st), SL_INTERNAL);
    assert_int_equal(sl_oip_pb_decode_index(SL_STR("\x10\1"), &ready, &f->st), SL_OK);
    assert_true(ready);
    sl_oip_pb_encode_bool(false, &c);
    assert_chain_is(&c, SL_STR(""));
    sl_oip_pb_encode_bool(true, &c);
    assert_chain_is(&c, SL_STR("\x08\1"));
    static const sl_oip_model models[] = {{"m", 12, true, "READY", ""},
                                          {"n", -1, false, "UNAVAILABLE", "no"}};
    assert_int_equal(sl_oip_pb_encode_index(models, 2, &c, &f->st), SL_OK);
    assert_chain_is(&c, SL_STR("\x0a\x0e\x0a\1m\x12\2"
                               "12\x1a\5READY"
                               "\x0a\x14\x0a\1n\x1a\x0bUNAVAILABLE\x22\2no"));
}

/* ---- every dtype ---- */

static const struct {
    const char *datatype;
    sl_dtype dtype;
    unsigned field;  /* of the contents; 0: in none */
    const char *raw; /* 1 and 0 */
} dtypes[] = {
    {"BOOL", SL_DT_BOOL, 1, "\1\0"},
    {"INT8", SL_DT_INT8, 2, "\1\0"},
    {"INT16", SL_DT_INT16, 2, "\1\0\0\0"},
    {"INT32", SL_DT_INT32, 2, "\1\0\0\0\0\0\0\0"},
    {"INT64", SL_DT_INT64, 3, "\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"},
    {"UINT8", SL_DT_UINT8, 4, "\1\0"},
    {"UINT16", SL_DT_UINT16, 4, "\1\0\0\0"},
    {"UINT32", SL_DT_UINT32, 4, "\1\0\0\0\0\0\0\0"},
    {"UINT64", SL_DT_UINT64, 5, "\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"},
    {"FP32", SL_DT_FLOAT, 6, "\0\0\x80\x3f\0\0\0\0"},
    {"FP64", SL_DT_DOUBLE, 7, "\0\0\0\0\0\0\xf0\x3f\0\0\0\0\0\0\0\0"},
    {"FP16", SL_DT_HALF, 0, "\0\x3c\0\0"},
    {"BF16", SL_DT_BFLOAT16, 0, "\x80\x3f\0\0"},
};

static void every_dtype_comes_and_goes(void **state)
{
    oip *f = *state;
    static const sl_tensor_info info = {.key = "y"};
    static const sl_signature sig = {.outputs = &info, .n_outputs = 1};
    static const int index[] = {0};
    for (size_t i = 0; i < SL_COUNTOF(dtypes); i++) {
        size_t n = 2 * sl_dtype_size(dtypes[i].dtype);
        sl_text in = input("x", dtypes[i].datatype, 2), all;
        if (dtypes[i].field >= 6) { /* packed as they are */
            put(&in, 5, within(dtypes[i].field, bytes(dtypes[i].raw, n)));
            all = within(5, in);
        } else if (dtypes[i].field) {
            put(&in, 5, within(dtypes[i].field, bytes("\1\0", 2)));
            all = within(5, in);
        } else {
            all = within(5, in);
            sl_wire_put_bytes(&all, 7, dtypes[i].raw, n);
        }
        if (read(f, &all, false))
            fail_msg("%s: %s", dtypes[i].datatype, f->st.msg);
        const sl_tensor *t = &f->r.inputs[0].tensor;
        assert_int_equal(t->dtype, dtypes[i].dtype);
        assert_memory_equal(t->data, dtypes[i].raw, n);
        for (int raw = 0; raw < 2; raw++) {
            sl_chain c = {0};
            const sl_oip_answer a = {.version = 1,
                                     .signature = &sig,
                                     .output_index = index,
                                     .outputs = t,
                                     .n_outputs = 1};
            sl_code rc = sl_oip_pb_encode(&a, raw, &c, &f->arena, &f->st);
            assert_true(rc == SL_OK || (!raw && dtypes[i].field == 0));
            sl_chain_reset(&c);
        }
    }
}

static void what_is_not_known_is_skipped(void **state)
{
    oip *f = *state;
    sl_text in = input("x", "INT8", 1), parameter = {0}, output = {0};
    sl_wire_put_varint(&in, 1, 7); /* a name that is a number */
    sl_wire_put_varint(&in, 9, 7);
    put_str(&in, 9, "?");
    put(&in, 5, within(3, bytes("\1", 1))); /* values of another dtype */
    sl_text contents = {0};
    sl_wire_put_fixed32(&contents, 2, 1); /* of another wire type */
    sl_wire_put_varint(&contents, 2, 5);
    put(&in, 5, contents);
    sl_text t = within(5, in);
    put_str(&parameter, 1, "else");
    put_str(&parameter, 3, "?");
    put(&t, 4, parameter);
    put_str(&output, 9, "?");
    put_str(&output, 1, "y");
    put(&t, 6, output);
    sl_wire_put_varint(&t, 1, 7);
    sl_wire_put_varint(&t, 9, 7);
    put_str(&t, 9, "?");
    if (read(f, &t, false))
        fail_msg("%s", f->st.msg);
    assert_int_equal(*(int8_t *)f->r.inputs[0].tensor.data, 5);
    assert_true(sl_str_is(f->r.outputs[0].name, "y") && f->r.signature.n == 0);
    parameter = (sl_text){0};
    put_str(&parameter, 1, "signature_name");
    sl_text value = within(3, bytes("sig", 3));
    sl_wire_put_varint(&value, 1, 1); /* a bool in the string's place: the last counts */
    put(&parameter, 2, value);
    t = within(4, parameter);
    assert_int_equal(read(f, &t, false), SL_OK);
    assert_int_equal(f->r.signature.n, 0);
    sl_str name, version;
    bool ready;
    assert_int_equal(sl_oip_pb_decode_model(SL_STR("\x1a\1m\x08\1"), &name, &version, &f->st),
                     SL_OK);
    assert_int_equal(sl_oip_pb_decode_model(SL_STR("\x1a\1m"), &name, &version, &f->st), SL_OK);
    assert_true(name.n == 0 && version.n == 0);
    assert_int_equal(sl_oip_pb_decode_index(SL_STR("\x12\1a\x18\1"), &ready, &f->st), SL_OK);
    assert_false(ready);
    assert_int_equal(sl_oip_pb_decode_index(SL_STR("\xff"), &ready, &f->st), SL_INTERNAL);
    assert_int_equal(sl_oip_pb_decode_model(SL_STR("\xff"), &name, &version, &f->st), SL_INTERNAL);
}

static void metadata_names_each_tensor(void **state)
{
    oip *f = *state;
    static const sl_tensor_info infos[] = {
        {.key = "a", .dtype = SL_DT_FLOAT, .rank = -1},
        {.key = "", .dtype = SL_DT_COMPLEX64, .rank = 2, .dims = {-1, 3}}};
    static const sl_signature sig = {
        .inputs = infos, .n_inputs = 2, .outputs = infos, .n_outputs = 1};
    static const int64_t versions[] = {12, 3};
    static const char *const extensions[] = {"e"};
    sl_chain c = {0};
    assert_int_equal(sl_oip_pb_encode_metadata(SL_STR("m"), versions, 2, &sig, &c, &f->st), SL_OK);
#define A "\x0a\1a\x12\4FP32\x1a\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\1"
    assert_chain_is(&c, SL_STR("\x0a\1m\x12\2"
                               "12\x12\1"
                               "3\x1a\x15tensorflow_savedmodel"
                               "\x22\x15" A "\x22\x1b\x12\x0c"
                               "DT_COMPLEX64\x1a\x0b\xff\xff\xff\xff\xff"
                               "\xff\xff\xff\xff\1\3\x2a\x15" A));
    assert_int_equal(sl_oip_pb_encode_metadata(SL_STR(""), versions, 0, &sig, &c, &f->st), SL_OK);
    sl_chain_reset(&c);
    sl_oip_pb_encode_server(extensions, 1, &c);
    assert_true(c.size > 12);
    sl_chain_reset(&c);
}

static sl_code read_and_answer(void *arg, sl_status *st)
{
    static const sl_tensor_info infos[] = {{.key = "y"}, {.key = "z"}};
    static const sl_signature sig = {.outputs = infos, .n_outputs = 2};
    static const int index[] = {0, 1};
    oip *f = arg;
    sl_oip_request r = {0};
    sl_chain c = {0};
    sl_arena_reset(&f->arena);
    sl_code rc = sl_oip_pb_decode((sl_str){f->body->data, f->body->size}, NULL, &f->arena, &r, st);
    if (rc == SL_OK) {
        sl_tensor out[] = {r.inputs[0].tensor, r.inputs[1].tensor};
        const sl_oip_answer a = {.model = SL_STR("m"),
                                 .version = 7,
                                 .signature = &sig,
                                 .output_index = index,
                                 .outputs = out,
                                 .n_outputs = 2};
        for (int raw = 0; raw < 2 && rc == SL_OK; raw++) {
            rc = sl_oip_pb_encode(&a, raw, &c, &f->arena, st);
            sl_chain_reset(&c);
        }
    }
    sl_oip_request_release(&r);
    return rc;
}

static void without_memory_it_says_so(void **state)
{
    oip *f = *state;
    sl_text in = input("x", "INT32", 1), t = {0}, strings = {0};
    put(&in, 5, within(2, bytes("\1", 1)));
    put(&t, 5, in);
    in = input("s", "BYTES", 1);
    put_str(&strings, 8, "ab");
    put(&in, 5, strings);
    put(&t, 5, in);
    put(&t, 6, within(1, bytes("y", 1)));
    assert_int_equal(read(f, &t, false), SL_OK);
    sl_oip_request_release(&f->r); /* its arrays are the arena's, which is used anew */
    assert_in_range(fail_each_allocation(read_and_answer, f), 8, 200);
}

#define T(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(contents_come_packed_one_by_one_and_in_parts),
        T(a_number_of_ten_bytes_is_taken_packed_and_alone),
        T(raw_contents_are_for_all_inputs_and_shared),
        T(what_does_not_fit_is_named),
        T(contents_beyond_the_shape_are_refused),
        T(raw_contents_are_held_against_the_shape),
        T(answers_have_contents_or_raw_ones),
        T(an_output_without_a_name_has_none),
        T(a_dtype_without_a_datatype_is_refused),
        T(an_answer_has_less_than_two_gib),
        T(the_small_messages),
        T(every_dtype_comes_and_goes),
        T(what_is_not_known_is_skipped),
        T(metadata_names_each_tensor),
        T(without_memory_it_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
