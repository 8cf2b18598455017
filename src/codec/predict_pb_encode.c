/* predict_pb_encode.c - writing a PredictResponse (predict_pb.h) */
#include "base/mem.h"
#include "codec/pb_inside.h"
#include "tensorproto/tensorproto.h"

typedef struct output {
    sl_str key;
    sl_tensorproto_form form;
    size_t size; /* of the map's entry */
} output;

static sl_code measure(const sl_tensor *t, const char *key, bool as_content, output *o,
                       sl_status *st)
{
    o->key = sl_str_of(key);
    sl_code rc = sl_tensorproto_measure(t, as_content, &o->form, st);
    if (rc)
        return rc;
    o->size = sl_wire_size_bytes(1, o->key.n) + sl_wire_size_bytes(2, o->form.size);
    return sl_pb_check_size(o->size, st);
}

sl_code sl_pb_encode_predict(const sl_pb_used *used, const sl_signature *signature,
                             const int *output_index, const sl_tensor *outputs, int n_outputs,
                             bool as_content, sl_chain *out, sl_arena *arena, sl_status *st)
{
    enum { OUTPUTS = 1, SPEC = 2, SMALL = 4096 };
    size_t spec = sl_pb_used_size(used), all = sl_wire_size_bytes(SPEC, spec);
    output *o;
    sl_code rc = sl_pb_array(arena, (size_t)n_outputs, sizeof *o, &o, st);
    for (int i = 0; i < n_outputs && rc == SL_OK; i++) {
        rc = measure(&outputs[i], signature->outputs[output_index[i]].key, as_content, &o[i], st);
        if (rc == SL_OK)
            all += sl_wire_size_bytes(OUTPUTS, o[i].size);
        if (rc == SL_OK)
            rc = sl_pb_check_size(all, st);
    }
    if (rc)
        return rc;
    if (all <= SMALL) /* in one piece; the heads' writers like some room to spare */
        (void)sl_chain_reserve(out, all + SL_WIRE_HEAD_MOST);
    for (int i = 0; i < n_outputs; i++) {
        sl_wire_out_head(out, OUTPUTS, o[i].size);
        sl_wire_out_bytes(out, 1, o[i].key);
        sl_wire_out_head(out, 2, o[i].form.size);
        sl_tensorproto_write(&outputs[i], &o[i].form, out);
    }
    sl_wire_out_head(out, SPEC, spec);
    sl_pb_put_used(used, out);
    return sl_pb_written(out, st);
}
