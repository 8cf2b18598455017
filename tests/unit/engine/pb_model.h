/*
 * pb_model.h - SavedModels written by hand, for graphs that no exporter writes
 *
 *     pb_graph g = {0};
 *     pb_node(&g.nodes, "x", "Placeholder", NULL, pb_type("dtype", SL_DT_FLOAT));
 *     pb_signature(&g, "serving_default", "x:0", SL_DT_FLOAT, "y:0");
 *     pb_write(&g, dir);
 *
 * Strings that hold messages are made with malloc and freed by whoever takes them.
 */
#ifndef TEST_PB_MODEL_H
#define TEST_PB_MODEL_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"

typedef struct pb_graph {
    sl_text nodes, library, signatures;
    int producer, min_consumer;
} pb_graph;

static inline void pb_varint(sl_text *t, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        sl_text_putc(t, (char)(v | 0x80));
    sl_text_putc(t, (char)v);
}

static inline void pb_number(sl_text *t, int field, uint64_t v)
{
    pb_varint(t, (uint64_t)field << 3);
    pb_varint(t, v);
}

static inline void pb_bytes(sl_text *t, int field, const char *p, size_t n)
{
    pb_varint(t, (uint64_t)field << 3 | 2);
    pb_varint(t, n);
    sl_text_add(t, p, n);
}

static inline void pb_string(sl_text *t, int field, const char *s)
{
    pb_bytes(t, field, s, strlen(s));
}

/* Moves `inner` into a field of t. */
static inline void pb_message(sl_text *t, int field, sl_text inner)
{
    pb_bytes(t, field, inner.p ? inner.p : "", inner.n);
    sl_text_fini(&inner);
}

/* ---- attributes: each gives the entries of a node's attr map, to be joined ---- */

static inline sl_text pb_attr(const char *name, sl_text value)
{
    sl_text entry = {0}, t = {0};
    pb_string(&entry, 1, name);
    pb_message(&entry, 2, value);
    pb_message(&t, 5, entry);
    return t;
}

static inline sl_text pb_type(const char *name, int dtype)
{
    sl_text v = {0};
    pb_number(&v, 6, (uint64_t)dtype);
    return pb_attr(name, v);
}

static inline sl_text pb_types(const char *name, int count, int dtype)
{
    sl_text list = {0}, v = {0};
    for (int i = 0; i < count; i++)
        pb_number(&list, 6, (uint64_t)dtype);
    pb_message(&v, 1, list);
    return pb_attr(name, v);
}

static inline sl_text pb_func(const char *name, const char *function)
{
    sl_text f = {0}, v = {0};
    pb_string(&f, 1, function);
    pb_message(&v, 10, f);
    return pb_attr(name, v);
}

/* A scalar, or vector of `count`, of one float, int32 or bool. */
static inline sl_text pb_value(int dtype, int64_t count, double value)
{
    sl_text dim = {0}, shape = {0}, tensor = {0}, v = {0};
    if (count >= 0) {
        pb_number(&dim, 1, (uint64_t)count);
        pb_message(&shape, 2, dim);
    }
    pb_number(&tensor, 1, (uint64_t)dtype);
    pb_message(&tensor, 2, shape);
    if (dtype == SL_DT_FLOAT) {
        float f = (float)value;
        pb_varint(&tensor, 5 << 3 | 5);
        sl_text_add(&tensor, (const char *)&f, sizeof f);
    } else {
        pb_number(&tensor, dtype == SL_DT_BOOL ? 11 : 7, (uint64_t)(int64_t)value);
    }
    pb_message(&v, 8, tensor);
    return pb_attr("value", v);
}

static inline sl_text pb_join(sl_text a, sl_text b)
{
    sl_text_add(&a, b.p, b.n);
    sl_text_fini(&b);
    return a;
}

/* ---- nodes and functions ---- */

/* `inputs`: separated by blanks; NULL: none. field: 1 in a graph, 3 in a function. */
static inline void pb_node_in(sl_text *t, int field, const char *name, const char *op,
                              const char *inputs, sl_text attrs)
{
    sl_text n = {0};
    pb_string(&n, 1, name);
    pb_string(&n, 2, op);
    while (inputs != NULL && *inputs) {
        size_t len = strcspn(inputs, " ");
        pb_bytes(&n, 3, inputs, len);
        inputs += len + (inputs[len] == ' ');
    }
    sl_text_add(&n, attrs.p, attrs.n);
    sl_text_fini(&attrs);
    pb_message(t, field, n);
}

static inline void pb_node(sl_text *t, const char *name, const char *op, const char *inputs,
                           sl_text attrs)
{
    pb_node_in(t, 1, name, op, inputs, attrs);
}

/* A function of one argument "a" and one result "r". `body`: node_defs, field 3. */
static inline void pb_function_of(pb_graph *g, const char *name, int dtype, int gives, sl_text body,
                                  const char *result)
{
    sl_text arg = {0}, out = {0}, def = {0}, ret = {0}, f = {0};
    pb_string(&arg, 1, "a");
    pb_number(&arg, 3, (uint64_t)dtype);
    pb_string(&out, 1, "r");
    pb_number(&out, 3, (uint64_t)gives);
    pb_string(&def, 1, name);
    pb_message(&def, 2, arg);
    pb_message(&def, 3, out);
    pb_string(&ret, 1, "r");
    pb_string(&ret, 2, result);
    pb_message(&f, 1, def);
    sl_text_add(&f, body.p, body.n);
    sl_text_fini(&body);
    pb_message(&f, 4, ret);
    pb_message(&g->library, 1, f);
}

static inline void pb_function(pb_graph *g, const char *name, int dtype, sl_text body,
                               const char *result)
{
    pb_function_of(g, name, dtype, dtype, body, result);
}

/* One input "x" (NULL: none) and one output "y". */
static inline void pb_signature(pb_graph *g, const char *key, const char *in, int dtype,
                                const char *out)
{
    sl_text sig = {0}, entry = {0};
    const char *names[] = {in, out}, *keys[] = {"x", "y"};
    for (int i = 0; i < 2; i++) {
        if (names[i] == NULL)
            continue;
        sl_text info = {0}, shape = {0}, item = {0};
        pb_string(&info, 1, names[i]);
        pb_number(&info, 2, (uint64_t)dtype);
        pb_number(&shape, 3, 1);
        pb_message(&info, 3, shape);
        pb_string(&item, 1, keys[i]);
        pb_message(&item, 2, info);
        pb_message(&sig, i + 1, item);
    }
    pb_string(&sig, 3, "tensorflow/serving/predict");
    pb_string(&entry, 1, key);
    pb_message(&entry, 2, sig);
    pb_message(&g->signatures, 5, entry);
}

/* Writes dir/saved_model.pb and takes the graph's memory. */
static inline void pb_write(pb_graph *g, const char *dir)
{
    sl_text info = {0}, versions = {0}, def = {0}, meta = {0}, all = {0};
    char path[512];
    pb_string(&info, 4, "serve");
    pb_number(&versions, 1, (uint64_t)(g->producer ? g->producer : 1000));
    pb_number(&versions, 2, (uint64_t)g->min_consumer);
    sl_text_add(&def, g->nodes.p, g->nodes.n);
    pb_message(&def, 2, g->library);
    pb_message(&def, 4, versions);
    pb_message(&meta, 1, info);
    pb_message(&meta, 2, def);
    sl_text_add(&meta, g->signatures.p, g->signatures.n);
    pb_number(&all, 1, 1);
    pb_message(&all, 2, meta);
    snprintf(path, sizeof path, "%s/saved_model.pb", dir);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(all.p, 1, all.n, f), all.n);
    fclose(f);
    sl_text_fini(&all);
    sl_text_fini(&g->nodes);
    sl_text_fini(&g->signatures);
    *g = (pb_graph){0};
}

#endif
