/*
 * repository.h - what both forms of the Open Inference Protocol ask about models
 *
 * Versions by their text, the index of models, and the changes of it: loading and unloading waits
 * for models, so it has a thread of its own, which takes one change after the other.
 *
 * Source: inference_rest.md, extension_model_repository.md.
 */
#ifndef SL_API_OIP_REPOSITORY_H
#define SL_API_OIP_REPOSITORY_H

#include <pthread.h>

#include "base/thread.h"
#include "codec/oip_json.h"
#include "guard/guard.h"
#include "service/service.h"

/* The version that `call` asks for: "" is the one that the server chooses, perhaps by a header.
 * INVALID_ARGUMENT: the text is no number. */
sl_code sl_oip_spec(sl_str model, sl_str version, const sl_http_call *call, sl_model_spec *out,
                    sl_status *st);

/* Numbers of the versions that are available, highest first; the array is in the arena. */
sl_code sl_oip_versions(sl_service *s, const sl_model_spec *spec, sl_arena *arena, int64_t **out,
                        int *count, sl_status *st);

/* Can it be asked: is a version available, or will one be as soon as it is asked for? NOT_FOUND:
 * there is no such model or version. */
sl_code sl_oip_ready(sl_service *s, const sl_model_spec *spec, sl_arena *arena, bool *ready,
                     sl_status *st);

/* The signature whose inputs and outputs stand for the model: serving_default, or the first that is
 * not hidden. Never NULL. */
const sl_signature *sl_oip_main_signature(const sl_version *v);

/* Every version of every model that `a` may see the status of (guard may be NULL). */
sl_code sl_oip_index(sl_service *s, sl_guard *guard, const sl_admission *a, bool ready_only,
                     sl_arena *arena, sl_oip_model **out, size_t *count, sl_status *st);

/* ---- changes ---- */

typedef struct sl_oip_change sl_oip_change;
struct sl_oip_change {
    sl_str model;
    bool load; /* else unload */
    sl_status *st;
    void (*done)(sl_oip_change *c, sl_code rc); /* on the changer's thread; c may go */
    sl_oip_change *next;
};

typedef struct sl_oip_changer {
    /* Loads a model that the configuration has or had, or takes it out. May take minutes. NULL:
     * such changes are UNIMPLEMENTED. */
    sl_code (*apply)(void *arg, sl_str model, bool load, sl_status *st);
    void *arg;
    pthread_mutex_t lock; /* guards the rest */
    sl_cond changed;
    sl_oip_change *first, **last;
    int waiting;
    bool ending, started;
    pthread_t thread;
} sl_oip_changer;

void sl_oip_changer_init(sl_oip_changer *r,
                         sl_code (*apply)(void *arg, sl_str model, bool load, sl_status *st),
                         void *arg);
/* Waits for the change in progress; those that wait get UNAVAILABLE. */
void sl_oip_changer_fini(sl_oip_changer *r);
/* UNIMPLEMENTED, RESOURCE_EXHAUSTED (too many wait), UNAVAILABLE (the server ends): done is then
 * not called. */
sl_code sl_oip_changer_submit(sl_oip_changer *r, sl_oip_change *c);

#endif
