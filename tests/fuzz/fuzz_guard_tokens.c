/* fuzz_guard_tokens.c - any bytes as a file of tokens, as a network, as an address, as a time */
#include <stdint.h>
#include <stdlib.h>

#include "guard/networks.h"
#include "guard/tokens.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sl_str text = {(const char *)data, size};
    sl_tokens t = {0};
    sl_status st;
    sl_network n;
    sl_ip ip;
    int64_t time;
    sl_code rc = sl_tokens_read("f", text, &t, &st);
    if (rc == SL_OK)
        rc = sl_tokens_sort(&t, &st);
    if (rc == SL_OK)
        for (int i = 0; i < t.count; i++)
            if (sl_tokens_find(&t, t.list[i].digest) != &t.list[i])
                abort();
    sl_tokens_fini(&t);
    if (sl_network_parse(text, &n, &st) == SL_OK && !sl_network_has(&n, &n.base))
        abort();
    sl_ip_parse(text, &ip);
    sl_time_parse(text, &time);
    return 0;
}
