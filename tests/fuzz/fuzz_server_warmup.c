/*
 * fuzz_server_warmup.c - any bytes as a warm-up file, and as the one record of an intact file
 *
 * The second is what gets behind the checksums. The engine computes nothing: what is tried is the
 * reading of files and requests, and their checks.
 */
#include <stdlib.h>

#include "../unit/server/warmup_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void replay(sl_str file, bool check_method_name)
{
    fake f;
    sl_status st = {0};
    int64_t records = 0;
    sl_warmup_options o = {.iterations = 2, .check_method_name = check_method_name};
    fake_init(&f);
    sl_code rc = sl_warmup_replay_bytes(&f.version, file, "file", &o, &records, &st);
    if (rc != SL_OK && (st.code != rc || st.msg[0] == '\0' || st.more != NULL))
        abort();
    if (records < 0 || records > 1001 || (rc == SL_OK && records > 1000))
        abort();
    fake_forget(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sl_text file = {0};
    replay((sl_str){(const char *)data, size}, false);
    put_record(&file, data, size);
    replay((sl_str){file.p, file.n}, size & 1);
    sl_text_fini(&file);
    return 0;
}
