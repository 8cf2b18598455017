/* fuzz_tensorproto_decode.c - any bytes as a TensorProto; what decodes must survive a round trip */
#include <stdlib.h>

#include "faults.h"
#include "tensorproto/tensorproto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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

static bool has_few_bits(sl_dtype t)
{
    return t == SL_DT_INT4 || t == SL_DT_UINT4 || t == SL_DT_INT2 || t == SL_DT_UINT2;
}

static void round_trip(const sl_tensor *a, bool as_content)
{
    sl_tensorproto_form f;
    sl_chain c = {0};
    sl_tensor b;
    if (sl_tensorproto_measure(a, as_content, &f, NULL))
        abort();
    sl_tensorproto_write(a, &f, &c);
    sl_buffer *bytes = sl_buffer_try_new(c.size);
    bool ok = !c.failed && c.size == f.size && bytes != NULL;
    size_t budget = 0;
    if (ok) {
        sl_chain_copy(&c, bytes->data);
        ok = sl_tensorproto_decode_in((sl_str){bytes->data, c.size}, bytes, &budget, &b, NULL) ==
             SL_OK;
    }
    sl_chain_reset(&c);
    sl_buffer_release(bytes);
    if (!ok) {
        broken();
        return;
    }
    if (as_content || !has_few_bits(a->dtype))
        same(a, &b);
    sl_tensor_release(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sl_tensor a;
    if (sl_tensorproto_decode((sl_str){(const char *)data, size}, 1 << 16, &a, NULL))
        return 0;
    round_trip(&a, false);
    round_trip(&a, true);
    sl_tensor_release(&a);
    return 0;
}
