/* labels.c - see labels.h */
#include "model/labels.h"

#include "base/mem.h"
#include "model/policy.h"

bool sl_numbers_have(sl_numbers n, int64_t number)
{
    for (int i = 0; i < n.count; i++)
        if (n.list[i] == number)
            return true;
    return false;
}

void sl_labels_fini(sl_labels *l)
{
    for (int i = 0; i < l->count; i++)
        sl_free((char *)l->list[i].label);
    sl_free(l->list);
    *l = (sl_labels){0};
}

static const sl_label *find(const sl_labels *l, const char *label)
{
    for (int i = 0; i < l->count; i++)
        if (strcmp(l->list[i].label, label) == 0)
            return &l->list[i];
    return NULL;
}

int64_t *sl_labels_expected(const sl_model_config *c, int *count)
{
    sl_aspired_set set = {0};
    sl_text remarks = {0}; /* the source will make them again, and log them */
    int n = 0;
    if (sl_policy_select(c, NULL, NULL, &set, &remarks, NULL))
        set = (sl_aspired_set){0};
    int64_t *numbers = sl_calloc((size_t)set.count + (size_t)c->n_versions, sizeof *numbers);
    for (int i = 0; i < set.count; i++)
        numbers[n++] = set.list[i].number;
    for (int i = 0; c->policy == SL_POLICY_SPECIFIC && i < c->n_versions; i++)
        numbers[n++] = c->versions[i];
    *count = n;
    sl_aspired_fini(&set);
    sl_text_fini(&remarks);
    return numbers;
}

sl_code sl_labels_check(const sl_model_config *c, const sl_labels *now, sl_numbers available,
                        sl_numbers expected, bool unavailable_allowed, sl_status *st)
{
    for (int i = 0; i < c->n_labels; i++) {
        int64_t version = c->labels[i].version;
        if (sl_numbers_have(available, version) || sl_numbers_have(expected, version))
            continue;
        const sl_label *old = find(now, c->labels[i].label);
        if (unavailable_allowed && (old == NULL || old->version == version))
            continue;
        return sl_fail(st, SL_FAILED_PRECONDITION,
                       "Request to assign label to version %lld of model %s, which is not "
                       "currently available for inference",
                       (long long)version, c->name);
    }
    return SL_OK;
}

void sl_labels_assign(const sl_model_config *c, sl_labels *now, sl_numbers available,
                      bool unavailable_allowed)
{
    sl_labels next = {sl_calloc((size_t)c->n_labels, sizeof *next.list), 0};
    for (int i = 0; i < c->n_labels; i++) {
        const sl_label *wanted = &c->labels[i], *old = find(now, wanted->label);
        int64_t version = wanted->version;
        if (!sl_numbers_have(available, version)) {
            if (old == NULL && !unavailable_allowed)
                continue;
            if (old != NULL)
                version = old->version;
        }
        next.list[next.count++] = (sl_label){sl_strdup(wanted->label), version};
    }
    sl_labels_fini(now);
    *now = next;
}
