/* multi.c - see multi.h */
#include "service/multi.h"

#include "base/mem.h"

static sl_str or_default(sl_str signature)
{
    return signature.n ? signature : SL_STR("serving_default");
}

/* Step 2 for one task; `seen` are the `n` runs before it. */
static sl_code prepare_task(sl_predict *p, const sl_multi_task *task, const sl_multi_task *first,
                            const sl_predict *seen, size_t n)
{
    const sl_signatures *all = p->version->signatures;
    sl_str name = or_default(task->signature);
    if (task->model.n == 0)
        return sl_fail(p->st, SL_INVALID_ARGUMENT, "Found ModelSpec with an empty model name.");
    if (!sl_str_eq(task->model, first->model))
        return sl_fail(
            p->st, SL_INVALID_ARGUMENT,
            "All ModelSpecs in a MultiInferenceRequest must access the same model name.");
    p->run.signature = sl_signatures_find(all, name);
    p->signature = p->run.signature < 0 ? NULL : &all->list[p->run.signature];
    for (size_t i = 0; i < n && p->signature != NULL; i++)
        if (seen[i].signature == p->signature)
            return sl_fail_in(p->arena, p->st, SL_INVALID_ARGUMENT,
                              "Duplicate evaluation of signature: %.*s", SL_STR_ARG(name));
    if (p->signature == NULL)
        return sl_fail_in(p->arena, p->st, SL_INVALID_ARGUMENT,
                          "Requested signature not found in model graph: %.*s", SL_STR_ARG(name));
    if (sl_str_is(task->method_name, "tensorflow/serving/classify"))
        p->method = SL_METHOD_CLASSIFY;
    else if (sl_str_is(task->method_name, "tensorflow/serving/regress"))
        p->method = SL_METHOD_REGRESS;
    else
        return sl_fail_in(p->arena, p->st, SL_UNIMPLEMENTED,
                          "Unsupported signature method_name: %.*s", SL_STR_ARG(task->method_name));
    return sl_predict_check_example_signature(p);
}

sl_code sl_multi_prepare(const sl_predict *like, const sl_multi_task *tasks, size_t count,
                         const sl_tensor *examples, sl_predict **out)
{
    /* Each task has a signature of its own, so the runs are no more than those: the one behind the
     * last can only be the one that fails. */
    size_t most = SL_MIN(count, (size_t)like->version->signatures->count + 1);
    sl_code rc = SL_OK;
    if (count == 0) /* the words of a run that fetches nothing */
        return sl_fail(like->st, SL_INVALID_ARGUMENT,
                       "Must specify at least one target to fetch or execute.");
    *out = sl_arena_try_alloc(like->arena, most * sizeof **out);
    if (*out == NULL)
        return sl_fail(like->st, SL_RESOURCE_EXHAUSTED, "out of memory: %zu tasks", most);
    for (size_t i = 0; i < count && rc == SL_OK; i++) {
        (*out)[i] = *like;
        rc = prepare_task(&(*out)[i], &tasks[i], tasks, *out, i);
    }
    for (size_t i = 0; i < count && rc == SL_OK; i++)
        rc = sl_predict_set_examples(&(*out)[i], examples);
    return rc;
}

void sl_multi_release(sl_predict *runs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (int k = 0; k < runs[i].run.n_outputs; k++)
            sl_tensor_release(&runs[i].run.outputs[k]);
}
