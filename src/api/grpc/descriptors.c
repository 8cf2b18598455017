/*
 * descriptors.c - see descriptors.h
 *
 * A name is looked for component by component: the package must be its beginning, then at each
 * level the next component must name something that is defined there. Levels are a loop, not a
 * recursion, and lookups are rare, so there is no index. The bytes are ours: a field is of the type
 * that descriptor.proto says.
 */
#include "api/grpc/descriptors.h"

#include <assert.h>
#include <pthread.h>

#include "format/wire.h"
#include "proto/descriptors.h"

/* Fields of descriptor.proto. */
enum {
    SET_FILE = 1,
    FILE_NAME = 1,
    FILE_PACKAGE = 2,
    FILE_DEPENDENCY = 3,
    FILE_MESSAGE = 4,
    FILE_ENUM = 5,
    FILE_SERVICE = 6,
    MESSAGE_FIELD = 2,
    MESSAGE_NESTED = 3,
    MESSAGE_ENUM = 4,
    MESSAGE_ONEOF = 8,
    ENUM_VALUE = 2,
    SERVICE_METHOD = 2,
    NAME = 1
};

static sl_descriptor_file files[SL_DESCRIPTORS_MAX];
static int n_files;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* The last value of a field of strings. */
static sl_str get(sl_str message, unsigned field)
{
    sl_wire w = sl_wire_open(message);
    sl_str found = {"", 0};
    while (sl_wire_next(&w))
        if (w.field == field)
            found = w.bytes;
    return found;
}

static void load(void)
{
    sl_wire w = sl_wire_open((sl_str){(const char *)sl_descriptors, sl_descriptors_size});
    while (sl_wire_next(&w)) { /* the set has no other field */
        assert(w.field == SET_FILE && n_files < SL_DESCRIPTORS_MAX);
        files[n_files++] =
            (sl_descriptor_file){w.bytes, get(w.bytes, FILE_NAME), get(w.bytes, FILE_PACKAGE)};
    }
}

int sl_descriptor_count(void)
{
    pthread_once(&once, load);
    return n_files;
}

const sl_descriptor_file *sl_descriptor_get(int number)
{
    return &files[number];
}

int sl_descriptor_by_name(sl_str name)
{
    for (int i = 0; i < sl_descriptor_count(); i++)
        if (sl_str_eq(files[i].name, name))
            return i;
    return -1;
}

/* ---- symbols ---- */

typedef enum kind { NOTHING, A_FILE, A_MESSAGE, AN_ENUM, A_SERVICE, A_LEAF } kind;

/* What a field of a descriptor of kind `in` defines. */
static kind defines(kind in, unsigned field)
{
    switch (in) {
    case A_FILE:
        return field == FILE_MESSAGE   ? A_MESSAGE
               : field == FILE_ENUM    ? AN_ENUM
               : field == FILE_SERVICE ? A_SERVICE
                                       : NOTHING;
    case A_MESSAGE:
        return field == MESSAGE_NESTED                            ? A_MESSAGE
               : field == MESSAGE_ENUM                            ? AN_ENUM
               : field == MESSAGE_FIELD || field == MESSAGE_ONEOF ? A_LEAF
                                                                  : NOTHING;
    case AN_ENUM:
        return field == ENUM_VALUE ? A_LEAF : NOTHING;
    case A_SERVICE:
        return field == SERVICE_METHOD ? A_LEAF : NOTHING;
    default:
        return NOTHING;
    }
}

/* Looks for `name` among what `where` defines: moves to it. */
static bool enter(sl_str *where, kind *what, sl_str name)
{
    sl_wire w = sl_wire_open(*where);
    while (sl_wire_next(&w)) {
        kind k = w.type == SL_WIRE_BYTES ? defines(*what, w.field) : NOTHING;
        if (k == NOTHING || !sl_str_eq(get(w.bytes, NAME), name))
            continue;
        *where = w.bytes;
        *what = k;
        return true;
    }
    return false;
}

/* Values of an enum stand beside it, in the scope that the enum is in. */
static bool has_value(sl_str where, kind what, sl_str name)
{
    sl_wire w = sl_wire_open(where);
    while (sl_wire_next(&w)) {
        sl_str at = w.bytes;
        kind k = w.type == SL_WIRE_BYTES ? defines(what, w.field) : NOTHING;
        if (k == AN_ENUM && enter(&at, &k, name))
            return true;
    }
    return false;
}

static kind find_in(const sl_descriptor_file *f, sl_str symbol)
{
    sl_str where = f->bytes, package = f->package;
    kind what = A_FILE;
    if (symbol.n <= package.n + 1 || memcmp(symbol.p, package.p, package.n) != 0 ||
        symbol.p[package.n] != '.')
        return NOTHING;
    const char *p = symbol.p + package.n + 1, *end = symbol.p + symbol.n;
    for (;;) {
        const char *dot = memchr(p, '.', (size_t)(end - p));
        sl_str name = {p, (size_t)((dot != NULL ? dot : end) - p)};
        if (!enter(&where, &what, name))
            return dot == NULL && has_value(where, what, name) ? A_LEAF : NOTHING;
        if (dot == NULL)
            return what;
        p = dot + 1;
    }
}

int sl_descriptor_by_symbol(sl_str symbol)
{
    for (int i = 0; i < sl_descriptor_count(); i++)
        if (find_in(&files[i], symbol) != NOTHING)
            return i;
    return -1;
}

bool sl_descriptor_is_message(sl_str symbol)
{
    int i = sl_descriptor_by_symbol(symbol);
    return i >= 0 && find_in(&files[i], symbol) == A_MESSAGE;
}

void sl_descriptor_closure(int number, bool marked[SL_DESCRIPTORS_MAX])
{
    /* protoc writes a file behind those that it imports: once down the list is enough. */
    memset(marked, 0, SL_DESCRIPTORS_MAX * sizeof *marked);
    marked[number] = true;
    for (int i = number; i >= 0; i--) {
        if (!marked[i])
            continue;
        sl_wire w = sl_wire_open(files[i].bytes);
        while (sl_wire_next(&w)) {
            int import = w.field == FILE_DEPENDENCY ? sl_descriptor_by_name(w.bytes) : -1;
            if (import >= 0)
                marked[import] = true;
        }
    }
}
