/* params.c - reads the load parameters (protocol.h, at its end) */
#include <string.h>

#include "base/mem.h"
#include "engine/tensorflow/host/child.h"

typedef struct reader {
    const char *at, *end;
    bool bad, no_memory;
} reader;

static uint32_t number(reader *r)
{
    uint32_t v = 0;
    if (r->bad || r->end - r->at < 4) {
        r->bad = true;
        return 0;
    }
    memcpy(&v, r->at, 4);
    r->at += 4;
    return v;
}

static const char *bytes(reader *r, size_t *n)
{
    uint32_t length = number(r);
    if (r->bad || (size_t)(r->end - r->at) <= length || r->at[length] != '\0') {
        r->bad = true;
        *n = 0;
        return "";
    }
    const char *p = r->at;
    r->at += (size_t)length + 1;
    *n = length;
    return p;
}

static const char *string(reader *r)
{
    size_t n;
    return bytes(r, &n);
}

/* Each counted thing takes at least four bytes, which bounds what is allocated. */
static int count(reader *r)
{
    uint32_t n = number(r);
    if (n > (size_t)(r->end - r->at) / 4) {
        r->bad = true;
        return 0;
    }
    return (int)n;
}

static tf_names names(reader *r)
{
    tf_names list = {.n = count(r)};
    list.names = sl_try_calloc((size_t)list.n, sizeof *list.names);
    if (list.names == NULL) {
        r->bad = r->no_memory = true;
        list.n = 0;
    }
    for (int i = 0; i < list.n; i++)
        list.names[i] = string(r);
    return list;
}

sl_code tf_params_read(tf_params *p, const char *blob, size_t n)
{
    reader r = {.at = blob, .end = blob + n};
    p->label = string(&r);
    p->dir = string(&r);
    p->tags = names(&r);
    p->config = bytes(&r, &p->config_n);
    p->inline_run = number(&r) != 0;
    p->readable = names(&r);
    p->n_signatures = count(&r);
    p->signatures = sl_try_calloc((size_t)p->n_signatures, sizeof *p->signatures);
    if (p->signatures == NULL)
        return SL_RESOURCE_EXHAUSTED;
    for (int i = 0; i < p->n_signatures; i++) {
        p->signatures[i].inputs = names(&r);
        p->signatures[i].outputs = names(&r);
    }
    if (r.no_memory)
        return SL_RESOURCE_EXHAUSTED;
    return r.bad ? SL_INTERNAL : SL_OK;
}
