/* fuzz_savedmodel_text.c - any bytes as saved_model.pbtxt: what can be read is opened, and
 * complains without a byte of a file that there is not */
#include <stdlib.h>
#include <string.h>

#include "savedmodel/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sl_buffer *pb;
    sl_saved_model *m;
    sl_status st = {0};
    if (sl_model_text_to_wire((sl_str){(const char *)data, size}, INT32_MAX, &pb, &st)) {
        if (st.msg[0] == '\0')
            abort();
        return 0;
    }
    sl_wire w = sl_wire_open((sl_str){pb->data, pb->size});
    while (sl_wire_next(&w))
        continue;
    if (w.bad != NULL)
        abort();
    if (sl_model_open_bytes("m", pb, NULL, NULL, &m, &st) == SL_OK)
        sl_saved_model_close(m);
    sl_buffer_release(pb);
    return 0;
}
