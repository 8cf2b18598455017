/* header.c - what a handler asks of a call, whoever made it */
#include "http/http.h"

const sl_str *sl_http_header_find(const sl_http_call *call, const char *name)
{
    sl_str wanted = sl_str_of(name);
    for (int i = 0; i < call->n_headers; i++)
        if (sl_str_eq_nocase(call->headers[i].name, wanted))
            return &call->headers[i].value;
    return NULL;
}
