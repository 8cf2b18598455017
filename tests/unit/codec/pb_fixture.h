/* pb_fixture.h - the files of pb/, messages as bytes, and a signature that hands itself out */
#ifndef SL_TESTS_PB_FIXTURE_H
#define SL_TESTS_PB_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/mem.h"
#include "codec/predict_pb.h"
#include "format/wire.h"

/* ---- files of parts, each a length and that many bytes (make_pb_fixtures.py) ---- */

typedef struct parts {
    sl_buffer *file;
    const char *at;
} parts;

static inline parts parts_open(const char *name)
{
    char path[4096];
    parts p;
    snprintf(path, sizeof path, "%s/tests/unit/codec/pb/%s", SLUICE_SOURCE_DIR, name);
    if (sl_file_read(path, 1 << 20, &p.file, NULL))
        fail_msg("cannot read %s", path);
    p.at = p.file->data;
    return p;
}

static inline bool parts_end(const parts *p)
{
    return p->at == (const char *)p->file->data + p->file->size;
}

static inline sl_str part(parts *p)
{
    uint32_t n;
    memcpy(&n, p->at, 4);
    sl_str s = {p->at + 4, n};
    p->at += 4 + n;
    assert_true(p->at <= (const char *)p->file->data + p->file->size);
    return s;
}

static inline void parts_close(parts *p)
{
    assert_true(parts_end(p));
    sl_buffer_release(p->file);
}

static inline void assert_chain_is(sl_chain *c, sl_str expected)
{
    char *all = sl_malloc(c->size + 1);
    sl_chain_copy(c, all);
    assert_int_equal(c->size, expected.n);
    assert_memory_equal(all, expected.p, expected.n);
    sl_free(all);
    sl_chain_reset(c);
}

/* ---- messages being written: what is given is taken over ---- */

static inline void put(sl_text *t, unsigned field, sl_text inner)
{
    sl_wire_put_bytes(t, field, inner.n ? inner.p : "", inner.n);
    sl_text_fini(&inner);
}

static inline void put_str(sl_text *t, unsigned field, const char *s)
{
    sl_wire_put_bytes(t, field, s, strlen(s));
}

static inline sl_text within(unsigned field, sl_text inner)
{
    sl_text t = {0};
    put(&t, field, inner);
    return t;
}

/* A float scalar. */
static inline sl_text scalar(float value)
{
    sl_text t = {0};
    uint32_t bits;
    memcpy(&bits, &value, 4);
    sl_wire_put_varint(&t, 1, SL_DT_FLOAT);
    sl_wire_put_fixed32(&t, 5, bits);
    return t;
}

static inline sl_text spec(const char *name, const char *signature)
{
    sl_text t = {0};
    put_str(&t, 1, name);
    if (signature != NULL)
        put_str(&t, 3, signature);
    return t;
}

static inline void put_input(sl_text *request, const char *key, sl_text tensor)
{
    sl_text entry = {0};
    put_str(&entry, 1, key);
    put(&entry, 2, tensor);
    put(request, 2, entry);
}

/* ---- decoding ---- */

typedef struct fixture {
    sl_tensor_info inputs[3], outputs[3];
    sl_tensor defaults[3];
    sl_signature sig;
    sl_arena arena;
    sl_pb_limits limits;
    sl_status st;
    sl_pb_predict p;
    sl_pb_model_spec asked; /* what the resolver was given */
    int resolved;
    sl_code refuse;
} fixture;

/* Inputs a, b; outputs y, z. */
static inline int setup(void **state)
{
    fixture *f = sl_calloc(1, sizeof *f);
    const char *const in[] = {"a", "b", "c"}, *const out[] = {"y", "z"};
    for (int i = 0; i < 3; i++)
        f->inputs[i] = (sl_tensor_info){.key = in[i], .name = i ? NULL : "a:0", .rank = -1};
    for (int i = 0; i < 2; i++)
        f->outputs[i] = (sl_tensor_info){.key = out[i], .rank = -1};
    f->sig = (sl_signature){.key = "serving_default",
                            .inputs = f->inputs,
                            .n_inputs = 2,
                            .outputs = f->outputs,
                            .n_outputs = 2};
    sl_pb_limits_default(&f->limits);
    assert_int_equal(sl_arena_init(&f->arena, 0), SL_OK);
    *state = f;
    return 0;
}

static inline int teardown(void **state)
{
    fixture *f = *state;
    sl_pb_predict_release(&f->p);
    for (int i = 0; i < 3; i++)
        sl_tensor_release(&f->defaults[i]);
    sl_arena_fini(&f->arena);
    sl_free(f);
    return 0;
}

static inline sl_code hand_out(void *arg, const sl_pb_model_spec *asked, const sl_signature **out,
                               sl_status *st)
{
    fixture *f = arg;
    f->resolved++;
    f->asked = *asked;
    *out = &f->sig;
    return f->refuse ? sl_fail(st, f->refuse, "refused") : SL_OK;
}

static inline sl_code decode(fixture *f, sl_str wire, sl_buffer *buffer)
{
    sl_pb_predict_release(&f->p);
    sl_arena_reset(&f->arena);
    f->st = (sl_status){0};
    return sl_pb_decode_predict(wire, buffer, &f->limits, hand_out, f, &f->arena, &f->p, &f->st);
}

/* From memory of its own size, so that a read beyond it is seen; copies everything. */
static inline sl_code decode_text(fixture *f, sl_text *t)
{
    char *exact = sl_malloc(t->n);
    if (t->n)
        memcpy(exact, t->p, t->n);
    sl_code rc = decode(f, (sl_str){exact, t->n}, NULL);
    sl_free(exact);
    sl_text_fini(t);
    return rc;
}

static inline void decodes(fixture *f, sl_text *t)
{
    if (decode_text(f, t))
        fail_msg("%d %s", f->st.code, f->st.msg);
}

static inline void fails(fixture *f, sl_text *t, sl_code code, const char *text)
{
    assert_int_equal(decode_text(f, t), code);
    assert_int_equal(f->st.code, code);
    assert_string_equal(f->st.msg, text);
    assert_int_equal(f->p.n_inputs, 0);
}

static inline float value_of(const sl_tensor *t)
{
    float v;
    assert_int_equal(t->dtype, SL_DT_FLOAT);
    memcpy(&v, t->data, 4);
    return v;
}

#endif
