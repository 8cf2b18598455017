/*
 * Pictures: the first byte says how they are wanted, the rest is the file. Each sample that was
 * decoded is read, and none lies outside of what was asked for.
 */
#include <stdint.h>
#include <stdlib.h>

#include "engine/native/picture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#ifdef SLUICE_PICTURES
enum { MOST = 1 << 20 };

typedef struct room {
    unsigned char *p;
    size_t n, sample;
} room;

static void *make(void *arg, const sl_picture *p)
{
    room *r = arg;
    if (p->height <= 0 || p->width <= 0 || p->channels <= 0 || p->channels > 4)
        abort();
    if (p->height > MOST || p->width > MOST || p->height * p->width * p->channels > MOST)
        return NULL;
    r->n = (size_t)(p->height * p->width * p->channels) * r->sample;
    r->p = malloc(r->n);
    return r->p;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int channels[] = {0, 1, 3, 4};
    if (size == 0)
        return 0;
    sl_picture_how how = {
        .channels = channels[data[0] & 3],
        .ratio = 1 << (data[0] >> 2 & 3),
        .fancy_upscaling = data[0] & 16,
        .accurate = data[0] & 32,
        .wide = data[0] & 64,
    };
    sl_str file = {(const char *)data + 1, size - 1};
    bool is_png = sl_picture_kind_of(file) == SL_PICTURE_PNG;
    room r = {.sample = is_png && how.wide ? 2 : 1};
    size_t needs;
    bool ok = (is_png ? sl_png_decode(file, &how, make, &r)
                      : sl_jpeg_decode(file, &how, 16 << 20, make, &r, &needs)) == SL_OK;
    unsigned sum = 0;
    for (size_t i = 0; ok && i < r.n; i++)
        sum += r.p[i];
    free(r.p);
    return sum == UINT32_MAX;
}
#else
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return data == NULL && size > 0;
}
#endif
