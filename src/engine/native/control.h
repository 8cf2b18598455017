/* control.h - branches and loops, whose bodies are graphs of their own */
#ifndef SL_ENGINE_NATIVE_CONTROL_H
#define SL_ENGINE_NATIVE_CONTROL_H

#include "engine/native/plan.h"

/* Runs the step's branch or loop; call->out then lives until the context's arena is reset. */
sl_code sl_flow_run(sl_context *c, const sl_plan_step *s, sl_op_call *call, const sl_run_args *args,
                    sl_status *st);

/* `size` bytes from the arena, aligned to 64; NULL: no memory. run.c */
void *sl_run_alloc(sl_arena *a, size_t size);

#endif
