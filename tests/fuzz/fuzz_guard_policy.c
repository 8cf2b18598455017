/*
 * fuzz_guard_policy.c - any bytes as an --auth_config_file: its text, and its wire form
 *
 * First byte 't': text, else wire. Token and key files that it names are looked for in a directory
 * that does not exist.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "format/textpb.h"
#include "guard/policy.h"
#include "proto/auth_config.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void configure(sl_str wire)
{
    sl_status st;
    sl_policy *p;
    Sluice__AuthConfig *config =
        sluice__auth_config__unpack(NULL, wire.n, (const uint8_t *)(wire.n ? wire.p : ""));
    if (config == NULL)
        return;
    sl_code rc = sl_policy_new(config, "/nonexistent", NULL, &p, &st);
    sluice__auth_config__free_unpacked(config, NULL);
    if (rc == SL_OK)
        sl_policy_release(p);
    else if (st.msg[0] == '\0')
        abort(); /* nobody would know why */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sl_text wire = {0};
    sl_status st;
    if (size == 0)
        return 0;
    sl_str rest = {(const char *)data + 1, size - 1};
    if (data[0] != 't')
        configure(rest);
    else if (sl_textpb_parse(rest, &sluice__auth_config__descriptor, NULL, 0, &wire, &st) == SL_OK)
        configure((sl_str){wire.p, wire.n});
    sl_text_fini(&wire);
    return 0;
}
