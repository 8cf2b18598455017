/*
 * farmhash.h - FarmHash's Fingerprint64, from the library libfarmhash
 *
 * Only there when the build found the library (SLUICE_FARMHASH); without it the ops that hash with
 * it are not in the op table, and such models run with the TensorFlow engine.
 */
#ifndef SL_ENGINE_NATIVE_FARMHASH_H
#define SL_ENGINE_NATIVE_FARMHASH_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C"
#endif
    uint64_t
    sl_farmhash64(const char *p, size_t n);

#endif
