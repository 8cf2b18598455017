/*
 * fuzz_codec_predict_pb.c - any bytes as a PredictRequest
 *
 * Decoded twice, from a buffer that may be shared and from one that may not: the outcome is the
 * same. What decodes is written as a reply, and its tensors come back as they were.
 */
#include <stdlib.h>

#include "codec/predict_pb.h"
#include "format/wire.h"
#include "tensorproto/tensorproto.h"

#include "faults.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static float seven = 7;
static const sl_tensor_info infos[] = {{.key = "a"}, {.key = "b", .name = "b:0"}, {.key = "x"}};
static const sl_tensor defaults[] = {{0}, {0}, {.dtype = SL_DT_FLOAT, .size = 4, .data = &seven}};
static const sl_signature signatures[] = {
    {.key = "one", .inputs = infos + 2, .n_inputs = 1, .outputs = infos, .n_outputs = 3},
    {.key = "serving_default",
     .inputs = infos,
     .n_inputs = 3,
     .outputs = infos,
     .n_outputs = 3,
     .defaults = defaults}};

static sl_code resolve(void *arg, const sl_pb_model_spec *spec, const sl_signature **out,
                       sl_status *st)
{
    (void)arg;
    if (spec->name.n == 0)
        abort();
    if (spec->label.n)
        return sl_fail(st, SL_NOT_FOUND, "label");
    *out = &signatures[sl_str_is(spec->signature_name, "") || spec->version == 1];
    return SL_OK;
}

static void same(const sl_tensor *a, const sl_tensor *b)
{
    if (a->dtype != b->dtype || a->size != b->size || a->rank != b->rank)
        abort();
    if (a->dtype == SL_DT_STRING) {
        for (size_t i = 0; i < a->size / sizeof(sl_str); i++)
            if (!sl_str_eq(((sl_str *)a->data)[i], ((sl_str *)b->data)[i]))
                abort();
    } else if (a->size && memcmp(a->data, b->data, a->size) != 0) {
        abort();
    }
}

/* The first output of a PredictResponse. */
static sl_str first_output(sl_str reply)
{
    sl_wire w = sl_wire_open(reply);
    if (!sl_wire_next(&w) || w.field != 1)
        abort();
    w = sl_wire_open(w.bytes);
    while (sl_wire_next(&w))
        if (w.field == 2)
            return w.bytes;
    abort();
}

static void reply_with(sl_pb_predict *p, sl_arena *arena)
{
    static const int index[] = {0, 1, 2};
    const sl_pb_used used = {p->spec.name, p->spec.version, p->spec.signature_name};
    sl_chain c = {0};
    sl_tensor back;
    size_t budget = 0;
    if (sl_pb_encode_predict(&used, &signatures[1], index, p->inputs, p->n_inputs, true, &c, arena,
                             NULL)) {
        broken();
        sl_chain_reset(&c);
        return;
    }
    sl_buffer *b = sl_buffer_try_new(c.size);
    if (b == NULL) {
        broken();
        sl_chain_reset(&c);
        return;
    }
    sl_chain_copy(&c, b->data);
    sl_str tensor = first_output((sl_str){b->data, c.size});
    if (sl_tensorproto_decode_in(tensor, b, &budget, &back, NULL)) {
        broken();
    } else {
        same(&p->inputs[0], &back);
        sl_tensor_release(&back);
    }
    sl_buffer_release(b);
    sl_chain_reset(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static sl_arena arena;
    static bool ready;
    const sl_pb_limits limits = {.max_expanded_bytes = 1 << 16};
    sl_pb_predict copied, shared;
    sl_status st = {0}, st2 = {0};
    if (!ready && sl_arena_init(&arena, 0))
        abort();
    ready = true;
    sl_buffer *b = sl_buffer_try_new(size);
    if (b == NULL) {
        broken();
        return 0;
    }
    if (size)
        memcpy(b->data, data, size);
    sl_code rc = sl_pb_decode_predict((sl_str){(const char *)data, size}, NULL, &limits, resolve,
                                      NULL, &arena, &copied, &st);
    sl_code rc2 = sl_pb_decode_predict((sl_str){b->data, size}, b, &limits, resolve, NULL, &arena,
                                       &shared, &st2);
    if (rc != rc2 || st.code != st2.code || strcmp(st.msg, st2.msg) != 0)
        broken();
    sl_buffer_release(b);
    for (int i = 0; i < copied.n_inputs && rc == rc2; i++)
        same(&copied.inputs[i], &shared.inputs[i]);
    if (rc == SL_OK)
        reply_with(&copied, &arena);
    sl_pb_predict_release(&copied);
    sl_pb_predict_release(&shared);
    sl_arena_reset(&arena);
    return 0;
}
