/*
 * inspect.c - `sluice inspect DIR`: what a model can be asked, how big it is, and what can run it
 *
 * Everything is gathered first (facts), then printed for people or as JSON.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/local.h"
#include "codec/examples_json.h"
#include "savedmodel/savedmodel.h"

typedef struct op_count {
    sl_str op;
    int count;
} op_count;

typedef struct facts {
    const char *dir;
    const sl_local *local;
    const sl_saved_model *model;
    const sl_saved_model_info *about;
    const sl_graph *graph;
    op_count *ops; /* most frequent first */
    size_t n_ops;
    int n_nodes;        /* those of functions included */
    const char *engine; /* NULL: none can run it */
    sl_text why, details;
} facts;

/* ---- gathering ---- */

static void count_nodes(facts *f, sl_map *places, size_t *cap, const sl_node *nodes, int n)
{
    for (int i = 0; i < n; i++) {
        uintptr_t place = (uintptr_t)sl_map_get(places, nodes[i].op);
        if (place == 0) {
            f->ops = sl_grow(f->ops, f->n_ops, cap, sizeof *f->ops);
            f->ops[f->n_ops] = (op_count){nodes[i].op, 0};
            place = ++f->n_ops; /* from 1: 0 means none */
            if (!sl_map_try_set(places, nodes[i].op, (void *)place))
                return; /* out of memory: the op is listed twice */
        }
        f->ops[place - 1].count++;
        f->n_nodes++;
    }
}

static int by_count(const void *a, const void *b)
{
    const op_count *x = a, *y = b;
    return x->count != y->count ? y->count - x->count : sl_str_cmp(x->op, y->op);
}

static void count_ops(facts *f)
{
    sl_map places = {0};
    size_t cap = 0;
    count_nodes(f, &places, &cap, f->graph->nodes, f->graph->n_nodes);
    for (int i = 0; i < f->graph->n_functions; i++)
        count_nodes(f, &places, &cap, f->graph->functions[i].nodes, f->graph->functions[i].n_nodes);
    sl_map_fini(&places);
    if (f->n_ops)
        qsort(f->ops, f->n_ops, sizeof *f->ops, by_count);
}

static void choose_engine(facts *f)
{
    const sl_engine_entry *e = NULL;
    sl_status st = {0};
    sl_code rc = sl_engines_choose(&f->local->loader.engines, f->local->loader.engine, f->model, &e,
                                   &f->why, &f->details, &st);
    f->engine = rc == SL_OK ? e->engine->name : NULL;
    if (rc && f->why.n == 0)
        sl_text_puts(&f->why, st.msg);
}

/* ---- for people ---- */

static void print_bytes(uint64_t n)
{
    static const char units[] = "kMGTP";
    double x = (double)n;
    int unit = -1;
    for (; x >= 1000 && units[unit + 1] != '\0'; unit++)
        x /= 1000;
    if (unit < 0)
        printf("%" PRIu64 " bytes", n);
    else
        printf("%.1f %cB", x, units[unit]);
}

/* Names come from a file that may be anything: controls must not reach the terminal. */
static void print_clean(sl_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < ' ' || c == 127)
            printf("\\x%02x", c);
        else
            putchar(c);
    }
}

static void print_padded(const char *s, int width)
{
    print_clean(sl_str_of(s));
    int n = (int)strlen(s);
    printf("%*s", n < width ? width - n : 0, "");
}

static void print_info(const sl_tensor_info *t, const char *way, bool optional)
{
    char shape[256];
    printf("    %-3s ", way);
    print_padded(t->key, 20);
    printf(" %-8s %-16s ", sl_dtype_name(sl_dtype_base(t->dtype)),
           t->rank < 0 ? "any shape" : sl_shape_text(t->dims, t->rank, shape, sizeof shape));
    print_clean(sl_str_of(t->name ? t->name : "(composite)"));
    printf("%s\n", optional ? "  (has a default)" : "");
}

static void print_signature(const sl_signature *s)
{
    printf("  ");
    print_clean(sl_str_of(s->key));
    printf("  ");
    print_clean(sl_str_of(s->method_name));
    putchar('\n');
    for (int i = 0; i < s->n_inputs; i++)
        print_info(&s->inputs[i], "in", s->defaults && s->defaults[i].dtype != SL_DT_INVALID);
    for (int i = 0; i < s->n_outputs; i++)
        print_info(&s->outputs[i], "out", false);
}

static void print_origin(const facts *f)
{
    const sl_saved_model_info *a = f->about;
    printf("written by   ");
    if (a->tensorflow_version.n) {
        printf("TensorFlow ");
        print_clean(a->tensorflow_version);
    } else {
        printf("an unknown version of TensorFlow");
    }
    printf("%s\ntags        ", a->is_tf2 ? " (object graph)" : " (graph mode)");
    for (int i = 0; i < a->n_tags; i++) {
        putchar(' ');
        print_clean(a->tags[i]);
    }
    printf("\nsize         ");
    print_bytes(a->bytes);
    printf("; %d variable%s, ", a->n_variables, a->n_variables == 1 ? "" : "s");
    print_bytes(a->variables_bytes);
    printf("\ngraph        producer %d, min_consumer %d; %d nodes, %d functions\n",
           f->graph->producer, f->graph->min_consumer, f->n_nodes, f->graph->n_functions);
}

static void print_engine(const facts *f)
{
    printf("\nengine       %s\n", f->engine ? f->engine : "none can run this model");
    if (f->engine || f->details.n == 0) { /* else the details say the same, and all of it */
        printf("  ");
        print_clean((sl_str){f->why.p, f->why.n});
        putchar('\n');
    }
    sl_str rest = {f->details.p, f->details.n};
    while (rest.n > 0) {
        const char *newline = memchr(rest.p, '\n', rest.n);
        size_t n = newline ? (size_t)(newline - rest.p) : rest.n;
        printf("    ");
        print_clean((sl_str){rest.p, n});
        putchar('\n');
        n += newline != NULL;
        rest = (sl_str){rest.p + n, rest.n - n};
    }
}

static void print_text(const facts *f)
{
    const sl_signatures *s = sl_saved_model_signatures(f->model);
    print_clean(sl_str_of(f->local->path));
    if (f->local->has_version)
        printf("   (the highest version below the directory given)");
    putchar('\n');
    print_origin(f);
    printf("\nsignatures\n");
    for (int i = 0; i < s->count; i++)
        print_signature(&s->list[i]);
    printf("\nops\n");
    for (size_t i = 0; i < f->n_ops; i++) {
        printf("  %5d  ", f->ops[i].count);
        print_clean(f->ops[i].op);
        putchar('\n');
    }
    print_engine(f);
}

/* ---- JSON ---- */

static void put_member(sl_chain *c, const char *before, const char *key, sl_str value)
{
    sl_chain_printf(c, "%s\"%s\": ", before, key);
    sl_json_encode_string(value, c);
}

static void put_infos(sl_chain *c, const char *key, const sl_tensor_info *infos, int n,
                      const sl_tensor *defaults)
{
    sl_chain_printf(c, ",\n     \"%s\": [", key);
    for (int i = 0; i < n; i++) {
        const sl_tensor_info *t = &infos[i];
        put_member(c, i ? ",\n       {" : "\n       {", "key", sl_str_of(t->key));
        put_member(c, ", ", "tensor", sl_str_of(t->name ? t->name : ""));
        put_member(c, ", ", "dtype", sl_str_of(sl_dtype_wire_name(t->dtype)));
        sl_chain_puts(c, ", \"shape\": ");
        for (int d = 0; d < t->rank; d++)
            sl_chain_printf(c, "%s%" PRId64, d ? ", " : "[", t->dims[d]);
        sl_chain_puts(c, t->rank < 0 ? "null" : t->rank == 0 ? "[]" : "]");
        if (defaults)
            sl_chain_printf(c, ", \"has_default\": %s",
                            defaults[i].dtype != SL_DT_INVALID ? "true" : "false");
        sl_chain_puts(c, "}");
    }
    sl_chain_puts(c, "]");
}

static void put_signatures(sl_chain *c, const sl_signatures *s)
{
    sl_chain_puts(c, ",\n  \"signatures\": [");
    for (int i = 0; i < s->count; i++) {
        put_member(c, i ? ",\n    {" : "\n    {", "name", sl_str_of(s->list[i].key));
        put_member(c, ", ", "method_name", sl_str_of(s->list[i].method_name));
        put_infos(c, "inputs", s->list[i].inputs, s->list[i].n_inputs, s->list[i].defaults);
        put_infos(c, "outputs", s->list[i].outputs, s->list[i].n_outputs, NULL);
        sl_chain_puts(c, "}");
    }
    sl_chain_puts(c, "]");
}

static void put_facts(sl_chain *c, const facts *f)
{
    const sl_saved_model_info *a = f->about;
    put_member(c, "{\n  ", "path", sl_str_of(f->local->path));
    if (f->local->has_version)
        sl_chain_printf(c, ",\n  \"version\": %" PRId64, f->local->version);
    put_member(c, ",\n  ", "tensorflow_version", a->tensorflow_version);
    sl_chain_printf(c, ",\n  \"object_graph\": %s,\n  \"tags\": [", a->is_tf2 ? "true" : "false");
    for (int i = 0; i < a->n_tags; i++) {
        sl_chain_puts(c, i ? ", " : "");
        sl_json_encode_string(a->tags[i], c);
    }
    sl_chain_printf(c,
                    "],\n  \"bytes\": %" PRIu64
                    ",\n  \"variables\": %d,\n  \"variables_bytes\": %" PRIu64
                    ",\n  \"producer\": %d,\n  \"min_consumer\": %d,\n  \"nodes\": %d,\n"
                    "  \"functions\": %d",
                    a->bytes, a->n_variables, a->variables_bytes, f->graph->producer,
                    f->graph->min_consumer, f->n_nodes, f->graph->n_functions);
    put_signatures(c, sl_saved_model_signatures(f->model));
    sl_chain_puts(c, ",\n  \"ops\": {");
    for (size_t i = 0; i < f->n_ops; i++) {
        sl_chain_puts(c, i ? ", " : "");
        sl_json_encode_string(f->ops[i].op, c);
        sl_chain_printf(c, ": %d", f->ops[i].count);
    }
    sl_chain_puts(c, "},\n  \"engine\": ");
    if (f->engine)
        sl_json_encode_string(sl_str_of(f->engine), c);
    else
        sl_chain_puts(c, "null");
    put_member(c, ",\n  ", "why", (sl_str){f->why.p, f->why.n});
    put_member(c, ",\n  ", "details", (sl_str){f->details.p, f->details.n});
    sl_chain_puts(c, "\n}\n");
}

static int print_json(const facts *f)
{
    sl_chain c = {0};
    put_facts(&c, f);
    bool failed = c.failed;
    for (const sl_piece *p = c.head; p != NULL && !failed; p = p->next)
        fwrite(p->data + p->begin, 1, p->end - p->begin, stdout);
    sl_chain_reset(&c);
    if (failed)
        fputs("sluice: out of memory\n", stderr);
    return failed ? SL_EXIT_REFUSED : SL_EXIT_OK;
}

/* ---- the command ---- */

static const char usage_text[] =
    "usage: sluice inspect DIR [--json] [--engine=...] [--saved_model_tags=...]";

static int inspect(const sl_local *l, const char *dir, bool json)
{
    facts f = {.dir = dir, .local = l};
    sl_saved_model *model;
    sl_status st = {0};
    int rc = SL_EXIT_OK;
    if (sl_saved_model_open(l->path, l->platform->tags, l->platform->n_tags, &model, &st))
        return sl_cli_refuse(&st);
    f.model = model;
    f.about = sl_saved_model_about(model);
    f.graph = sl_saved_model_graph(model);
    count_ops(&f);
    choose_engine(&f);
    if (json)
        rc = print_json(&f);
    else
        print_text(&f);
    sl_text_fini(&f.why);
    sl_text_fini(&f.details);
    sl_free(f.ops);
    sl_saved_model_close(model);
    return rc;
}

int sl_cmd_inspect(int argc, char **argv)
{
    const char *dir = NULL;
    bool json = false, usage;
    int flags = 1; /* argv[1 ... flags - 1]: what is for sl_local_open */
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            puts(usage_text);
            return SL_EXIT_OK;
        }
        if (strcmp(argv[i], "--json") == 0)
            json = true;
        else if (strncmp(argv[i], "--", 2) == 0)
            argv[flags++] = argv[i];
        else if (dir != NULL || argv[i][0] == '-')
            return sl_cli_usage("%s", usage_text);
        else
            dir = argv[i];
    }
    if (dir == NULL)
        return sl_cli_usage("%s", usage_text);
    sl_local l;
    sl_status st = {0};
    int exit_status;
    if (sl_local_open(&l, dir, flags, argv, &usage, &st))
        exit_status = usage ? sl_cli_usage("%s", st.msg) : sl_cli_refuse(&st);
    else
        exit_status = inspect(&l, dir, json);
    sl_local_fini(&l);
    return exit_status;
}
