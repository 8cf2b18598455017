/*
 * farmhash.cc - FarmHash's Fingerprint64, from the library libfarmhash
 */
#include "engine/native/farmhash.h"

#ifdef SLUICE_FARMHASH
#include <farmhash.h>

uint64_t sl_farmhash64(const char *p, size_t n)
{
    return util::Fingerprint64(p, n);
}
#endif
