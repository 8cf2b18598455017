/* test_route.c - the paths below /v2 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/oip/oip.h"
#include "api/oip/route.h"
#include "base/mem.h"
#include "base/str.h"

static sl_oip_kind parse(sl_http_method method, const char *path, const char *model,
                         const char *version)
{
    sl_arena a;
    sl_oip_route r;
    assert_int_equal(sl_arena_init(&a, 0), SL_OK);
    sl_oip_route_parse(method, sl_str_of(path), &a, &r);
    if (model != NULL)
        assert_true(sl_str_is(r.model, model));
    if (version != NULL)
        assert_true(sl_str_is(r.version, version));
    sl_arena_fini(&a);
    return r.kind;
}

static void each_path_has_its_meaning(void **state)
{
    (void)state;
    static const struct {
        sl_http_method method;
        const char *path;
        sl_oip_kind kind;
        const char *model, *version;
    } cases[] = {
        {SL_HTTP_GET, "/v2", SL_OIP_SERVER, "", ""},
        {SL_HTTP_GET, "/v2/", SL_OIP_SERVER, "", ""},
        {SL_HTTP_HEAD, "/v2/health/live", SL_OIP_LIVE, "", ""},
        {SL_HTTP_GET, "/v2/health/ready", SL_OIP_READY, "", ""},
        {SL_HTTP_GET, "/v2/models/m", SL_OIP_MODEL, "m", ""},
        {SL_HTTP_GET, "/v2/models/m/versions/7", SL_OIP_MODEL, "m", "7"},
        {SL_HTTP_GET, "/v2/models/m/ready", SL_OIP_MODEL_READY, "m", ""},
        {SL_HTTP_GET, "/v2/models/m/versions/7/ready", SL_OIP_MODEL_READY, "m", "7"},
        {SL_HTTP_POST, "/v2/models/m/infer", SL_OIP_INFER, "m", ""},
        {SL_HTTP_POST, "/v2/models/a%20b%2fc/versions/7/infer", SL_OIP_INFER, "a b/c", "7"},
        {SL_HTTP_POST, "/v2/repository/index", SL_OIP_INDEX, "", ""},
        {SL_HTTP_POST, "/v2/repository/models/m/load", SL_OIP_LOAD, "m", ""},
        {SL_HTTP_POST, "/v2/repository/models/m/unload", SL_OIP_UNLOAD, "m", ""},
        {SL_HTTP_GET, "/v2/models/infer", SL_OIP_MODEL, "infer", ""},
        {SL_HTTP_GET, "/v2/models/versions/ready", SL_OIP_MODEL_READY, "versions", ""},
    };
    for (size_t i = 0; i < SL_COUNTOF(cases); i++)
        if (parse(cases[i].method, cases[i].path, cases[i].model, cases[i].version) !=
            cases[i].kind)
            fail_msg("%s", cases[i].path);
}

static void other_paths_and_methods_are_told_apart(void **state)
{
    (void)state;
    static const char *const unknown[] = {"",
                                          "v2",
                                          "/",
                                          "/v2/x",
                                          "/v3/models/m",
                                          "/v2/models/m/versions",
                                          "/v2/models/m/versions/",
                                          "/v2/models/m/other/7",
                                          "/v2/models/m/versions/%zz",
                                          "/v2/repository",
                                          "/v2/repository/models/m",
                                          "/v2/repository/other/m/load",
                                          "/v2/health/ready/x",
                                          "/v2/models",
                                          "/v2/health",
                                          "/v2/health/x",
                                          "/v2//models/m",
                                          "/v2/models//infer",
                                          "/v2/models/m/x",
                                          "/v2/models/m/versions/1/x",
                                          "/v2/models/m/versions/1/ready/x",
                                          "/v2/models/m/versions/1/ready/x/y",
                                          "/v2/models/%zz",
                                          "/v2/models/%4",
                                          "/v2/repository/x",
                                          "/v2/repository/models/m/x"};
    for (size_t i = 0; i < SL_COUNTOF(unknown); i++)
        if (parse(SL_HTTP_GET, unknown[i], NULL, NULL) != SL_OIP_UNKNOWN)
            fail_msg("%s", unknown[i]);
    assert_int_equal(parse(SL_HTTP_GET, "/v2/models/m/infer", NULL, NULL), SL_OIP_WRONG_METHOD);
    assert_int_equal(parse(SL_HTTP_GET, "/v2/models/m/versions/7/infer", NULL, NULL),
                     SL_OIP_WRONG_METHOD);
    assert_int_equal(parse(SL_HTTP_GET, "/v2/repository/models/m/load", NULL, NULL),
                     SL_OIP_WRONG_METHOD);
    assert_int_equal(parse(SL_HTTP_POST, "/v2/models/m/versions/7", NULL, NULL),
                     SL_OIP_WRONG_METHOD);
    assert_int_equal(parse(SL_HTTP_POST, "/v2/models/m", NULL, NULL), SL_OIP_WRONG_METHOD);
    assert_int_equal(parse(SL_HTTP_DELETE, "/v2", NULL, NULL), SL_OIP_WRONG_METHOD);
    assert_true(sl_oip_is_path(SL_STR("/v2")) && sl_oip_is_path(SL_STR("/v2/x")));
    assert_false(sl_oip_is_path(SL_STR("/v22")) || sl_oip_is_path(SL_STR("/v")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_path_has_its_meaning),
        cmocka_unit_test(other_paths_and_methods_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
