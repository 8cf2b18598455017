/* fuzz_savedmodel_pb.c - any bytes as saved_model.pb, with a small bundle, and every accessor asked
 */
#include <stdlib.h>

#include "base/crc32c.h"
#include "savedmodel/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask_attr(const sl_node *n, const char *name)
{
    int rank;
    int64_t dims[SL_MAX_RANK];
    sl_tensor t;
    (void)sl_node_int(n, name, 0);
    (void)sl_node_float(n, name, 0);
    (void)sl_node_bool(n, name, false);
    (void)sl_node_str(n, name, NULL);
    (void)sl_node_type(n, name, SL_DT_INVALID);
    (void)sl_node_func(n, name);
    (void)sl_node_placeholder(n, name);
    (void)sl_node_shape(n, name, &rank, dims);
    int count = sl_node_list_count(n, name);
    for (int i = 0; i < count && i < 4; i++) {
        (void)sl_node_list_int(n, name, i);
        (void)sl_node_list_float(n, name, i);
        (void)sl_node_list_bool(n, name, i);
        (void)sl_node_list_type(n, name, i);
        (void)sl_node_list_str(n, name, i);
        (void)sl_node_list_func(n, name, i);
        (void)sl_node_list_shape(n, name, i, &rank, dims);
    }
    if (sl_node_tensor_of(n, name, 1 << 16, &t, NULL) == SL_OK)
        sl_tensor_release(&t);
}

static void ask_nodes(const sl_node *nodes, int count)
{
    for (int i = 0; i < count; i++)
        for (int k = 0; k < nodes[i].n_attrs; k++) {
            char name[64] = {0};
            sl_str s = nodes[i].attrs[k].name;
            if (s.n >= sizeof name)
                continue;
            memcpy(name, s.p, s.n);
            ask_attr(&nodes[i], name);
        }
}

/* An index with a header and no entry, so that the restore op is read, too. */
static sl_buffer *empty_index(void)
{
    static const unsigned char blocks[] = {
        0, 0, 6, 8,   1, 26, 2, 8, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, /* data: 17 bytes */
        0, 0, 0, 0,   1, 0,  0, 0, 0, 0, 0, 0, 0,                   /* metaindex: 8 bytes */
        0, 1, 2, 'z', 0, 17, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, /* index: 14 bytes */
    };
    static const size_t at[] = {0, 22, 35}, n[] = {17, 8, 14};
    static const unsigned char footer[] = {22, 8, 35, 14};
    static const unsigned char magic[] = {0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb};
    sl_buffer *b = sl_buffer_try_new(sizeof blocks + 48);
    if (b == NULL)
        abort();
    unsigned char *p = b->data;
    memset(p, 0, b->size);
    memcpy(p, blocks, sizeof blocks);
    for (int i = 0; i < 3; i++) {
        uint32_t crc = sl_crc32c_mask(sl_crc32c(0, p + at[i], n[i] + 1));
        memcpy(p + at[i] + n[i] + 1, &crc, 4);
    }
    memcpy(p + sizeof blocks, footer, sizeof footer);
    memcpy(p + sizeof blocks + 40, magic, 8);
    return b;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static sl_buffer *index;
    if (index == NULL)
        index = empty_index();
    sl_buffer *pb = sl_buffer_try_new(size);
    sl_saved_model *m;
    sl_status st;
    if (pb == NULL)
        return 0;
    if (size)
        memcpy(pb->data, data, size);
    if (sl_model_open_bytes("m", pb, index, NULL, &m, &st) == SL_OK) {
        const sl_graph *g = sl_saved_model_graph(m);
        ask_nodes(g->nodes, g->n_nodes);
        for (int i = 0; i < g->n_functions; i++)
            ask_nodes(g->functions[i].nodes, g->functions[i].n_nodes);
        for (int i = 0; i < g->n_nodes; i++)
            if (sl_graph_find_node(g, g->nodes[i].name) != &g->nodes[i])
                abort();
        sl_saved_model_close(m);
    }
    sl_buffer_release(pb);
    return 0;
}
