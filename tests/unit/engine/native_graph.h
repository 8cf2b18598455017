/*
 * native_graph.h - graphs that no exporter writes (pb_model.h), as the native engine takes them
 *
 *     told t = probe(&g);                 would it? `t` says what stands in the way
 *     open_graph(&g, &m);                 it does
 *     assert_true(run_scalar(&m, 3) == 12);
 *
 * Each takes the graph.
 */
#ifndef TEST_NATIVE_GRAPH_H
#define TEST_NATIVE_GRAPH_H

#include "native_model.h"

#include "pb_model.h"

/* What probe said. */
typedef struct told {
    sl_code code;
    int count;
    char lines[4096];
    sl_status st;
} told;

static inline void note_obstacle(void *arg, const char *node, const char *op, const char *reason)
{
    told *t = arg;
    size_t n = strlen(t->lines);
    t->count++;
    snprintf(t->lines + n, sizeof t->lines - n, "%s|%s|%s\n", node ? node : "-", op ? op : "-",
             reason);
}

static inline char *new_dir(char *dir)
{
    strcpy(dir, "/tmp/sluice_native_XXXXXX");
    assert_non_null(mkdtemp(dir));
    return dir;
}

static inline void remove_dir(const char *dir)
{
    char path[512];
    snprintf(path, sizeof path, "%s/saved_model.pb", dir);
    unlink(path);
    rmdir(dir);
}

static inline told probe(pb_graph *g)
{
    char dir[64];
    told t = {0};
    sl_saved_model *m;
    sl_report report = {note_obstacle, &t};
    pb_write(g, new_dir(dir));
    if (sl_saved_model_open(dir, NULL, 0, &m, &t.st))
        fail_msg("%s", t.st.msg);
    t.code = sl_engine_native.probe(NULL, m, &report, &t.st);
    sl_saved_model_close(m);
    remove_dir(dir);
    return t;
}

static inline void open_graph(pb_graph *g, model *m)
{
    char dir[64];
    pb_write(g, new_dir(dir));
    load_dir(m, dir);
    remove_dir(dir);
}

/* The output of serving_default for one number. */
static inline float run_scalar(model *m, float x)
{
    sl_tensor in = floats(&x, 0, NULL), out;
    if (run_all(m, "serving_default", &in, 1, &out))
        fail_msg("%s", m->st.msg);
    float y = *(const float *)out.data;
    sl_tensor_release(&out);
    sl_tensor_release(&in);
    return y;
}

#endif
