/* fuzz_http_proxy.c - any bytes in front of a connection: a header is used whole, or not at all */
#include <stdint.h>
#include <stdlib.h>

#include "http/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sockaddr_storage client;
    size_t used, again;
    sl_str all = {(const char *)data, size};
    if (size == 0)
        return 0;
    sl_proxy_result r = sl_proxy_parse(all, &client, &used);
    if (used > size || (r == SL_PROXY_NONE && used != 0) ||
        (r == SL_PROXY_MORE && size > SL_PROXY_MAX))
        abort();
    if (r == SL_PROXY_CLIENT && client.ss_family != AF_INET && client.ss_family != AF_INET6)
        abort();
    /* What follows a header has no say in it. */
    if ((r == SL_PROXY_CLIENT || r == SL_PROXY_LOCAL) &&
        (sl_proxy_parse((sl_str){all.p, used}, &client, &again) != r || again != used))
        abort();
    return 0;
}
