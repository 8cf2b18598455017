/*
 * fuzz_codec_oip.c - any bytes as an infer request, in JSON and in protobuf
 *
 * The first two bytes say how many of the rest are JSON. Decoded from a buffer that may be shared
 * and from one that may not: the tensors are the same. What decodes is written as an answer.
 */
#include <stdlib.h>

#include "base/str.h"
#include "codec/oip_pb.h"

#include "faults.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same(const sl_oip_request *a, const sl_oip_request *b)
{
    if (a->n_inputs != b->n_inputs || a->n_outputs != b->n_outputs)
        abort();
    for (size_t i = 0; i < a->n_inputs; i++) {
        const sl_tensor *x = &a->inputs[i].tensor, *y = &b->inputs[i].tensor;
        if (x->dtype != y->dtype || x->size != y->size || x->rank != y->rank)
            abort();
        if (x->dtype == SL_DT_STRING) {
            for (size_t k = 0; k < x->size / sizeof(sl_str); k++)
                if (!sl_str_eq(((sl_str *)x->data)[k], ((sl_str *)y->data)[k]))
                    abort();
        } else if (x->size && memcmp(x->data, y->data, x->size) != 0) {
            abort();
        }
    }
}

/* The first input as the only output. */
static void answer(const sl_oip_request *r, sl_arena *arena)
{
    static const sl_tensor_info info = {.key = "y"};
    static const sl_signature sig = {.outputs = &info, .n_outputs = 1};
    static const int index[] = {0};
    sl_chain c = {0};
    size_t json;
    if (r->n_inputs == 0)
        return;
    for (int k = 0; k < 2; k++) {
        bool binary = k;
        const sl_oip_answer a = {.model = r->model,
                                 .id = r->id,
                                 .version = 1,
                                 .signature = &sig,
                                 .output_index = index,
                                 .outputs = &r->inputs[0].tensor,
                                 .binary = &binary,
                                 .n_outputs = 1};
        if (sl_oip_json_encode(&a, &c, &json, NULL) == SL_OK && json > c.size)
            abort();
        sl_chain_reset(&c);
        if (sl_oip_pb_encode(&a, binary, &c, arena, NULL))
            broken();
        sl_chain_reset(&c);
    }
}

static void twice(sl_str body, size_t json, sl_arena *arena, bool is_json)
{
    sl_oip_request copied, shared;
    sl_buffer *b = sl_buffer_try_new(body.n);
    if (b == NULL) {
        broken();
        return;
    }
    if (body.n)
        memcpy(b->data, body.p, body.n);
    sl_str in = {b->data, body.n};
    sl_code rc = is_json ? sl_oip_json_decode(in, json, NULL, 100, arena, &copied, NULL)
                         : sl_oip_pb_decode(in, NULL, arena, &copied, NULL);
    sl_code rc2 = is_json ? sl_oip_json_decode(in, json, b, 100, arena, &shared, NULL)
                          : sl_oip_pb_decode(in, b, arena, &shared, NULL);
    if (rc != rc2)
        broken();
    else if (rc == SL_OK)
        same(&copied, &shared);
    if (rc == SL_OK)
        answer(&copied, arena);
    sl_oip_request_release(&copied);
    sl_oip_request_release(&shared);
    sl_buffer_release(b);
    sl_arena_reset(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static sl_arena arena;
    static bool ready;
    if (!ready && sl_arena_init(&arena, 0))
        abort();
    ready = true;
    twice((sl_str){(const char *)data, size}, 0, &arena, false);
    if (size < 2)
        return 0;
    size_t json = (size_t)data[0] << 8 | data[1];
    twice((sl_str){(const char *)data + 2, size - 2}, json, &arena, true);
    return 0;
}
