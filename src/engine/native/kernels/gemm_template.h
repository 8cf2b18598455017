/*
 * gemm_template.h - the matrix product for one element type and one instruction set
 *
 * Included by gemm.c with T (element), VB (bytes of a vector), MR (rows of a tile), TARGET
 * (function attribute) and NAME(x) defined. See gemm.c for the idea.
 */
typedef T NAME(vec) __attribute__((vector_size(VB)));
typedef T NAME(uvec) __attribute__((vector_size(VB), aligned(sizeof(T)), may_alias));

enum { NAME(LANES) = VB / sizeof(T), NAME(NR) = 2 * (VB / sizeof(T)) };

/* One tile of `rows` x NR: B is a panel whose rows lie `ldb` apart, C is written whole. */
#define TILE(rows)                                                                              \
    TARGET static void NAME(tile##rows)(int64_t k, const T *a, int64_t a_row, int64_t a_col,    \
                                        const T *b, int64_t ldb, T *c, int64_t c_row, int add)  \
    {                                                                                           \
        NAME(vec) s0[rows], s1[rows];                                                           \
        _Pragma("GCC unroll 16") for (int i = 0; i < rows; i++) s0[i] = s1[i] = (NAME(vec)){0}; \
        for (int64_t p = 0; p < k; p++, b += ldb, a += a_col) {                                 \
            NAME(vec) b0 = *(const NAME(uvec) *)b;                                              \
            NAME(vec) b1 = *(const NAME(uvec) *)(b + NAME(LANES));                              \
            _Pragma("GCC unroll 16") for (int i = 0; i < rows; i++)                             \
            {                                                                                   \
                T x = a[i * a_row];                                                             \
                s0[i] += x * b0;                                                                \
                s1[i] += x * b1;                                                                \
            }                                                                                   \
        }                                                                                       \
        _Pragma("GCC unroll 16") for (int i = 0; i < rows; i++)                                 \
        {                                                                                       \
            NAME(uvec) *to = (NAME(uvec) *)(c + i * c_row);                                     \
            NAME(uvec) *to1 = (NAME(uvec) *)(c + i * c_row + NAME(LANES));                      \
            if (add) {                                                                          \
                s0[i] += *to;                                                                   \
                s1[i] += *to1;                                                                  \
            }                                                                                   \
            *to = s0[i];                                                                        \
            *to1 = s1[i];                                                                       \
        }                                                                                       \
    }
TILE(1)
TILE(2)
TILE(3)
TILE(4)
#if MR > 4
TILE(5)
TILE(6)
#endif
#if MR > 6
TILE(7)
TILE(8)
TILE(9)
TILE(10)
TILE(11)
TILE(12)
#endif
#undef TILE

typedef void (*NAME(tile_fn))(int64_t, const T *, int64_t, int64_t, const T *, int64_t, T *,
                              int64_t, int);
static const NAME(tile_fn) NAME(tiles)[] = {
    NULL,        NAME(tile1), NAME(tile2), NAME(tile3),  NAME(tile4),
#if MR > 4
    NAME(tile5), NAME(tile6),
#endif
#if MR > 6
    NAME(tile7), NAME(tile8), NAME(tile9), NAME(tile10), NAME(tile11), NAME(tile12),
#endif
};

/* Copies a k x width piece of B into rows of NR, the missing columns 0. */
TARGET static void NAME(pack)(int64_t k, int64_t width, const T *b, int64_t b_row, int64_t b_col,
                              T *to)
{
    for (int64_t p = 0; p < k; p++, to += NAME(NR)) {
        for (int64_t j = 0; j < width; j++)
            to[j] = b[p * b_row + j * b_col];
        for (int64_t j = width; j < NAME(NR); j++)
            to[j] = 0;
    }
}

/* All rows of C against one panel. `width` < NR: through a buffer, so that nothing is written
 * beyond. */
TARGET static void NAME(panel)(const sl_gemm *g, int64_t k, const T *a, const T *b, int64_t ldb,
                               T *c, int64_t width, int add)
{
    T edge[MR * NAME(NR)] __attribute__((aligned(64)));
    for (int64_t i = 0; i < g->m; i += MR) {
        int64_t rows = g->m - i < MR ? g->m - i : MR;
        const T *from = a + i * g->a_row;
        T *to = c + i * g->c_row;
        if (width == NAME(NR)) {
            NAME(tiles)[rows](k, from, g->a_row, g->a_col, b, ldb, to, g->c_row, add);
            continue;
        }
        NAME(tiles)[rows](k, from, g->a_row, g->a_col, b, ldb, edge, NAME(NR), 0);
        for (int64_t r = 0; r < rows; r++)
            for (int64_t j = 0; j < width; j++)
                to[r * g->c_row + j] = (add ? to[r * g->c_row + j] : 0) + edge[r * NAME(NR) + j];
    }
}

/* General product. K in pieces of KC, so that a packed panel stays in the first cache. */
TARGET static void NAME(gemm)(const sl_gemm *g, const T *a, const T *b, T *c, T *scratch)
{
    for (int64_t k0 = 0; k0 < g->k; k0 += KC) {
        int64_t k = g->k - k0 < KC ? g->k - k0 : KC;
        for (int64_t j = 0; j < g->n; j += NAME(NR)) {
            int64_t width = g->n - j < NAME(NR) ? g->n - j : NAME(NR);
            const T *from = b + k0 * g->b_row + j * g->b_col;
            int64_t ldb = g->b_row;
            /* Reading B where it lies is as good while it is read only a few times. */
            if (g->b_col != 1 || width < NAME(NR) || g->m > 2 * MR) {
                NAME(pack)(k, width, from, g->b_row, g->b_col, scratch);
                from = scratch;
                ldb = NAME(NR);
            }
            NAME(panel)(g, k, a + k0 * g->a_col, from, ldb, c + j, width, k0 > 0);
        }
    }
}

/* One row of A, B row-major: streams B once, four of its rows at a time. */
TARGET static void NAME(row)(int64_t n, int64_t k, const T *a, int64_t a_col, const T *b,
                             int64_t b_row, T *restrict c)
{
    int64_t p = 0;
    if (k >= 4) {
        T x0 = a[0], x1 = a[a_col], x2 = a[2 * a_col], x3 = a[3 * a_col];
        for (int64_t j = 0; j < n; j++)
            c[j] = x0 * b[j] + x1 * b[b_row + j] + x2 * b[2 * b_row + j] + x3 * b[3 * b_row + j];
        p = 4;
    } else {
        for (int64_t j = 0; j < n; j++)
            c[j] = 0;
    }
    for (; p + 4 <= k; p += 4) {
        const T *r = b + p * b_row, *ap = a + p * a_col;
        T x0 = ap[0], x1 = ap[a_col], x2 = ap[2 * a_col], x3 = ap[3 * a_col];
        for (int64_t j = 0; j < n; j++)
            c[j] += x0 * r[j] + x1 * r[b_row + j] + x2 * r[2 * b_row + j] + x3 * r[3 * b_row + j];
    }
    for (; p < k; p++)
        for (int64_t j = 0; j < n; j++)
            c[j] += a[p * a_col] * b[p * b_row + j];
}

/* A dot product of adjacent numbers. */
TARGET static T NAME(dot)(int64_t k, const T *a, const T *b)
{
    NAME(vec) s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
    int64_t p = 0;
    for (; p + 4 * NAME(LANES) <= k; p += 4 * NAME(LANES)) {
        s0 += *(const NAME(uvec) *)(a + p) * *(const NAME(uvec) *)(b + p);
        s1 +=
            *(const NAME(uvec) *)(a + p + NAME(LANES)) * *(const NAME(uvec) *)(b + p + NAME(LANES));
        s2 += *(const NAME(uvec) *)(a + p + 2 * NAME(LANES)) *
              *(const NAME(uvec) *)(b + p + 2 * NAME(LANES));
        s3 += *(const NAME(uvec) *)(a + p + 3 * NAME(LANES)) *
              *(const NAME(uvec) *)(b + p + 3 * NAME(LANES));
    }
    for (; p + NAME(LANES) <= k; p += NAME(LANES))
        s0 += *(const NAME(uvec) *)(a + p) * *(const NAME(uvec) *)(b + p);
    s0 += s1;
    s2 += s3;
    s0 += s2;
    T sum = 0;
    for (int i = 0; i < (int)NAME(LANES); i++)
        sum += s0[i];
    for (; p < k; p++)
        sum += a[p] * b[p];
    return sum;
}
