/*
 * pb_codec.c - what the protobuf codec costs: PredictRequest to tensors and tensors to
 * PredictResponse
 *
 *     build/release/bench_pb_codec [rounds]
 *
 * Each line: nanoseconds a message, for a request of three floats as a typed list, and for one of
 * 150528 floats (a picture of 224 x 224 x 3) in each form. Under `valgrind --tool=callgrind` it
 * counts instructions instead.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "codec/predict_pb.h"
#include "format/wire.h"

static const sl_tensor_info infos[] = {{.key = "x"}};
static const sl_signature sig = {
    .key = "serving_default", .inputs = infos, .n_inputs = 1, .outputs = infos, .n_outputs = 1};

static sl_code resolve(void *arg, const sl_pb_model_spec *spec, const sl_signature **out,
                       sl_status *st)
{
    (void)arg;
    (void)spec;
    (void)st;
    *out = &sig;
    return SL_OK;
}

typedef enum form { TYPED, CONTENT, UNPACKED } form;

static sl_buffer *request(int64_t n, form f, size_t *length)
{
    sl_text t = {0}, spec = {0}, tensor = {0}, shape = {0}, dim = {0}, entry = {0};
    float *values = malloc((size_t)n * sizeof *values);
    for (int64_t i = 0; values && i < n; i++)
        values[i] = (float)i;
    sl_wire_put_bytes(&spec, 1, "half_plus_two", 13);
    sl_wire_put_bytes(&t, 1, spec.p, spec.n);
    sl_wire_put_varint(&tensor, 1, SL_DT_FLOAT);
    sl_wire_put_varint(&dim, 1, (uint64_t)n);
    sl_wire_put_bytes(&shape, 2, dim.p, dim.n);
    sl_wire_put_bytes(&tensor, 2, shape.p, shape.n);
    if (f == UNPACKED)
        for (int64_t i = 0; values && i < n; i++)
            sl_wire_put_fixed32(&tensor, 5, 0);
    else
        sl_wire_put_bytes(&tensor, f == TYPED ? 5 : 4, values, (size_t)n * sizeof *values);
    sl_wire_put_bytes(&entry, 1, "x", 1);
    sl_wire_put_bytes(&entry, 2, tensor.p, tensor.n);
    sl_wire_put_bytes(&t, 2, entry.p, entry.n);
    sl_buffer *b = sl_buffer_try_new(t.n + 8);
    if (b == NULL || values == NULL)
        abort();
    memcpy(b->data, t.p, t.n);
    *length = t.n;
    sl_text *all[] = {&t, &spec, &tensor, &shape, &dim, &entry};
    for (int i = 0; i < 6; i++)
        sl_text_fini(all[i]);
    free(values);
    return b;
}

static void measure(const char *what, int64_t n, form f, int rounds)
{
    static const int first[] = {0};
    const sl_pb_used used = {SL_STR("half_plus_two"), 123, SL_STR("serving_default")};
    sl_pb_limits limits;
    sl_arena arena;
    sl_status st = {0};
    size_t length, bytes = 0;
    uint64_t in = 0, out = 0;
    sl_buffer *b = request(n, f, &length);
    sl_pb_limits_default(&limits);
    if (sl_arena_init(&arena, 0))
        abort();
    for (int i = 0; i < rounds; i++) {
        sl_pb_predict p;
        sl_chain c = {0};
        uint64_t t0 = sl_now_ns();
        if (sl_pb_decode_predict((sl_str){b->data, length}, b, &limits, resolve, NULL, &arena, &p,
                                 &st))
            abort();
        uint64_t t1 = sl_now_ns();
        if (sl_pb_encode_predict(&used, &sig, first, p.inputs, 1, f == CONTENT, &c, &arena, &st))
            abort();
        out += sl_now_ns() - t1;
        in += t1 - t0;
        bytes += c.size;
        sl_chain_reset(&c);
        sl_pb_predict_release(&p);
        sl_arena_reset(&arena);
    }
    printf("%-28s %8zu bytes  decode %9.1f ns  encode %9.1f ns\n", what, bytes / (size_t)rounds,
           (double)in / rounds, (double)out / rounds);
    sl_arena_fini(&arena);
    sl_buffer_release(b);
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 1000000;
    measure("3 floats, typed", 3, TYPED, rounds);
    measure("3 floats, content", 3, CONTENT, rounds);
    measure("150528 floats, typed", 150528, TYPED, rounds / 1000 + 1);
    measure("150528 floats, content", 150528, CONTENT, rounds / 1000 + 1);
    measure("150528 floats, unpacked", 150528, UNPACKED, rounds / 1000 + 1);
    return 0;
}
