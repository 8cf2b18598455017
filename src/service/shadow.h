/*
 * shadow.h - copies of requests for a candidate version, whose answers nobody gets
 *
 * A model's configuration may name a candidate (model/traffic.h). A request that another version
 * has answered is then run once more, on the candidate, and the two answers are compared, within
 * the tolerances of the configuration. What came of it is counted; nothing is returned.
 *
 *     front end, when the answer is made:   s = sl_shadow_take(&predict);
 *                                           sl_predict_fini(&predict);
 *                                           ... hands the reply over ...
 *                                           sl_shadow_start(s);
 *
 * The copy shares the request's tensors and the answer's. It runs on threads of its own, of low
 * priority, and behind a queue of its own, which is short: when it is full, or a copy has waited
 * for a second, the copy is dropped. So a shadow delays no answer, but for what the processor's
 * caches have to say.
 *
 * A signature that writes a variable, table or other resource of the candidate is not run
 * (sl_engine.pure).
 *
 * Metrics: /sluice/shadow/count {model_name, version, result}, where result is matched, differed,
 * failed (the candidate's error), dropped, or impure; /sluice/shadow/latency {model_name, version},
 * microseconds of the candidate's run.
 */
#ifndef SL_SERVICE_SHADOW_H
#define SL_SERVICE_SHADOW_H

#include "service/multi.h"

typedef struct sl_shadows sl_shadows; /* the threads and their queue */

typedef struct sl_shadows_options {
    int threads;      /* 0: 1 */
    int max_queue;    /* copies that wait; 0: 64 */
    size_t max_bytes; /* of tensors of copies that wait; 0: 64 MiB */
} sl_shadows_options;

sl_code sl_shadows_new(const sl_shadows_options *o, sl_shadows **out, sl_status *st);
/* Runs what still waits. No request is left that could start one; before the manager's end. */
void sl_shadows_free(sl_shadows *s);

typedef struct sl_shadow sl_shadow; /* one copy */

/* A copy of what `p` has just answered, or NULL: none is wanted, or there is no memory for it (it
 * then counts as dropped). If there is one, p->version has become the copy's: it is NULL. Any
 * thread, never blocks. */
sl_shadow *sl_shadow_take(sl_predict *p);
/* The same for what `m` has answered; `p` holds its version, and may lose it. All of its tasks are
 * one copy, which differs if one of them does. */
sl_shadow *sl_shadow_take_multi(sl_predict *p, const sl_multi *m);
/* Queues it, or drops it. Accepts NULL. Any thread, never blocks. */
void sl_shadow_start(sl_shadow *s);

#endif
