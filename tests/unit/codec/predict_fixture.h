/* predict_fixture.h - signatures, a resolver that hands them out, and requests as text */
#ifndef SL_TESTS_PREDICT_FIXTURE_H
#define SL_TESTS_PREDICT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/mem.h"
#include "base/str.h"
#include "codec/predict_json.h"

typedef struct fixture {
    sl_tensor_info one[1], other[1], two[2]; /* inputs: x; y; a (float) and b (int32) */
    sl_signature list[3]; /* serving_default, other, none: the last has no inputs */
    sl_arena arena;
    sl_json_limits limits;
    sl_status st;
    sl_json_predict p;
    int resolved;
} fixture;

static inline sl_code hand_out(void *arg, sl_str name, const sl_signature **out, sl_status *st)
{
    fixture *f = arg;
    f->resolved++;
    for (int i = 0; i < 3; i++)
        if (sl_str_is(name.n ? name : SL_STR("serving_default"), f->list[i].key)) {
            *out = &f->list[i];
            return SL_OK;
        }
    return sl_fail(st, SL_INVALID_ARGUMENT,
                   "Serving signature name: \"%.*s\" not found in signature def", SL_STR_ARG(name));
}

/* serving_default has the input x of this dtype, or a and b for SL_DT_INVALID. */
static inline void fixture_init(fixture *f, sl_dtype dtype)
{
    memset(f, 0, sizeof *f);
    f->one[0] = (sl_tensor_info){.key = "x", .dtype = dtype, .rank = -1};
    f->other[0] = (sl_tensor_info){.key = "y", .dtype = SL_DT_STRING, .rank = -1};
    f->two[0] = (sl_tensor_info){.key = "a", .dtype = SL_DT_FLOAT, .rank = -1};
    f->two[1] = (sl_tensor_info){.key = "b", .dtype = SL_DT_INT32, .rank = -1};
    f->list[0] = (sl_signature){
        .key = "serving_default", .inputs = dtype ? f->one : f->two, .n_inputs = dtype ? 1 : 2};
    f->list[1] = (sl_signature){.key = "other", .inputs = f->other, .n_inputs = 1};
    f->list[2] = (sl_signature){.key = "none"};
    sl_json_limits_default(&f->limits);
    assert_int_equal(sl_arena_init(&f->arena, 0), SL_OK);
}

static inline void fixture_fini(fixture *f)
{
    sl_json_predict_release(&f->p);
    sl_arena_fini(&f->arena);
}

/* Decodes text that ends where its memory does. */
static inline sl_code decode(fixture *f, const char *text, size_t n)
{
    char *copy = malloc(n + 1);
    memcpy(copy, text, n);
    sl_json_predict_release(&f->p);
    sl_arena_reset(&f->arena);
    f->resolved = 0;
    sl_code rc = sl_json_decode_predict((sl_str){copy, n}, &f->limits, hand_out, f, &f->arena,
                                        &f->p, &f->st);
    free(copy);
    return rc;
}

/* The whole message; the caller frees it. */
static inline char *message(const fixture *f)
{
    size_t n = strlen(f->st.msg), m = f->st.more ? strlen(f->st.more) : 0;
    char *text = malloc(n + m + 1);
    memcpy(text, f->st.msg, n);
    memcpy(text + n, f->st.more ? f->st.more : "", m + 1);
    return text;
}

static inline void expect_error(sl_dtype dtype, const char *name, const char *body, sl_code code,
                                const char *wanted)
{
    fixture f;
    fixture_init(&f, dtype);
    sl_code rc = decode(&f, body, strlen(body));
    char *text = rc ? message(&f) : NULL;
    if (rc != code || strcmp(text, wanted) != 0)
        fail_msg("%s: %s\ngives %s: %s\ninstead of: %s", name, body, sl_code_name(rc),
                 text ? text : "", wanted);
    free(text);
    fixture_fini(&f);
}

#endif
