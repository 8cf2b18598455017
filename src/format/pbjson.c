/*
 * pbjson.c - see pbjson.h
 *
 * What is being printed is a stack of frames: a message, of which some fields have been printed;
 * the list of a repeated message field; a map, whose entries have been collected and sorted.
 * Scalars, and lists of them, are printed on the spot. To print a field, the message's bytes are
 * searched for it, once for each field that its type has: messages are short, and their fields may
 * come in any order.
 *
 * protobuf-c does not tell a map from a repeated message. A map's element is a message named
 * <message>.<Something>Entry with the fields key = 1 and value = 2.
 */
#include "format/pbjson.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/mem.h"
#include "format/base64.h"
#include "format/descriptor.h"
#include "format/json_escape.h"
#include "format/number.h"
#include "format/wire.h"

enum { MOST_MESSAGES = 100, MOST_FRAMES = 2 * MOST_MESSAGES + 2 };

typedef const ProtobufCMessageDescriptor message_type;
typedef const ProtobufCFieldDescriptor field_type;

typedef struct entry {
    sl_str key, value;
    uint64_t number, value_number; /* of a key, a value that is neither string nor message */
    size_t order;                  /* the later of two equal keys counts */
} entry;

typedef struct frame {
    enum { MESSAGE, LIST, MAP } kind;
    message_type *type; /* MESSAGE: its own; LIST: the elements'; MAP: the entries' */
    sl_str wire;        /* MESSAGE */
    sl_wire reader;     /* LIST: stands behind the element that was printed last */
    unsigned id;        /* LIST: the field's number */
    unsigned next;      /* MESSAGE: field to print next; MAP: entry */
    unsigned count;     /* MAP */
    entry *entries;     /* MAP: ours */
    bool any;           /* was something printed in it? */
} frame;

typedef struct printer {
    sl_chain *out;
    sl_status *st;
    int depth, messages; /* levels around the next thing; messages that are open */
    int count;
    frame frames[MOST_FRAMES];
} printer;

void sl_pbjson_line(sl_chain *out, int depth)
{
    sl_chain_add(out, "\n", 1);
    for (int i = 0; i < depth; i++)
        sl_chain_add(out, " ", 1);
}

static void next_line(printer *p, frame *f)
{
    if (f->any)
        sl_chain_add(p->out, ",", 1);
    f->any = true;
    sl_pbjson_line(p->out, p->depth);
}

static void put_key(printer *p, sl_str key)
{
    sl_json_escape_chain(SL_JSON_PROTOBUF, key, p->out);
    sl_chain_add(p->out, ": ", 2);
}

/* ---- scalars ---- */

/* Finite: the fewest digits that identify it, an integer without ".0"; else a string. */
static void put_real(sl_chain *out, double v, bool is_float)
{
    char text[SL_NUMBER_ROOM + 2], *end = text;
    bool finite = v - v == 0;
    if (!finite)
        *end++ = '"';
    end = is_float || !finite ? sl_number_write_float(end, (float)v)
                              : sl_number_write_shortest(end, v);
    if (!finite)
        *end++ = '"';
    if (end[-2] == '.' && end[-1] == '0') /* "0.0" is the shortest */
        end -= 2;
    sl_chain_add(out, text, (size_t)(end - text));
}

static void put_bytes(sl_chain *out, sl_str v)
{
    size_t n = sl_base64_size(v.n);
    assert(n != SIZE_MAX); /* the message is in memory, four bytes for three of it fit */
    char *room = sl_chain_reserve(out, n + 2);
    if (room == NULL)
        return;
    room[0] = '"';
    char *end = sl_base64_encode(v, room + 1);
    *end++ = '"';
    sl_chain_commit(out, (size_t)(end - room));
}

static void put_enum(sl_chain *out, const ProtobufCEnumDescriptor *type, int32_t v)
{
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(type, v);
    if (value)
        sl_chain_printf(out, "\"%s\"", value->name);
    else
        sl_chain_printf(out, "%" PRId32, v);
}

/* One value; zero and empty bytes are the default of each type. */
static void put_scalar(printer *p, field_type *f, uint64_t v, sl_str bytes)
{
    sl_chain *out = p->out;
    switch (f->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        sl_chain_printf(out, "%" PRId32, (int32_t)v);
        break;
    case PROTOBUF_C_TYPE_SINT32:
        sl_chain_printf(out, "%" PRId32, (int32_t)sl_wire_unzigzag((uint32_t)v));
        break;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        sl_chain_printf(out, "%" PRIu32, (uint32_t)v);
        break;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        sl_chain_printf(out, "\"%" PRId64 "\"", (int64_t)v);
        break;
    case PROTOBUF_C_TYPE_SINT64:
        sl_chain_printf(out, "\"%" PRId64 "\"", sl_wire_unzigzag(v));
        break;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        sl_chain_printf(out, "\"%" PRIu64 "\"", v);
        break;
    case PROTOBUF_C_TYPE_BOOL:
        sl_chain_puts(out, v ? "true" : "false");
        break;
    case PROTOBUF_C_TYPE_ENUM:
        put_enum(out, f->descriptor, (int32_t)v);
        break;
    case PROTOBUF_C_TYPE_FLOAT:
        put_real(out, (double)sl_wire_float(v), true);
        break;
    case PROTOBUF_C_TYPE_DOUBLE:
        put_real(out, sl_wire_double(v), false);
        break;
    case PROTOBUF_C_TYPE_STRING:
        sl_json_escape_chain(SL_JSON_PROTOBUF, bytes, out);
        break;
    default: /* bytes: a message is no scalar */
        put_bytes(out, bytes);
        break;
    }
}

static sl_code damaged(printer *p, message_type *type, const char *why)
{
    return sl_fail(p->st, SL_DATA_LOSS, "%s cannot be read: %s", type->name, why);
}

/* ---- lists of scalars ---- */

typedef struct scalar_list {
    printer *p;
    field_type *field;
    bool any;
} scalar_list;

static void put_item(scalar_list *l, uint64_t v, sl_str bytes)
{
    sl_chain_add(l->p->out, l->any ? "," : "[", 1);
    l->any = true;
    sl_pbjson_line(l->p->out, l->p->depth + 1);
    put_scalar(l->p, l->field, v, bytes);
}

/* All values of a packed field. */
static bool put_packed(scalar_list *l, sl_str packed)
{
    sl_wire w = sl_wire_open(packed);
    while (sl_wire_next_packed(&w, sl_descriptor_wire_type(l->field->type)))
        put_item(l, w.value, (sl_str){"", 0});
    return w.bad == NULL;
}

static sl_code put_scalars(printer *p, message_type *type, field_type *f, sl_str wire)
{
    scalar_list l = {.p = p, .field = f};
    sl_wire w = sl_wire_open(wire);
    unsigned wanted = sl_descriptor_wire_type(f->type);
    while (sl_wire_next(&w)) {
        if (w.field != f->id)
            continue;
        if (w.type == wanted)
            put_item(&l, w.value, w.bytes);
        else if (w.type == SL_WIRE_BYTES && !put_packed(&l, w.bytes))
            return damaged(p, type, "truncated packed field");
    }
    if (l.any)
        sl_pbjson_line(p->out, p->depth);
    sl_chain_puts(p->out, l.any ? "]" : "[]");
    return SL_OK;
}

/* ---- frames ---- */

static frame *push(printer *p, int kind, message_type *type)
{
    frame *f = &p->frames[p->count++];
    f->kind = kind;
    f->type = type;
    f->next = 0;
    f->any = false;
    f->entries = NULL;
    p->depth++;
    return f;
}

static void pop(printer *p, const char *bracket)
{
    frame *f = &p->frames[--p->count];
    p->depth--;
    if (f->any)
        sl_pbjson_line(p->out, p->depth);
    sl_chain_puts(p->out, bracket);
    p->messages -= f->kind == MESSAGE;
    sl_free(f->entries);
}

static sl_code push_message(printer *p, message_type *type, sl_str wire)
{
    sl_wire w = sl_wire_open(wire);
    if (p->messages == MOST_MESSAGES)
        return damaged(p, type, "nested deeper than 100 messages");
    while (sl_wire_next(&w))
        ;
    if (w.bad)
        return damaged(p, type, w.bad);
    p->messages++;
    push(p, MESSAGE, type)->wire = wire;
    sl_chain_add(p->out, "{", 1);
    return SL_OK;
}

static bool ends_in_entry(const char *name)
{
    size_t n = strlen(name);
    return n >= 5 && strcmp(name + n - 5, "Entry") == 0;
}

static bool is_map(message_type *parent, field_type *f)
{
    message_type *e = f->descriptor;
    size_t n = strlen(parent->name);
    return e->n_fields == 2 && e->fields[0].id == 1 && e->fields[1].id == 2 &&
           strcmp(e->fields[0].name, "key") == 0 && strcmp(e->fields[1].name, "value") == 0 &&
           strncmp(e->name, parent->name, n) == 0 && e->name[n] == '.' &&
           ends_in_entry(e->name + n + 1);
}

static int by_key(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    int c = sl_str_cmp(x->key, y->key);
    if (c == 0)
        c = (x->number > y->number) - (x->number < y->number);
    return c ? c : (x->order > y->order) - (x->order < y->order);
}

static bool same_key(const entry *a, const entry *b)
{
    return a->number == b->number && sl_str_eq(a->key, b->key);
}

static entry read_entry(message_type *type, sl_str wire, size_t order)
{
    entry e = {.order = order, .key = {"", 0}, .value = {"", 0}};
    unsigned key = sl_descriptor_wire_type(type->fields[0].type),
             value = sl_descriptor_wire_type(type->fields[1].type);
    sl_wire w = sl_wire_open(wire);
    while (sl_wire_next(&w)) {
        if (w.field == 1 && w.type == key) {
            e.key = w.bytes;
            e.number = w.value;
        } else if (w.field == 2 && w.type == value) {
            e.value = w.bytes;
            e.value_number = w.value;
        }
    }
    return e;
}

/* What is a number or a bool stands in quotes: JSON's keys are strings. Numbers of 64 bits do
 * anyway. */
static void put_map_key(printer *p, field_type *key, const entry *e)
{
    ProtobufCType t = key->type;
    bool bare = t == PROTOBUF_C_TYPE_BOOL || t == PROTOBUF_C_TYPE_INT32 ||
                t == PROTOBUF_C_TYPE_SINT32 || t == PROTOBUF_C_TYPE_SFIXED32 ||
                t == PROTOBUF_C_TYPE_UINT32 || t == PROTOBUF_C_TYPE_FIXED32;
    sl_chain_puts(p->out, bare ? "\"" : "");
    put_scalar(p, key, e->number, e->key);
    sl_chain_puts(p->out, bare ? "\": " : ": ");
}

/* Collects a map's entries, sorted, the last of equal keys. */
static sl_code push_map(printer *p, field_type *f, sl_str wire)
{
    frame *map = push(p, MAP, f->descriptor);
    size_t n = 0, cap = 0, kept = 0;
    sl_wire w = sl_wire_open(wire);
    sl_chain_add(p->out, "{", 1);
    while (sl_wire_next(&w)) {
        if (w.field != f->id || w.type != SL_WIRE_BYTES)
            continue;
        entry *bigger = sl_try_grow(map->entries, n, &cap, sizeof *bigger);
        if (bigger == NULL)
            return sl_fail(p->st, SL_RESOURCE_EXHAUSTED, "out of memory: printing %s", f->name);
        map->entries = bigger;
        map->entries[n] = read_entry(f->descriptor, w.bytes, n);
        n++;
    }
    if (n)
        qsort(map->entries, n, sizeof *map->entries, by_key);
    for (size_t i = 0; i < n; i++)
        if (i + 1 == n || !same_key(&map->entries[i], &map->entries[i + 1]))
            map->entries[kept++] = map->entries[i];
    map->count = (unsigned)kept;
    return SL_OK;
}

/* ---- a step ---- */

/* Finds the value of a singular field that counts: the last one. False if it is not there. */
static bool find_last(message_type *type, field_type *f, sl_str wire, sl_wire *found)
{
    bool oneof = f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF, there = false;
    unsigned wanted = sl_descriptor_wire_type(f->type);
    sl_wire w = sl_wire_open(wire);
    while (sl_wire_next(&w)) {
        if (w.field == f->id && w.type == wanted) {
            *found = w;
            there = true;
        } else if (oneof && there && w.field != f->id) {
            /* another member of the same choice, further on, takes this one's place */
            field_type *other = protobuf_c_message_descriptor_get_field(type, w.field);
            if (other && (other->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) &&
                other->quantifier_offset == f->quantifier_offset &&
                w.type == sl_descriptor_wire_type(other->type))
                there = false;
        }
    }
    return there;
}

static sl_code print_field(printer *p, frame *top, field_type *f)
{
    sl_wire w = {.bytes = {"", 0}};
    bool repeated = f->label == PROTOBUF_C_LABEL_REPEATED;
    bool message = f->type == PROTOBUF_C_TYPE_MESSAGE;
    bool found = !repeated && find_last(top->type, f, top->wire, &w);
    if (!found && !repeated && (message || (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)))
        return SL_OK;
    next_line(p, top);
    put_key(p, sl_str_of(f->name));
    if (!repeated && message)
        return push_message(p, f->descriptor, w.bytes);
    if (!repeated)
        put_scalar(p, f, w.value, w.bytes);
    else if (!message)
        return put_scalars(p, top->type, f, top->wire);
    else if (is_map(top->type, f))
        return push_map(p, f, top->wire);
    else {
        frame *list = push(p, LIST, f->descriptor);
        list->reader = sl_wire_open(top->wire);
        list->id = f->id;
        sl_chain_add(p->out, "[", 1);
    }
    return SL_OK;
}

static sl_code print_element(printer *p, frame *list)
{
    while (sl_wire_next(&list->reader))
        if (list->reader.field == list->id && list->reader.type == SL_WIRE_BYTES) {
            next_line(p, list);
            return push_message(p, list->type, list->reader.bytes);
        }
    pop(p, "]");
    return SL_OK;
}

static sl_code print_entry(printer *p, frame *map)
{
    if (map->next == map->count) {
        pop(p, "}");
        return SL_OK;
    }
    const entry *e = &map->entries[map->next++];
    field_type *key = &map->type->fields[0], *value = &map->type->fields[1];
    next_line(p, map);
    put_map_key(p, key, e);
    if (value->type == PROTOBUF_C_TYPE_MESSAGE)
        return push_message(p, value->descriptor, e->value);
    put_scalar(p, value, e->value_number, e->value);
    return SL_OK;
}

static sl_code step(printer *p)
{
    frame *top = &p->frames[p->count - 1];
    switch (top->kind) {
    case LIST:
        return print_element(p, top);
    case MAP:
        return print_entry(p, top);
    default:
        if (top->next < top->type->n_fields)
            return print_field(p, top, &top->type->fields[top->next++]);
        pop(p, "}");
        return SL_OK;
    }
}

sl_code sl_pbjson_print(sl_str wire, const ProtobufCMessageDescriptor *type, int depth,
                        sl_chain *out, sl_status *st)
{
    printer p;
    p.out = out;
    p.st = st;
    p.depth = depth;
    p.messages = p.count = 0;
    sl_code rc = push_message(&p, type, wire);
    while (rc == SL_OK && p.count > 0 && !out->failed)
        rc = step(&p);
    while (p.count > 0)
        sl_free(p.frames[--p.count].entries);
    if (rc == SL_OK && out->failed)
        rc = sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory: printing %s", type->name);
    return rc;
}
