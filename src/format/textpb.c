/*
 * textpb.c - protobuf's text form, read over descriptors
 *
 * One pass, which writes the wire form as it reads. The messages that are open stand on a stack of
 * frames instead of on ours, so nesting costs no recursion. A message's length is known only at its
 * end: it is then inserted in front, so a byte moves at most once for each message around it (100).
 *
 * A frame remembers which fields its message has been given, for the errors that protobuf makes of
 * a singular field that is given twice and of two members of one oneof.
 */
#include "format/textpb.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "format/nearest.h"
#include "format/textpb_token.h"
#include "format/wire.h"

enum { MAX_FIELDS = 256 };

typedef struct frame {
    const ProtobufCMessageDescriptor *type;
    size_t start; /* where its bytes begin in the output */
    char close;   /* '}' or '>'; 0: the outermost, which ends with the text */
    int line;     /* where it was opened */
    const ProtobufCFieldDescriptor *list; /* its list of messages that is being read, or NULL */
    uint64_t seen[MAX_FIELDS / 64];
} frame;

typedef struct parser {
    sl_textpb_scan scan;
    const ProtobufCMessageDescriptor *const *known;
    int n_known;
    sl_text *out;
    sl_text scratch; /* a string being joined, a type URL */
    int depth;
    frame stack[SL_TEXTPB_DEPTH + 1];
} parser;

static frame *top(parser *p)
{
    return &p->stack[p->depth];
}

/* ---- fields ---- */

static const char *field_name(void *arg, int i)
{
    const ProtobufCMessageDescriptor *type = arg;
    return (unsigned)i < type->n_fields ? type->fields[i].name : NULL;
}

static const ProtobufCFieldDescriptor *find_field(parser *p, const ProtobufCMessageDescriptor *type)
{
    sl_str name = p->scan.token;
    for (unsigned i = 0; i < type->n_fields; i++)
        if (sl_str_is(name, type->fields[i].name))
            return &type->fields[i];
    sl_str shown = {name.p, SL_MIN(name.n, (size_t)80)};
    const char *near = sl_nearest(name, field_name, (void *)(uintptr_t)type);
    if (near != NULL)
        sl_textpb_fail(&p->scan, "message %s has no field named \"%.*s\"; did you mean \"%s\"?",
                       type->short_name, SL_STR_ARG(shown), near);
    else
        sl_textpb_fail(&p->scan, "message %s has no field named \"%.*s\"", type->short_name,
                       SL_STR_ARG(shown));
    return NULL;
}

static bool seen(const frame *f, unsigned i)
{
    return f->seen[i / 64] >> (i % 64) & 1;
}

/* Notes that the field is given; fails where it may not be (again). */
static bool claim(parser *p, frame *f, const ProtobufCFieldDescriptor *field)
{
    const ProtobufCMessageDescriptor *type = f->type;
    unsigned at = (unsigned)(field - type->fields);
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return true;
    if (seen(f, at))
        return sl_textpb_fail(&p->scan, "field \"%s\" of message %s is given twice", field->name,
                              type->short_name);
    if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
        for (unsigned i = 0; i < type->n_fields; i++)
            /* Members of one oneof share the place that says which of them is there. */
            if (seen(f, i) && (type->fields[i].flags & PROTOBUF_C_FIELD_FLAG_ONEOF) &&
                type->fields[i].quantifier_offset == field->quantifier_offset)
                return sl_textpb_fail(
                    &p->scan, "field \"%s\" of message %s excludes \"%s\", which is given, too",
                    field->name, type->short_name, type->fields[i].name);
    f->seen[at / 64] |= (uint64_t)1 << (at % 64);
    return true;
}

/* One comma or semicolon may stand behind a field. */
static void skip_separator(parser *p)
{
    if (sl_textpb_is(&p->scan, ',') || sl_textpb_is(&p->scan, ';'))
        sl_textpb_next(&p->scan);
}

/* ---- messages ---- */

static bool push(parser *p, const ProtobufCMessageDescriptor *type, char close)
{
    assert(type->n_fields <= MAX_FIELDS);
    if (p->depth == SL_TEXTPB_DEPTH)
        return sl_textpb_fail(&p->scan, "messages nest more than %d deep", SL_TEXTPB_DEPTH);
    p->depth++;
    *top(p) = (frame){.type = type, .start = p->out->n, .close = close, .line = p->scan.token_line};
    return true;
}

/* The tokens of a well-known wrapper are forgotten often enough to be worth a word. */
static void expected_brace(parser *p, const char *name, const ProtobufCMessageDescriptor *type)
{
    if (type->n_fields == 1 && strcmp(type->fields[0].name, "value") == 0 &&
        p->scan.kind != SL_TEXTPB_END && p->scan.token.n <= 80)
        sl_textpb_fail(&p->scan, "expected \"{\", found \"%.*s\"; write %s { value: %.*s }",
                       SL_STR_ARG(p->scan.token), name, SL_STR_ARG(p->scan.token));
    else
        sl_textpb_expected(&p->scan, "\"{\"");
}

/* The scanner stands at '{' or '<'. */
static void open_message(parser *p, const char *name, unsigned id,
                         const ProtobufCMessageDescriptor *type)
{
    bool brace = sl_textpb_is(&p->scan, '{');
    if (!brace && !sl_textpb_is(&p->scan, '<')) {
        expected_brace(p, name, type);
        return;
    }
    unsigned char tag[10];
    sl_text_add(p->out, (char *)tag, (size_t)sl_wire_write_varint(tag, (uint64_t)id << 3 | 2));
    if (push(p, type, brace ? '}' : '>'))
        sl_textpb_next(&p->scan);
}

static void close_message(parser *p)
{
    sl_text *out = p->out;
    size_t start = top(p)->start, size = out->n - start;
    unsigned char length[10];
    size_t n = (size_t)sl_wire_write_varint(length, size);
    sl_text_add(out, (char *)length, n); /* makes room at the end */
    if (!out->failed) {
        memmove(out->p + start + n, out->p + start, size);
        memcpy(out->p + start, length, n);
    }
    p->depth--;
    sl_textpb_next(&p->scan);
    if (top(p)->list == NULL)
        skip_separator(p);
}

/* A message of a list has been closed: the next one, or the end of the list. */
static void continue_list(parser *p, frame *f)
{
    const ProtobufCFieldDescriptor *field = f->list;
    if (sl_textpb_is(&p->scan, ',')) {
        sl_textpb_next(&p->scan);
        open_message(p, field->name, field->id, field->descriptor);
    } else if (sl_textpb_is(&p->scan, ']')) {
        f->list = NULL;
        sl_textpb_next(&p->scan);
        skip_separator(p);
    } else {
        sl_textpb_expected(&p->scan, "\",\" or \"]\"");
    }
}

/* True if the scanner stands at the '[' of a list, which this field may have. */
static bool begins_list(parser *p, const ProtobufCFieldDescriptor *field)
{
    if (!sl_textpb_is(&p->scan, '['))
        return false;
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return true;
    return sl_textpb_fail(&p->scan, "field \"%s\" is not repeated and takes no list", field->name);
}

static void read_messages(parser *p, frame *f, const ProtobufCFieldDescriptor *field)
{
    if (sl_textpb_is(&p->scan, ':'))
        sl_textpb_next(&p->scan);
    if (begins_list(p, field)) {
        sl_textpb_next(&p->scan);
        f->list = field;
        if (sl_textpb_is(&p->scan, ']')) {
            continue_list(p, f);
            return;
        }
    }
    open_message(p, field->name, field->id, field->descriptor);
}

/* ---- Any, written out: [type.googleapis.com/pkg.Msg] { ... } ---- */

static const ProtobufCMessageDescriptor *find_known(parser *p, sl_str url)
{
    const char *slash = memrchr(url.p, '/', url.n);
    sl_str name = url;
    if (slash != NULL)
        name = (sl_str){slash + 1, (size_t)(url.p + url.n - slash - 1)};
    for (int i = 0; slash != NULL && i < p->n_known; i++)
        if (sl_str_is(name, p->known[i]->name))
            return p->known[i];
    name.n = SL_MIN(name.n, (size_t)120);
    sl_textpb_fail(&p->scan, "there is no message type \"%.*s\" in this server", SL_STR_ARG(name));
    return NULL;
}

static void read_any(parser *p, frame *f)
{
    if (strcmp(f->type->name, "google.protobuf.Any") != 0) {
        sl_textpb_fail(&p->scan, "message %s has no extensions", f->type->short_name);
        return;
    }
    for (unsigned i = 0; i < f->type->n_fields; i++)
        if (!claim(p, f, &f->type->fields[i]))
            return;
    p->scratch.n = 0;
    while (sl_textpb_next(&p->scan) && !sl_textpb_is(&p->scan, ']')) {
        bool part = p->scan.kind == SL_TEXTPB_NAME || p->scan.kind == SL_TEXTPB_INTEGER ||
                    sl_textpb_is(&p->scan, '.') || sl_textpb_is(&p->scan, '/') ||
                    sl_textpb_is(&p->scan, '-');
        if (!part) {
            sl_textpb_expected(&p->scan, "\"]\" behind the type's URL");
            return;
        }
        sl_text_add(&p->scratch, p->scan.token.p, p->scan.token.n);
    }
    const ProtobufCMessageDescriptor *type =
        p->scan.rc ? NULL : find_known(p, (sl_str){p->scratch.n ? p->scratch.p : "", p->scratch.n});
    if (type == NULL)
        return;
    sl_wire_put_bytes(p->out, 1, p->scratch.p, p->scratch.n);
    sl_textpb_next(&p->scan);
    if (sl_textpb_is(&p->scan, ':'))
        sl_textpb_next(&p->scan);
    open_message(p, type->short_name, 2, type);
}

/* ---- values ---- */

/* The INTEGER token's value; false if it is not octal or beyond 64 bits. */
static bool token_value(sl_str t, uint64_t *out)
{
    unsigned base = t.n > 1 && t.p[0] == '0' ? ((t.p[1] | 32) == 'x' ? 16 : 8) : 10;
    uint64_t v = 0;
    for (size_t i = base == 16 ? 2 : base == 8; i < t.n; i++) {
        unsigned c = (unsigned char)t.p[i];
        unsigned d = c <= '9' ? c - '0' : (c | 32) - 'a' + 10;
        if (d >= base || __builtin_mul_overflow(v, base, &v) || __builtin_add_overflow(v, d, &v))
            return false;
    }
    *out = v;
    return true;
}

/* An integer from -lowest to highest, two's complement in *out. */
static bool read_integer(parser *p, const ProtobufCFieldDescriptor *field, uint64_t lowest,
                         uint64_t highest, uint64_t *out)
{
    bool negative = sl_textpb_is(&p->scan, '-');
    if (negative)
        sl_textpb_next(&p->scan);
    if (p->scan.rc)
        return false;
    if (p->scan.kind != SL_TEXTPB_INTEGER) {
        char what[120];
        snprintf(what, sizeof what, "an integer for \"%.60s\"", field->name);
        return sl_textpb_expected(&p->scan, what);
    }
    sl_str t = {p->scan.token.p, SL_MIN(p->scan.token.n, (size_t)60)};
    if (!token_value(p->scan.token, out) || *out > (negative ? lowest : highest))
        return sl_textpb_fail(&p->scan, "%s%.*s is out of range for \"%s\"", negative ? "-" : "",
                              SL_STR_ARG(t), field->name);
    if (negative)
        *out = 0 - *out;
    return sl_textpb_next(&p->scan);
}

static bool read_signed(parser *p, const ProtobufCFieldDescriptor *field, int bits, uint64_t *out)
{
    uint64_t lowest = (uint64_t)1 << (bits - 1);
    return read_integer(p, field, lowest, lowest - 1, out);
}

static bool read_unsigned(parser *p, const ProtobufCFieldDescriptor *field, int bits, uint64_t *out)
{
    return read_integer(p, field, 0, bits == 64 ? UINT64_MAX : UINT32_MAX, out);
}

/* A decimal number token as a double; 'f' may stand behind it. */
static bool token_double(sl_str t, double *out)
{
    char text[256];
    if (t.n >= sizeof text ||
        (t.n > 1 && t.p[0] == '0' && t.p[1] != '.' && (t.p[1] | 32) != 'e' && (t.p[1] | 32) != 'f'))
        return false; /* hex, octal */
    memcpy(text, t.p, t.n);
    if ((text[t.n - 1] | 32) == 'f')
        t.n--;
    text[t.n] = '\0';
    *out = strtod(text, NULL);
    return true;
}

static bool read_double(parser *p, const ProtobufCFieldDescriptor *field, double *out)
{
    bool negative = sl_textpb_is(&p->scan, '-'), ok = true;
    if (negative)
        sl_textpb_next(&p->scan);
    if (p->scan.rc)
        return false;
    sl_str t = p->scan.token;
    if (p->scan.kind == SL_TEXTPB_INTEGER || p->scan.kind == SL_TEXTPB_FLOAT)
        ok = token_double(t, out);
    else if (sl_str_eq_nocase(t, SL_STR("inf")) || sl_str_eq_nocase(t, SL_STR("infinity")))
        *out = INFINITY;
    else if (sl_str_eq_nocase(t, SL_STR("nan")))
        *out = NAN;
    else
        ok = false;
    if (!ok) {
        char what[120];
        snprintf(what, sizeof what, "a decimal number for \"%.60s\"", field->name);
        return sl_textpb_expected(&p->scan, what);
    }
    if (negative)
        *out = -*out;
    return sl_textpb_next(&p->scan);
}

static bool read_bool(parser *p, const ProtobufCFieldDescriptor *field, uint64_t *out)
{
    sl_str t = p->scan.token;
    if (p->scan.kind == SL_TEXTPB_INTEGER && token_value(t, out) && *out <= 1)
        return sl_textpb_next(&p->scan);
    bool yes = sl_str_is(t, "true") || sl_str_is(t, "True") || sl_str_is(t, "t");
    bool no = sl_str_is(t, "false") || sl_str_is(t, "False") || sl_str_is(t, "f");
    if (p->scan.kind != SL_TEXTPB_NAME || (!yes && !no)) {
        char what[120];
        snprintf(what, sizeof what, "true or false for \"%.60s\"", field->name);
        return sl_textpb_expected(&p->scan, what);
    }
    *out = yes;
    return sl_textpb_next(&p->scan);
}

static const char *enum_name(void *arg, int i)
{
    const ProtobufCEnumDescriptor *type = arg;
    return (unsigned)i < type->n_value_names ? type->values_by_name[i].name : NULL;
}

/* By name, or by any number: proto3's enums are open. */
static bool read_enum(parser *p, const ProtobufCFieldDescriptor *field, uint64_t *out)
{
    const ProtobufCEnumDescriptor *type = field->descriptor;
    if (p->scan.kind != SL_TEXTPB_NAME)
        return read_signed(p, field, 32, out);
    for (unsigned i = 0; i < type->n_value_names; i++)
        if (sl_str_is(p->scan.token, type->values_by_name[i].name)) {
            *out = (uint64_t)(int64_t)type->values[type->values_by_name[i].index].value;
            return sl_textpb_next(&p->scan);
        }
    sl_str shown = {p->scan.token.p, SL_MIN(p->scan.token.n, (size_t)80)};
    const char *near = sl_nearest(p->scan.token, enum_name, (void *)(uintptr_t)type);
    return sl_textpb_fail(&p->scan, "enum %s has no value named \"%.*s\"%s%s%s", type->short_name,
                          SL_STR_ARG(shown), near ? "; did you mean \"" : "", near ? near : "",
                          near ? "\"?" : "");
}

static void read_string(parser *p, const ProtobufCFieldDescriptor *field)
{
    p->scratch.n = 0;
    if (p->scan.kind != SL_TEXTPB_STRING) {
        char what[120];
        snprintf(what, sizeof what, "a string in quotes for \"%.60s\"", field->name);
        sl_textpb_expected(&p->scan, what);
        return;
    }
    while (p->scan.kind == SL_TEXTPB_STRING) {
        if (!sl_textpb_unquote(&p->scan, &p->scratch))
            return;
        /* Such a name or path would end at the zero byte for everybody who uses it. */
        if (field->type == PROTOBUF_C_TYPE_STRING && p->scratch.n &&
            memchr(p->scratch.p, '\0', p->scratch.n) != NULL) {
            sl_textpb_fail(&p->scan, "a string may not contain a zero byte");
            return;
        }
        if (!sl_textpb_next(&p->scan))
            return;
    }
    sl_wire_put_bytes(p->out, field->id, p->scratch.n ? p->scratch.p : "", p->scratch.n);
}

static uint64_t zigzag(uint64_t v)
{
    return v << 1 ^ (0 - (v >> 63));
}

static void read_float(parser *p, const ProtobufCFieldDescriptor *field)
{
    double x = 0;
    float narrow;
    uint64_t bits64;
    uint32_t bits32;
    if (!read_double(p, field, &x))
        return;
    if (field->type == PROTOBUF_C_TYPE_DOUBLE) {
        memcpy(&bits64, &x, sizeof x);
        sl_wire_put_fixed64(p->out, field->id, bits64);
        return;
    }
    narrow = (float)x;
    memcpy(&bits32, &narrow, sizeof narrow);
    sl_wire_put_fixed32(p->out, field->id, bits32);
}

static void read_value(parser *p, const ProtobufCFieldDescriptor *field)
{
    sl_text *out = p->out;
    unsigned id = field->id;
    uint64_t v = 0;
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_INT64:
        if (read_signed(p, field, field->type == PROTOBUF_C_TYPE_INT32 ? 32 : 64, &v))
            sl_wire_put_varint(out, id, v);
        break;
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SINT64:
        if (read_signed(p, field, field->type == PROTOBUF_C_TYPE_SINT32 ? 32 : 64, &v))
            sl_wire_put_varint(out, id, zigzag(v));
        break;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_UINT64:
        if (read_unsigned(p, field, field->type == PROTOBUF_C_TYPE_UINT32 ? 32 : 64, &v))
            sl_wire_put_varint(out, id, v);
        break;
    case PROTOBUF_C_TYPE_SFIXED32:
        if (read_signed(p, field, 32, &v))
            sl_wire_put_fixed32(out, id, (uint32_t)v);
        break;
    case PROTOBUF_C_TYPE_FIXED32:
        if (read_unsigned(p, field, 32, &v))
            sl_wire_put_fixed32(out, id, (uint32_t)v);
        break;
    case PROTOBUF_C_TYPE_SFIXED64:
        if (read_signed(p, field, 64, &v))
            sl_wire_put_fixed64(out, id, v);
        break;
    case PROTOBUF_C_TYPE_FIXED64:
        if (read_unsigned(p, field, 64, &v))
            sl_wire_put_fixed64(out, id, v);
        break;
    case PROTOBUF_C_TYPE_BOOL:
        if (read_bool(p, field, &v))
            sl_wire_put_varint(out, id, v);
        break;
    case PROTOBUF_C_TYPE_ENUM:
        if (read_enum(p, field, &v))
            sl_wire_put_varint(out, id, v);
        break;
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE:
        read_float(p, field);
        break;
    default: /* a string, or bytes: messages are not read here */
        read_string(p, field);
        break;
    }
}

static void read_values(parser *p, const ProtobufCFieldDescriptor *field)
{
    if (!sl_textpb_is(&p->scan, ':')) {
        sl_textpb_expected(&p->scan, "\":\"");
        return;
    }
    sl_textpb_next(&p->scan);
    if (!begins_list(p, field)) {
        if (!p->scan.rc)
            read_value(p, field);
        skip_separator(p);
        return;
    }
    sl_textpb_next(&p->scan);
    for (bool first = true; !p->scan.rc && !(first && sl_textpb_is(&p->scan, ']')); first = false) {
        read_value(p, field);
        if (!sl_textpb_is(&p->scan, ','))
            break;
        sl_textpb_next(&p->scan);
    }
    if (!sl_textpb_is(&p->scan, ']')) {
        sl_textpb_expected(&p->scan, "\",\" or \"]\"");
        return;
    }
    sl_textpb_next(&p->scan);
    skip_separator(p);
}

static void read_field(parser *p, frame *f)
{
    if (sl_textpb_is(&p->scan, '[')) {
        read_any(p, f);
        return;
    }
    if (p->scan.kind != SL_TEXTPB_NAME) {
        char what[160];
        if (f->close)
            snprintf(what, sizeof what, "a field of %.60s or \"%c\" (opened in line %d)",
                     f->type->short_name, f->close, f->line);
        else
            snprintf(what, sizeof what, "a field of %.60s", f->type->short_name);
        sl_textpb_expected(&p->scan, what);
        return;
    }
    const ProtobufCFieldDescriptor *field = find_field(p, f->type);
    if (field == NULL || !claim(p, f, field))
        return;
    sl_textpb_next(&p->scan);
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        read_messages(p, f, field);
    else
        read_values(p, field);
}

static bool ended(const parser *p)
{
    return p->depth == 0 && p->scan.kind == SL_TEXTPB_END && p->stack[0].list == NULL;
}

/* What could not be written down is missing: nothing that is said after that counts. */
static bool out_of_memory(const parser *p)
{
    return p->out->failed || p->scratch.failed;
}

static sl_code parse(parser *p)
{
    while (p->scan.rc == SL_OK && !ended(p) && !out_of_memory(p)) {
        frame *f = top(p);
        if (f->list != NULL)
            continue_list(p, f);
        else if (f->close && sl_textpb_is(&p->scan, f->close))
            close_message(p);
        else
            read_field(p, f);
    }
    if (out_of_memory(p))
        return sl_fail(p->scan.st, SL_RESOURCE_EXHAUSTED, "out of memory");
    return p->scan.rc;
}

sl_code sl_textpb_parse(sl_str text, const ProtobufCMessageDescriptor *type,
                        const ProtobufCMessageDescriptor *const *known, int n_known, sl_text *out,
                        sl_status *st)
{
    parser *p = sl_try_calloc(1, sizeof *p);
    if (p == NULL)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory");
    assert(type->n_fields <= MAX_FIELDS);
    p->known = known;
    p->n_known = n_known;
    p->out = out;
    p->stack[0] = (frame){.type = type, .start = out->n};
    sl_textpb_scan_open(&p->scan, text, st);
    sl_code rc = parse(p);
    sl_text_fini(&p->scratch);
    sl_free(p);
    return rc;
}
