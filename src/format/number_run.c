/*
 * number_run.c - runs of numbers, "1, 2.5, -3e4", straight into an array
 *
 * One token after the other (run_plain), each by number_read.c: where the next one begins is known
 * only when this one has been read, and where a digit is missing the processor has guessed wrong.
 *
 * Long runs on processors with AVX2 go another way (run_avx2). First the commas of the next KiB are
 * found, 64 bytes at a time. Then four tokens are read at once, one in each 64-bit lane: `word 0`
 * holds the last eight bytes of each, word 1 the eight before these, word 2 the eight before those.
 * The last digit is always in the same place, and what is in front of a token is masked to zero:
 *
 *                      word 1    word 0
 *     -12.3456         00000000  012.3456
 *     0.1234567890     00000.12  34567890
 *
 * Everything up to and including the point then moves up by one byte, which takes the point out,
 * and three multiplications turn the eight digits of each lane into a number. How many digits there
 * are and where the point stands decides nothing but masks: there is no branch to be guessed wrong.
 *
 * Plain tokens are [-]digits[.digits] of at most 24 bytes, behind "," or ", ". Where one of four is
 * anything else, wrong included, run_plain reads all four.
 */
#include <stdatomic.h>
#include <string.h>

#include "format/number.h"
#include "format/number_decimal.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define RUN_AVX2 1
#endif

static inline const char *skip_blank(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    return p;
}

/* Behind a number: true with *p at the next number if a comma follows, false with *p at what does.
 */
static inline bool next_in_run(const char **p, const char *end)
{
    const char *at = *p;
    if (end - at >= 2 && at[0] == ',') {
        at += at[1] == ' ' ? 2 : 1;
        *p = at < end && (unsigned char)*at > ' ' ? at : skip_blank(at, end);
        return true;
    }
    *p = at = skip_blank(at, end);
    if (at == end || *at != ',')
        return false;
    *p = skip_blank(at + 1, end);
    return true;
}

#define INLINE static inline __attribute__((always_inline))

/* Reads the token at p, whatever it looks like; NULL if it is none or does not fit the type. */
typedef const char *read_fn(const char *p, const char *end, void *out);

/* Goes on with a run of which n numbers have been read, until there are `room` of them. */
INLINE sl_run_end run_plain(read_fn *read, size_t size, const char *p, const char *end, char *out,
                            size_t n, size_t room)
{
    while (n < room) {
        const char *q = read(p, end, out + n * size);
        if (q == NULL)
            break;
        p = q;
        n++;
        if (!next_in_run(&p, end))
            return (sl_run_end){p, n, false};
    }
    return (sl_run_end){p, n, true};
}

#ifdef RUN_AVX2

#define AVX2 __attribute__((target("avx2,bmi")))

static atomic_bool plain_only;

void sl_run_plain_only(bool plain)
{
    atomic_store(&plain_only, plain);
}

static bool has_avx2(void)
{
    bool avx2 = __builtin_cpu_supports("avx2"), bmi = __builtin_cpu_supports("bmi");
    return avx2 & bmi & !atomic_load_explicit(&plain_only, memory_order_relaxed);
}

enum {
    CHUNK = 1024, /* bytes that are searched for commas at a time */
    BEHIND = 8    /* bytes behind them that can be read */
};

AVX2 INLINE __m256i load32(const char *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}
AVX2 INLINE __m128i load16(const char *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}
static inline long long load8(const char *p)
{
    long long x;
    memcpy(&x, p, sizeof x);
    return x;
}

AVX2 INLINE uint64_t equal64(__m256i low, __m256i high, char c)
{
    __m256i x = _mm256_set1_epi8(c);
    return (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(low, x)) |
           (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(high, x)) << 32;
}

/* Where the commas are behind p, counted from p, up to the first closing bracket, and no further
 * than CHUNK bytes. Returns how many; some behind them are written to in passing. */
AVX2 INLINE size_t find_commas(const char *p, const char *end, int32_t *at)
{
    size_t n = 0;
    for (int from = 0; from < CHUNK && end - p >= from + 64 + BEHIND; from += 64) {
        __m256i low = load32(p + from), high = load32(p + from + 32);
        uint64_t commas = equal64(low, high, ','), last = equal64(low, high, ']');
        if (last != 0)
            commas &= (last & -last) - 1;
        size_t count = (size_t)__builtin_popcountll(commas);
        for (size_t i = 0; i < count; i += 4) { /* four at a time: fewer wrong guesses */
            for (size_t j = i; j < i + 4; j++) {
                at[n + j] = from + (int32_t)_tzcnt_u64(commas);
                commas &= commas - 1;
                atomic_signal_fence(memory_order_seq_cst); /* or gcc collects four in a vector */
            }
        }
        n += count;
        if (last != 0)
            break;
    }
    return n;
}

/* ---- four tokens at once ---- */

/* Token i of the four is the bytes from at[i - 1] + gap to at[i], counted from base. */
typedef struct four {
    const char *base;
    const int32_t *at;
    int gap;        /* 1: ",", 2: ", " */
    __m256i minus;  /* all ones where the token has one */
    __m256i length; /* without the minus */
    __m256i bad;    /* not zero where the token is not plain */
    __m256i whole;  /* all ones where there is no point */
    __m256i behind; /* digits behind the point */
    __m128i word[3];
} four;

AVX2 INLINE __m256i each(long long x)
{
    return _mm256_set1_epi64x(x);
}

/* What is to be seen from the front: the separator, the minus, a leading zero. */
AVX2 INLINE void look_at_heads(four *f)
{
    const char *first = f->base + f->gap - 1;
    const int32_t *at = f->at - 1;
    __m256i x = _mm256_set_epi64x(load8(first + at[3]), load8(first + at[2]), load8(first + at[1]),
                                  load8(first + at[0]));
    __m256i separator = _mm256_xor_si256(x, each(f->gap == 2 ? ' ' : ','));
    x = _mm256_srli_epi64(x, 8);
    f->minus = _mm256_cmpeq_epi64(_mm256_and_si256(x, each(0xFF)), each('-'));
    x = _mm256_srlv_epi64(x, _mm256_and_si256(f->minus, each(8)));
    x = _mm256_sub_epi8(x, _mm256_set1_epi8('0'));
    __m256i digit = _mm256_cmpeq_epi8(_mm256_min_epu8(x, _mm256_set1_epi8(9)), x);
    __m256i zero = _mm256_cmpeq_epi8(x, _mm256_setzero_si256());
    __m256i leading = _mm256_and_si256(_mm256_slli_epi64(zero, 8), digit);
    f->bad = _mm256_or_si256(_mm256_and_si256(separator, each(0xFF)),
                             _mm256_or_si256(_mm256_andnot_si256(digit, each(0xFF)),
                                             _mm256_and_si256(leading, each(0xFF00))));
    __m256i stop = _mm256_cvtepi32_epi64(load16((const char *)f->at));
    __m256i start = _mm256_cvtepi32_epi64(load16((const char *)at));
    f->length =
        _mm256_sub_epi64(_mm256_sub_epi64(stop, start), _mm256_sub_epi64(each(f->gap), f->minus));
}

/* Bytes of the tokens, word by word. */
AVX2 INLINE void load_words(const four *f, int words, __m256i x[3])
{
    const char *p = f->base - 8 * (words + words / 3); /* three are loaded as four */
    const int32_t *at = f->at;
    if (words == 1) {
        x[0] = _mm256_set_epi64x(load8(p + at[3]), load8(p + at[2]), load8(p + at[1]),
                                 load8(p + at[0]));
    } else if (words == 2) {
        __m256i a = _mm256_set_m128i(load16(p + at[2]), load16(p + at[0]));
        __m256i b = _mm256_set_m128i(load16(p + at[3]), load16(p + at[1]));
        x[0] = _mm256_unpackhi_epi64(a, b);
        x[1] = _mm256_unpacklo_epi64(a, b);
    } else {
        __m256i a = load32(p + at[0]), b = load32(p + at[1]);
        __m256i c = load32(p + at[2]), d = load32(p + at[3]);
        __m256i ab = _mm256_unpackhi_epi64(a, b), cd = _mm256_unpackhi_epi64(c, d);
        x[0] = _mm256_permute2x128_si256(ab, cd, 0x31);
        x[2] = _mm256_permute2x128_si256(ab, cd, 0x20);
        ab = _mm256_unpacklo_epi64(a, b), cd = _mm256_unpacklo_epi64(c, d);
        x[1] = _mm256_permute2x128_si256(ab, cd, 0x31);
    }
}

/* Eight digit values in each lane of each word to the number that they make. */
AVX2 INLINE void combine(const __m256i x[3], int words, __m128i out[3])
{
    const __m256i by10 = _mm256_set1_epi16(10 | 1 << 8);
    const __m256i by100 = _mm256_set1_epi32(100 | 1 << 16);
    const __m256i by10000 = _mm256_set1_epi32(10000 | 1 << 16);
    __m256i y[3] = {0};
    for (int j = 0; j < words; j++)
        y[j] = _mm256_madd_epi16(_mm256_maddubs_epi16(x[j], by10), by100); /* four and four */
    __m256i low = _mm256_packus_epi32(y[0], words > 1 ? y[1] : y[0]);
    low = _mm256_permute4x64_epi64(_mm256_madd_epi16(low, by10000), 0xD8);
    out[0] = _mm256_castsi256_si128(low);
    if (words > 1)
        out[1] = _mm256_extracti128_si256(low, 1);
    if (words > 2) {
        __m256i high = _mm256_madd_epi16(_mm256_packus_epi32(y[2], y[2]), by10000);
        out[2] = _mm256_castsi256_si128(_mm256_permute4x64_epi64(high, 0xD8));
    }
}

/* The digits of tokens of at most 8 * words bytes. */
AVX2 INLINE void read_digits(four *f, int words)
{
    const __m256i none = _mm256_setzero_si256(), all = each(-1);
    __m256i x[3], above[3], points = none, ok = all, moved = none;
    load_words(f, words, x);
    f->whole = all;
    for (int j = 0; j < words; j++) {
        /* Nothing is kept of a word that is in front of the token. */
        __m256i outside = _mm256_sub_epi64(each(64 * (j + 1)), _mm256_slli_epi64(f->length, 3));
        __m256i keep = _mm256_sllv_epi64(all, _mm256_max_epi32(outside, none));
        x[j] = _mm256_and_si256(_mm256_sub_epi8(x[j], _mm256_set1_epi8('0')), keep);
        __m256i digit = _mm256_cmpeq_epi8(_mm256_min_epu8(x[j], _mm256_set1_epi8(9)), x[j]);
        __m256i point = _mm256_cmpeq_epi8(x[j], _mm256_set1_epi8('.' - '0'));
        ok = _mm256_and_si256(ok, _mm256_or_si256(digit, point));
        if (j == 0) /* a point at the end */
            f->bad = _mm256_or_si256(f->bad, _mm256_srli_epi64(point, 56));
        points = _mm256_sub_epi8(points, point);
        /* The bytes above the point in this word; all or none if it is in another one. */
        __m256i one = _mm256_and_si256(point, _mm256_set1_epi8(1));
        __m256i without = _mm256_cmpeq_epi64(point, none);
        above[j] = _mm256_sub_epi64(none, _mm256_slli_epi64(one, 8));
        above[j] = _mm256_and_si256(f->whole, _mm256_or_si256(above[j], without));
        f->whole = _mm256_and_si256(f->whole, without);
        moved = _mm256_sub_epi8(moved, above[j]);
    }
    f->bad = _mm256_or_si256(f->bad, _mm256_xor_si256(ok, all));
    f->bad = _mm256_or_si256(f->bad, _mm256_cmpgt_epi64(_mm256_sad_epu8(points, none), each(1)));
    f->behind = _mm256_andnot_si256(f->whole, _mm256_sad_epu8(moved, none));
    for (int j = 0; j < words; j++) {
        __m256i up = _mm256_slli_epi64(x[j], 8);
        if (j + 1 < words)
            up = _mm256_or_si256(up, _mm256_srli_epi64(x[j + 1], 56));
        x[j] = _mm256_blendv_epi8(up, x[j], above[j]);
    }
    combine(x, words, f->word);
}

/* The lanes as doubles: exact below 2^53, else off by less than two units. */
AVX2 INLINE __m256d digits_as_doubles(const four *f, int words)
{
    const __m256d e8 = _mm256_set1_pd(1e8);
    __m256d v = _mm256_cvtepi32_pd(f->word[words - 1]);
    for (int j = words - 2; j >= 0; j--)
        v = _mm256_add_pd(_mm256_mul_pd(v, e8), _mm256_cvtepi32_pd(f->word[j]));
    return v;
}

/* 10^(sign * behind) */
AVX2 INLINE __m256d powers(const four *f, int sign)
{
    return _mm256_set_pd(sl_pow10(sign * (int)_mm256_extract_epi64(f->behind, 3)),
                         sl_pow10(sign * (int)_mm256_extract_epi64(f->behind, 2)),
                         sl_pow10(sign * (int)_mm256_extract_epi64(f->behind, 1)),
                         sl_pow10(sign * (int)_mm256_extract_epi64(f->behind, 0)));
}

/* With the sign; a zero with a minus may be an integer, which has none. */
AVX2 INLINE __m256d with_sign(four *f, __m256d v)
{
    __m256i zero = _mm256_castpd_si256(_mm256_cmp_pd(v, _mm256_setzero_pd(), _CMP_EQ_OQ));
    f->bad = _mm256_or_si256(f->bad, _mm256_and_si256(zero, f->minus));
    return _mm256_xor_pd(v, _mm256_castsi256_pd(_mm256_slli_epi64(f->minus, 63)));
}

/* Finishes four tokens of at most 8 * words bytes; false if not all can be had this way. */
typedef bool four_fn(four *f, int words, void *out);

AVX2 INLINE bool four_floats(four *f, int words, void *out)
{
    read_digits(f, words);
    __m256d v = with_sign(f, _mm256_mul_pd(digits_as_doubles(f, words), powers(f, -1)));
    /* As in sl_decimal_to_float: within 16 units of a tie? None is below float's normal range. */
    __m256i dropped = _mm256_and_si256(_mm256_castpd_si256(v), each(0x1FFFFFFF));
    __m256i off = _mm256_sub_epi64(dropped, each(0x10000000 - 16));
    __m256i near = _mm256_cmpeq_epi64(_mm256_and_si256(off, each(-32)), _mm256_setzero_si256());
    _mm_storeu_ps(out, _mm256_cvtpd_ps(v));
    __m256i bad = _mm256_or_si256(f->bad, near);
    return _mm256_testz_si256(bad, bad);
}

AVX2 INLINE bool four_doubles(four *f, int words, void *out)
{
    if (words > 2)
        return false;
    read_digits(f, words);
    __m256d v = digits_as_doubles(f, words), most = _mm256_set1_pd(0x1p53);
    __m256i inexact = _mm256_castpd_si256(_mm256_cmp_pd(v, most, _CMP_GE_OQ));
    v = with_sign(f, _mm256_div_pd(v, powers(f, 1)));
    _mm256_storeu_pd(out, v);
    __m256i bad = _mm256_or_si256(f->bad, inexact);
    return _mm256_testz_si256(bad, bad);
}

/* Four integers from `least` to `most`. */
AVX2 INLINE bool four_integers(four *f, int words, int64_t least, int64_t most, int64_t out[4])
{
    if (words > 2) {
        memset(out, 0, 4 * sizeof *out);
        return false;
    }
    read_digits(f, words);
    __m256i v = _mm256_cvtepu32_epi64(f->word[0]);
    if (words == 2)
        v = _mm256_add_epi64(v,
                             _mm256_mul_epu32(_mm256_cvtepu32_epi64(f->word[1]), each(100000000)));
    v = _mm256_sub_epi64(_mm256_xor_si256(v, f->minus), f->minus);
    __m256i outside =
        _mm256_or_si256(_mm256_cmpgt_epi64(v, each(most)), _mm256_cmpgt_epi64(each(least), v));
    _mm256_storeu_si256((__m256i *)(void *)out, v);
    __m256i bad =
        _mm256_or_si256(_mm256_or_si256(f->bad, outside), _mm256_xor_si256(f->whole, each(-1)));
    return _mm256_testz_si256(bad, bad);
}

/* Four tokens; false if they have to be read one by one. */
AVX2 INLINE bool take_four(four_fn *finish, four *f, void *out)
{
    look_at_heads(f);
    __m256i more = _mm256_sub_epi64(f->length, each(1));
    if (_mm256_testz_si256(more, each(~7)))
        return finish(f, 1, out);
    if (_mm256_testz_si256(more, each(~15)))
        return finish(f, 2, out);
    __m256i out_of_range = _mm256_or_si256(more, _mm256_cmpgt_epi64(f->length, each(24)));
    if (!_mm256_testz_si256(out_of_range, each(~31)))
        return false;
    return finish(f, 3, out);
}

/* As run_plain; 40 bytes in front of p can be read. */
AVX2 INLINE sl_run_end run_avx2(read_fn *read, four_fn *finish, size_t size, const char *p,
                                const char *end, char *out, size_t n, size_t room)
{
    int32_t at[1 + CHUNK + 8];
    while (n < room) {
        const char *base = p;
        size_t count = find_commas(p, end, at + 1), i = 0;
        // NOLINTNEXTLINE(clang-analyzer-core.*): find_commas writes them as vectors
        int gap = count > 0 && base[at[1] + 1] == ' ' ? 2 : 1;
        four f = {.base = base, .gap = gap};
        at[0] = -gap;
        for (; i + 4 <= count && room - n >= 4; i += 4, n += 4) {
            f.at = at + 1 + i;
            if (!take_four(finish, &f, out + n * size)) {
                p = i == 0 ? base : skip_blank(base + at[i] + 1, end);
                sl_run_end r = run_plain(read, size, p, end, out, n, n + 4);
                if (r.n < n + 4 || !r.wants)
                    return r;
            }
        }
        if (i > 0) {
            p = skip_blank(base + at[i] + 1, end);
            continue;
        }
        /* The run's last ones, or very long ones, or the text's last bytes. */
        size_t more = room - n < 4 ? room : n + 4;
        sl_run_end r = run_plain(read, size, p, end, out, n, more);
        if (r.n < more || !r.wants)
            return r;
        p = r.at;
        n = r.n;
    }
    return (sl_run_end){p, n, true};
}

#endif

/* ---- the types ---- */

static const char *read_floats(const char *p, const char *end, void *out)
{
    return sl_number_read_float(p, end, out);
}

static const char *read_doubles(const char *p, const char *end, void *out)
{
    sl_number v;
    const char *error, *where, *q = sl_number_read(p, end, &v, &error, &where);
    if (q != NULL)
        memcpy(out, &v.d, sizeof v.d);
    return q;
}

static const char *read_uint64s(const char *p, const char *end, void *out)
{
    sl_number v;
    const char *error, *where, *q = sl_number_read(p, end, &v, &error, &where);
    if (q == NULL || v.kind == SL_NUMBER_DOUBLE || (v.kind == SL_NUMBER_INT && v.i < 0))
        return NULL;
    memcpy(out, &v.u, sizeof v.u);
    return q;
}

/* X(name, type, least, greatest) */
#define INTEGERS(X)                          \
    X(int8s, int8_t, INT8_MIN, INT8_MAX)     \
    X(uint8s, uint8_t, 0, UINT8_MAX)         \
    X(int16s, int16_t, INT16_MIN, INT16_MAX) \
    X(int32s, int32_t, INT32_MIN, INT32_MAX) \
    X(uint32s, uint32_t, 0, UINT32_MAX)      \
    X(int64s, int64_t, INT64_MIN, INT64_MAX)

#define X(name, type, least, greatest)                                                 \
    static const char *read_##name(const char *p, const char *end, void *out)          \
    {                                                                                  \
        sl_number v;                                                                   \
        const char *error, *where, *q = sl_number_read(p, end, &v, &error, &where);    \
        if (q == NULL || v.kind != SL_NUMBER_INT || v.i < (least) || v.i > (greatest)) \
            return NULL;                                                               \
        type value = (type)v.i;                                                        \
        memcpy(out, &value, sizeof value);                                             \
        return q;                                                                      \
    }
INTEGERS(X)
#undef X

#ifdef RUN_AVX2
#define X(name, type, least, greatest)                                \
    AVX2 INLINE bool four_##name(four *f, int words, void *out)       \
    {                                                                 \
        int64_t v[4];                                                 \
        bool ok = four_integers(f, words, (least), (greatest), v);    \
        type w[4] = {(type)v[0], (type)v[1], (type)v[2], (type)v[3]}; \
        memcpy(out, w, sizeof w);                                     \
        return ok;                                                    \
    }
INTEGERS(X)
X(uint64s, uint64_t, 0, INT64_MAX)
#undef X
#endif

/* A run this short is not worth the search for commas. */
enum { SHORT_RUN = 16, BEFORE = 40 };

#ifdef RUN_AVX2
#define X(name, type)                                                                        \
    AVX2 static __attribute__((noinline))                                                    \
    sl_run_end avx2_##name(const char *p, const char *end, char *out, size_t n, size_t room) \
    {                                                                                        \
        return run_avx2(read_##name, four_##name, sizeof(type), p, end, out, n, room);       \
    }                                                                                        \
    sl_run_end sl_run_##name(const char *p, const char *end, type *out, size_t room)         \
    {                                                                                        \
        size_t few = room < SHORT_RUN ? room : SHORT_RUN;                                    \
        sl_run_end r = run_plain(read_##name, sizeof(type), p, end, (char *)out, 0, few);    \
        if (r.n < few || !r.wants || few == room)                                            \
            return r;                                                                        \
        if (r.at - p >= BEFORE && has_avx2())                                                \
            return avx2_##name(r.at, end, (char *)out, r.n, room);                           \
        return run_plain(read_##name, sizeof(type), r.at, end, (char *)out, r.n, room);      \
    }
#else
void sl_run_plain_only(bool plain)
{
    (void)plain;
}
#define X(name, type)                                                                \
    sl_run_end sl_run_##name(const char *p, const char *end, type *out, size_t room) \
    {                                                                                \
        return run_plain(read_##name, sizeof(type), p, end, (char *)out, 0, room);   \
    }
#endif
X(floats, float)
X(doubles, double)
X(int8s, int8_t)
X(uint8s, uint8_t)
X(int16s, int16_t)
X(int32s, int32_t)
X(uint32s, uint32_t)
X(int64s, int64_t)
X(uint64s, uint64_t)
#undef X
