/* What a path below /v1/ asks for: the tables of rest.md 3.1 and 3.2, row by row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/rest/route.h"
#include "base/mem.h"

static sl_arena arena;

static sl_rest_route parse(sl_http_method method, const char *target)
{
    sl_rest_route r;
    sl_route_parse(method, sl_str_of(target), &arena, &r);
    return r;
}

static void has_kind(sl_http_method method, const char *target, sl_route_kind kind)
{
    sl_rest_route r = parse(method, target);
    if (r.kind != kind)
        fail_msg("%s: kind %d, expected %d", target, r.kind, kind);
}

static void is_model(const sl_rest_route *r, const char *name, int64_t version, const char *label)
{
    assert_true(sl_str_is(r->spec.model, name));
    assert_int_equal(r->spec.has_version, version >= 0);
    if (version >= 0)
        assert_int_equal(r->spec.version, version);
    assert_true(sl_str_is(r->spec.label, label));
}

static void everything_below_v1_is_rest_in_any_letter_case(void **state)
{
    (void)state;
    assert_true(sl_route_is_rest(SL_STR("/v1/")));
    assert_true(sl_route_is_rest(SL_STR("/V1/foo")));
    assert_false(sl_route_is_rest(SL_STR("/v1")));
    assert_false(sl_route_is_rest(SL_STR("/v1beta/models")));
    assert_false(sl_route_is_rest(SL_STR("/v2/models")));
    assert_false(sl_route_is_rest(SL_STR("")));
}

static void post_names_model_version_label_and_method(void **state)
{
    (void)state;
    sl_rest_route r = parse(SL_HTTP_POST, "/v1/models/m:predict");
    assert_int_equal(r.kind, SL_ROUTE_INFER);
    assert_int_equal(r.method, SL_METHOD_PREDICT);
    is_model(&r, "m", -1, "");
    r = parse(SL_HTTP_POST, "/v1/models/m/versions/007:classify");
    assert_int_equal(r.method, SL_METHOD_CLASSIFY);
    is_model(&r, "m", 7, "");
    r = parse(SL_HTTP_POST, "/V1/MODELS/Foo/LABELS/stable:regress");
    assert_int_equal(r.method, SL_METHOD_REGRESS);
    is_model(&r, "Foo", -1, "stable");
}

static void other_posts_are_malformed(void **state)
{
    static const char *const targets[] = {
        "/v1/models/m",
        "/v1/models/m:predict/",
        "/v1/models/m/predict",
        "/v1/models/m/versions/x:predict",
        "/v1/models/m/versions/:predict",
        "/v1/models/m/versions/1/labels/l:predict",
        "/v1/models/m/metadata",
        "/v1/models/m/metadata:predict",
        "/v1/models/m:predict?x=1",
        "/v1/models/m:PREDICT",
        "/v1/models/m:explain",
        "/v1/models/a:b:predict",
        "/v1/models/:predict",
        "/v1/models:predict",
        "/v1/models//versions/1:predict",
        "/v1/foo",
    };
    (void)state;
    for (size_t i = 0; i < SL_COUNTOF(targets); i++)
        has_kind(SL_HTTP_POST, targets[i], SL_ROUTE_MALFORMED);
}

static void get_asks_for_status_or_metadata(void **state)
{
    (void)state;
    sl_rest_route r = parse(SL_HTTP_GET, "/v1/models/m");
    assert_int_equal(r.kind, SL_ROUTE_STATUS);
    is_model(&r, "m", -1, "");
    r = parse(SL_HTTP_GET, "/v1/models/m/versions/3");
    assert_int_equal(r.kind, SL_ROUTE_STATUS);
    is_model(&r, "m", 3, "");
    r = parse(SL_HTTP_GET, "/v1/models/m/labels/l/metadata");
    assert_int_equal(r.kind, SL_ROUTE_METADATA);
    is_model(&r, "m", -1, "l");
    r = parse(SL_HTTP_GET, "/v1/models/m/metadata");
    assert_int_equal(r.kind, SL_ROUTE_METADATA);
    has_kind(SL_HTTP_GET, "/v1/models/m/METADATA", SL_ROUTE_STATUS);
}

static void a_model_may_be_called_metadata_labels_or_versions(void **state)
{
    (void)state;
    sl_rest_route r = parse(SL_HTTP_GET, "/v1/models/metadata");
    assert_int_equal(r.kind, SL_ROUTE_STATUS);
    is_model(&r, "metadata", -1, "");
    r = parse(SL_HTTP_GET, "/v1/models/labels/metadata");
    assert_int_equal(r.kind, SL_ROUTE_METADATA);
    is_model(&r, "labels", -1, "");
    r = parse(SL_HTTP_GET, "/v1/models/versions/versions/1");
    assert_int_equal(r.kind, SL_ROUTE_STATUS);
    is_model(&r, "versions", 1, "");
}

static void a_get_without_a_name_says_so(void **state)
{
    (void)state;
    has_kind(SL_HTTP_GET, "/v1/models", SL_ROUTE_NO_NAME);
    has_kind(SL_HTTP_GET, "/v1/models/versions/1", SL_ROUTE_NO_NAME);
    has_kind(SL_HTTP_GET, "/v1/models/labels/x", SL_ROUTE_NO_NAME);
    has_kind(SL_HTTP_GET, "/v1/models/versions/1/metadata", SL_ROUTE_NO_NAME);
}

static void other_gets_and_methods_are_malformed(void **state)
{
    static const char *const targets[] = {
        "/v1/",
        "/v1/foo",
        "/v1/models/",
        "/v1/models/m/",
        "/v1/models/m:predict",
        "/v1/models/m/versions/-1",
        "/v1/models/m/x",
        "/v1/models/m/metadata?x=1",
        "/v1/models/m/versions/1?x=1",
        "/v1/models/a/b/c/d/e/f",
    };
    (void)state;
    for (size_t i = 0; i < SL_COUNTOF(targets); i++)
        has_kind(SL_HTTP_GET, targets[i], SL_ROUTE_MALFORMED);
    has_kind(SL_HTTP_GET, "/v1/models/m/labels/%zz", SL_ROUTE_BAD_VERSION);
    has_kind(SL_HTTP_PUT, "/v1/models/m", SL_ROUTE_MALFORMED);
    has_kind(SL_HTTP_HEAD, "/v1/models/m", SL_ROUTE_MALFORMED);
    has_kind(SL_HTTP_DELETE, "/v1/models/m", SL_ROUTE_MALFORMED);
}

static void a_query_is_part_of_the_name(void **state)
{
    (void)state;
    sl_rest_route r = parse(SL_HTTP_GET, "/v1/models/m?x=1");
    assert_int_equal(r.kind, SL_ROUTE_STATUS);
    is_model(&r, "m?x=1", -1, "");
}

static void names_are_percent_decoded_after_matching(void **state)
{
    (void)state;
    sl_rest_route r = parse(SL_HTTP_POST, "/v1/models/a%2Fb%3Ac+d:predict");
    assert_int_equal(r.kind, SL_ROUTE_INFER);
    is_model(&r, "a/b:c+d", -1, "");
    has_kind(SL_HTTP_GET, "/v1/models/a%2", SL_ROUTE_BAD_VERSION);
    has_kind(SL_HTTP_GET, "/v1/models/a%zz", SL_ROUTE_BAD_VERSION);
}

static void a_version_beyond_64_bits_is_told_apart(void **state)
{
    (void)state;
    has_kind(SL_HTTP_GET, "/v1/models/m/versions/9223372036854775807", SL_ROUTE_STATUS);
    has_kind(SL_HTTP_GET, "/v1/models/m/versions/9223372036854775808", SL_ROUTE_BAD_VERSION);
    has_kind(SL_HTTP_POST, "/v1/models/m/versions/99999999999999999999:predict",
             SL_ROUTE_BAD_VERSION);
}

static int set_up(void **state)
{
    (void)state;
    return sl_arena_init(&arena, 0);
}

static int tear_down(void **state)
{
    (void)state;
    sl_arena_fini(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_below_v1_is_rest_in_any_letter_case),
        cmocka_unit_test(post_names_model_version_label_and_method),
        cmocka_unit_test(other_posts_are_malformed),
        cmocka_unit_test(get_asks_for_status_or_metadata),
        cmocka_unit_test(a_model_may_be_called_metadata_labels_or_versions),
        cmocka_unit_test(a_get_without_a_name_says_so),
        cmocka_unit_test(other_gets_and_methods_are_malformed),
        cmocka_unit_test(a_query_is_part_of_the_name),
        cmocka_unit_test(names_are_percent_decoded_after_matching),
        cmocka_unit_test(a_version_beyond_64_bits_is_told_apart),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
