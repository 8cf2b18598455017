/* config_read.c - file -> text -> wire form -> protobuf-c structs, which lie in an arena */
#include "server/config_read.h"

#include "base/file.h"
#include "base/mem.h"
#include "format/textpb.h"
#include "proto/server_config.pb-c.h"

enum { MAX_FILE = 64 << 20 };

typedef struct memory {
    sl_arena *arena;
    bool failed;
} memory;

static void *arena_alloc(void *memory_, size_t size)
{
    memory *m = memory_;
    void *p = sl_arena_try_alloc(m->arena, size);
    m->failed |= p == NULL;
    return p;
}

static void arena_free(void *memory_, void *p)
{
    (void)memory_; /* goes with the arena */
    (void)p;
}

sl_code sl_config_unpack(sl_str wire, const ProtobufCMessageDescriptor *type, sl_arena *arena,
                         void **out)
{
    memory m = {arena, false};
    ProtobufCAllocator in_arena = {arena_alloc, arena_free, &m};
    *out = protobuf_c_message_unpack(type, &in_arena, wire.n, (const uint8_t *)wire.p);
    if (*out != NULL)
        return SL_OK;
    return m.failed ? SL_RESOURCE_EXHAUSTED : SL_INVALID_ARGUMENT;
}

/* The messages that field `f` of `m` holds, and how many. */
static ProtobufCMessage **messages_of(ProtobufCMessage *m, const ProtobufCFieldDescriptor *f,
                                      size_t *count)
{
    char *base = (char *)m;
    void *at = base + f->offset;
    *count = 0;
    if (f->type != PROTOBUF_C_TYPE_MESSAGE)
        return NULL;
    if (f->label == PROTOBUF_C_LABEL_REPEATED) {
        *count = *(size_t *)(void *)(base + f->quantifier_offset);
        return *(ProtobufCMessage ***)at;
    }
    bool chosen = !(f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) ||
                  *(uint32_t *)(void *)(base + f->quantifier_offset) == f->id;
    *count = chosen && *(ProtobufCMessage **)at != NULL;
    return at;
}

/* Calls itself as deep as the types nest, which is not the sender's to say. */
void sl_config_forget_unknown(ProtobufCMessage *m)
{
    m->n_unknown_fields = 0;
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        size_t count;
        ProtobufCMessage **inner = messages_of(m, &m->descriptor->fields[i], &count);
        for (size_t k = 0; k < count; k++)
            sl_config_forget_unknown(inner[k]);
    }
}

sl_code sl_config_pack(const ProtobufCMessage *message, sl_arena *arena, sl_str *out, sl_status *st)
{
    size_t n = protobuf_c_message_get_packed_size(message);
    char *p = sl_arena_try_alloc(arena, n + 1);
    if (p == NULL)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory");
    *out = (sl_str){p, protobuf_c_message_pack(message, (uint8_t *)p)};
    return SL_OK;
}

/* "file:///etc/m.conf" -> "/etc/m.conf"; another scheme is for a file system that is not here. */
static sl_code local_path(const char *uri, const char **path, sl_status *st)
{
    const char *scheme_end = strstr(uri, "://");
    *path = uri;
    if (scheme_end == NULL || memchr(uri, '/', (size_t)(scheme_end - uri)) != NULL)
        return SL_OK;
    if (strncmp(uri, "file://", 7) != 0)
        return sl_fail(st, SL_UNIMPLEMENTED,
                       "File system scheme '%.*s' not implemented (file: '%s')",
                       (int)SL_MIN(scheme_end - uri, 40), uri, uri);
    *path = uri + 7;
    return SL_OK;
}

sl_code sl_config_parse(sl_str text, const ProtobufCMessageDescriptor *type, sl_text *wire,
                        sl_status *st)
{
    static const ProtobufCMessageDescriptor *const known[] = {
        &tensorflow__serving__saved_model_bundle_source_adapter_config__descriptor};
    return sl_textpb_parse(text, type, known, SL_COUNTOF(known), wire, st);
}

sl_code sl_config_read(const char *path, const ProtobufCMessageDescriptor *type, sl_arena *arena,
                       void **out, sl_str *wire, sl_status *st)
{
    sl_buffer *file = NULL;
    sl_text bytes = {0};
    char *copy = NULL;
    const char *local;
    sl_code rc = local_path(path, &local, st);
    if (rc == SL_OK)
        rc = sl_file_read(local, MAX_FILE, &file, st);
    if (rc)
        return rc;
    rc = sl_config_parse((sl_str){file->data, file->size}, type, &bytes, st);
    if (rc) {
        sl_wrap(st, "Invalid protobuf file: '%s': ", path);
        goto out;
    }
    copy = sl_arena_try_strndup(arena, bytes.n ? bytes.p : "", bytes.n);
    rc = copy ? sl_config_unpack((sl_str){copy, bytes.n}, type, arena, out) : SL_RESOURCE_EXHAUSTED;
    if (rc)
        sl_fail(st, rc, "%s; %s", path,
                rc == SL_RESOURCE_EXHAUSTED ? "out of memory" : "cannot be represented");
    else if (wire != NULL)
        *wire = (sl_str){copy, bytes.n};
out:
    sl_text_fini(&bytes);
    sl_buffer_release(file);
    return rc;
}
