/*
 * ops.c - see ops.h
 *
 * The GraphDef version is what the library writes into the GraphDef of an empty graph
 * (versions, field 4; producer, field 1). The ops are the OpList (op, field 1) of OpDefs (name,
 * field 1). Both come from the library itself, so the little reader here only has to be right, not
 * suspicious.
 */
#include "engine/tensorflow/host/ops.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"
#include "base/str.h"
#include "engine/tensorflow/host/api.h"

typedef struct walk {
    const unsigned char *at, *end;
    unsigned field;
    uint64_t value;
    sl_str bytes;
} walk;

static uint64_t varint(walk *w)
{
    uint64_t v = 0;
    for (int shift = 0; w->at < w->end && shift < 64; shift += 7) {
        unsigned char b = *w->at++;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80)
            break;
    }
    return v;
}

static bool next(walk *w)
{
    if (w->at >= w->end)
        return false;
    uint64_t key = varint(w);
    w->field = (unsigned)(key >> 3);
    w->bytes = (sl_str){0};
    w->value = 0;
    switch (key & 7) {
    case 0:
        w->value = varint(w);
        return true;
    case 2:
        w->value = varint(w);
        if (w->value > (size_t)(w->end - w->at))
            return false;
        w->bytes = (sl_str){(const char *)w->at, w->value};
        w->at += w->value;
        return true;
    case 1:
    case 5:
        w->at += (key & 7) == 1 ? 8 : 4;
        return w->at <= w->end;
    default:
        return false;
    }
}

static walk open_walk(const void *p, size_t n)
{
    return (walk){.at = p, .end = (const unsigned char *)p + n};
}

static uint64_t graph_version(void)
{
    TF_Status *ts = TF.NewStatus();
    TF_Graph *graph = TF.NewGraph();
    TF_Buffer *def = TF.NewBuffer();
    TF.GraphToGraphDef(graph, def, ts);
    if (TF.GetCode(ts) != SL_OK)
        return 0;
    for (walk w = open_walk(def->data, def->length); next(&w);)
        if (w.field == 4)
            for (walk v = open_walk(w.bytes.p, w.bytes.n); next(&v);)
                if (v.field == 1)
                    return v.value;
    return 0;
}

static int compare(const void *a, const void *b)
{
    return sl_str_cmp(*(const sl_str *)a, *(const sl_str *)b);
}

static sl_str *all_ops(size_t *n)
{
    TF_Buffer *list = TF.GetAllOpList();
    sl_str *names = NULL;
    size_t cap = 0;
    *n = 0;
    for (walk w = open_walk(list->data, list->length); next(&w);)
        for (walk op = open_walk(w.bytes.p, w.bytes.n); w.field == 1 && next(&op);)
            if (op.field == 1) {
                sl_str *more = sl_try_grow(names, *n, &cap, sizeof *names);
                if (more == NULL) {
                    *n = 0;
                    return NULL;
                }
                names = more;
                names[(*n)++] = op.bytes;
                break;
            }
    if (*n)
        qsort(names, *n, sizeof *names, compare);
    return names;
}

bool tf_write_ops(int fd)
{
    size_t n;
    const sl_str *names = all_ops(&n);
    FILE *f = fdopen(fd, "w");
    if (f != NULL)
        fprintf(f, "%llu\n", (unsigned long long)graph_version());
    for (size_t i = 0; f != NULL && i < n; i++)
        fprintf(f, "%.*s\n", (int)names[i].n, names[i].p);
    return f != NULL && n > 0 && !sl_fault_hit(SL_FAULT_WRITE) && fclose(f) == 0;
}

static char *map(int fd, size_t *size)
{
    struct stat s;
    void *p = MAP_FAILED;
    if (!sl_fault_hit(SL_FAULT_ALLOC) && fstat(fd, &s) == 0 && s.st_size > 0)
        p = mmap(NULL, (size_t)s.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    *size = p == MAP_FAILED ? 0 : (size_t)s.st_size;
    return p == MAP_FAILED ? NULL : p;
}

/* The next line of `text` from *at on; its `n` is without the line end. False: there is none. */
static bool next_line(char *text, size_t size, size_t *at, sl_str *line)
{
    const char *end = *at < size ? memchr(text + *at, '\n', size - *at) : NULL;
    if (end == NULL)
        return false;
    *line = (sl_str){text + *at, (size_t)(end - text) - *at};
    *at += line->n + 1;
    return true;
}

void tf_read_ops(tf_ops *o, int fd)
{
    size_t size, cap = 0, at = 0;
    char *text = map(fd, &size);
    sl_str version;
    if (next_line(text, size, &at, &version))
        o->version = strtoull(version.p, NULL, 10); /* a line end follows the digits */
    for (sl_str name; next_line(text, size, &at, &name);) {
        sl_str *more = sl_try_grow(o->names, o->n, &cap, sizeof *o->names);
        if (more == NULL) { /* half of them would be a library that lacks the others */
            sl_free(o->names);
            o->names = NULL;
            o->n = 0;
            return;
        }
        o->names = more;
        o->names[o->n++] = name;
    }
}

uint64_t tf_strike_out(const tf_ops *o, int fd)
{
    if (o->n == 0)
        return UINT64_MAX;
    size_t size, kept = 0, at = 0;
    char *text = map(fd, &size);
    if (text == NULL) /* not a library that has them all */
        return UINT64_MAX;
    for (sl_str name; next_line(text, size, &at, &name);) {
        if (bsearch(&name, o->names, o->n, sizeof *o->names, compare) != NULL)
            continue;
        memmove(text + kept, name.p, name.n + 1); /* its line end too */
        kept += name.n + 1;
    }
    munmap(text, size);
    return kept;
}
