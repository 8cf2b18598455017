/*
 * fuzz_format_textpb.c - any bytes as each kind of configuration file
 *
 * What the parser accepts must be a wire form that protobuf-c accepts, and an error must say where.
 * What is printed from it must be read back to the same wire form. The bytes are also printed as if
 * they were a wire form.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "format/textpb.h"
#include "format/textpb_print.h"
#include "proto/model_server_config.pb-c.h"
#include "proto/server_config.pb-c.h"

#include "faults.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const ProtobufCMessageDescriptor *const types[] = {
    &tensorflow__serving__model_server_config__descriptor,
    &tensorflow__serving__batching_parameters__descriptor,
    &tensorflow__serving__platform_config_map__descriptor,
    &tensorflow__config_proto__descriptor,
    &tensorflow__serving__sslconfig__descriptor,
    &tensorflow__serving__monitoring_config__descriptor,
};
static const ProtobufCMessageDescriptor *const known[] = {
    &tensorflow__serving__saved_model_bundle_source_adapter_config__descriptor};

static void print_and_read_again(const sl_text *wire, const ProtobufCMessageDescriptor *type)
{
    sl_text text = {0}, again = {0};
    sl_status st;
    if (sl_textpb_print((sl_str){wire->n ? wire->p : "", wire->n}, type, &text, &st) ||
        sl_textpb_parse((sl_str){text.n ? text.p : "", text.n}, type, known, SL_COUNTOF(known),
                        &again, &st))
        broken();
    else if (!sl_str_eq((sl_str){wire->p, wire->n}, (sl_str){again.p, again.n}))
        abort();
    sl_text_fini(&text);
    sl_text_fini(&again);
}

static void print_anything(sl_str bytes, const ProtobufCMessageDescriptor *type)
{
    sl_text text = {0};
    sl_status st;
    (void)!sl_textpb_print(bytes, type, &text, &st);
    sl_text_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < SL_COUNTOF(types); i++) {
        sl_text wire = {0};
        sl_status st = {0};
        sl_code rc = sl_textpb_parse((sl_str){(const char *)data, size}, types[i], known,
                                     SL_COUNTOF(known), &wire, &st);
        if (rc == SL_OK) {
            ProtobufCMessage *m =
                protobuf_c_message_unpack(types[i], NULL, wire.n, (const uint8_t *)wire.p);
            if (m == NULL)
                abort();
            protobuf_c_message_free_unpacked(m, NULL);
            print_and_read_again(&wire, types[i]);
        } else if (st.msg[0] < '0' || st.msg[0] > '9') {
            broken();
        }
        sl_text_fini(&wire);
        print_anything((sl_str){(const char *)data, size}, types[i]);
    }
    return 0;
}
