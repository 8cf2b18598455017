/*
 * fuzz_api_grpc_frame.c - a body is one message, or a stream of them, however it is cut
 *
 * The first byte says into pieces of which size the rest is cut. What comes out of the pieces must
 * be what comes out of the whole; a message that is one by itself must be the same as a unary
 * call's; what is packed is unpacked within its limits. Time-outs and lists of encodings are read
 * from the same bytes.
 */
#include <stdint.h>
#include <stdlib.h>

#include "api/grpc/frame.h"
#include "api/grpc/status.h"

#include "faults.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const sl_grpc_frame_limits limits = {
    .max_message = 4096, .max_decompressed = 65536, .max_ratio = 100};

/* All messages, one behind the other, with a mark after each; the stream's last code. */
static sl_code walk(sl_str body, size_t step, sl_text *out)
{
    sl_grpc_deframer d = {0};
    sl_status st;
    sl_code rc = SL_OK;
    for (size_t at = 0; at < body.n && rc == SL_OK; at += step) {
        size_t n = body.n - at < step ? body.n - at : step;
        bool packed;
        sl_str m;
        rc = sl_grpc_deframer_add(&d, (sl_str){body.p + at, n}, &st);
        if (rc)
            broken();
        while (rc == SL_OK && sl_grpc_deframer_next(&d, &limits, &packed, &m, &rc, &st)) {
            sl_text_add(out, m.p, m.n);
            sl_text_putc(out, packed ? '*' : ';');
        }
    }
    if (rc == SL_OK)
        rc = sl_grpc_deframer_end(&d, &st);
    sl_text_fini(&d.bytes);
    return rc;
}

static void unpack(sl_str m)
{
    for (int e = SL_GRPC_DEFLATE; e <= SL_GRPC_GZIP; e++) {
        sl_body out = {0};
        sl_status st;
        if (sl_grpc_decompress((sl_grpc_encoding)e, m, &limits, &out, &st) == SL_OK &&
            (out.n > limits.max_decompressed || out.n > m.n * 100))
            abort();
        sl_body_reset(&out);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    sl_str body = {(const char *)data + 1, size - 1}, m;
    sl_text whole = {0}, pieces = {0};
    sl_status st;
    bool packed;
    uint64_t ns;
    sl_code a = walk(body, size, &whole), b = walk(body, 1 + data[0], &pieces);
    if (a != b || !sl_str_eq((sl_str){whole.p, whole.n}, (sl_str){pieces.p, pieces.n}))
        broken();
    if (sl_grpc_unframe(body, &limits, &packed, &m, &st) == SL_OK) {
        if (a != SL_OK || whole.n != m.n + 1 || m.n > limits.max_message)
            broken();
        unpack(m);
    }
    unpack(body);
    sl_grpc_timeout_parse(body, &ns);
    sl_grpc_encoding_accepted(body, SL_GRPC_GZIP);
    sl_text_fini(&whole);
    sl_text_fini(&pieces);
    return 0;
}
