/* test_saved_model.c - opening the models of tests/models, and directories that are none */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/mem.h"
#include "savedmodel/complete.h"
#include "savedmodel/files.h"
#include "savedmodel/model.h"
#include "support/faults.h"

#define MODELS SLUICE_SOURCE_DIR "/tests/models/"

static sl_saved_model *open_model(const char *name)
{
    char dir[512];
    sl_saved_model *m = NULL;
    sl_status st = {0};
    snprintf(dir, sizeof dir, MODELS "%s/1", name);
    if (sl_saved_model_open(dir, NULL, 0, &m, &st))
        fail_msg("%s", st.msg);
    return m;
}

static const sl_signature *signature(const sl_saved_model *m, const char *key)
{
    const sl_signatures *all = sl_saved_model_signatures(m);
    int i = sl_signatures_find(all, sl_str_of(key));
    assert_true(i >= 0);
    return &all->list[i];
}

static void read_as(const sl_saved_model *m, const char *key, const char *part, sl_tensor *t)
{
    sl_status st = {0};
    if (sl_saved_model_read(m, sl_str_of(key), sl_str_of(part), t, &st))
        fail_msg("%s", st.msg);
}

/* Which key fills the node; NULL if none does. */
static const sl_restored *restored(const sl_saved_model *m, const char *node)
{
    int n;
    const sl_restored *r = sl_saved_model_restored(m, &n);
    for (int i = 0; i < n; i++)
        if (sl_str_is(r[i].node, node))
            return &r[i];
    return NULL;
}

static void is_filled(const sl_saved_model *m, const char *node, const char *key, const char *part)
{
    const sl_restored *r = restored(m, node);
    assert_non_null(r);
    assert_true(sl_str_is(r->key, key));
    assert_true(sl_str_is(r->shape_and_slice, part));
}

/* ---- signatures ---- */

static void signatures_and_their_tensors_are_sorted(void **state)
{
    (void)state;
    sl_saved_model *m = open_model("half_plus_two");
    const sl_signatures *all = sl_saved_model_signatures(m);
    assert_int_equal(all->count, 5);
    for (int i = 1; i < all->count; i++)
        assert_true(strcmp(all->list[i - 1].key, all->list[i].key) < 0);
    const sl_signature *s = signature(m, "serving_default");
    assert_string_equal(s->method_name, "tensorflow/serving/predict");
    assert_string_equal(s->inputs[0].key, "x");
    assert_string_equal(s->inputs[0].name, "x:0");
    assert_int_equal(s->inputs[0].dtype, SL_DT_FLOAT);
    assert_int_equal(s->inputs[0].rank, 2);
    assert_int_equal(s->inputs[0].dims[0], -1);
    assert_int_equal(s->inputs[0].dims[1], 1);
    assert_null(s->defaults);
    assert_true(s->def.n > 0);
    assert_string_equal(signature(m, "regress_x_to_y")->method_name, "tensorflow/serving/regress");
    sl_saved_model_close(m);
}

static void defaults_stand_at_the_place_of_their_input(void **state)
{
    (void)state;
    sl_saved_model *m = open_model("defaults");
    const sl_signature *s = signature(m, "serving_default");
    assert_int_equal(s->n_inputs, 3); /* bias, scale, x */
    assert_non_null(s->defaults);
    assert_int_equal(s->defaults[0].dtype, SL_DT_FLOAT);
    assert_int_equal(s->defaults[0].dims[0], 2);
    assert_true(((float *)s->defaults[0].data)[1] == 0.75f);
    assert_true(((float *)s->defaults[1].data)[0] == 2.0f);
    assert_int_equal(s->defaults[2].dtype, SL_DT_INVALID);
    sl_saved_model_close(m);
}

static void each_dtype_has_its_signature(void **state)
{
    (void)state;
    static const sl_dtype types[] = {
        SL_DT_FLOAT, SL_DT_DOUBLE,   SL_DT_INT8,      SL_DT_INT16,     SL_DT_INT32, SL_DT_INT64,
        SL_DT_UINT8, SL_DT_UINT16,   SL_DT_UINT32,    SL_DT_UINT64,    SL_DT_BOOL,  SL_DT_STRING,
        SL_DT_HALF,  SL_DT_BFLOAT16, SL_DT_COMPLEX64, SL_DT_COMPLEX128};
    sl_saved_model *m = open_model("identity");
    for (size_t i = 0; i < SL_COUNTOF(types); i++) {
        const sl_signature *s = signature(m, sl_dtype_name(types[i]));
        assert_int_equal(s->inputs[0].dtype, types[i]);
        assert_int_equal(s->inputs[0].rank, -1);
    }
    assert_false(sl_saved_model_has_variables(m));
    sl_saved_model_close(m);
}

static void a_ref_dtype_is_kept_as_declared(void **state)
{
    (void)state;
    sl_saved_model *m = open_model("counter");
    const sl_signature *s = signature(m, "get_counter");
    assert_int_equal(s->n_inputs, 0);
    assert_int_equal(s->outputs[0].dtype, SL_DT_REF + SL_DT_FLOAT);
    sl_saved_model_close(m);
}

/* ---- graph ---- */

static void nodes_are_found_by_name(void **state)
{
    (void)state;
    sl_saved_model *m = open_model("half_plus_two");
    const sl_graph *g = sl_saved_model_graph(m);
    for (int i = 0; i < g->n_nodes; i++)
        assert_ptr_equal(sl_graph_find_node(g, g->nodes[i].name), &g->nodes[i]);
    assert_null(sl_graph_find_node(g, SL_STR("no such node")));
    const sl_node *x = sl_graph_find_node(g, SL_STR("x"));
    assert_true(sl_str_is(x->op, "Identity"));
    assert_int_equal(x->n_inputs, 1);
    assert_int_equal(x->n_control, 0);
    assert_int_equal(sl_node_type(x, "T", SL_DT_INVALID), SL_DT_FLOAT);
    assert_int_equal(sl_node_type(x, "U", SL_DT_INVALID), SL_DT_INVALID);
    const sl_node *all = sl_graph_find_node(g, SL_STR("save/restore_all"));
    assert_true(all->n_control > 0);
    assert_int_equal(all->n_control, all->n_inputs);
    assert_true(g->producer > 1000);
    sl_saved_model_close(m);
}

static void attributes_are_decoded_on_demand(void **state)
{
    (void)state;
    sl_saved_model *m = open_model("half_plus_two");
    const sl_graph *g = sl_saved_model_graph(m);
    const sl_node *a = sl_graph_find_node(g, SL_STR("a"));
    int rank = 9;
    int64_t dims[SL_MAX_RANK];
    assert_true(sl_str_is(a->op, "VariableV2"));
    assert_true(sl_node_shape(a, "shape", &rank, dims));
    assert_int_equal(rank, 0);
    assert_false(sl_node_shape(a, "dtype", &rank, dims));
    const sl_node *names = sl_graph_find_node(g, SL_STR("save/RestoreV2/tensor_names"));
    sl_tensor t;
    assert_int_equal(sl_node_tensor(names, "value", &t, NULL), SL_OK);
    assert_int_equal(t.dtype, SL_DT_STRING);
    assert_int_equal(t.dims[0], 3);
    assert_true(sl_str_is(((sl_str *)t.data)[0], "a"));
    sl_tensor_release(&t);
    const sl_node *restore = sl_graph_find_node(g, SL_STR("save/RestoreV2"));
    sl_dtype types[3];
    assert_int_equal(sl_node_list_count(restore, "dtypes"), 3);
    assert_int_equal(sl_node_list_type(restore, "dtypes", 2), SL_DT_FLOAT);
    assert_int_equal(sl_node_list_type(restore, "dtypes", 3), SL_DT_INVALID);
    assert_int_equal(sl_node_list_types(restore, "dtypes", types, 3), 3);
    assert_int_equal(types[0], SL_DT_FLOAT);
    assert_int_equal(sl_node_list_count(restore, "none"), -1);
    sl_saved_model_close(m);
}

static void functions_have_arguments_nodes_and_returns(void **state)
{
    (void)state;
    sl_saved_model *m = open_model("linear");
    const sl_graph *g = sl_saved_model_graph(m);
    const char *key = signature(m, "serving_default")->outputs[0].name;
    sl_input in;
    assert_true(sl_input_parse(sl_str_of(key), &in));
    const sl_node *call = sl_graph_find_node(g, in.node);
    assert_true(sl_str_is(call->op, "StatefulPartitionedCall"));
    const sl_function *f = sl_graph_find_function(g, sl_node_func(call, "f"));
    assert_non_null(f);
    assert_int_equal(f->n_inputs, 3);
    assert_int_equal(f->inputs[0].type, SL_DT_FLOAT);
    assert_int_equal(f->inputs[1].type, SL_DT_RESOURCE);
    assert_int_equal(f->n_outputs, 1);
    assert_int_equal(f->n_ret, 1);
    assert_true(sl_str_eq(f->ret[0].key, f->outputs[0].name));
    assert_true(sl_input_parse(f->ret[0].value, &in));
    assert_non_null(sl_function_find_node(f, in.node));
    assert_true(f->is_stateful);
    sl_saved_model_close(m);
}

static void inputs_are_taken_apart(void **state)
{
    (void)state;
    sl_input in;
    assert_true(sl_input_parse(SL_STR("a/b:2"), &in));
    assert_true(sl_str_is(in.node, "a/b") && in.out.n == 0 && in.index == 2);
    assert_true(sl_input_parse(SL_STR("a:values:1"), &in));
    assert_true(sl_str_is(in.node, "a") && sl_str_is(in.out, "values") && in.index == 1);
    assert_true(sl_input_parse(SL_STR("^a"), &in));
    assert_true(sl_str_is(in.node, "a") && in.control);
    assert_true(sl_input_parse(SL_STR("a"), &in));
    assert_true(in.index == 0 && !in.control);
    assert_true(sl_input_parse(SL_STR(""), &in));
    assert_true(in.node.n == 0 && !in.control);
    assert_false(sl_input_parse(SL_STR("a:"), &in));
    assert_false(sl_input_parse(SL_STR("a:x"), &in));
    assert_false(sl_input_parse(SL_STR("a:out:-1"), &in));
    assert_false(sl_input_parse(SL_STR("a:4294967296"), &in));
}

/* ---- restore, init, assets ---- */

static void a_tf1_restore_op_is_read(void **state)
{
    (void)state;
    sl_saved_model *m = open_model("partitioned");
    is_filled(m, "p/table/part_0", "p/table", "10 4 0,4:0,4");
    is_filled(m, "p/table/part_2", "p/table", "10 4 7,3:0,4");
    is_filled(m, "q/wide/part_1", "q/wide", "3 100 0,3:50,50");
    sl_saved_model_close(m);
}

static void a_tf2_restore_function_is_read(void **state)
{
    (void)state;
    sl_saved_model *m = open_model("linear");
    is_filled(m, "w", "w/.ATTRIBUTES/VARIABLE_VALUE", "");
    is_filled(m, "b", "b/.ATTRIBUTES/VARIABLE_VALUE", "");
    int n;
    sl_saved_model_restored(m, &n);
    assert_int_equal(n, 2);
    sl_saved_model_close(m);
}

static void a_table_is_restored_from_keys_and_values(void **state)
{
    (void)state;
    sl_saved_model *m = open_model("vocabulary");
    const sl_restored *r = restored(m, "MutableHashTable");
    assert_non_null(r);
    assert_true(sl_str_is(r->key, "prices/.ATTRIBUTES/table-keys"));
    assert_true(sl_str_is(r->values_key, "prices/.ATTRIBUTES/table-values"));
    is_filled(m, "greeting", "greeting/.ATTRIBUTES/VARIABLE_VALUE", "");
    sl_saved_model_close(m);
}

static void assets_come_from_tf2_and_from_tf1_collections(void **state)
{
    (void)state;
    int n;
    sl_saved_model *m = open_model("vocabulary");
    const sl_asset *a = sl_saved_model_assets(m, &n);
    assert_int_equal(n, 1);
    assert_true(sl_str_is(a->tensor, "asset_path_initializer:0"));
    assert_string_equal(a->path, MODELS "vocabulary/1/assets/vocab.txt");
    assert_true(sl_str_is(sl_saved_model_init_op(m), "NoOp"));
    assert_true(sl_str_is(sl_saved_model_filename_tensor(m), "saver_filename:0"));
    sl_saved_model_close(m);
    m = open_model("vocabulary_v1");
    a = sl_saved_model_assets(m, &n);
    assert_int_equal(n, 1);
    assert_string_equal(a->path, MODELS "vocabulary_v1/1/assets/vocab.txt");
    const sl_node *init = sl_graph_find_node(sl_saved_model_graph(m), sl_saved_model_init_op(m));
    assert_non_null(init);
    assert_true(sl_str_is(init->op, "NoOp"));
    sl_saved_model_close(m);
}

static void about_says_what_was_written(void **state)
{
    (void)state;
    sl_saved_model *m = open_model("stateful");
    const sl_saved_model_info *i = sl_saved_model_about(m);
    assert_true(i->is_tf2);
    assert_int_equal(i->n_tags, 1);
    assert_true(sl_str_is(i->tags[0], "serve"));
    assert_true(sl_str_starts(i->tensorflow_version, "2."));
    assert_true(i->fingerprint_uuid.n > 10);
    assert_int_equal(i->n_variables, 1);
    assert_true(i->variables_bytes >= 8 && i->bytes > i->variables_bytes);
    sl_saved_model_close(m);
}

/* ---- variables ---- */

static void slices_are_joined_and_cut(void **state)
{
    (void)state;
    sl_saved_model *m = open_model("partitioned");
    sl_tensor t;
    read_as(m, "p/table", "", &t);
    assert_int_equal(t.dims[0], 10);
    for (int i = 0; i < 40; i++)
        assert_true(((float *)t.data)[i] == (float)i);
    sl_tensor_release(&t);
    read_as(m, "p/table", "10 4 7,3:0,4", &t); /* a slice as it stands */
    assert_int_equal(t.dims[0], 3);
    assert_true(((float *)t.data)[0] == 28);
    sl_tensor_release(&t);
    read_as(m, "p/table", "10 4 3,2:1,2", &t); /* parts of two */
    const float want[] = {13, 14, 17, 18};
    assert_int_equal(t.size, sizeof want);
    assert_memory_equal(t.data, want, sizeof want);
    sl_tensor_release(&t);
    read_as(m, "q/wide", "", &t);
    for (int i = 0; i < 300; i++)
        assert_int_equal(((int64_t *)t.data)[i], i);
    sl_tensor_release(&t);
    sl_saved_model_close(m);
}

static void slices_may_stand_in_several_shards(void **state)
{
    (void)state;
    sl_saved_model *m = open_model("sharded");
    sl_tensor t;
    read_as(m, "big/.ATTRIBUTES/VARIABLE_VALUE", "", &t);
    for (int i = 0; i < 640; i++)
        assert_true(((float *)t.data)[i] == (float)i);
    sl_tensor_release(&t);
    read_as(m, "small/.ATTRIBUTES/VARIABLE_VALUE", "", &t);
    assert_true(((float *)t.data)[1] == 2);
    sl_tensor_release(&t);
    sl_saved_model_close(m);
}

static void every_dtype_is_read(void **state)
{
    (void)state;
    sl_saved_model *m = open_model("variables");
    sl_tensor t;
    int n;
    const sl_bundle_entry *e = sl_saved_model_entries(m, &n);
    assert_int_equal(n, 19);
    for (int i = 0; i < n; i++) {
        read_as(m, e[i].key.p, "", &t);
        assert_int_equal(t.dtype, e[i].dtype);
        assert_int_equal(t.size, (size_t)sl_tensor_count(&t) * sl_dtype_size(t.dtype));
        sl_tensor_release(&t);
    }
    read_as(m, "v_int16", "", &t);
    assert_int_equal(((int16_t *)t.data)[7], 7);
    sl_tensor_release(&t);
    read_as(m, "v_complex64", "", &t);
    assert_true(((float *)t.data)[2] == 1 && ((float *)t.data)[3] == 0);
    sl_tensor_release(&t);
    read_as(m, "nothing", "", &t);
    assert_int_equal(t.rank, 2);
    assert_int_equal(t.size, 0);
    sl_tensor_release(&t);
    sl_saved_model_close(m);
}

static void strings_are_read_and_cut(void **state)
{
    (void)state;
    sl_saved_model *m = open_model("variables");
    sl_tensor t;
    read_as(m, "v_string", "", &t);
    const sl_str *s = t.data;
    assert_int_equal(s[0].n, 200);
    assert_int_equal(s[1].n, 0);
    assert_true(sl_str_is(s[2], "\xc3\xbf"));
    sl_tensor_release(&t);
    read_as(m, "v_string", "2 2 -:1,1", &t);
    s = t.data;
    assert_int_equal(t.dims[1], 1);
    assert_int_equal(s[0].n, 0);
    assert_true(sl_str_is(s[1], "b"));
    sl_tensor_release(&t);
    sl_saved_model_close(m);
}

static void a_large_tensor_outlives_its_model(void **state)
{
    (void)state;
    sl_saved_model *m = open_model("variables");
    sl_tensor t;
    read_as(m, "large", "", &t);
    sl_saved_model_close(m); /* it may be lent from the mapped shard */
    assert_int_equal(t.size, 17408 * 4);
    for (int i = 0; i < 17408; i++)
        assert_true(((float *)t.data)[i] == 6);
    sl_tensor_release(&t);
}

static void an_unknown_key_is_not_found(void **state)
{
    (void)state;
    sl_saved_model *m = open_model("linear");
    sl_tensor t;
    sl_status st = {0};
    assert_int_equal(sl_saved_model_read(m, SL_STR("z"), SL_STR(""), &t, &st), SL_NOT_FOUND);
    assert_string_equal(st.msg, "Key z not found in checkpoint");
    sl_saved_model_close(m);
    m = open_model("multiply_add");
    assert_int_equal(sl_saved_model_read(m, SL_STR("z"), SL_STR(""), &t, &st), SL_NOT_FOUND);
    sl_saved_model_close(m);
}

/* ---- what is no model ---- */

static void refuses(const char *dir, const char *const *tags, int n, sl_code code, const char *text)
{
    sl_saved_model *m = NULL;
    sl_status st = {0};
    assert_int_equal(sl_saved_model_open(dir, tags, n, &m, &st), code);
    assert_null(m);
    if (strstr(st.msg, text) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", text, st.msg);
}

static void tags_must_be_the_very_set(void **state)
{
    (void)state;
    const char *const both[] = {"gpu", "serve"}, *const none[] = {"train"};
    sl_saved_model *m = NULL;
    assert_int_equal(sl_saved_model_open(MODELS "vocabulary_v1/1/", both, 0, &m, NULL), SL_OK);
    assert_int_equal(sl_saved_model_about(m)->n_tags, 1); /* none wanted: "serve" */
    sl_saved_model_close(m);
    assert_int_equal(sl_saved_model_open(MODELS "vocabulary_v1/1/", both, 2, &m, NULL), SL_OK);
    assert_int_equal(sl_saved_model_about(m)->n_tags, 2);
    assert_string_equal(sl_saved_model_dir(m), MODELS "vocabulary_v1/1");
    sl_saved_model_close(m);
    refuses(MODELS "vocabulary_v1/1", none, 1, SL_NOT_FOUND,
            "Could not find meta graph def matching supplied tags: { train }. To inspect available "
            "tag-sets in the SavedModel, please use the SavedModel CLI: `saved_model_cli`");
    refuses(MODELS "vocabulary_v1/1", none, 1, SL_NOT_FOUND, "There are: { serve }, { serve gpu }");
}

static void write_file(const char *dir, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void remove_file(const char *dir, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(remove(path), 0);
}

static void folders_that_hold_something_else_say_so(void **state)
{
    (void)state;
    static const struct {
        const char *file, *content;
        sl_code code;
        const char *text;
    } list[] = {
        {"other", "", SL_NOT_FOUND,
         "Specified file path does not appear to contain a SavedModel bundle (should have a file "
         "called `saved_model.pb`)\nSpecified file path: /tmp/"},
        {"export.meta", "", SL_UNIMPLEMENTED, "Session Bundle is deprecated and removed."},
        {"saved_model.pbtxt", "meta_graphs { graph_def { nod {} } }", SL_DATA_LOSS,
         "/saved_model.pbtxt as text proto: 1:27: "},
        {"saved_model.pbtxt", "meta_graphs {}", SL_NOT_FOUND, "supplied tags: { serve }"},
        {"saved_model.cpb", "", SL_UNIMPLEMENTED, "saved_model.cpb"},
        {"saved_model.pb", "\x12\x05zzz", SL_DATA_LOSS, "/saved_model.pb as binary proto: "},
        {"saved_model.pb", "", SL_NOT_FOUND, "supplied tags: { serve }"},
    };
    char dir[] = "/tmp/sluice-test-XXXXXX";
    assert_non_null(mkdtemp(dir));
    for (size_t i = 0; i < SL_COUNTOF(list); i++) {
        write_file(dir, list[i].file, list[i].content);
        refuses(dir, NULL, 0, list[i].code, list[i].text);
        remove_file(dir, list[i].file);
    }
    assert_int_equal(rmdir(dir), 0);
    refuses("/nowhere", NULL, 0, SL_NOT_FOUND, "Specified file path: /nowhere");
}

static void a_failing_allocation_or_read_never_gives_half_a_model(void **state)
{
    (void)state;
    static const sl_fault kinds[] = {SL_FAULT_ALLOC, SL_FAULT_READ};
    for (int k = 0; k < 2; k++)
        for (int n = 1, reached = 1; reached; n++) {
            sl_saved_model *m = NULL;
            sl_status st = {0};
            int count = 0;
            sl_fault_arm(kinds[k], n);
            sl_code rc = sl_saved_model_open(MODELS "vocabulary/1", NULL, 0, &m, &st);
            reached = sl_fault_count(kinds[k]) >= n;
            sl_fault_arm(kinds[k], 0);
            if (rc) {
                assert_true(st.msg[0] != '\0');
                continue;
            }
            sl_saved_model_restored(m, &count);
            assert_int_equal(count, 2);
            assert_true(sl_saved_model_has_variables(m));
            sl_saved_model_close(m);
        }
}

static void a_missing_shard_is_damage_and_no_index_is_fine(void **state)
{
    (void)state;
    char dir[] = "/tmp/sluice-test-XXXXXX", command[1024], variables[64];
    assert_non_null(mkdtemp(dir));
    snprintf(command, sizeof command, "cp -r %s/* %s", MODELS "sharded/1", dir);
    assert_int_equal(system(command), 0);
    snprintf(variables, sizeof variables, "%s/variables", dir);
    remove_file(variables, "variables.data-00001-of-00003");
    refuses(dir, NULL, 0, SL_DATA_LOSS, "variables.data-00001-of-00003; No such file");
    remove_file(variables, "variables.index");
    sl_saved_model *m = NULL;
    assert_int_equal(sl_saved_model_open(dir, NULL, 0, &m, NULL), SL_OK);
    assert_false(sl_saved_model_has_variables(m));
    sl_saved_model_close(m);
    snprintf(command, sizeof command, "rm -r %s", dir);
    assert_int_equal(system(command), 0);
}

/* ---- memory ---- */

static sl_code open_any(void *arg, sl_status *st)
{
    sl_saved_model *m = NULL;
    sl_code rc = sl_saved_model_open(arg, NULL, 0, &m, st);
    sl_saved_model_close(m);
    return rc;
}

static sl_code open_with_other_tags(void *arg, sl_status *st)
{
    const char *const none[] = {"train"};
    sl_saved_model *m = NULL;
    return sl_saved_model_open(arg, none, 1, &m, st);
}

static sl_code ask_whether_complete(void *arg, sl_status *st)
{
    sl_code rc = sl_saved_model_check_complete(arg, NULL, 0, st);
    /* Without memory for a path a file counts as one that is not there. */
    return rc == SL_UNAVAILABLE ? SL_OK : rc;
}

static void memory_that_ends_is_an_error_wherever_it_ends(void **state)
{
    (void)state;
    static const char *const dirs[] = {MODELS "defaults/1", MODELS "half_plus_two/1",
                                       MODELS "keras_saved/1"};
    for (size_t i = 0; i < SL_COUNTOF(dirs); i++) {
        assert_true(fail_each_allocation(open_any, (void *)(uintptr_t)dirs[i]) > 20);
        assert_true(fail_each_allocation(ask_whether_complete, (void *)(uintptr_t)dirs[i]) > 20);
    }
    assert_true(fail_each_allocation(open_with_other_tags, (void *)(uintptr_t)dirs[0]) > 3);
}

static void memory_that_ends_is_an_error_of_a_text_as_well(void **state)
{
    (void)state;
    char dir[] = "/tmp/sluice-test-XXXXXX";
    assert_non_null(mkdtemp(dir));
    write_file(dir, "saved_model.pbtxt",
               "meta_graphs { meta_info_def { tags: 'serve' } graph_def { node { name: 'a' op: "
               "'NoOp' } } signature_def { key: 's' value { inputs { key: 'x' value { name: 'x:0' "
               "} } } } }");
    assert_true(fail_each_allocation(open_any, dir) > 5);
    remove_file(dir, "saved_model.pbtxt");
    assert_int_equal(rmdir(dir), 0);
}

static void a_text_may_make_a_message_of_a_certain_size_at_most(void **state)
{
    (void)state;
    static const sl_str text = SL_STR("saved_model_schema_version: 1");
    sl_buffer *wire = NULL;
    sl_status st = {0};
    assert_int_equal(sl_model_text_to_wire(text, 2, &wire, &st), SL_OK);
    assert_int_equal(wire->size, 2);
    sl_buffer_release(wire);
    assert_int_equal(sl_model_text_to_wire(text, 1, &wire, &st), SL_INVALID_ARGUMENT);
    assert_string_equal(st.msg, "it is larger than a message can be");
}

/* ---- folders ---- */

static void what_lies_beside_the_model_is_counted_if_it_can_be(void **state)
{
    (void)state;
    char dir[] = "/tmp/sluice-test-XXXXXX", path[512], command[600];
    assert_non_null(mkdtemp(dir));
    write_file(dir, "saved_model.pb", "");
    uint64_t nothing = sl_files_bytes(dir);
    write_file(dir, "five", "12345");
    assert_int_equal(sl_files_bytes(dir), nothing + 5);
    snprintf(path, sizeof path, "%s/dangling", dir);
    assert_int_equal(symlink("nowhere", path), 0);
    snprintf(path, sizeof path, "%s/pipe", dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(sl_files_bytes(dir), nothing + 5);
    /* Nine folders deep: what lies deeper than eight is not looked at. */
    snprintf(command, sizeof command,
             "mkdir -p %s/1/2/3/4/5/6/7/8/9 && echo 123 > %s/1/2/3/4/5/6/7/8/f"
             " && echo 123 > %s/1/2/3/4/5/6/7/8/9/f",
             dir, dir, dir);
    assert_int_equal(system(command), 0);
    assert_int_equal(sl_files_bytes(dir), nothing + 9);
    for (int n = 1; n < 30; n++) { /* less than all of it, rather than nothing at all */
        sl_fault_arm(SL_FAULT_ALLOC, n);
        assert_true(sl_files_bytes(dir) <= nothing + 9);
        sl_fault_arm(SL_FAULT_ALLOC, 0);
    }
    snprintf(path, sizeof path, "%s/nowhere", dir);
    assert_int_equal(sl_files_bytes(path), 0);
    snprintf(command, sizeof command, "rm -r %s", dir);
    assert_int_equal(system(command), 0);
}

static void a_fingerprint_that_is_none_is_left_out(void **state)
{
    (void)state;
    static const struct {
        sl_str file;
        const char *want;
    } list[] = {{SL_STR("\x3a\4uuid\x38\7"), "uuid"}, /* and a number in the same field */
                {SL_STR("\x3a\4uuid\x38"), ""},
                {SL_STR("\x3a\x09uuid"), ""},
                {SL_STR(""), ""}};
    char dir[] = "/tmp/sluice-test-XXXXXX", path[64];
    sl_arena arena;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(sl_arena_init(&arena, 0), SL_OK);
    snprintf(path, sizeof path, "%s/fingerprint.pb", dir);
    for (size_t i = 0; i < SL_COUNTOF(list); i++) {
        FILE *f = fopen(path, "wb");
        assert_non_null(f);
        assert_int_equal(fwrite(list[i].file.p, 1, list[i].file.n, f), list[i].file.n);
        fclose(f);
        assert_true(sl_str_is(sl_files_fingerprint(dir, &arena), list[i].want));
    }
    remove_file(dir, "fingerprint.pb");
    assert_int_equal(rmdir(dir), 0);
    sl_arena_fini(&arena);
}

static void a_graph_alone_can_be_opened_where_there_is_one(void **state)
{
    (void)state;
    sl_saved_model *m = NULL;
    sl_status st = {0};
    assert_int_equal(sl_model_open_graph("/nowhere", NULL, 0, &m, &st), SL_NOT_FOUND);
    assert_int_equal(sl_model_open_graph(MODELS "linear/1", NULL, 0, &m, &st), SL_OK);
    assert_false(sl_saved_model_has_variables(m));
    sl_saved_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signatures_and_their_tensors_are_sorted),
        cmocka_unit_test(defaults_stand_at_the_place_of_their_input),
        cmocka_unit_test(each_dtype_has_its_signature),
        cmocka_unit_test(a_ref_dtype_is_kept_as_declared),
        cmocka_unit_test(nodes_are_found_by_name),
        cmocka_unit_test(attributes_are_decoded_on_demand),
        cmocka_unit_test(functions_have_arguments_nodes_and_returns),
        cmocka_unit_test(inputs_are_taken_apart),
        cmocka_unit_test(a_tf1_restore_op_is_read),
        cmocka_unit_test(a_tf2_restore_function_is_read),
        cmocka_unit_test(a_table_is_restored_from_keys_and_values),
        cmocka_unit_test(assets_come_from_tf2_and_from_tf1_collections),
        cmocka_unit_test(about_says_what_was_written),
        cmocka_unit_test(slices_are_joined_and_cut),
        cmocka_unit_test(slices_may_stand_in_several_shards),
        cmocka_unit_test(every_dtype_is_read),
        cmocka_unit_test(strings_are_read_and_cut),
        cmocka_unit_test(a_large_tensor_outlives_its_model),
        cmocka_unit_test(an_unknown_key_is_not_found),
        cmocka_unit_test(tags_must_be_the_very_set),
        cmocka_unit_test(folders_that_hold_something_else_say_so),
        cmocka_unit_test(a_failing_allocation_or_read_never_gives_half_a_model),
        cmocka_unit_test(a_missing_shard_is_damage_and_no_index_is_fine),
        cmocka_unit_test(a_graph_alone_can_be_opened_where_there_is_one),
        cmocka_unit_test(a_fingerprint_that_is_none_is_left_out),
        cmocka_unit_test(what_lies_beside_the_model_is_counted_if_it_can_be),
        cmocka_unit_test(a_text_may_make_a_message_of_a_certain_size_at_most),
        cmocka_unit_test(memory_that_ends_is_an_error_of_a_text_as_well),
        cmocka_unit_test(memory_that_ends_is_an_error_wherever_it_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
