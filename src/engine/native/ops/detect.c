/*
 * detect.c - NonMaxSuppression: of boxes that overlap, the one with the highest score; alone and
 * for a batch of many classes
 *
 * Candidates wait in a heap, the best first, the earlier box before the later one. A candidate that
 * overlaps a chosen box too much is dropped; with soft_nms_sigma its score is lowered instead, and
 * it goes back into the heap. It need not be compared again with what it has been compared with.
 */
#include <math.h>

#include "engine/native/ops/ops.h"

typedef struct nms_config {
    int version;
    float iou; /* V1: an attribute */
    bool pad;
} nms_config;

typedef struct candidate {
    float score;
    int32_t box;
    int64_t seen; /* chosen boxes that it has been compared with */
} candidate;

typedef struct nms {
    const float *boxes;
    int64_t stride; /* from box to box, in numbers */
    candidate *heap;
    int64_t n_heap;
    int32_t *chosen;
    float *scores;
    int64_t n_chosen, most;
    float iou, least, scale; /* scale 0: hard */
} nms;

static sl_code nms_configure(sl_op_node *n, sl_status *st)
{
    static const int inputs[] = {0, 3, 4, 5, 5, 6}, outputs[] = {0, 1, 1, 1, 2, 3};
    char last = n->op->name[strlen(n->op->name) - 1];
    int version = last >= '2' && last <= '5' ? last - '0' : 1;
    sl_code rc = sl_ops_check(n, inputs[version], SL_T(FLOAT), st);
    for (int i = 1; i < n->n_in && !rc; i++)
        rc = sl_ops_check_input(n, i, i == 2 ? SL_T(INT32) : SL_T(FLOAT), st);
    if (!rc && n->n_out != outputs[version])
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "%s has %d outputs", n->op->name, n->n_out);
    if (rc)
        return rc;
    nms_config *cfg = sl_ops_config(n, sizeof *cfg);
    *cfg = (nms_config){.version = version,
                        .iou = sl_node_float(n->source, "iou_threshold", 0.5f),
                        .pad = sl_node_bool(n->source, "pad_to_max_output_size", false)};
    n->config = cfg;
    n->out_types[0] = n->out_types[n->n_out - 1] = SL_DT_INT32;
    if (version == 5)
        n->out_types[1] = SL_DT_FLOAT;
    return SL_OK;
}

static sl_code check_boxes(const sl_op_call *c, sl_status *st)
{
    const sl_tensor *boxes = &c->in[0], *scores = &c->in[1];
    sl_shape_buf b;
    if (boxes->rank != 2)
        return sl_fail(st, SL_INVALID_ARGUMENT, "boxes must be 2-D%s", sl_ops_shape(boxes, &b));
    if (boxes->dims[1] != 4)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "boxes must have 4 columns (Dimension must be 4 but is %lld)",
                       (long long)boxes->dims[1]);
    if (scores->rank != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "scores must be 1-D%s", sl_ops_shape(scores, &b));
    if (scores->dims[0] != boxes->dims[0])
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "scores has incompatible shape (Dimensions must be equal, but are %lld and "
                       "%lld)",
                       (long long)boxes->dims[0], (long long)scores->dims[0]);
    if (boxes->dims[0] > INT32_MAX)
        return sl_fail(st, SL_INVALID_ARGUMENT, "too many boxes");
    for (int i = 2; i < c->node->n_in; i++)
        if (c->in[i].rank != 0)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           i == 2 ? "max_output_size must be 0-D, got shape %s"
                                  : "a threshold must be 0-D, got shape %s",
                           sl_ops_shape(&c->in[i], &b));
    return SL_OK;
}

/* ---- the heap ---- */

static bool better(const candidate *a, const candidate *b)
{
    return a->score > b->score || (a->score == b->score && a->box < b->box);
}

static void push(nms *m, candidate x)
{
    int64_t at = m->n_heap++;
    for (; at > 0 && better(&x, &m->heap[(at - 1) / 2]); at = (at - 1) / 2)
        m->heap[at] = m->heap[(at - 1) / 2];
    m->heap[at] = x;
}

static candidate pop(nms *m)
{
    candidate top = m->heap[0], x = m->heap[--m->n_heap];
    int64_t at = 0;
    for (int64_t child; (child = 2 * at + 1) < m->n_heap; at = child) {
        if (child + 1 < m->n_heap && better(&m->heap[child + 1], &m->heap[child]))
            child++;
        if (!better(&m->heap[child], &x))
            break;
        m->heap[at] = m->heap[child];
    }
    m->heap[at] = x;
    return top;
}

/* ---- choosing ---- */

static float overlap(const float *a, const float *b)
{
    float ay0 = fminf(a[0], a[2]), ay1 = fmaxf(a[0], a[2]), ax0 = fminf(a[1], a[3]);
    float ax1 = fmaxf(a[1], a[3]), by0 = fminf(b[0], b[2]), by1 = fmaxf(b[0], b[2]);
    float bx0 = fminf(b[1], b[3]), bx1 = fmaxf(b[1], b[3]);
    float of_a = (ay1 - ay0) * (ax1 - ax0), of_b = (by1 - by0) * (bx1 - bx0);
    if (of_a <= 0 || of_b <= 0)
        return 0;
    float h = fmaxf(fminf(ay1, by1) - fmaxf(ay0, by0), 0);
    float w = fmaxf(fminf(ax1, bx1) - fmaxf(ax0, bx0), 0);
    return h * w / (of_a + of_b - h * w);
}

/* False: it overlaps a chosen box. Its score may have been lowered. */
static bool survives(const nms *m, candidate *x)
{
    for (int64_t j = m->n_chosen - 1; j >= x->seen; j--) {
        float iou = overlap(&m->boxes[m->stride * x->box], &m->boxes[m->stride * m->chosen[j]]);
        if (m->scale == 0 && iou > m->iou)
            return false;
        if (m->scale != 0)
            x->score *= iou <= m->iou ? expf(m->scale * iou * iou) : 0;
        if (x->score <= m->least)
            break;
    }
    x->seen = m->n_chosen;
    return true;
}

static void choose(nms *m)
{
    while (m->n_chosen < m->most && m->n_heap > 0) {
        candidate x = pop(m);
        float before = x.score;
        if (!survives(m, &x))
            continue;
        if (x.score == before) {
            m->chosen[m->n_chosen] = x.box;
            m->scores[m->n_chosen++] = x.score;
        } else if (x.score > m->least) {
            push(m, x);
        }
    }
}

static sl_code give(sl_op_call *c, const nms *m, int64_t wanted, sl_status *st)
{
    const nms_config *cfg = c->node->config;
    int64_t n = cfg->pad ? wanted : m->n_chosen;
    sl_code rc = SL_OK;
    for (int k = 0; k < (cfg->version == 5 ? 2 : 1) && !rc; k++) {
        c->out[k].rank = 1;
        c->out[k].dims[0] = n;
        rc = sl_ops_make(c, k, st);
        if (!rc && c->out[k].size)
            memset(c->out[k].data, 0, c->out[k].size);
        if (!rc && m->n_chosen)
            memcpy(c->out[k].data, k ? (const void *)m->scores : m->chosen,
                   (size_t)m->n_chosen * sizeof(int32_t));
    }
    if (rc || cfg->version < 4)
        return rc;
    c->out[c->node->n_out - 1].rank = 0;
    rc = sl_ops_make(c, c->node->n_out - 1, st);
    if (!rc)
        *(int32_t *)c->out[c->node->n_out - 1].data = (int32_t)m->n_chosen;
    return rc;
}

static float number(const sl_op_call *c, int i, float otherwise)
{
    return i < c->node->n_in ? *(const float *)c->in[i].data : otherwise;
}

static sl_code nms_run(sl_op_call *c, sl_status *st)
{
    const nms_config *cfg = c->node->config;
    sl_code rc = check_boxes(c, st);
    if (rc)
        return rc;
    int64_t n = c->in[0].dims[0], wanted = sl_ops_int(&c->in[2], 0);
    float sigma = number(c, 5, 0);
    nms m = {.boxes = c->in[0].data,
             .stride = 4,
             .most = SL_MIN(wanted, n),
             .iou = number(c, 3, cfg->iou),
             .least = number(c, 4, -INFINITY),
             .scale = sigma > 0 ? -0.5f / sigma : 0};
    if (wanted < 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "output size must be non-negative");
    if (!(m.iou >= 0 && m.iou <= 1))
        return sl_fail(st, SL_INVALID_ARGUMENT, "iou_threshold must be in [0, 1]");
    if (sigma < 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "soft_nms_sigma_val must be non-negative.");
    m.heap = sl_arena_try_alloc(c->arena, (size_t)n * sizeof *m.heap);
    m.chosen = sl_arena_try_alloc(c->arena, (size_t)m.most * sizeof *m.chosen);
    m.scores = sl_arena_try_alloc(c->arena, (size_t)m.most * sizeof *m.scores);
    if (m.heap == NULL || m.chosen == NULL || m.scores == NULL)
        return sl_ops_no_memory(st);
    for (int64_t i = 0; i < n; i++) {
        float score = ((const float *)c->in[1].data)[i];
        if (score > m.least)
            push(&m, (candidate){.score = score, .box = (int32_t)i});
    }
    choose(&m);
    return give(c, &m, wanted, st);
}

/* ---- CombinedNonMaxSuppression: every class of every image by itself, then the best of all ---- */

typedef struct combined_config {
    bool pad, clip; /* pad: at most as many as all classes together may have */
} combined_config;

typedef struct detection {
    float score;
    int32_t box, label;
} detection;

typedef struct combined_shape {
    int64_t images, boxes, sets, classes; /* sets: of boxes; one for all classes, or one for each */
    int64_t each, most;                   /* of a class, of an image */
    size_t heap, chosen, scores, found;   /* bytes of the parts of scratch */
} combined_shape;

static size_t aligned(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

static sl_code combined_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 6, SL_T(FLOAT), st);
    for (int i = 1; i < 6 && !rc; i++)
        rc = sl_ops_check_input(n, i, i == 2 || i == 3 ? SL_T(INT32) : SL_T(FLOAT), st);
    if (!rc && n->n_out != 4)
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "%s has %d outputs", n->op->name, n->n_out);
    if (rc)
        return rc;
    combined_config *cfg = sl_ops_config(n, sizeof *cfg);
    cfg->pad = sl_node_bool(n->source, "pad_per_class", false);
    cfg->clip = sl_node_bool(n->source, "clip_boxes", true);
    n->config = cfg;
    n->out_types[0] = n->out_types[1] = n->out_types[2] = SL_DT_FLOAT;
    n->out_types[3] = SL_DT_INT32;
    return SL_OK;
}

static sl_code combined_check(const sl_op_call *c, sl_status *st)
{
    static const char *const names[] = {
        "", "", "max_size_per_class", "max_total_size", "iou_threshold", "score_threshold"};
    const sl_tensor *boxes = &c->in[0], *scores = &c->in[1];
    sl_shape_buf b;
    for (int i = 2; i < 6; i++)
        if (c->in[i].rank != 0)
            return sl_fail(st, SL_INVALID_ARGUMENT, "%s must be 0-D, got shape %s", names[i],
                           sl_ops_shape(&c->in[i], &b));
    if (boxes->rank > 0 && scores->rank > 0 && boxes->dims[0] != scores->dims[0])
        return sl_fail(st, SL_INVALID_ARGUMENT, "boxes and scores must have same batch size");
    if (boxes->rank != 4)
        return sl_fail(st, SL_INVALID_ARGUMENT, "boxes must be 4-D%s", sl_ops_shape(boxes, &b));
    if (scores->rank != 3)
        return sl_fail(st, SL_INVALID_ARGUMENT, "scores must be 3-D%s", sl_ops_shape(scores, &b));
    if (boxes->dims[1] != scores->dims[1])
        return sl_fail(st, SL_INVALID_ARGUMENT, "scores has incompatible shape");
    if (boxes->dims[2] != 1 && boxes->dims[2] != scores->dims[2])
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "third dimension of boxes must be either 1 or num classes");
    if (boxes->dims[3] != 4)
        return sl_fail(st, SL_INVALID_ARGUMENT, "boxes must have 4 columns");
    if (boxes->dims[1] > INT32_MAX || scores->dims[2] > INT32_MAX)
        return sl_fail(st, SL_INVALID_ARGUMENT, "too many boxes");
    return SL_OK;
}

static sl_code combined_plan(const sl_op_call *c, combined_shape *s, sl_status *st)
{
    const combined_config *cfg = c->node->config;
    sl_code rc = combined_check(c, st);
    if (rc)
        return rc;
    *s = (combined_shape){.images = c->in[0].dims[0],
                          .boxes = c->in[0].dims[1],
                          .sets = c->in[0].dims[2],
                          .classes = c->in[1].dims[2],
                          .each = sl_ops_int(&c->in[2], 0),
                          .most = sl_ops_int(&c->in[3], 0)};
    if (s->each <= 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "max_size_per_class must be positive");
    if (s->most <= 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "max_total_size must be > 0");
    if (cfg->pad) /* neither is above 2^31 */
        s->most = SL_MIN(s->most, s->each * s->classes);
    s->each = SL_MIN(s->each, s->boxes);
    int64_t found[] = {s->each, s->classes};
    int64_t n = sl_shape_count(found, 2, 4 * sizeof(detection));
    if (n < 0)
        return sl_ops_no_memory(st);
    s->heap = aligned((size_t)s->boxes * sizeof(candidate));
    s->chosen = aligned((size_t)s->each * sizeof(int32_t));
    s->scores = aligned((size_t)s->each * sizeof(float));
    s->found = aligned((size_t)n * sizeof(detection));
    return SL_OK;
}

static sl_code combined_shape_rule(sl_op_call *c, sl_status *st)
{
    combined_shape s;
    sl_code rc = combined_plan(c, &s, st);
    for (int k = 0; k < 4 && !rc; k++) {
        sl_tensor *out = &c->out[k];
        *out = (sl_tensor){.dtype = out->dtype,
                           .rank = k == 0   ? 3
                                   : k == 3 ? 1
                                            : 2,
                           .dims = {s.images, s.most, 4}};
        rc = sl_ops_check_size(out, st);
    }
    if (!rc)
        c->scratch_size = s.heap + s.chosen + s.scores + s.found + 64; /* never none */
    return rc;
}

/* The detections of one class of image i, appended to `found`. */
static int64_t detect_class(const sl_op_call *c, const combined_shape *s, int64_t i, int64_t label,
                            nms *m, detection *found)
{
    int64_t set = s->sets == 1 ? 0 : label;
    const float *scores = (const float *)c->in[1].data + i * s->boxes * s->classes + label;
    m->boxes = (const float *)c->in[0].data + (i * s->boxes * s->sets + set) * 4;
    m->n_heap = m->n_chosen = 0;
    for (int64_t k = 0; k < s->boxes; k++)
        if (scores[k * s->classes] > m->least)
            push(m, (candidate){.score = scores[k * s->classes], .box = (int32_t)k});
    choose(m);
    for (int64_t k = 0; k < m->n_chosen; k++)
        found[k] = (detection){m->scores[k], m->chosen[k], (int32_t)label};
    return m->n_chosen;
}

static bool ahead(const detection *x, const detection *y)
{
    if (x->score != y->score)
        return x->score > y->score;
    return x->label != y->label ? x->label < y->label : x->box < y->box;
}

/* Detections as a heap, the best first: what stands at `at` goes down to its place. */
static void sink(detection *heap, int64_t n, int64_t at)
{
    detection x = heap[at];
    for (int64_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && ahead(&heap[child + 1], &heap[child]))
            child++;
        if (!ahead(&heap[child], &x))
            break;
        heap[at] = heap[child];
    }
    heap[at] = x;
}

/* The best of the n that were found. */
static void give_image(const sl_op_call *c, const combined_shape *s, int64_t i, detection *found,
                       int64_t n)
{
    const combined_config *cfg = c->node->config;
    float *boxes = (float *)c->out[0].data + i * s->most * 4;
    float *scores = (float *)c->out[1].data + i * s->most;
    float *classes = (float *)c->out[2].data + i * s->most;
    int64_t wanted = SL_MIN(n, s->most);
    for (int64_t k = n / 2 - 1; k >= 0; k--)
        sink(found, n, k);
    for (int64_t k = 0; k < wanted; k++) {
        detection best = found[0];
        int64_t set = s->sets == 1 ? 0 : best.label;
        const float *box =
            (const float *)c->in[0].data + ((i * s->boxes + best.box) * s->sets + set) * 4;
        for (int j = 0; j < 4; j++)
            boxes[4 * k + j] = cfg->clip ? SL_MAX(SL_MIN(box[j], 1), 0) : box[j];
        scores[k] = best.score;
        classes[k] = (float)best.label;
        found[0] = found[--n];
        sink(found, n, 0);
    }
    ((int32_t *)c->out[3].data)[i] = (int32_t)wanted;
}

static sl_code combined_run(sl_op_call *c, sl_status *st)
{
    combined_shape s;
    sl_code rc = combined_plan(c, &s, st);
    if (rc)
        return rc;
    char *at = c->scratch;
    nms m = {.stride = 4 * s.sets,
             .heap = (candidate *)(void *)at,
             .chosen = (int32_t *)(void *)(at + s.heap),
             .scores = (float *)(void *)(at + s.heap + s.chosen),
             .most = s.each,
             .iou = number(c, 4, 0),
             .least = number(c, 5, 0)};
    detection *found = (detection *)(void *)(at + s.heap + s.chosen + s.scores);
    if (!(m.iou >= 0 && m.iou <= 1))
        return sl_fail(st, SL_INVALID_ARGUMENT, "iou_threshold must be in [0, 1]");
    for (int k = 0; k < 4; k++)
        if (c->out[k].size)
            memset(c->out[k].data, 0, c->out[k].size);
    for (int64_t i = 0; i < s.images; i++) {
        int64_t n = 0;
        for (int64_t label = 0; s.boxes && label < s.classes; label++)
            n += detect_class(c, &s, i, label, &m, found + n);
        give_image(c, &s, i, found, n);
    }
    return SL_OK;
}

const sl_op sl_ops_detect[] = {
    {"CombinedNonMaxSuppression", 0, 1 << 2 | 1 << 3, combined_configure, combined_shape_rule,
     combined_run, NULL},
    {"NonMaxSuppression", SL_OP_MAKES, 0, nms_configure, NULL, nms_run, NULL},
    {"NonMaxSuppressionV2", SL_OP_MAKES, 0, nms_configure, NULL, nms_run, NULL},
    {"NonMaxSuppressionV3", SL_OP_MAKES, 0, nms_configure, NULL, nms_run, NULL},
    {"NonMaxSuppressionV4", SL_OP_MAKES, 0, nms_configure, NULL, nms_run, NULL},
    {"NonMaxSuppressionV5", SL_OP_MAKES, 0, nms_configure, NULL, nms_run, NULL},
    {0},
};
