/* test_registry.c - which engine runs a model, and what people are told about it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/registry.h"

/* An engine that gives `code` and as many obstacles. */
typedef struct fake {
    sl_code code;
    int obstacles;
    int asked;
} fake;

static sl_code fake_probe(void *self, const sl_saved_model *model, const sl_report *why,
                          sl_status *st)
{
    fake *f = self;
    (void)model;
    f->asked++;
    for (int i = 0; i < f->obstacles; i++)
        why->add(why->arg, i == 0 ? "dense/Foo" : NULL, i == 0 ? "Foo" : NULL,
                 i == 0 ? "no such operation" : "something else");
    return f->code ? sl_fail(st, f->code, "it says no") : SL_OK;
}

static const sl_engine first = {.abi = SL_ENGINE_ABI, .name = "native", .probe = fake_probe};
static const sl_engine second = {.abi = SL_ENGINE_ABI, .name = "tensorflow", .probe = fake_probe};

typedef struct choice {
    sl_code code;
    const sl_engine_entry *engine;
    sl_text why, details;
    sl_status st;
} choice;

static choice choose(fake *a, fake *b, const char *wanted)
{
    sl_engine_list list = {.list = {{&first, a}, {&second, b}}, .count = 2};
    static sl_engine_entry copy;
    choice c = {0};
    c.code = sl_engines_choose(&list, wanted, NULL, &c.engine, &c.why, &c.details, &c.st);
    if (c.engine != NULL) {
        copy = *c.engine;
        c.engine = &copy;
    }
    return c;
}

static void done(choice *c)
{
    sl_text_fini(&c->why);
    sl_text_fini(&c->details);
}

static void auto_takes_the_first_engine_that_can(void **state)
{
    (void)state;
    fake a = {0}, b = {0};
    choice c = choose(&a, &b, "auto");
    assert_int_equal(c.code, SL_OK);
    assert_ptr_equal(c.engine->engine, &first);
    assert_ptr_equal(c.engine->self, &a);
    assert_int_equal(b.asked, 0);
    assert_non_null(strstr(c.why.p, "native"));
    done(&c);
}

static void auto_goes_on_and_tells_what_stood_in_the_way(void **state)
{
    (void)state;
    fake a = {SL_FAILED_PRECONDITION, 2, 0}, b = {0};
    choice c = choose(&a, &b, "auto");
    assert_int_equal(c.code, SL_OK);
    assert_ptr_equal(c.engine->engine, &second);
    assert_non_null(strstr(c.why.p, "native cannot run it"));
    assert_non_null(strstr(c.why.p, "op Foo (node dense/Foo): no such operation"));
    assert_string_equal(c.details.p, "native: op Foo (node dense/Foo): no such operation\n"
                                     "native: something else\n");
    done(&c);
}

static void when_none_can_the_error_says_for_each_why(void **state)
{
    (void)state;
    fake a = {SL_FAILED_PRECONDITION, 5, 0}, b = {SL_FAILED_PRECONDITION, 0, 0};
    choice c = choose(&a, &b, "auto");
    assert_int_equal(c.code, SL_FAILED_PRECONDITION);
    assert_null(c.engine);
    assert_non_null(strstr(c.st.msg, "native cannot run it: op Foo"));
    assert_non_null(strstr(c.st.msg, "and 2 more"));
    assert_non_null(strstr(c.st.msg, "tensorflow cannot run it: it says no"));
    done(&c);
}

static void a_name_asks_only_that_engine(void **state)
{
    (void)state;
    fake a = {0}, b = {SL_FAILED_PRECONDITION, 1, 0};
    choice c = choose(&a, &b, "tensorflow");
    assert_int_equal(c.code, SL_FAILED_PRECONDITION);
    assert_int_equal(a.asked, 0);
    done(&c);
    b = (fake){0};
    c = choose(&a, &b, "tensorflow");
    assert_int_equal(c.code, SL_OK);
    assert_ptr_equal(c.engine->self, &b);
    done(&c);
}

static void a_name_that_is_no_engine_is_an_invalid_argument(void **state)
{
    (void)state;
    fake a = {0}, b = {0};
    choice c = choose(&a, &b, "onnx");
    assert_int_equal(c.code, SL_INVALID_ARGUMENT);
    assert_non_null(strstr(c.st.msg, "\"onnx\""));
    assert_int_equal(a.asked + b.asked, 0);
    done(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(auto_takes_the_first_engine_that_can),
        cmocka_unit_test(auto_goes_on_and_tells_what_stood_in_the_way),
        cmocka_unit_test(when_none_can_the_error_says_for_each_why),
        cmocka_unit_test(a_name_asks_only_that_engine),
        cmocka_unit_test(a_name_that_is_no_engine_is_an_invalid_argument),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
