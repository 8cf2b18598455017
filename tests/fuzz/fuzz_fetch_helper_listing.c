/*
 * fuzz_fetch_helper_listing.c - what a store answers: listings of S3 and of Google, errors, ini
 * files
 *
 * The first byte chooses the parser. Whatever is accepted has only paths below its directory.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "fetch/helper/aws.h"
#include "fetch/helper/explain.h"
#include "fetch/helper/gs.h"
#include "fetch/helper/s3.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const fetch_listing *l, const fetch_names *names)
{
    for (int i = 0; i < l->count; i++)
        if (!sl_fetch_is_safe_path(sl_str_of(l->list[i].path)))
            abort();
    for (int i = 0; i < names->count; i++)
        if (!sl_fetch_is_version(sl_str_of(names->list[i])))
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char why[100];
    fetch_s3_page s3;
    fetch_gs_page gs;
    if (size == 0)
        return 0;
    sl_str text = {(const char *)data + 1, size - 1};
    sl_text body = {0};
    switch (data[0] % 4) {
    case 0:
        if (fetch_s3_parse(text, SL_STR("m/"), &s3, NULL) == SL_OK) {
            check(&s3.objects, &s3.prefixes);
            fetch_s3_page_fini(&s3);
        }
        break;
    case 1:
        if (fetch_gs_parse(text, SL_STR("m/"), &gs, NULL) == SL_OK) {
            check(&gs.objects, &gs.prefixes);
            fetch_gs_page_fini(&gs);
        }
        break;
    case 2:
        sl_text_add(&body, text.p, text.n);
        fetch_explain(&body, why, sizeof why);
        sl_text_fini(&body);
        break;
    default:
        sl_free(fetch_ini_value(text, "default", "aws_access_key_id"));
        break;
    }
    return 0;
}
