/*
 * textpb_print.c - see textpb_print.h
 *
 * A stack of readers, one for each message that is open. A field of a number's type that comes with
 * bytes is a packed list: its numbers are printed one after the other.
 */
#include "format/textpb_print.h"

#include <inttypes.h>
#include <math.h>

#include "format/descriptor.h"
#include "format/number.h"
#include "format/textpb.h"
#include "format/wire.h"

typedef struct printer {
    sl_text *out;
    int depth;
    struct {
        sl_wire reader;
        const ProtobufCMessageDescriptor *type;
    } open[SL_TEXTPB_DEPTH + 1];
} printer;

static void indent(printer *p)
{
    for (int i = 0; i < p->depth; i++)
        sl_text_puts(p->out, "  ");
}

/* Letters, digits and marks as they are, the rest by its number: readable anywhere. */
static void put_string(sl_text *t, sl_str s)
{
    sl_text_putc(t, '"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '"' || c == '\\')
            sl_text_putc(t, '\\');
        if (c == '\n')
            sl_text_puts(t, "\\n");
        else if (c >= ' ' && c != 0x7f)
            sl_text_putc(t, (char)c); /* UTF-8 too */
        else
            sl_text_printf(t, "\\%03o", c);
    }
    sl_text_putc(t, '"');
}

static void put_bytes(sl_text *t, sl_str s)
{
    sl_text_putc(t, '"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c >= ' ' && c < 0x7f && c != '"' && c != '\\')
            sl_text_putc(t, (char)c);
        else
            sl_text_printf(t, "\\%03o", c);
    }
    sl_text_putc(t, '"');
}

static void put_real(sl_text *t, double v, bool is_float)
{
    char text[SL_NUMBER_ROOM];
    if (isnan(v)) {
        sl_text_puts(t, "nan");
    } else if (isinf(v)) {
        sl_text_puts(t, v < 0 ? "-inf" : "inf");
    } else {
        char *end =
            is_float ? sl_number_write_float(text, (float)v) : sl_number_write_shortest(text, v);
        sl_text_add(t, text, (size_t)(end - text));
    }
}

static void put_enum(sl_text *t, const ProtobufCEnumDescriptor *type, int32_t v)
{
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(type, v);
    if (value != NULL)
        sl_text_puts(t, value->name);
    else
        sl_text_printf(t, "%" PRId32, v);
}

static void put_number(sl_text *t, const ProtobufCFieldDescriptor *f, uint64_t v)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        sl_text_printf(t, "%" PRId32, (int32_t)v);
        break;
    case PROTOBUF_C_TYPE_SINT32:
        sl_text_printf(t, "%" PRId32, (int32_t)sl_wire_unzigzag((uint32_t)v));
        break;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        sl_text_printf(t, "%" PRIu32, (uint32_t)v);
        break;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        sl_text_printf(t, "%" PRId64, (int64_t)v);
        break;
    case PROTOBUF_C_TYPE_SINT64:
        sl_text_printf(t, "%" PRId64, sl_wire_unzigzag(v));
        break;
    case PROTOBUF_C_TYPE_BOOL:
        sl_text_puts(t, v ? "true" : "false");
        break;
    case PROTOBUF_C_TYPE_ENUM:
        put_enum(t, f->descriptor, (int32_t)v);
        break;
    case PROTOBUF_C_TYPE_FLOAT:
        put_real(t, (double)sl_wire_float(v), true);
        break;
    case PROTOBUF_C_TYPE_DOUBLE:
        put_real(t, sl_wire_double(v), false);
        break;
    default:
        sl_text_printf(t, "%" PRIu64, v);
        break;
    }
}

static void put_line(printer *p, const ProtobufCFieldDescriptor *f, uint64_t v)
{
    indent(p);
    sl_text_printf(p->out, "%s: ", f->name);
    put_number(p->out, f, v);
    sl_text_putc(p->out, '\n');
}

static bool put_packed(printer *p, const ProtobufCFieldDescriptor *f, sl_str list)
{
    sl_wire w = sl_wire_open(list);
    while (sl_wire_next_packed(&w, sl_descriptor_wire_type(f->type)))
        put_line(p, f, w.value);
    return w.bad == NULL;
}

static void open_message(printer *p, sl_str wire, const ProtobufCMessageDescriptor *type)
{
    p->open[p->depth].reader = sl_wire_open(wire);
    p->open[p->depth].type = type;
}

/* Prints the field that the innermost reader stands at. */
static const char *put_field(printer *p, const sl_wire *w, const ProtobufCFieldDescriptor *f)
{
    unsigned type = sl_descriptor_wire_type(f->type);
    if (w->type != type && w->type == SL_WIRE_BYTES)
        return put_packed(p, f, w->bytes) ? NULL : "a packed list is damaged";
    if (w->type != type)
        return "a field has another type";
    if (type != SL_WIRE_BYTES) {
        put_line(p, f, w->value);
        return NULL;
    }
    indent(p);
    if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
        if (p->depth == SL_TEXTPB_DEPTH)
            return "it nests too deep";
        sl_text_printf(p->out, "%s {\n", f->name);
        p->depth++;
        open_message(p, w->bytes, f->descriptor);
        return NULL;
    }
    sl_text_printf(p->out, "%s: ", f->name);
    if (f->type == PROTOBUF_C_TYPE_STRING)
        put_string(p->out, w->bytes);
    else
        put_bytes(p->out, w->bytes);
    sl_text_putc(p->out, '\n');
    return NULL;
}

sl_code sl_textpb_print(sl_str wire, const ProtobufCMessageDescriptor *type, sl_text *out,
                        sl_status *st)
{
    printer p = {.out = out};
    const char *bad = NULL;
    open_message(&p, wire, type);
    while (bad == NULL) {
        sl_wire *w = &p.open[p.depth].reader;
        if (sl_wire_next(w)) {
            const ProtobufCFieldDescriptor *f =
                protobuf_c_message_descriptor_get_field(p.open[p.depth].type, w->field);
            if (f != NULL)
                bad = put_field(&p, w, f);
        } else if (w->bad != NULL) {
            bad = w->bad;
        } else if (p.depth == 0) {
            break;
        } else {
            p.depth--;
            indent(&p);
            sl_text_puts(out, "}\n");
        }
    }
    if (bad != NULL)
        return sl_fail(st, SL_DATA_LOSS, "%s cannot be printed: %s", type->name, bad);
    return out->failed ? sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory") : SL_OK;
}
