/*
 * resource.h - what lasts from run to run: variables that are written, and lookup tables
 *
 * Two nodes that name the same (container, shared_name) share one resource; a session owns them
 * all. A tensor of dtype resource (or ref) has one element: a pointer to an sl_resource.
 *
 * Locking: a variable's value is replaced whole under `lock`: a reader takes a reference to the
 * buffer under the lock and copies or computes after it. A table is filled before the session
 * serves (init op) and is read without a lock once `frozen`.
 */
#ifndef SL_ENGINE_NATIVE_RESOURCE_H
#define SL_ENGINE_NATIVE_RESOURCE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/map.h"
#include "engine/native/op.h"

typedef enum sl_resource_kind { SL_RES_VARIABLE, SL_RES_TABLE } sl_resource_kind;

struct sl_resource {
    sl_resource_kind kind;
    const char *name; /* for messages */
    pthread_mutex_t lock;
    /* variable */
    sl_tensor value; /* guarded by lock; dtype INVALID: not initialised */
    /* table: keys and values of any dtype; int64 keys are stored as their 8 bytes */
    sl_dtype key_type, value_type;
    sl_map table;           /* key bytes -> index + 1 into values */
    sl_tensor keys, values; /* rank 1 */
    atomic_bool frozen;
    bool reached; /* some graph of the session names it: only such are restored. Set on load */
    bool written; /* a served signature writes it: its readers are no constants. Set on load */
};

/* The session's resources; `find` makes one the first time a name is met. Load thread. */
typedef struct sl_resources sl_resources;
sl_resources *sl_resources_new(void);
void sl_resources_free(sl_resources *r);
sl_resource *sl_resources_find(sl_resources *r, sl_resource_kind kind, sl_str container,
                               sl_str shared_name);

/* Walks all resources: i from 0; NULL after the last. Load thread. */
sl_resource *sl_resources_at(const sl_resources *r, size_t i);

/* The resource that a handle input names; NULL if it is not a handle. */
static inline sl_resource *sl_resource_of(const sl_tensor *handle)
{
    return handle->data && handle->size >= sizeof(sl_resource *) ? *(sl_resource **)handle->data
                                                                 : NULL;
}

#endif
