/*
 * picture.c - see picture.h
 *
 * Both libraries leave by longjmp: what is used after it is volatile or lies in a struct, and
 * nothing is owned by a local variable across a call of theirs.
 *
 * Source: libjpeg.txt and "example.c" of libjpeg-turbo; libpng-manual.txt.
 */
#include "engine/native/picture.h"

#include <limits.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

sl_picture_kind sl_picture_kind_of(sl_str f)
{
    static const struct {
        const char *magic;
        size_t n;
        sl_picture_kind kind;
    } known[] = {
        {"\xff\xd8\xff", 3, SL_PICTURE_JPEG},
        {"\x89PNG\r\n\x1a\n", 8, SL_PICTURE_PNG},
        {"GIF8", 4, SL_PICTURE_GIF},
        {"BM", 2, SL_PICTURE_BMP},
    };
    for (size_t i = 0; i < SL_COUNTOF(known); i++)
        if (f.n >= known[i].n && memcmp(f.p, known[i].magic, known[i].n) == 0)
            return known[i].kind;
    if (f.n > 12 && memcmp(f.p, "RIFF", 4) == 0 && memcmp(f.p + 8, "WEBP", 4) == 0)
        return SL_PICTURE_WEBP;
    return SL_PICTURE_UNKNOWN;
}

const char *sl_picture_kind_name(sl_picture_kind kind)
{
    static const char *const names[] = {"unknown", "JPEG", "PNG", "GIF", "BMP", "WebP"};
    return names[kind];
}

#ifdef SLUICE_PICTURES

#include <setjmp.h>
#include <stdio.h>

#include <jpeglib.h>
/* behind it */
#include <jerror.h>
#include <png.h>

/* ---- JPEG ---- */

typedef struct jpeg {
    struct jpeg_decompress_struct d; /* first: what its callbacks get is this */
    struct jpeg_error_mgr errors;
    struct jpeg_source_mgr source;
    struct jpeg_progress_mgr progress;
    jmp_buf out;
    sl_picture size;
    size_t result; /* bytes that the picture takes */
    JSAMPLE *row;  /* CMYK; its own memory */
} jpeg;

static void jpeg_failed(j_common_ptr d)
{
    longjmp(((jpeg *)d)->out, 1);
}

static void jpeg_says(j_common_ptr d, int level)
{
    if (level < 0)
        d->err->num_warnings++;
}

static void jpeg_message(j_common_ptr d)
{
    (void)d;
}

static void jpeg_nothing(j_decompress_ptr d)
{
    (void)d;
}

/* All there is was there from the beginning. */
static boolean jpeg_more(j_decompress_ptr d)
{
    (void)d;
    return FALSE;
}

static void jpeg_skip(j_decompress_ptr d, long n)
{
    struct jpeg_source_mgr *s = d->src;
    if (n <= 0)
        return;
    if ((unsigned long)n > s->bytes_in_buffer)
        jpeg_failed((j_common_ptr)d);
    s->next_input_byte += n;
    s->bytes_in_buffer -= (size_t)n;
}

static void jpeg_progressed(j_common_ptr d)
{
    if (((j_decompress_ptr)d)->input_scan_number > SL_JPEG_MOST_SCANS)
        jpeg_failed(d);
}

static void jpeg_open(jpeg *j, sl_str file)
{
    j->d.err = jpeg_std_error(&j->errors);
    j->errors.error_exit = jpeg_failed;
    j->errors.emit_message = jpeg_says;
    j->errors.output_message = jpeg_message;
    jpeg_create_decompress(&j->d);
    j->source = (struct jpeg_source_mgr){
        .next_input_byte = (const JOCTET *)file.p,
        .bytes_in_buffer = file.n,
        .init_source = jpeg_nothing,
        .fill_input_buffer = jpeg_more,
        .skip_input_data = jpeg_skip,
        .resync_to_restart = jpeg_resync_to_restart,
        .term_source = jpeg_nothing,
    };
    j->d.src = &j->source;
    j->progress.progress_monitor = jpeg_progressed;
    j->d.progress = &j->progress;
}

static bool is_cmyk(const jpeg *j)
{
    return j->d.jpeg_color_space == JCS_CMYK || j->d.jpeg_color_space == JCS_YCCK;
}

/* The header is read; false: no picture of such channels, or too large a one. */
static bool jpeg_choose(jpeg *j, const sl_picture_how *how)
{
    const int64_t too_large = INT64_C(1) << 29;
    int channels = how->channels ? how->channels : SL_MIN(j->d.num_components, 3);
    if (channels != 1 && channels != 3)
        return false;
    j->d.out_color_space = channels == 1 ? JCS_GRAYSCALE : is_cmyk(j) ? JCS_CMYK : JCS_RGB;
    j->d.do_fancy_upsampling = how->fancy_upscaling;
    j->d.scale_num = 1;
    j->d.scale_denom = (unsigned)how->ratio;
    j->d.dct_method = how->accurate ? JDCT_ISLOW : JDCT_IFAST;
    jpeg_calc_output_dimensions(&j->d);
    j->size = (sl_picture){j->d.output_height, j->d.output_width, channels};
    return j->size.height > 0 && j->size.width > 0 &&
           j->size.height * j->size.width < too_large / j->d.num_components;
}

/* What the picture will take is not the decoder's. Where nothing is left for that, one that needs
 * none finds out with `make`. */
static void jpeg_bound(jpeg *j, int bytes, size_t may_take)
{
    j->result = (size_t)(j->size.height * j->size.width * j->size.channels) * (size_t)bytes;
    size_t left = may_take > j->result ? may_take - j->result : 1;
    if (may_take)
        j->d.mem->max_memory_to_use = (long)SL_MIN(left, (size_t)LONG_MAX);
}

static size_t rounded_up(JDIMENSION n, int to)
{
    return ((size_t)n + (size_t)to - 1) / (size_t)to * (size_t)to;
}

/* All coefficients of a picture of several scans, and the picture. */
static size_t jpeg_needs(const jpeg *j)
{
    size_t n = j->result;
    for (int i = 0; i < j->d.num_components; i++) {
        const jpeg_component_info *c = &j->d.comp_info[i];
        n += rounded_up(c->width_in_blocks, c->h_samp_factor) *
             rounded_up(c->height_in_blocks, c->v_samp_factor) * sizeof(JBLOCK);
    }
    return n;
}

/* The library has given up: why? */
static sl_code jpeg_verdict(const jpeg *j, size_t *needs)
{
    switch (j->errors.msg_code) {
    case JERR_NO_BACKING_STORE: /* it would put on disk what is beyond its bound */
        *needs = jpeg_needs(j);
        return SL_RESOURCE_EXHAUSTED;
    case JERR_OUT_OF_MEMORY:
        return SL_RESOURCE_EXHAUSTED;
    default:
        return SL_INVALID_ARGUMENT;
    }
}

/* A scanner's inks, which Adobe's programs write the other way round. */
static void from_cmyk(const jpeg *j, unsigned char *to)
{
    for (int64_t i = 0; i < j->size.width; i++) {
        const JSAMPLE *in = j->row + 4 * i;
        for (int c = 0; c < 3; c++)
            to[3 * i + c] =
                (unsigned char)(j->d.saw_Adobe_marker ? in[3] * in[c] / 255
                                                      : (255 - in[3]) * (255 - in[c]) / 255);
    }
}

static sl_code jpeg_rows(jpeg *j, unsigned char *to)
{
    bool cmyk = j->d.out_color_space == JCS_CMYK;
    if (cmyk && (j->row = sl_try_malloc((size_t)j->size.width * 4)) == NULL)
        return SL_RESOURCE_EXHAUSTED;
    while (j->d.output_scanline < j->d.output_height) {
        JSAMPLE *row = cmyk ? j->row : to;
        if (jpeg_read_scanlines(&j->d, &row, 1) != 1)
            return SL_INVALID_ARGUMENT; /* the file ends here */
        if (cmyk)
            from_cmyk(j, to);
        to += j->size.width * j->size.channels;
    }
    jpeg_finish_decompress(&j->d); /* what comes behind the last row may be missing */
    return SL_OK;
}

static sl_code jpeg_run(jpeg *j, sl_str file, const sl_picture_how *how, size_t may_take,
                        sl_picture_make *make, void *arg, size_t *needs)
{
    if (setjmp(j->out))
        return jpeg_verdict(j, needs);
    jpeg_open(j, file);
    if (jpeg_read_header(&j->d, TRUE) != JPEG_HEADER_OK || !jpeg_choose(j, how))
        return SL_INVALID_ARGUMENT;
    jpeg_bound(j, how->bytes, may_take);
    if (!jpeg_start_decompress(&j->d))
        return SL_INVALID_ARGUMENT;
    unsigned char *to = make(arg, &j->size);
    return to ? jpeg_rows(j, to) : SL_INVALID_ARGUMENT;
}

sl_code sl_jpeg_decode(sl_str file, const sl_picture_how *how, size_t may_take,
                       sl_picture_make *make, void *arg, size_t *needs)
{
    jpeg *j = sl_try_calloc(1, sizeof *j);
    *needs = 0;
    if (j == NULL)
        return SL_RESOURCE_EXHAUSTED;
    sl_code rc = jpeg_run(j, file, how, may_take, make, arg, needs);
    jpeg_destroy_decompress(&j->d); /* also of one that was not created yet: all zeros */
    sl_free(j->row);
    sl_free(j);
    return rc;
}

/* ---- PNG ---- */

typedef struct png {
    png_structp read;
    png_infop info;
    sl_str left;
    sl_picture size;
    int depth, colours, passes;
    bool starved; /* an allocation failed */
} png;

static png_voidp png_alloc(png_structp read, png_alloc_size_t n)
{
    void *p = sl_try_malloc(n);
    if (p == NULL)
        ((png *)png_get_mem_ptr(read))->starved = true;
    return p;
}

static void png_give_back(png_structp read, png_voidp p)
{
    (void)read;
    sl_free(p);
}

static void png_failed(png_structp read, png_const_charp why)
{
    (void)why;
    png_longjmp(read, 1);
}

static void png_warns(png_structp read, png_const_charp why)
{
    (void)read, (void)why;
}

static void png_bytes(png_structp read, png_bytep to, size_t n)
{
    png *p = png_get_io_ptr(read);
    if (p->left.n < n)
        png_error(read, "the file ends here");
    memcpy(to, p->left.p, n);
    p->left = (sl_str){p->left.p + n, p->left.n - n};
}

static void png_header(png *p, const sl_picture_how *how)
{
    png_uint_32 width, height;
    png_set_read_fn(p->read, p, png_bytes);
    png_read_info(p->read, p->info);
    png_get_IHDR(p->read, p->info, &width, &height, &p->depth, &p->colours, NULL, NULL, NULL);
    int channels = how->channels;
    if (channels == 0 && p->colours == PNG_COLOR_TYPE_PALETTE)
        channels = png_get_valid(p->read, p->info, PNG_INFO_tRNS) ? 4 : 3;
    else if (channels == 0)
        channels = png_get_channels(p->read, p->info);
    p->size = (sl_picture){height, width, channels};
}

/* How a file of this kind becomes so many channels of so many bits. */
static void png_convert(png *p, bool wide)
{
    bool want_alpha = p->size.channels % 2 == 0, want_grey = p->size.channels < 3;
    bool alpha = p->colours & PNG_COLOR_MASK_ALPHA, grey = !(p->colours & PNG_COLOR_MASK_COLOR);
    bool transparent = png_get_valid(p->read, p->info, PNG_INFO_tRNS) != 0;
    if (want_alpha && !alpha && transparent)
        png_set_tRNS_to_alpha(p->read);
    else if (want_alpha && !alpha)
        png_set_add_alpha(p->read, (1u << p->depth) - 1, PNG_FILLER_AFTER);
    else if (!want_alpha && (alpha || transparent))
        png_set_strip_alpha(p->read);
    if (p->depth > 8 && !wide)
        png_set_strip_16(p->read);
    png_set_packing(p->read);
    p->passes = png_set_interlace_handling(p->read);
    if (wide)
        png_set_swap(p->read); /* files are big-endian */
    if (p->colours == PNG_COLOR_TYPE_PALETTE)
        png_set_palette_to_rgb(p->read);
    if (grey && p->depth < 8)
        png_set_expand_gray_1_2_4_to_8(p->read);
    if (want_grey && !grey)
        png_set_rgb_to_gray(p->read, 1, 0.299, 0.587);
    else if (!want_grey && grey)
        png_set_gray_to_rgb(p->read);
    png_read_update_info(p->read, p->info);
}

/* Bytes become words where they lie: from the last on. */
static void widen(unsigned char *row, int64_t n)
{
    uint16_t *to = (uint16_t *)(void *)row;
    for (int64_t i = n - 1; i >= 0; i--)
        to[i] = (uint16_t)(row[i] * 257);
}

static bool png_run(png *p, const sl_picture_how *how, sl_picture_make *make, void *arg)
{
    if (setjmp(png_jmpbuf(p->read)))
        return false;
    png_header(p, how);
    png_convert(p, how->wide);
    unsigned char *to = make(arg, &p->size);
    if (to == NULL)
        return false;
    int64_t samples = p->size.width * p->size.channels, row = samples * (how->wide ? 2 : 1);
    /* Neither beyond a row, nor leaving bytes of it as they were. */
    if (png_get_rowbytes(p->read, p->info) != (size_t)(p->depth > 8 ? row : samples))
        return false;
    for (int pass = 0; pass < p->passes; pass++)
        for (int64_t y = 0; y < p->size.height; y++)
            png_read_row(p->read, to + y * row, NULL);
    png_read_end(p->read, p->info);
    for (int64_t y = 0; how->wide && p->depth <= 8 && y < p->size.height; y++)
        widen(to + y * row, samples);
    return true;
}

sl_code sl_png_decode(sl_str file, const sl_picture_how *how, sl_picture_make *make, void *arg)
{
    png p = {.left = file};
    p.read = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, NULL, png_failed, png_warns, &p,
                                      png_alloc, png_give_back);
    p.info = p.read ? png_create_info_struct(p.read) : NULL;
    bool ok = p.info != NULL && png_run(&p, how, make, arg);
    png_destroy_read_struct(&p.read, &p.info, NULL); /* NULL: it does nothing */
    return ok ? SL_OK : p.starved ? SL_RESOURCE_EXHAUSTED : SL_INVALID_ARGUMENT;
}

#endif
