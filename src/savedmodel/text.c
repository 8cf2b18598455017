/*
 * text.c - saved_model.pbtxt: the same message in protobuf's text form
 *
 * It is turned into its wire form as a whole, which everything else reads. A text of lists of
 * numbers grows by that, to at most nine bytes for two.
 */
#include "base/file.h"
#include "base/mem.h"
#include "format/textpb.h"
#include "proto/saved_model.pb-c.h"
#include "savedmodel/model.h"

static const size_t largest_text = (size_t)512 << 20;

static void free_wire(sl_buffer *b)
{
    sl_free(b->owner);
    sl_free(b);
}

sl_code sl_model_text_to_wire(sl_str text, size_t most, sl_buffer **out, sl_status *st)
{
    static const ProtobufCMessageDescriptor *const known[] = {
        &tensorflow__asset_file_def__descriptor};
    sl_text wire = {0};
    sl_code rc = sl_textpb_parse(text, &tensorflow__saved_model__descriptor, known,
                                 SL_COUNTOF(known), &wire, st);
    if (rc == SL_OK && wire.n > most)
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "it is larger than a message can be");
    if (rc == SL_OK) {
        *out = sl_buffer_try_wrap(wire.p, wire.n, free_wire, wire.p);
        if (*out != NULL)
            return SL_OK;
        rc = sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory");
    }
    sl_text_fini(&wire);
    return rc;
}

sl_code sl_model_read_text(sl_saved_model *m, sl_status *st)
{
    sl_status why = {0};
    sl_buffer *file;
    char *path = sl_path_join(m->dir, "saved_model.pbtxt");
    if (path == NULL)
        return sl_model_no_memory(m, st);
    sl_code rc = sl_file_read(path, largest_text, &file, st);
    sl_free(path);
    if (rc)
        return rc;
    m->is_text = true;
    rc = sl_model_text_to_wire((sl_str){file->data, file->size}, INT32_MAX, &m->pb, &why);
    sl_buffer_release(file);
    if (rc == SL_RESOURCE_EXHAUSTED)
        return sl_model_no_memory(m, st);
    return rc ? sl_fail(st, SL_DATA_LOSS, "Can't parse %s/saved_model.pbtxt as text proto: %s",
                        m->dir, why.msg)
              : SL_OK;
}
