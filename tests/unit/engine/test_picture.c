/* engine/native/picture.h: what hostile pictures may take. That good ones are right is in
 * test_ops_cases.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/native/picture.h"
#include "support/op_harness.h"

static void the_first_bytes_say_what_it_is(void **state)
{
    (void)state;
    static const struct {
        sl_str bytes;
        sl_picture_kind kind;
    } files[] = {
        {{"\xff\xd8\xff", 3}, SL_PICTURE_JPEG},
        {{"\xff\xd8", 2}, SL_PICTURE_UNKNOWN},
        {{"\x89PNG\r\n\x1a\n", 8}, SL_PICTURE_PNG},
        {{"GIF89a", 6}, SL_PICTURE_GIF},
        {{"BM", 2}, SL_PICTURE_BMP},
        {{"RIFF....WEBP.", 13}, SL_PICTURE_WEBP},
        {{"RIFF....WEBP", 12}, SL_PICTURE_UNKNOWN},
        {{"RIFF....WAVE.", 13}, SL_PICTURE_UNKNOWN},
        {{"", 0}, SL_PICTURE_UNKNOWN},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        assert_int_equal(sl_picture_kind_of(files[i].bytes), files[i].kind);
    assert_string_equal(sl_picture_kind_name(SL_PICTURE_WEBP), "WebP");
}

#ifdef SLUICE_PICTURES

#include "base/fault.h"

static sl_str read_file(const char *name)
{
    static char bytes[65536];
    char path[512];
    snprintf(path, sizeof path, SLUICE_SOURCE_DIR "/tests/fuzz/corpus/fuzz_engine_picture/%s",
             name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    assert_true(n > 1 && n < sizeof bytes);
    return (sl_str){bytes + 1, n - 1}; /* the first byte is the fuzzer's */
}

typedef struct room {
    unsigned char bytes[1 << 16];
    sl_picture size;
    int asked;
    bool none;
} room;

static void *make(void *arg, const sl_picture *p)
{
    room *r = arg;
    r->asked++;
    r->size = *p;
    return r->none || p->height * p->width * p->channels > (int64_t)sizeof r->bytes ? NULL
                                                                                    : r->bytes;
}

static const sl_picture_how AS_IT_IS = {.ratio = 1, .fancy_upscaling = true, .bytes = 1};

enum { BLOCK = 128 }; /* of 64 coefficients */

static size_t needs; /* of the last JPEG */

static sl_code jpeg(sl_str file, const sl_picture_how *how, size_t may_take, room *r)
{
    return sl_jpeg_decode(file, how, may_take, make, r, &needs);
}

static sl_code png(sl_str file, const sl_picture_how *how, room *r)
{
    return sl_png_decode(file, how, make, r);
}

static void who_has_no_room_gets_no_picture(void **state)
{
    (void)state;
    static room r;
    r = (room){.none = true};
    assert_int_equal(jpeg(read_file("jpeg_colour"), &AS_IT_IS, 0, &r), SL_INVALID_ARGUMENT);
    assert_int_equal(r.asked, 1);
    assert_int_equal(png(read_file("png_RGB_8"), &AS_IT_IS, &r), SL_INVALID_ARGUMENT);
    assert_int_equal(r.asked, 2);
    assert_int_equal(r.size.width, 9);
    assert_int_equal(r.size.height, 7);
}

/* Where the height and width of a JPEG stand: behind its SOF marker. */
static unsigned char *frame_of(sl_str file)
{
    for (size_t i = 2; i + 9 < file.n; i++)
        if ((unsigned char)file.p[i] == 0xff &&
            ((unsigned char)file.p[i + 1] == 0xc0 || (unsigned char)file.p[i + 1] == 0xc2))
            return (unsigned char *)(uintptr_t)file.p + i + 5;
    fail();
    return NULL;
}

/* Half a kilobyte that says it were 13,000 by 13,000 pixels, of which all parts are kept until the
 * last scan. */
static void what_a_progressive_picture_takes_is_bounded(void **state)
{
    (void)state;
    static room r;
    sl_str file = read_file("jpeg_progressive");
    r = (room){0};
    assert_int_equal(jpeg(file, &AS_IT_IS, 1 << 20, &r), SL_OK);
    unsigned char *size = frame_of(file);
    size[0] = size[2] = 13000 >> 8; /* a little below TensorFlow's own bound, 2^29 samples */
    size[1] = size[3] = 13000 & 255;
    r = (room){0};
    assert_int_equal(jpeg(file, &AS_IT_IS, 16 << 20, &r), SL_RESOURCE_EXHAUSTED);
    assert_int_equal(r.asked, 0); /* it did not even begin */
    assert_int_equal(needs, 13000 * 13000 * 3 + (1626 * 1626 + 2 * 813 * 813) * BLOCK);
    memset(size, 255, 4); /* beyond that */
    assert_int_equal(jpeg(file, &AS_IT_IS, 0, &r), SL_INVALID_ARGUMENT);
    assert_int_equal(r.asked, 0);
    assert_int_equal(needs, 0);
}

/* The decoder would have room for all parts, and so would the picture, but not both. */
static void the_decoder_and_its_picture_share_what_they_may_take(void **state)
{
    (void)state;
    static room r;
    sl_picture_how how = AS_IT_IS;
    sl_str file = read_file("jpeg_progressive");
    unsigned char *size = frame_of(file);
    size[0] = size[2] = 1000 >> 8;
    size[1] = size[3] = 1000 & 255;
    r = (room){.none = true};
    assert_int_equal(jpeg(file, &how, 9000000, &r), SL_INVALID_ARGUMENT);
    assert_int_equal(r.asked, 1);
    assert_int_equal(r.size.height * r.size.width * r.size.channels, 3000000);
    for (how.bytes = 2; how.bytes <= 4; how.bytes++) {
        r = (room){.none = true};
        assert_int_equal(jpeg(file, &how, 9000000, &r), SL_RESOURCE_EXHAUSTED);
        assert_int_equal(r.asked, 0);
        assert_int_equal(needs, how.bytes * 3000000 + (126 * 126 + 2 * 63 * 63) * BLOCK);
    }
}

/* The same of the op, whose elements may be larger than the samples. */
static void what_the_op_takes_is_bounded_by_what_a_run_may(void **state)
{
    (void)state;
    static const char *const dtypes[] = {"\x30\x04", "\x30\x01"}; /* uint8, float */
    sl_str file = read_file("jpeg_progressive");
    unsigned char *size = frame_of(file);
    size[0] = size[2] = 1000 >> 8;
    size[1] = size[3] = 1000 & 255;
    for (int i = 0; i < 2; i++) {
        op_call c;
        sl_status st = {0};
        op_call_init(&c, sl_op_find(SL_STR("DecodeImage")), 1);
        op_call_attr(&c, SL_STR("dtype"), (sl_str){dtypes[i], 2});
        *(sl_str *)op_call_input(&c, SL_DT_STRING, NULL, 0)->data = file;
        c.arena.limit = 14000000; /* 3 for the decoder; 3, or 12 */
        assert_int_equal(op_call_run(&c, -1, &st), i == 0 ? SL_OK : SL_RESOURCE_EXHAUSTED);
        if (i > 0)
            assert_string_equal(st.msg,
                                "decoding this JPEG needs at least 15048192 bytes of memory: "
                                "13999984 of the 14000000 that a run may take are left");
        op_call_fini(&c);
    }
}

/* The result alone is too large, in which the decoder has no part. */
static void a_result_that_a_run_may_not_hold_is_told_with_its_size(void **state)
{
    (void)state;
    static const char *const names[] = {"jpeg_colour", "png_RGB_8"};
    static const char *const told[] = {
        "decoding this JPEG needs at least 1311 bytes of memory: 84 of the 100 that a run may take "
        "are left",
        "decoding this PNG needs at least 189 bytes of memory: 84 of the 100 that a run may take "
        "are left"};
    for (int i = 0; i < 2; i++) {
        op_call c;
        sl_status st = {0};
        op_call_init(&c, sl_op_find(SL_STR("DecodeImage")), 1);
        *(sl_str *)op_call_input(&c, SL_DT_STRING, NULL, 0)->data = read_file(names[i]);
        c.arena.limit = 100;
        assert_int_equal(op_call_run(&c, -1, &st), SL_RESOURCE_EXHAUSTED);
        assert_string_equal(st.msg, told[i]);
        op_call_fini(&c);
    }
}

static void a_picture_for_which_there_is_no_memory_is_not_called_damaged(void **state)
{
    (void)state;
    static room r;
    static const char *const names[] = {"jpeg_inks", "png_interlaced", "png_palette_with_alpha"};
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        sl_str file = read_file(names[k]);
        bool is_png = sl_picture_kind_of(file) == SL_PICTURE_PNG, done = false;
        for (int nth = 1; !done; nth++) {
            sl_fault_arm(SL_FAULT_ALLOC, nth);
            sl_code rc = is_png ? png(file, &AS_IT_IS, &r) : jpeg(file, &AS_IT_IS, 0, &r);
            done = sl_fault_count(SL_FAULT_ALLOC) < nth;
            sl_fault_arm(SL_FAULT_ALLOC, 0);
            assert_int_equal(rc, done ? SL_OK : SL_RESOURCE_EXHAUSTED);
            assert_int_equal(needs, 0);
            assert_true(nth < 100);
        }
    }
}

static sl_str with_scans(sl_str file, int times)
{
    static char out[1 << 20];
    size_t last = 0, end = file.n - 2;
    for (size_t i = 0; i + 1 < file.n; i++)
        if ((unsigned char)file.p[i] == 0xff && (unsigned char)file.p[i + 1] == 0xda)
            last = i;
    assert_true(last > 0 && end + (size_t)times * (end - last) < sizeof out);
    size_t n = end;
    memcpy(out, file.p, end);
    for (int i = 0; i < times; i++, n += end - last)
        memcpy(out + n, file.p + last, end - last);
    memcpy(out + n, file.p + end, 2);
    return (sl_str){out, n + 2};
}

static void a_picture_has_no_more_than_a_hundred_scans(void **state)
{
    (void)state;
    static room r;
    sl_str file = read_file("jpeg_progressive");
    r = (room){0};
    assert_int_equal(jpeg(with_scans(file, 20), &AS_IT_IS, 0, &r), SL_OK);
    assert_int_equal(jpeg(with_scans(file, 200), &AS_IT_IS, 0, &r), SL_INVALID_ARGUMENT);
}

static void a_file_that_ends_early_is_no_picture(void **state)
{
    (void)state;
    static room r;
    static const char *const names[] = {"jpeg_colour", "jpeg_progressive", "jpeg_inks",
                                        "png_interlaced", "png_palette_with_alpha"};
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        sl_str file = read_file(names[k]);
        bool is_png = sl_picture_kind_of(file) == SL_PICTURE_PNG;
        char *cut = NULL;
        for (size_t n = 0; n + 12 < file.n; n++) {
            cut = realloc(cut, n + 1); /* its very end is where a reader must not go beyond */
            assert_non_null(cut);
            memcpy(cut, file.p, n);
            sl_str short_one = {cut, n};
            assert_int_equal(is_png ? png(short_one, &AS_IT_IS, &r)
                                    : jpeg(short_one, &AS_IT_IS, 0, &r),
                             SL_INVALID_ARGUMENT);
        }
        free(cut);
    }
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_bytes_say_what_it_is),
#ifdef SLUICE_PICTURES
        cmocka_unit_test(who_has_no_room_gets_no_picture),
        cmocka_unit_test(what_a_progressive_picture_takes_is_bounded),
        cmocka_unit_test(the_decoder_and_its_picture_share_what_they_may_take),
        cmocka_unit_test(what_the_op_takes_is_bounded_by_what_a_run_may),
        cmocka_unit_test(a_result_that_a_run_may_not_hold_is_told_with_its_size),
        cmocka_unit_test(a_picture_for_which_there_is_no_memory_is_not_called_damaged),
        cmocka_unit_test(a_picture_has_no_more_than_a_hundred_scans),
        cmocka_unit_test(a_file_that_ends_early_is_no_picture),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
