/* fuzz_codec_examples.c - :classify bodies; what decodes must be well-formed wire */
#include <stdlib.h>

#include "codec/examples_json.h"
#include "format/wire.h"

static void check(sl_str wire)
{
    sl_wire w = sl_wire_open(wire);
    while (sl_wire_next(&w)) {
        sl_wire features = sl_wire_open(w.bytes);
        while (sl_wire_next(&features)) {
            sl_wire entry = sl_wire_open(features.bytes);
            while (sl_wire_next(&entry))
                ;
            if (entry.bad)
                abort();
        }
        if (features.bad)
            abort();
    }
    if (w.bad)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sl_json_limits limits;
    sl_json_examples ex;
    sl_arena arena;
    sl_status st = {0};
    sl_chain out = {0};
    if (sl_arena_init(&arena, 0))
        return 0;
    sl_json_limits_default(&limits);
    limits.max_string_bytes = 1 << 20;
    if (sl_json_decode_examples((sl_str){(const char *)data, size}, &limits, &arena, &ex, &st) ==
        SL_OK) {
        const sl_str *list = ex.examples.data;
        for (int64_t i = 0; i < ex.examples.dims[0]; i++)
            check(list[i]);
        sl_tensor_release(&ex.examples);
    } else {
        sl_json_encode_error(&st, &out);
        sl_chain_reset(&out);
    }
    sl_arena_fini(&arena);
    return 0;
}
