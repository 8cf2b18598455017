/* fuzz_codec_predict.c - :predict bodies for signatures of every dtype; what decodes is encoded */
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "codec/predict_json.h"

static const sl_dtype dtypes[] = {SL_DT_FLOAT,  SL_DT_DOUBLE, SL_DT_INT8,   SL_DT_UINT8,
                                  SL_DT_INT16,  SL_DT_INT32,  SL_DT_UINT32, SL_DT_INT64,
                                  SL_DT_UINT64, SL_DT_BOOL,   SL_DT_STRING, SL_DT_HALF};

static sl_tensor_info infos[SL_COUNTOF(dtypes) + 1],
    outputs[2] = {{.key = "o_bytes"}, {.key = "p"}};
static sl_signature one, two;

static sl_code resolve(void *arg, sl_str name, const sl_signature **out, sl_status *st)
{
    const sl_signature *first = arg;
    if (name.n > 5)
        return sl_fail(st, SL_INVALID_ARGUMENT, "no such signature: %.*s", SL_STR_ARG(name));
    *out = name.n ? &two : first;
    return SL_OK;
}

static void encode(const sl_json_predict *p, sl_arena *arena)
{
    static const int index[2] = {0, 1};
    sl_signature s = {.outputs = outputs, .n_outputs = 2};
    sl_chain out = {0};
    sl_status st;
    sl_code rc =
        sl_json_encode_predict(&s, index, p->inputs, p->n_inputs, p->row_format, &out, arena, &st);
    if (rc == SL_OK && out.size == 0)
        abort();
    sl_chain_reset(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sl_json_limits limits;
    sl_json_predict p;
    sl_arena arena;
    sl_status st = {0};
    if (size == 0 || sl_arena_init(&arena, 0))
        return 0;
    size_t k = data[0] % SL_COUNTOF(dtypes);
    for (size_t i = 0; i < 2; i++)
        infos[i] =
            (sl_tensor_info){.key = i ? "y" : "x", .dtype = dtypes[(k + i) % SL_COUNTOF(dtypes)]};
    one = (sl_signature){.key = "one", .inputs = infos, .n_inputs = 1};
    two = (sl_signature){.key = "two", .inputs = infos, .n_inputs = 2};
    sl_json_limits_default(&limits);
    limits.max_elements = 1 << 16;
    bool first_is_one = data[0] & 0x80;
    sl_code rc = sl_json_decode_predict((sl_str){(const char *)data + 1, size - 1}, &limits,
                                        resolve, first_is_one ? &one : &two, &arena, &p, &st);
    if (rc == SL_OK) {
        for (int i = 0; i < p.n_inputs; i++)
            if (sl_tensor_count(&p.inputs[i]) * (int64_t)sl_dtype_size(p.inputs[i].dtype) !=
                (int64_t)p.inputs[i].size)
                abort();
        encode(&p, &arena);
        sl_json_predict_release(&p);
    } else if (st.msg[0] == '\0' || rc == SL_INTERNAL) {
        abort();
    }
    sl_arena_fini(&arena);
    return 0;
}
