/* fuzz_http_unzip.c - any bytes as a gzip member (first byte 'g') or a zlib stream; no more than
 * the limit comes out */
#include <stdint.h>
#include <stdlib.h>

#include "http/gzip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { MAX = 1 << 16 };
    sl_body out = {0};
    if (size == 0)
        return 0;
    sl_zip how = data[0] == 'g' ? SL_ZIP_GZIP : SL_ZIP_DEFLATE;
    sl_code rc = sl_unzip(how, (sl_str){(const char *)data + 1, size - 1}, MAX, &out);
    if (rc == SL_OK && out.n > MAX)
        abort();
    sl_body_reset(&out);
    return 0;
}
