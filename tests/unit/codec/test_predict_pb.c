/* test_predict_pb.c - PredictRequest to tensors, tensors to PredictResponse */
#include "pb_fixture.h"
#include "support/faults.h"

/* A request with a = 1 and b = 2. */
static sl_text request(void)
{
    sl_text t = {0};
    put(&t, 1, spec("m", NULL));
    put_input(&t, "a", scalar(1));
    put_input(&t, "b", scalar(2));
    return t;
}

/* ---- as protobuf's own library writes it ---- */

/* One input x and one output y. */
static void one_and_one(fixture *f)
{
    f->inputs[0].key = "x";
    f->sig.n_inputs = f->sig.n_outputs = 1;
}

static void encodes_to(fixture *f, const sl_tensor *t, bool as_content, sl_str expected)
{
    static const int first[] = {0};
    const sl_pb_used used = {SL_STR("m"), 7, SL_STR("serving_default")};
    sl_chain c = {0};
    assert_int_equal(
        sl_pb_encode_predict(&used, &f->sig, first, t, 1, as_content, &c, &f->arena, &f->st),
        SL_OK);
    assert_chain_is(&c, expected);
}

static void every_dtype_is_read_and_written_as_protobuf_does(void **state)
{
    fixture *f = *state;
    parts p = parts_open("predict.bin");
    int dtypes = 0;
    one_and_one(f);
    for (; !parts_end(&p); dtypes++) {
        sl_str number = part(&p), data = part(&p), list = part(&p), content = part(&p);
        for (int k = 0; k < 4; k++) {
            /* both forms, with a buffer to share and without */
            sl_str wire = k & 1 ? content : list;
            assert_int_equal(decode(f, wire, k & 2 ? p.file : NULL), SL_OK);
            assert_int_equal(f->p.n_inputs, 1);
            const sl_tensor *t = &f->p.inputs[0];
            assert_int_equal(t->dtype, number.p[0]);
            assert_int_equal(t->rank, 2);
            assert_int_equal(t->dims[0], 2);
            assert_int_equal(t->dims[1], 3);
            assert_int_equal(t->size, data.n);
            assert_memory_equal(t->data, data.p, data.n);
        }
        sl_str y = part(&p), y_content = part(&p);
        encodes_to(f, &f->p.inputs[0], false, y);
        encodes_to(f, &f->p.inputs[0], true, y_content);
    }
    assert_int_equal(dtypes, 17);
    sl_pb_predict_release(&f->p);
    parts_close(&p);
}

static void strings_are_read_and_written_as_protobuf_does(void **state)
{
    fixture *f = *state;
    parts p = parts_open("strings.bin");
    sl_str in[] = {part(&p), part(&p)}, out[] = {part(&p), part(&p)};
    one_and_one(f);
    for (int k = 0; k < 4; k++) {
        assert_int_equal(decode(f, in[k & 1], k & 2 ? p.file : NULL), SL_OK);
        const sl_str *s = f->p.inputs[0].data;
        assert_int_equal(f->p.inputs[0].dims[0], 3);
        assert_true(sl_str_is(s[0], "a"));
        assert_int_equal(s[1].n, 0);
        assert_int_equal(s[2].n, 300);
        assert_int_equal(s[2].p[299], 'b');
        encodes_to(f, &f->p.inputs[0], false, out[0]);
        encodes_to(f, &f->p.inputs[0], true, out[1]);
    }
    sl_pb_predict_release(&f->p);
    parts_close(&p);
}

/* ---- the rules of proto3 ---- */

static void inputs_come_in_the_order_of_the_signature(void **state)
{
    fixture *f = *state;
    sl_text t = {0};
    put_input(&t, "b", scalar(2));
    put_input(&t, "a", scalar(1));
    put(&t, 1, spec("m", NULL));
    decodes(f, &t);
    assert_int_equal(f->resolved, 1);
    assert_int_equal(f->p.n_inputs, 2);
    assert_int_equal(f->p.input_index[1], 1);
    assert_true(value_of(&f->p.inputs[0]) == 1 && value_of(&f->p.inputs[1]) == 2);
    assert_int_equal(f->p.n_outputs, 2);
    assert_int_equal(f->p.output_index[0], 0);
    assert_int_equal(f->p.output_index[1], 1);
}

static void the_last_value_of_a_key_counts(void **state)
{
    fixture *f = *state;
    sl_text t = request();
    put_input(&t, "a", scalar(5));
    decodes(f, &t);
    assert_true(value_of(&f->p.inputs[0]) == 5);
}

static void an_entry_without_a_key_has_the_empty_one(void **state)
{
    fixture *f = *state;
    sl_text t = {0};
    f->inputs[0].key = "";
    put(&t, 1, spec("m", NULL));
    put_input(&t, "b", scalar(2));
    put(&t, 2, within(2, scalar(3)));
    decodes(f, &t);
    assert_true(value_of(&f->p.inputs[0]) == 3);
}

static void messages_that_come_in_parts_are_merged(void **state)
{
    fixture *f = *state;
    sl_text t = {0}, entry = {0}, first = {0}, second = {0}, version = {0};
    put(&t, 1, spec("old", "s"));
    sl_wire_put_varint(&version, 1, 5);
    put(&t, 1, within(2, version));
    put(&t, 1, within(2, (sl_text){0})); /* says nothing new */
    put(&t, 1, spec("m", NULL));
    sl_wire_put_varint(&first, 1, SL_DT_FLOAT);
    sl_wire_put_fixed32(&second, 5, 0x40400000);
    put_str(&entry, 1, "a");
    put(&entry, 2, first);
    put(&entry, 2, second);
    put(&t, 2, entry);
    put_input(&t, "b", scalar(2));
    assert_int_equal(decode(f, (sl_str){t.p, t.n}, NULL), SL_OK);
    assert_true(sl_str_is(f->asked.name, "m"));
    assert_true(sl_str_is(f->asked.signature_name, "s"));
    assert_true(f->asked.has_version);
    assert_int_equal(f->asked.version, 5);
    assert_true(value_of(&f->p.inputs[0]) == 3);
    sl_text_fini(&t);
}

static sl_pb_model_spec asked_with(fixture *f, sl_text model_spec)
{
    sl_text t = request();
    put(&t, 1, model_spec);
    assert_int_equal(decode(f, (sl_str){t.p, t.n}, NULL), SL_OK);
    sl_pb_model_spec asked = f->asked;
    asked.label.p = NULL; /* its bytes go */
    sl_text_fini(&t);
    return asked;
}

static void of_version_and_label_the_last_counts(void **state)
{
    fixture *f = *state;
    sl_text v = {0}, s = {0};
    put(&s, 2, v);
    assert_true(asked_with(f, s).has_version);
    assert_int_equal(f->asked.version, 0);

    s = (sl_text){0};
    sl_wire_put_varint(&v, 1, 4);
    put(&s, 2, v);
    put_str(&s, 4, "stable");
    sl_pb_model_spec asked = asked_with(f, s);
    assert_false(asked.has_version);
    assert_int_equal(asked.label.n, 6);

    s = (sl_text){0};
    v = (sl_text){0};
    sl_wire_put_varint(&v, 1, (uint64_t)-4);
    put_str(&s, 4, "stable");
    put(&s, 2, v);
    asked = asked_with(f, s);
    assert_true(asked.has_version);
    assert_int_equal(asked.version, -4);
    assert_int_equal(asked.label.n, 0);

    s = (sl_text){0}; /* a version that a label has replaced is not merged with */
    v = (sl_text){0};
    sl_wire_put_varint(&v, 1, 4);
    put(&s, 2, v);
    put_str(&s, 4, "stable");
    put(&s, 2, (sl_text){0});
    asked = asked_with(f, s);
    assert_int_equal(asked.version, 0);
}

static void unknown_fields_and_groups_are_skipped(void **state)
{
    fixture *f = *state;
    sl_text t = request();
    sl_text_puts(&t, "\x53\x08\x01\x5b\x5c\x54"); /* group 10 { 1: 1, group 11 {} } */
    put_str(&t, 99, "\xff");
    sl_wire_put_varint(&t, 1, 3); /* model_spec of another wire type */
    sl_wire_put_fixed64(&t, 2, 3);
    put(&t, 5, within(2, within(1, (sl_text){0}))); /* predict_streamed_options */
    sl_text entry = {0}, s = {0}, version = {0};
    put_str(&entry, 1, "b");
    put(&entry, 2, scalar(3));
    put_str(&entry, 9, "?");
    put(&t, 2, entry);
    sl_wire_put_varint(&version, 1, 5);
    put_str(&version, 1, "a version that is a text");
    sl_wire_put_varint(&version, 9, 6);
    put(&s, 2, version);
    put_str(&s, 9, "?");
    put(&t, 1, s);
    decodes(f, &t);
    assert_int_equal(f->p.n_inputs, 2);
    assert_true(value_of(&f->p.inputs[1]) == 3);
    assert_true(f->asked.has_version);
    assert_int_equal(f->asked.version, 5);
}

/* ---- what is malformed ---- */

static void every_prefix_that_is_cut_within_a_field_is_malformed(void **state)
{
    fixture *f = *state;
    sl_text whole = request();
    int internal = 0;
    for (size_t n = 0; n < whole.n; n++) {
        sl_text t = {0};
        sl_text_add(&t, whole.p, n);
        sl_code rc = decode_text(f, &t);
        assert_true(rc == SL_INTERNAL || rc == SL_INVALID_ARGUMENT);
        assert_int_equal(rc == SL_INTERNAL, f->st.msg[0] == '\0');
        internal += rc == SL_INTERNAL;
    }
    assert_int_equal(internal, (int)whole.n - 3); /* it may be cut between its fields */
    sl_text_fini(&whole);
}

/* The request with one more field, which is malformed inside. */
static void is_malformed(fixture *f, unsigned field, sl_text inner)
{
    sl_text t = request();
    f->resolved = 0;
    put(&t, field, inner);
    fails(f, &t, SL_INTERNAL, "");
    assert_int_equal(f->resolved, 0);
}

static sl_text text_of(const char *s)
{
    sl_text t = {0};
    sl_text_puts(&t, s);
    return t;
}

static void what_is_malformed_anywhere_is_refused_before_anything_is_looked_at(void **state)
{
    fixture *f = *state;
    is_malformed(f, 1, within(1, text_of("\xff")));
    is_malformed(f, 1, within(3, text_of("\xc0\xaf")));
    is_malformed(f, 1, within(4, text_of("\xed\xa0\x80")));
    is_malformed(f, 1, text_of("\x12"));
    is_malformed(f, 2, within(1, text_of("\xf4\x90\x80\x80")));
    is_malformed(f, 2, within(2, within(2, text_of("\x12\x03\x12\x01\xff")))); /* name of a dim */
    is_malformed(f, 2, within(2, within(5, text_of("abc"))));
    is_malformed(f, 2, within(2, within(6, text_of("abcd"))));
    is_malformed(f, 2, within(2, within(10, text_of("\x80"))));
    is_malformed(f, 2, within(2, within(7, text_of("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\1"))));
    is_malformed(f, 2, within(2, within(14, text_of("\x0a\x01\x80"))));
    is_malformed(f, 3, text_of("\x80"));
    is_malformed(f, 7, within(4, text_of("\x80")));
    sl_text t = request();
    sl_text_puts(&t, "\x53");
    fails(f, &t, SL_INTERNAL, "");
    t = request();
    sl_text_puts(&t, "\x53\x5c");
    fails(f, &t, SL_INTERNAL, "");
}

/* TensorProtos in VariantTensorDataProtos, `levels` of each. */
static sl_text nested(int levels)
{
    sl_text t = {0};
    for (int i = 0; i < levels; i++)
        t = within(15, within(3, t));
    return t;
}

static void messages_nest_a_hundred_deep_and_no_deeper(void **state)
{
    fixture *f = *state;
    sl_text t = request(); /* entry and tensor are two levels */
    put_input(&t, "b", nested(49));
    fails(f, &t, SL_INVALID_ARGUMENT, "tensor parsing error: b");
    t = request();
    put_input(&t, "b", nested(50));
    fails(f, &t, SL_INTERNAL, "");
    t = request();
    put_input(&t, "b", nested(2000));
    fails(f, &t, SL_INTERNAL, "");
    t = request();
    for (int i = 0; i < 10000; i++)
        sl_text_putc(&t, '\x53');
    for (int i = 0; i < 10000; i++)
        sl_text_putc(&t, '\x54');
    fails(f, &t, SL_INTERNAL, "");
}

/* ---- the steps ---- */

static void the_model_must_be_named(void **state)
{
    fixture *f = *state;
    sl_text t = {0};
    put_input(&t, "a", scalar(1));
    fails(f, &t, SL_INVALID_ARGUMENT, "Missing ModelSpec");
    t = within(1, (sl_text){0});
    fails(f, &t, SL_INVALID_ARGUMENT, "ModelSpec has no name specified.");
    assert_int_equal(f->resolved, 0);
    t = request();
    f->refuse = SL_NOT_FOUND;
    fails(f, &t, SL_NOT_FOUND, "refused");
    assert_int_equal(f->resolved, 1);
    f->refuse = SL_OK;
    f->limits.spec_optional = true;
    t = (sl_text){0};
    put_input(&t, "a", scalar(1));
    put_input(&t, "b", scalar(1));
    decodes(f, &t);
    assert_false(f->asked.present);
}

static void the_number_of_inputs_must_fit(void **state)
{
    fixture *f = *state;
    sl_text t = request();
    put_input(&t, "q", scalar(1));
    put_input(&t, "q", scalar(2)); /* one name */
    put_input(&t, "0", scalar(2));
    fails(f, &t, SL_INVALID_ARGUMENT,
          "input size does not match signature: 4!=2 len({0,a,b,q}) != len({a,b}). Sent extra: "
          "{0,q}. Missing but required: {}.");
    t = within(1, spec("m", NULL));
    put_input(&t, "q", scalar(1));
    fails(f, &t, SL_INVALID_ARGUMENT,
          "input size does not match signature: 1!=2 len({q}) != len({a,b}). Sent extra: {q}. "
          "Missing but required: {a,b}.");
}

static void of_many_names_the_first_2048_bytes_are_listed(void **state)
{
    fixture *f = *state;
    char name[32];
    sl_text t = request();
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "n%03d%026d", i, 0);
        put_input(&t, name, scalar(1));
    }
    assert_int_equal(decode_text(f, &t), SL_INVALID_ARGUMENT);
    const char *begins = "input size does not match signature: 1002!=2 len({a,b,n000";
    assert_memory_equal(f->st.msg, begins, strlen(begins));
    assert_non_null(f->st.more);
    const char *ends = "n066"
                       "00000000000000000000000000"
                       "}. Missing but required: {}.";
    assert_string_equal(f->st.more + strlen(f->st.more) - strlen(ends), ends);
    char *whole = sl_malloc(strlen(f->st.msg) + strlen(f->st.more) + 1);
    sprintf(whole, "%s%s", f->st.msg, f->st.more);
    assert_null(strstr(whole, "n067"));
    sl_free(whole);
}

static void with_equal_counts_the_missing_input_is_named(void **state)
{
    fixture *f = *state;
    sl_text t = within(1, spec("m", NULL));
    put_input(&t, "b", scalar(1));
    put_input(&t, "q", scalar(1));
    fails(f, &t, SL_INVALID_ARGUMENT,
          "Signature input alias: a(feed name: a:0) not found in request and no default value "
          "provided. Inputs expected to be in the request {b,q}, or default input alias set: ");
}

/* b = 7 if it is not sent. */
static void give_b_a_default(fixture *f)
{
    assert_int_equal(sl_tensor_try_new(SL_DT_FLOAT, NULL, 0, &f->defaults[1], NULL), SL_OK);
    *(float *)f->defaults[1].data = 7;
    f->sig.defaults = f->defaults;
}

static void defaults_are_filled_in(void **state)
{
    fixture *f = *state;
    give_b_a_default(f);
    sl_text t = within(1, spec("m", NULL));
    put_input(&t, "a", scalar(1));
    decodes(f, &t);
    assert_int_equal(f->p.n_inputs, 2);
    assert_true(value_of(&f->p.inputs[1]) == 7);

    t = within(1, spec("m", NULL));
    put_input(&t, "b", scalar(1));
    fails(f, &t, SL_INVALID_ARGUMENT,
          "Signature input alias: a(feed name: a:0) not found in request and no default value "
          "provided. Inputs expected to be in the request {b}, or default input alias set: b");

    t = within(1, spec("m", NULL));
    put_input(&t, "a", scalar(1));
    put_input(&t, "q", scalar(1));
    fails(f, &t, SL_INVALID_ARGUMENT,
          "Inputs contains invalid name. Used request inputs: a, request input: a,q");
}

static void a_tensor_that_does_not_decode_is_named(void **state)
{
    fixture *f = *state;
    sl_text t = request(), ref = {0};
    put_input(&t, "b", (sl_text){0});
    fails(f, &t, SL_INVALID_ARGUMENT, "tensor parsing error: b");
    t = request();
    sl_wire_put_varint(&ref, 1, 101);
    put_input(&t, "a", ref);
    fails(f, &t, SL_INVALID_ARGUMENT, "tensor parsing error: a");
}

static void outputs_are_those_of_the_filter_in_its_order(void **state)
{
    fixture *f = *state;
    sl_text t = request();
    put_str(&t, 3, "z");
    decodes(f, &t);
    assert_int_equal(f->p.n_outputs, 1);
    assert_int_equal(f->p.output_index[0], 1);
    t = request();
    put_str(&t, 3, "z");
    put_str(&t, 3, "y");
    decodes(f, &t);
    assert_int_equal(f->p.n_outputs, 2);
    assert_int_equal(f->p.output_index[0], 1);
    t = request();
    put_str(&t, 3, "w");
    fails(f, &t, SL_INVALID_ARGUMENT,
          "output tensor alias not found in signature: w Outputs expected to be in the set {y,z}.");
    t = request();
    put_str(&t, 3, "y");
    put_str(&t, 3, "y");
    fails(f, &t, SL_INVALID_ARGUMENT, "duplicate output tensor alias: y");
}

/* ---- memory ---- */

static sl_text large_scalar(int64_t elements)
{
    sl_text t = scalar(1), dim = {0};
    sl_wire_put_varint(&dim, 1, (uint64_t)elements);
    put(&t, 2, within(2, dim));
    return t;
}

static void all_inputs_share_one_budget_of_expansion(void **state)
{
    fixture *f = *state;
    f->limits.max_expanded_bytes = 1000;
    sl_text t = request();
    put_input(&t, "a", large_scalar(200));
    put_input(&t, "b", large_scalar(50));
    decodes(f, &t);
    t = request();
    put_input(&t, "a", large_scalar(200));
    put_input(&t, "b", large_scalar(51));
    assert_int_equal(decode_text(f, &t), SL_RESOURCE_EXHAUSTED);
    t = request();
    put_input(&t, "a", large_scalar(INT64_C(1) << 40));
    assert_int_equal(decode_text(f, &t), SL_RESOURCE_EXHAUSTED);
}

static void a_request_that_is_kept_is_shared_by_its_tensors(void **state)
{
    fixture *f = *state;
    const float values[] = {1, 2};
    int shared = 0;
    for (int shift = 0; shift < 4; shift++) {
        sl_text t = {0}, x = {0};
        put(&t, 1, spec("m", NULL));
        sl_wire_put_varint(&x, 1, SL_DT_FLOAT);
        put(&x, 2, within(2, text_of("\x08\x02")));
        sl_wire_put_bytes(&x, 4, values, sizeof values);
        put_input(&t, "a", x);
        put_input(&t, "b", scalar(2));
        sl_buffer *b = sl_buffer_try_new(t.n + 4);
        char *at = (char *)b->data + shift;
        memcpy(at, t.p, t.n);
        assert_int_equal(decode(f, (sl_str){at, t.n}, b), SL_OK);
        shared += f->p.inputs[0].buffer == b;
        assert_int_equal(b->refs, f->p.inputs[0].buffer == b ? 2 : 1);
        sl_buffer_release(b);
        assert_memory_equal(f->p.inputs[0].data, values, sizeof values);
        sl_text_fini(&t);
    }
    assert_int_equal(shared, 1);
}

static void a_large_output_is_lent_to_the_reply(void **state)
{
    fixture *f = *state;
    static const int first[] = {0};
    const int64_t dims[] = {100000};
    const sl_pb_used used = {SL_STR("m"), 7, SL_STR("serving_default")};
    sl_tensor t;
    sl_chain c = {0};
    struct iovec v[4];
    assert_int_equal(sl_tensor_try_new(SL_DT_FLOAT, dims, 1, &t, NULL), SL_OK);
    memset(t.data, 1, t.size);
    assert_int_equal(
        sl_pb_encode_predict(&used, &f->sig, first, &t, 1, true, &c, &f->arena, &f->st), SL_OK);
    assert_int_equal(sl_chain_vectors(&c, v, 4), 3);
    assert_ptr_equal(v[1].iov_base, t.data);
    sl_tensor_release(&t);
    sl_chain_reset(&c);
}

static void what_a_reply_cannot_hold_is_refused(void **state)
{
    fixture *f = *state;
    static const int both[] = {0, 1};
    static const sl_pb_used used = {SL_STR("m"), 7, SL_STR("serving_default")};
    /* strings of which nobody reads a byte */
    static const sl_str endless[] = {{"", SIZE_MAX}}, two_gib[] = {{"", INT32_MAX}},
                        one_gib[] = {{"", 1 << 30}};
    const sl_tensor one = {.dtype = SL_DT_STRING, .size = sizeof one_gib, .data = (void *)one_gib};
    const struct {
        sl_tensor t;
        sl_code code;
        const char *text;
    } cases[] = {
        {{.dtype = SL_DT_RESOURCE}, SL_UNIMPLEMENTED, "a resource has no wire form"},
        {{.dtype = SL_DT_STRING, .size = sizeof endless, .data = (void *)endless},
         SL_RESOURCE_EXHAUSTED,
         "a string tensor is too large for a message"},
        {{.dtype = SL_DT_STRING, .size = sizeof two_gib, .data = (void *)two_gib},
         SL_RESOURCE_EXHAUSTED,
         NULL},
        {one, SL_RESOURCE_EXHAUSTED, NULL}, /* with the other one */
    };
    for (size_t i = 0; i < SL_COUNTOF(cases); i++) {
        const sl_tensor t[] = {cases[i].t, one};
        sl_chain c = {0};
        assert_int_equal(
            sl_pb_encode_predict(&used, &f->sig, both, t, 2, false, &c, &f->arena, &f->st),
            cases[i].code);
        if (cases[i].text != NULL)
            assert_string_equal(f->st.msg, cases[i].text);
        else
            assert_non_null(strstr(f->st.msg, "is more than a protobuf message can have"));
        assert_int_equal(c.size, 0);
    }
}

static void a_reply_without_a_model_names_none(void **state)
{
    fixture *f = *state;
    static const sl_pb_used used = {{"", 0}, 0, {"", 0}};
    sl_chain c = {0};
    assert_int_equal(
        sl_pb_encode_predict(&used, &f->sig, NULL, NULL, 0, false, &c, &f->arena, &f->st), SL_OK);
    assert_chain_is(&c, SL_STR("\x12\2\x12\0"));
}

static sl_code there_and_back(fixture *f, sl_str wire, sl_chain *c)
{
    const sl_pb_used used = {SL_STR("m"), 7, SL_STR("serving_default")};
    sl_pb_predict_release(&f->p);
    sl_arena_reset(&f->arena);
    f->arena.at = f->arena.end; /* what the arena has is used up */
    sl_code rc =
        sl_pb_decode_predict(wire, NULL, &f->limits, hand_out, f, &f->arena, &f->p, &f->st);
    return rc ? rc
              : sl_pb_encode_predict(&used, &f->sig, f->p.output_index, f->p.inputs, 2, false, c,
                                     &f->arena, &f->st);
}

typedef struct attempt {
    fixture *f;
    sl_str wire;
} attempt;

static sl_code there_and_back_once(void *arg, sl_status *st)
{
    attempt *a = arg;
    sl_chain c = {0};
    sl_code rc = there_and_back(a->f, a->wire, &c);
    sl_chain_reset(&c);
    *st = a->f->st;
    return rc;
}

static void any_failing_allocation_is_an_error(void **state)
{
    fixture *f = *state;
    sl_text t = request(), entry = {0};
    put_str(&entry, 1, "a");
    put(&entry, 2, scalar(1));
    put(&entry, 2, (sl_text){0});
    put(&t, 2, entry);
    attempt a = {f, {t.p, t.n}};
    assert_in_range(fail_each_allocation(there_and_back_once, &a), 4, 200);
    sl_text_fini(&t);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(every_dtype_is_read_and_written_as_protobuf_does),
        T(strings_are_read_and_written_as_protobuf_does),
        T(inputs_come_in_the_order_of_the_signature),
        T(the_last_value_of_a_key_counts),
        T(an_entry_without_a_key_has_the_empty_one),
        T(messages_that_come_in_parts_are_merged),
        T(of_version_and_label_the_last_counts),
        T(unknown_fields_and_groups_are_skipped),
        T(every_prefix_that_is_cut_within_a_field_is_malformed),
        T(what_is_malformed_anywhere_is_refused_before_anything_is_looked_at),
        T(messages_nest_a_hundred_deep_and_no_deeper),
        T(the_model_must_be_named),
        T(the_number_of_inputs_must_fit),
        T(of_many_names_the_first_2048_bytes_are_listed),
        T(with_equal_counts_the_missing_input_is_named),
        T(defaults_are_filled_in),
        T(a_tensor_that_does_not_decode_is_named),
        T(outputs_are_those_of_the_filter_in_its_order),
        T(all_inputs_share_one_budget_of_expansion),
        T(a_request_that_is_kept_is_shared_by_its_tensors),
        T(a_large_output_is_lent_to_the_reply),
        T(what_a_reply_cannot_hold_is_refused),
        T(a_reply_without_a_model_names_none),
        T(any_failing_allocation_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
