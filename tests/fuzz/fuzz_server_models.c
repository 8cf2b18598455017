/*
 * fuzz_server_models.c - any bytes as a list of models: its text (first byte 't'), or its wire form
 *
 * What is accepted can be printed, and what is printed is the same list. (Its directories are not
 * looked at.)
 */
#include <stdlib.h>
#include <string.h>

#include "faults.h"
#include "server/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void print_and_read_again(const sl_model_list *l)
{
    sl_text text = {0};
    sl_status st;
    sl_model_list again;
    if (sl_model_list_print(l, &text, &st)) {
        broken();
        sl_text_fini(&text);
        return;
    }
    if (sl_model_list_from_text((sl_str){text.n ? text.p : "", text.n}, &again, &st)) {
        /* A zero byte ends a string of ours; the wire form may hold one, a text may not. */
        if (strstr(st.msg, "zero byte") == NULL)
            broken();
        sl_text_fini(&text);
        return;
    }
    if (again.count != l->count)
        abort();
    if (sl_model_list_check_change(l, &again, &st))
        broken();
    sl_model_list_fini(&again);
    sl_text_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sl_model_list l;
    sl_status st = {0};
    if (size == 0)
        return 0;
    sl_str rest = {(const char *)data + 1, size - 1};
    sl_code rc = data[0] == 't' ? sl_model_list_from_text(rest, &l, &st)
                                : sl_model_list_from_wire(rest, &l, &st);
    if (rc == SL_OK) {
        print_and_read_again(&l);
        sl_model_list_fini(&l);
    } else if (st.msg[0] == '\0') {
        abort();
    }
    return 0;
}
