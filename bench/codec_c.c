/* codec_c.c - see codec_c.h */
#include "codec_c.h"

#include <stdlib.h>
#include <string.h>

#include "codec/predict_json.h"

static const sl_tensor_info input = {.key = "x", .dtype = SL_DT_FLOAT, .rank = -1};
static const sl_tensor_info output = {.key = "y", .dtype = SL_DT_FLOAT, .rank = -1};
static const sl_signature signature = {.key = "serving_default",
                                       .method_name = "tensorflow/serving/predict",
                                       .inputs = &input,
                                       .n_inputs = 1,
                                       .outputs = &output,
                                       .n_outputs = 1};
static sl_arena arena;
static sl_status st;

static sl_code resolve(void *arg, sl_str name, const sl_signature **out, sl_status *status)
{
    (void)arg, (void)name, (void)status;
    *out = &signature;
    return SL_OK;
}

static void decode(const char *text, size_t n, sl_json_predict *p)
{
    sl_json_limits limits;
    sl_json_limits_default(&limits);
    if (arena.top == NULL && sl_arena_init(&arena, 16384))
        abort();
    if (sl_json_decode_predict((sl_str){text, n}, &limits, resolve, NULL, &arena, p, &st))
        abort();
}

size_t bench_decode(const char *text, size_t n, float *copy)
{
    sl_json_predict p;
    decode(text, n, &p);
    size_t count = (size_t)sl_tensor_count(&p.inputs[0]);
    if (copy)
        memcpy(copy, p.inputs[0].data, count * sizeof *copy);
    sl_json_predict_release(&p);
    sl_arena_reset(&arena);
    return count;
}

static size_t encode(const sl_tensor *t)
{
    static const int index[1] = {0};
    sl_chain out = {0};
    if (sl_json_encode_predict(&signature, index, t, 1, true, &out, &arena, &st))
        abort();
    size_t size = out.size;
    sl_chain_reset(&out);
    sl_arena_reset(&arena);
    return size;
}

size_t bench_encode(float *v, size_t n)
{
    sl_tensor t = {.dtype = SL_DT_FLOAT,
                   .rank = 2,
                   .dims = {(int64_t)(n / 1000), 1000},
                   .size = n / 1000 * 1000 * sizeof *v,
                   .data = v};
    return encode(&t);
}

void bench_small_request(void)
{
    static const char text[] = "{\"instances\": [1.0, 2.0, 5.0]}";
    sl_json_predict p;
    decode(text, sizeof text - 1, &p);
    encode(&p.inputs[0]);
    sl_json_predict_release(&p);
    sl_arena_reset(&arena);
}
