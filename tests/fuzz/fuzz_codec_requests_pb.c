/*
 * fuzz_codec_requests_pb.c - any bytes as each of the other requests: with Examples, and about
 * models
 *
 * Examples are read from a buffer that may be shared and from one that may not: they are the same.
 */
#include <stdlib.h>

#include "base/str.h"
#include "codec/examples_pb.h"
#include "codec/model_pb.h"

#include "faults.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const sl_pb_limits limits = {.max_expanded_bytes = 1 << 16};

static void same(const sl_tensor *a, const sl_tensor *b)
{
    if (a->size != b->size || a->dims[0] != b->dims[0] || a->rank != 1)
        abort();
    for (size_t i = 0; i < a->size / sizeof(sl_str); i++)
        if (!sl_str_eq(((sl_str *)a->data)[i], ((sl_str *)b->data)[i]))
            abort();
}

static void examples(sl_str wire, sl_buffer *b, sl_arena *arena)
{
    sl_pb_examples copied, shared;
    sl_code rc = sl_pb_decode_examples(wire, NULL, &limits, arena, &copied, NULL);
    if (rc != sl_pb_decode_examples(wire, b, &limits, arena, &shared, NULL))
        broken();
    else if (rc == SL_OK)
        same(&copied.examples, &shared.examples);
    sl_tensor_release(&copied.examples);
    sl_tensor_release(&shared.examples);
}

static void multi(sl_str wire, sl_buffer *b, sl_arena *arena)
{
    sl_pb_multi copied, shared;
    sl_code rc = sl_pb_decode_multi(wire, NULL, &limits, arena, &copied, NULL);
    if (rc != sl_pb_decode_multi(wire, b, &limits, arena, &shared, NULL))
        broken();
    else if (rc == SL_OK)
        same(&copied.examples, &shared.examples);
    sl_tensor_release(&copied.examples);
    sl_tensor_release(&shared.examples);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static sl_arena arena;
    static bool ready;
    sl_status st = {0};
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
    sl_str wire = {b->data, size};
    examples(wire, b, &arena);
    multi(wire, b, &arena);
    sl_pb_model_spec spec;
    sl_pb_reload reload;
    (void)sl_pb_decode_metadata_request(wire, &arena, &spec, &st);
    (void)sl_pb_decode_status_request(wire, &arena, &spec, &st);
    if (sl_pb_decode_reload_request(wire, &arena, &reload, &st) == SL_OK && !reload.has_list)
        abort();
    sl_buffer_release(b);
    sl_arena_reset(&arena);
    return 0;
}
