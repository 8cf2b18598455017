/* fuzz_tensorproto_decode.c - any bytes as a TensorProto; what decodes must survive a round trip */
#include <stdlib.h>

#include "tensorproto/tensorproto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sl_tensor a, b;
    sl_text t = {0};
    if (sl_tensorproto_decode((sl_str){(const char *)data, size}, 1 << 16, &a, NULL))
        return 0;
    sl_tensorproto_encode(&a, &t);
    if (t.failed || sl_tensorproto_decode((sl_str){t.p, t.n}, 1 << 16, &b, NULL))
        abort();
    if (a.dtype != b.dtype || a.size != b.size || a.rank != b.rank)
        abort();
    if (a.dtype == SL_DT_STRING) {
        for (size_t i = 0; i < a.size / sizeof(sl_str); i++)
            if (!sl_str_eq(((sl_str *)a.data)[i], ((sl_str *)b.data)[i]))
                abort();
    } else if (a.size && memcmp(a.data, b.data, a.size) != 0) {
        abort();
    }
    sl_text_fini(&t);
    sl_tensor_release(&a);
    sl_tensor_release(&b);
    return 0;
}
