/* fuzz_cli_reply.c - what a server may send to `sluice predict` and `sluice check`: the parts lie in
 * it, and nothing of them steers a terminal */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size ? size : 1); /* of exactly that size: one byte more is seen */
    sl_reply_parts r, again;
    sl_status st = {0};
    if (copy == NULL)
        return 0;
    if (size)
        memcpy(copy, data, size);
    sl_str all = {copy, size};
    if (sl_reply_parse(all, &r, &st) == SL_OK) {
        if (r.status < 100 || r.status > 999 || r.reason.n < 3 || r.reason.p != copy + 9 ||
            r.body.p + r.body.n != copy + size)
            abort();
        for (size_t i = 0; i < r.reason.n; i++)
            if ((unsigned char)r.reason.p[i] < ' ' || r.reason.p[i] == 0x7f)
                abort();
        /* What the body is does not matter, and its length is what is left. */
        all.n -= r.body.n;
        if (sl_reply_parse(all, &again, &st) != SL_OK || again.body.n != 0 ||
            again.status != r.status || again.reason.n != r.reason.n)
            abort();
    } else if (st.code != SL_UNAVAILABLE) {
        abort();
    }
    free(copy);
    return 0;
}
