/*
 * gemm.c - small and medium matrix products
 *
 * C is cut into tiles of MR rows and NR columns (two vectors); a tile's sums stay in registers
 * while one walks along k: each step loads two vectors of B and MR numbers of A. B is packed into
 * panels of NR columns when it is read often enough, when it is transposed, and at the right edge.
 *
 * Special shapes that small models have: one row (a batch of 1) streams B once; one column, or B
 * transposed with few rows of A, is dot products; a handful of multiplications is a plain loop.
 */
#include "engine/native/kernels/gemm.h"

#include <stdbool.h>

enum { KC = 256 };

#define PASTE_(a, b) a##b
#define PASTE(a, b) PASTE_(a, b)

#define INSTANCE_HEADER "engine/native/kernels/gemm_template.h"

/* Plain vectors: what every machine of the architecture has. */
#define TARGET
#define VB 16
#define MR 4
#define T float
#define NAME(x) PASTE(s_plain_, x)
#include INSTANCE_HEADER
#undef T
#undef NAME
#define T double
#define NAME(x) PASTE(d_plain_, x)
#include INSTANCE_HEADER
#undef T
#undef NAME
#undef TARGET
#undef VB
#undef MR

#if defined(__x86_64__)
#define TARGET __attribute__((target("avx2,fma"), optimize("O3")))
#define VB 32
#define MR 6
#define T float
#define NAME(x) PASTE(s_avx2_, x)
#include INSTANCE_HEADER
#undef T
#undef NAME
#define T double
#define NAME(x) PASTE(d_avx2_, x)
#include INSTANCE_HEADER
#undef T
#undef NAME
#undef TARGET
#undef VB
#undef MR

#define TARGET                                                                               \
    __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,fma,prefer-vector-width=512"), \
                   optimize("O3")))
#define VB 64
#define MR 12
#define T float
#define NAME(x) PASTE(s_avx512_, x)
#include INSTANCE_HEADER
#undef T
#undef NAME
#define T double
#define NAME(x) PASTE(d_avx512_, x)
#include INSTANCE_HEADER
#undef T
#undef NAME
#undef TARGET
#undef VB
#undef MR
#endif

enum { PLAIN, AVX2, AVX512 };

static int level(void)
{
    static int found = -1; /* the same answer whoever finds it first */
    int l = __atomic_load_n(&found, __ATOMIC_RELAXED);
    if (l >= 0)
        return l;
    l = PLAIN;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        l = AVX2;
    if (l == AVX2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw"))
        l = AVX512;
#endif
    __atomic_store_n(&found, l, __ATOMIC_RELAXED);
    return l;
}

size_t sl_kernel_gemm_scratch(const sl_gemm *g, size_t element)
{
    (void)g;
    (void)element;
    return (size_t)KC * 2 * 64; /* a panel of two of the widest vectors */
}

#if defined(__x86_64__)
#define CALL(l, p, kernel, ...)                      \
    ((l) == AVX512 ? p##avx512_##kernel(__VA_ARGS__) \
     : (l) == AVX2 ? p##avx2_##kernel(__VA_ARGS__)   \
                   : p##plain_##kernel(__VA_ARGS__))
#else
#define CALL(l, p, kernel, ...) ((void)(l), p##plain_##kernel(__VA_ARGS__))
#endif

/* A few multiplications: calling anything would cost more. */
enum { TINY = 64 };

#define GEMM(name, T, p)                                                                  \
    static void name##_tiny(const sl_gemm *g, const T *a, const T *b, T *c)               \
    {                                                                                     \
        for (int64_t i = 0; i < g->m; i++)                                                \
            for (int64_t j = 0; j < g->n; j++) {                                          \
                T s = 0;                                                                  \
                for (int64_t q = 0; q < g->k; q++)                                        \
                    s += a[i * g->a_row + q * g->a_col] * b[q * g->b_row + j * g->b_col]; \
                c[i * g->c_row + j] = s;                                                  \
            }                                                                             \
    }                                                                                     \
                                                                                          \
    void name(const sl_gemm *g, const T *a, const T *b, T *c, void *scratch)              \
    {                                                                                     \
        bool b_columns = g->b_row == 1 || g->k == 1; /* a column of B is adjacent */      \
        if (g->k == 0 || (g->m <= TINY && g->n <= TINY && g->m * g->n * g->k <= TINY)) {  \
            name##_tiny(g, a, b, c);                                                      \
            return;                                                                       \
        }                                                                                 \
        int l = level();                                                                  \
        if (b_columns && (g->a_col == 1 || g->k == 1) && (g->n == 1 || g->m <= 2)) {      \
            for (int64_t i = 0; i < g->m; i++)                                            \
                for (int64_t j = 0; j < g->n; j++)                                        \
                    c[i * g->c_row + j] =                                                 \
                        CALL(l, p, dot, g->k, a + i * g->a_row, b + j * g->b_col);        \
        } else if (g->m == 1 && g->b_col == 1) {                                          \
            CALL(l, p, row, g->n, g->k, a, g->a_col, b, g->b_row, c);                     \
        } else {                                                                          \
            CALL(l, p, gemm, g, a, b, c, scratch);                                        \
        }                                                                                 \
    }

GEMM(sl_kernel_sgemm, float, s_)
GEMM(sl_kernel_dgemm, double, d_)
