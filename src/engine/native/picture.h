/*
 * picture.h - JPEG and PNG, decoded as TensorFlow decodes them
 *
 * By libjpeg-turbo and libpng, the libraries that TensorFlow has, set as it sets them, so that the
 * bytes are the same. Only where both were there when this was built (SLUICE_PICTURES).
 *
 * Pictures come from anybody. What a decoder and its result take together is bounded by what the
 * caller allows; a progressive JPEG of more than SL_JPEG_MOST_SCANS scans is refused, since each costs as
 * much as a picture of its own and takes a few bytes of the file (real ones have ten or so).
 */
#ifndef SL_ENGINE_NATIVE_PICTURE_H
#define SL_ENGINE_NATIVE_PICTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sluice/status.h"
#include "sluice/tensor.h"

enum { SL_JPEG_MOST_SCANS = 100 };

typedef enum sl_picture_kind {
    SL_PICTURE_UNKNOWN,
    SL_PICTURE_JPEG,
    SL_PICTURE_PNG,
    SL_PICTURE_GIF,
    SL_PICTURE_BMP,
    SL_PICTURE_WEBP,
} sl_picture_kind;

/* By the first bytes. */
sl_picture_kind sl_picture_kind_of(sl_str file);
const char *sl_picture_kind_name(sl_picture_kind kind); /* "JPEG" */

typedef struct sl_picture_how {
    int channels;                   /* wanted: 1, 3, PNG 2 and 4 too; 0: as many as the file has */
    int ratio;                      /* JPEG: made smaller by 1, 2, 4 or 8 */
    bool fancy_upscaling, accurate; /* JPEG: smooth colours; the slower transform */
    bool wide;                      /* PNG: 16 bits a sample */
    int bytes;                      /* JPEG: that a sample will take of `may_take` */
} sl_picture_how;

typedef struct sl_picture {
    int64_t height, width, channels;
} sl_picture;

/*
 * Calls `make` once when the size is known; it gives memory for height * width * channels samples,
 * or NULL to give up. Then writes rows from the top, channels side by side: bytes, or uint16_t if
 * `wide`. INVALID_ARGUMENT: no picture, or `make` gave up; RESOURCE_EXHAUSTED: no memory. What was
 * written is undefined then.
 */
typedef void *sl_picture_make(void *arg, const sl_picture *p);
/* `may_take` bytes for the decoder and what `make` gives together; 0: as many as they want. Where
 * they want more, RESOURCE_EXHAUSTED and in *needs how many, at least; otherwise that is 0. */
sl_code sl_jpeg_decode(sl_str file, const sl_picture_how *how, size_t may_take,
                       sl_picture_make *make, void *arg, size_t *needs);
/* Takes a few rows for itself. Calls `make` also for sizes that TensorFlow refuses, with its own
 * words: the caller checks. */
sl_code sl_png_decode(sl_str file, const sl_picture_how *how, sl_picture_make *make, void *arg);

#endif
