/* test_model_pb.c - metadata, status and reload */
#include "codec/model_pb.h"
#include "pb_fixture.h"
#include "support/faults.h"

static void messages_are_those_of_protobuf(void **state)
{
    fixture *f = *state;
    parts p = parts_open("models.bin");
    sl_pb_model_spec asked;
    sl_chain out = {0};
    assert_int_equal(sl_pb_decode_metadata_request(part(&p), &f->arena, &asked, &f->st), SL_OK);
    assert_true(sl_str_is(asked.name, "m"));
    assert_int_equal(asked.version, 2);
    const sl_signature list[] = {{.key = "a", .def = SL_STR("\x1a\x01p")}, {.key = "b"}};
    const sl_signatures all = {.list = list, .count = 2};
    assert_int_equal(sl_pb_encode_metadata(SL_STR("m"), 2, &all, &out, &f->st), SL_OK);
    assert_chain_is(&out, part(&p));

    assert_int_equal(sl_pb_decode_status_request(part(&p), &f->arena, &asked, &f->st), SL_OK);
    assert_true(sl_str_is(asked.name, "m"));
    assert_false(asked.has_version);
    const sl_pb_version_status versions[] = {{12, 30, SL_OK, ""}, {3, 50, SL_NOT_FOUND, "gone"}};
    assert_int_equal(sl_pb_encode_status(versions, 2, &out, &f->st), SL_OK);
    assert_chain_is(&out, part(&p));

    sl_pb_reload reload;
    assert_int_equal(sl_pb_decode_reload_request(part(&p), &f->arena, &reload, &f->st), SL_OK);
    assert_true(reload.has_list);
    assert_int_equal(reload.n_metric_names, 2);
    assert_true(sl_str_is(reload.metric_names[1], "n"));
    assert_non_null(memmem(reload.config.p, reload.config.n, "/models/m", 9));
    const sl_pb_metric metrics[] = {{SL_STR("m"), 5}, {SL_STR("n"), 0}};
    assert_int_equal(sl_pb_encode_reload(SL_OK, "", metrics, 2, &out, &f->st), SL_OK);
    assert_chain_is(&out, part(&p));
    parts_close(&p);
}

static void metadata_fails(fixture *f, sl_text t, const char *text)
{
    sl_pb_model_spec asked;
    assert_int_equal(sl_pb_decode_metadata_request((sl_str){t.p, t.n}, &f->arena, &asked, &f->st),
                     SL_INVALID_ARGUMENT);
    assert_string_equal(f->st.msg, text);
    sl_text_fini(&t);
}

static void metadata_is_asked_for_by_name_of_field_and_model(void **state)
{
    fixture *f = *state;
    metadata_fails(f, (sl_text){0}, "Missing ModelSpec");
    sl_text t = within(1, (sl_text){0});
    metadata_fails(f, t, "GetModelMetadataRequest must specify at least one metadata_field");
    t = within(1, (sl_text){0});
    put_str(&t, 2, "x");
    metadata_fails(f, t, "Metadata field x is not supported");
    t = within(1, (sl_text){0});
    put_str(&t, 2, "signature_def");
    metadata_fails(f, t, "ModelSpec has no name specified.");
}

static void a_status_needs_a_spec_but_no_name(void **state)
{
    fixture *f = *state;
    sl_pb_model_spec asked;
    assert_int_equal(sl_pb_decode_status_request(SL_STR(""), &f->arena, &asked, &f->st),
                     SL_INVALID_ARGUMENT);
    assert_string_equal(f->st.msg, "Missing ModelSpec");
    assert_int_equal(sl_pb_decode_status_request(SL_STR("\x0a\x00"), &f->arena, &asked, &f->st),
                     SL_OK);
    assert_int_equal(sl_pb_decode_status_request(SL_STR("\x0a"), &f->arena, &asked, &f->st),
                     SL_INTERNAL);
}

static sl_code reload(fixture *f, sl_text t, sl_pb_reload *out)
{
    f->st = (sl_status){0};
    sl_code rc = sl_pb_decode_reload_request((sl_str){t.p, t.n}, &f->arena, out, &f->st);
    sl_text_fini(&t);
    return rc;
}

static void a_reload_needs_a_list_of_models(void **state)
{
    fixture *f = *state;
    sl_pb_reload out;
    const char *text = "ServerModelConfig type not supported by HandleReloadConfigRequest. Only "
                       "ModelConfigList is currently supported";
    assert_int_equal(reload(f, (sl_text){0}, &out), SL_INVALID_ARGUMENT);
    assert_string_equal(f->st.msg, text);
    sl_text config = within(1, (sl_text){0});
    put(&config, 2, (sl_text){0});
    assert_int_equal(reload(f, within(1, config), &out), SL_INVALID_ARGUMENT);
    sl_text pieces = within(1, within(2, (sl_text){0}));
    put(&pieces, 1, within(1, (sl_text){0}));
    assert_int_equal(reload(f, pieces, &out), SL_OK);
    assert_int_equal(out.config.n, 4);
    sl_text bad = {0};
    put_str(&bad, 1, "\xff"); /* the name of a model */
    assert_int_equal(reload(f, within(1, within(1, within(1, bad))), &out), SL_INTERNAL);
    bad = (sl_text){0};
    put_str(&bad, 1, "\x80"); /* the numbers of versions */
    sl_text policy = within(7, within(102, bad));
    assert_int_equal(reload(f, within(1, within(1, within(1, policy))), &out), SL_INTERNAL);
}

static void what_is_nothing_is_left_out(void **state)
{
    fixture *f = *state;
    sl_chain out = {0};
    const sl_signatures none = {0};
    assert_int_equal(sl_pb_encode_metadata(SL_STR("m"), 0, &none, &out, &f->st), SL_OK);
    assert_true(out.size > 60 && out.size < 100);
    sl_chain_reset(&out);
    const sl_pb_version_status versions[] = {{0, 0, SL_OK, NULL}};
    assert_int_equal(sl_pb_encode_status(versions, 1, &out, &f->st), SL_OK);
    assert_chain_is(&out, SL_STR("\x0a\x02\x1a\x00"));
    const sl_pb_metric metrics[] = {{SL_STR(""), 0}};
    assert_int_equal(sl_pb_encode_reload(SL_OK, NULL, metrics, 1, &out, &f->st), SL_OK);
    assert_chain_is(&out, SL_STR("\x0a\x00\x12\x02\x10\x00"));
    sl_pb_reload r;
    sl_text t = within(1, within(1, (sl_text){0}));
    put_str(&t, 9, "?");
    assert_int_equal(reload(f, t, &r), SL_OK);
    sl_text config = within(9, (sl_text){0});
    put(&config, 1, (sl_text){0});
    put(&config, 9, (sl_text){0});
    assert_int_equal(reload(f, within(1, config), &r), SL_OK);
}

static void metadata_has_less_than_two_gib(void **state)
{
    fixture *f = *state;
    sl_chain out = {0};
    /* definitions of which nobody reads a byte: each is below the limit, all of it is not */
    static const sl_signature list[] = {{.key = "a", .def = {"", INT32_MAX / 2}},
                                        {.key = "b", .def = {"", INT32_MAX / 2}}};
    const sl_signatures all = {.list = list, .count = 2};
    assert_int_equal(sl_pb_encode_metadata(SL_STR("m"), 1, &all, &out, &f->st),
                     SL_RESOURCE_EXHAUSTED);
    assert_int_equal(out.size, 0);
}

static sl_code ask_and_answer(void *arg, sl_status *st)
{
    static const sl_str parts_of_config =
        SL_STR("\x0a\x02\x0a\x00\x0a\x02\x0a\x00\x12\x01m\x12\x01n");
    static const sl_signature list[] = {{.key = "a", .def = SL_STR("\x1a\x01p")}};
    static const sl_signatures all = {.list = list, .count = 1};
    static const sl_pb_version_status versions[] = {{12, 30, SL_OK, ""}};
    static const sl_pb_metric metrics[] = {{SL_STR("m"), 5}};
    fixture *f = arg;
    sl_pb_model_spec asked;
    sl_pb_reload r;
    sl_chain out = {0};
    sl_arena_reset(&f->arena);
    sl_code rc = sl_pb_decode_reload_request(parts_of_config, &f->arena, &r, st);
    if (rc == SL_OK)
        rc = sl_pb_decode_metadata_request(
            SL_STR("\x0a\x03\x0a\x01m\x0a\x02\x10\x01\x12\x0dsignature_def"), &f->arena, &asked,
            st);
    if (rc == SL_OK)
        rc = sl_pb_encode_metadata(SL_STR("m"), 2, &all, &out, st);
    sl_chain_reset(&out);
    if (rc == SL_OK)
        rc = sl_pb_encode_status(versions, 1, &out, st);
    sl_chain_reset(&out);
    if (rc == SL_OK)
        rc = sl_pb_encode_reload(SL_OK, "", metrics, 1, &out, st);
    sl_chain_reset(&out);
    return rc;
}

static void without_memory_it_says_so(void **state)
{
    assert_in_range(fail_each_allocation(ask_and_answer, *state), 4, 100);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(messages_are_those_of_protobuf),    T(metadata_is_asked_for_by_name_of_field_and_model),
        T(a_status_needs_a_spec_but_no_name), T(a_reload_needs_a_list_of_models),
        T(what_is_nothing_is_left_out),       T(metadata_has_less_than_two_gib),
        T(without_memory_it_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
