/*
 * union.c - what the tasks of a MultiInference can ask of a model together
 *
 * Which signatures may be tasks can be seen from their form (grpc.md 5, step 2): one input
 * "inputs"; "outputs", or one or both of "classes" and "scores". Their tensors, each once, make a
 * signature of their own (sluice/signature.h), if at least two of them take Examples, as strings:
 * others can be asked for, but cannot answer.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "savedmodel/model.h"

static bool has_output(const sl_signature *s, const char *key)
{
    return sl_tensor_infos_find(s->outputs, s->n_outputs, sl_str_of(key)) >= 0;
}

static bool may_be_a_task(const sl_signature *s)
{
    if (s->n_inputs != 1 || strcmp(s->inputs[0].key, "inputs") != 0 || s->inputs[0].name == NULL)
        return false;
    for (int i = 0; i < s->n_outputs; i++)
        if (s->outputs[i].name == NULL)
            return false;
    bool regresses = s->n_outputs == 1 && has_output(s, "outputs");
    bool classifies = (s->n_outputs == 1 || s->n_outputs == 2) &&
                      (has_output(s, "classes") || has_output(s, "scores"));
    return regresses || classifies;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const sl_tensor_info *)a)->name, ((const sl_tensor_info *)b)->name);
}

/* Sorts, and leaves each name once. */
static int each_once(sl_tensor_info *infos, int n)
{
    int kept = 0;
    qsort(infos, (size_t)n, sizeof *infos, by_name);
    for (int i = 0; i < n; i++)
        if (kept == 0 || strcmp(infos[kept - 1].name, infos[i].name) != 0)
            infos[kept++] = infos[i];
    for (int i = 0; i < kept; i++)
        infos[i].key = infos[i].name;
    return kept;
}

static void fill(const sl_signatures *all, sl_tensor_info *in, sl_tensor_info *out, sl_signature *u)
{
    int n_in = 0, n_out = 0;
    for (int i = 0; i < all->count; i++) {
        const sl_signature *s = &all->list[i];
        if (!may_be_a_task(s))
            continue;
        in[n_in++] = s->inputs[0];
        for (int k = 0; k < s->n_outputs; k++)
            out[n_out++] = s->outputs[k];
    }
    *u = (sl_signature){.key = "",
                        .method_name = "",
                        .inputs = in,
                        .n_inputs = each_once(in, n_in),
                        .outputs = out,
                        .n_outputs = each_once(out, n_out)};
}

sl_code sl_model_unite_signatures(sl_saved_model *m, sl_signature *u, sl_status *st)
{
    const sl_signatures *all = &m->signatures;
    size_t tasks = 0, examples = 0;
    for (int i = 0; i < all->count; i++)
        if (may_be_a_task(&all->list[i])) {
            tasks++;
            examples += all->list[i].inputs[0].dtype == SL_DT_STRING;
        }
    if (examples < 2)
        return SL_OK;
    sl_tensor_info *in = sl_model_try_array(m, tasks, sizeof *in);
    sl_tensor_info *out = sl_model_try_array(m, 2 * tasks, sizeof *out);
    if (in == NULL || out == NULL)
        return sl_model_no_memory(m, st);
    fill(all, in, out, u);
    m->signatures.has_union = true;
    return SL_OK;
}
