/* models.c - what there is to say about models, as JSON */
#include "api/admin/admin.h"
#include "format/json_escape.h"

/* ,\n + indentation + "key": */
static void put_key(sl_chain *out, int depth, const char *key, bool first)
{
    static const char blanks[] = "                        ";
    sl_chain_printf(out, "%s\n%.*s\"%s\": ", first ? "" : ",", depth * 4, blanks, key);
}

static void put_text(sl_chain *out, const char *s)
{
    sl_json_escape_chain(SL_JSON_RAPID, sl_str_of(s), out);
}

static void put_version(sl_chain *out, const sl_version_info *v, bool first)
{
    sl_chain_printf(out, "%s\n                {\"version\": \"%lld\", \"state\": \"%s\"",
                    first ? "" : ",", (long long)v->number, sl_state_name(v->state));
    if (*v->engine) {
        sl_chain_puts(out, ", \"engine\": ");
        put_text(out, v->engine);
    }
    if (*v->why) {
        sl_chain_puts(out, ", \"why\": ");
        put_text(out, v->why);
    }
    if (v->load_us)
        sl_chain_printf(out, ", \"load_ms\": %.3f", (double)v->load_us / 1000);
    if (v->bytes)
        sl_chain_printf(out, ", \"bytes\": %llu", (unsigned long long)v->bytes);
    if (v->code) {
        sl_chain_printf(out, ", \"code\": \"%s\", \"error\": ", sl_code_name(v->code));
        put_text(out, v->message);
    }
    sl_chain_puts(out, "}");
}

static void put_target(sl_chain *out, const sl_arm_overview *a)
{
    sl_chain_puts(out, "{");
    if (a->label != NULL) {
        sl_chain_puts(out, "\"label\": ");
        put_text(out, a->label);
        sl_chain_puts(out, ", ");
    }
    if (a->resolved)
        sl_chain_printf(out, "\"version\": \"%lld\", ", (long long)a->version);
    sl_chain_printf(out, "\"available\": %s", a->available ? "true" : "false");
}

static void put_split(sl_chain *out, const sl_model_overview *m)
{
    put_key(out, 3, "split", false);
    sl_chain_puts(out, "[");
    for (int i = 0; i < m->n_arms; i++) {
        sl_chain_printf(out, "%s\n                ", i ? "," : "");
        put_target(out, &m->arms[i]);
        sl_chain_printf(out, ", \"weight\": %.17g}", m->arms[i].weight);
    }
    sl_chain_puts(out, "\n            ]");
    if (*m->sticky_header) {
        put_key(out, 3, "sticky_header", false);
        put_text(out, m->sticky_header);
    }
}

static void put_model(sl_chain *out, const sl_model_overview *m, bool first)
{
    sl_chain_puts(out, first ? "\n        {" : ",\n        {");
    put_key(out, 3, "name", true);
    put_text(out, m->name);
    put_key(out, 3, "configured", false);
    sl_chain_puts(out, m->configured ? "true" : "false");
    put_key(out, 3, "base_path", false);
    put_text(out, m->base_path);
    put_key(out, 3, "versions", false);
    sl_chain_puts(out, "[");
    for (int i = 0; i < m->n_versions; i++)
        put_version(out, &m->versions[i], i == 0);
    sl_chain_puts(out, m->n_versions ? "\n            ]" : "]");
    put_key(out, 3, "labels", false);
    sl_chain_puts(out, "{");
    for (int i = 0; i < m->n_labels; i++) {
        sl_chain_puts(out, i ? ", " : "");
        put_text(out, m->labels[i].label);
        sl_chain_printf(out, ": \"%lld\"", (long long)m->labels[i].version);
    }
    sl_chain_puts(out, "}");
    if (m->n_arms)
        put_split(out, m);
    if (m->shadow != NULL) {
        put_key(out, 3, "shadow", false);
        put_target(out, m->shadow);
        sl_chain_printf(out, ", \"percent\": %.17g}", m->shadow->weight);
    }
    sl_chain_puts(out, "\n        }");
}

sl_code sl_admin_write_models(sl_manager *m, sl_str name, sl_arena *arena, sl_chain *out,
                              sl_status *st)
{
    const sl_model_overview *list;
    int count;
    sl_code rc = sl_manager_overview(m, name, arena, &list, &count, st);
    if (rc)
        return rc;
    sl_chain_puts(out, "{\n    \"models\": [");
    for (int i = 0; i < count; i++)
        put_model(out, &list[i], i == 0);
    sl_chain_puts(out, count ? "\n    ]\n}\n" : "]\n}\n");
    return SL_OK;
}
