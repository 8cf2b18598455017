/* fuzz_format_wire.c - walks any bytes as a message, and each of its fields as a message again */
#include <stdlib.h>

#include "format/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const sl_wire *w, const uint8_t *data, size_t size)
{
    const uint8_t *p = (const uint8_t *)w->bytes.p;
    if (sl_wire_offset(w) > size)
        abort();
    if (w->type == SL_WIRE_BYTES && w->bytes.n && (p < data || p + w->bytes.n > data + size))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sl_wire outer = sl_wire_open((sl_str){(const char *)data, size});
    while (sl_wire_next(&outer)) {
        check(&outer, data, size);
        if (outer.type != SL_WIRE_BYTES)
            continue;
        sl_wire inner = sl_wire_open(outer.bytes);
        while (sl_wire_next(&inner))
            check(&inner, data, size);
    }
    if (sl_wire_offset(&outer) > size || (!outer.bad && sl_wire_offset(&outer) != size))
        abort();
    return 0;
}
