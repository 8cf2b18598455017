/* fuzz_fetch_protocol.c - what either side of the pipe may send; what was read must come back when
 * it is written and read again */
#include <stdlib.h>

#include "faults.h"
#include "fetch/protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void again(const sl_fetch_msg *m)
{
    sl_text t = {0};
    sl_fetch_reader r = {0};
    sl_fetch_msg got;
    sl_fetch_write(&t, m);
    sl_text_add(&r.bytes, t.p, t.n);
    if (t.failed || r.bytes.failed || sl_fetch_read(&r, &got, NULL) != SL_OK) {
        broken();
    } else {
        if (got.kind != m->kind || got.id != m->id || !sl_str_eq(got.url, m->url) ||
            got.n_names != m->n_names || got.n_numbers != m->n_numbers)
            abort();
        for (int i = 0; i < got.n_names; i++)
            if (!sl_str_eq(got.names[i], m->names[i]))
                abort();
        sl_fetch_msg_fini(&got);
    }
    sl_fetch_reader_fini(&r);
    sl_text_fini(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sl_fetch_reader r = {0};
    sl_fetch_msg m;
    sl_text_add(&r.bytes, (const char *)data, size);
    while (sl_fetch_read(&r, &m, NULL) == SL_OK) {
        again(&m);
        sl_fetch_msg_fini(&m);
    }
    sl_fetch_reader_fini(&r);
    return 0;
}
