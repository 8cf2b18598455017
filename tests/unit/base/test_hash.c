/*
 * test_hash.c - how sl_hash spreads the short keys that tables have, under many seeds
 *
 * Seeds and keys are always the same, so what is measured is, too: a bound that holds holds for
 * ever. Tables look at the low bits, after some of them chose a shard at those behind; splits at
 * all.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"

enum { SEEDS = 48, BUCKETS = 1024, KEYS = 8 * BUCKETS };

/* Arbitrary ones (splitmix64), and such as have few bits set, or few not. */
static uint64_t seed_at(int i)
{
    uint64_t x = (uint64_t)(i + 1) * 0x9E3779B97F4A7C15u;
    if (i < 8)
        return (uint64_t)1 << (i * 9) | 1;
    if (i < 12)
        return ~((uint64_t)1 << (i * 5));
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return (x ^ (x >> 31)) | 1;
}

typedef size_t maker(int i, char *key);

static size_t model_names(int i, char *key)
{
    return (size_t)sprintf(key, "model_%d", i);
}

static size_t numbers(int i, char *key)
{
    return (size_t)sprintf(key, "%d", i);
}

static size_t words_of_three_letters(int i, char *key)
{
    for (int k = 0; k < 3; k++, i /= 26)
        key[k] = (char)('a' + i % 26);
    return 3;
}

static size_t addresses(int i, char *key)
{
    return (size_t)sprintf(key, "10.0.%d.%d", i >> 8, i & 255);
}

static size_t counters(int i, char *key) /* what splits and the access log hash */
{
    uint64_t n = (uint64_t)i;
    memcpy(key, &n, sizeof n);
    return sizeof n;
}

static size_t counters_in_their_high_half(int i, char *key)
{
    uint64_t n = (uint64_t)i << 48;
    memcpy(key, &n, sizeof n);
    return sizeof n;
}

static size_t zeros(int i, char *key)
{
    memset(key, 0, (size_t)i % 64 + 1);
    key[(size_t)i % 64] = (char)(i / 64);
    return (size_t)i % 64 + 1;
}

/* How far the counts are from what chance would give, in standard deviations of chi squared. */
static double deviation(const int *counts)
{
    double expected = (double)KEYS / BUCKETS, sum = 0;
    for (int i = 0; i < BUCKETS; i++)
        sum += ((double)counts[i] - expected) * ((double)counts[i] - expected) / expected;
    return (sum - (BUCKETS - 1)) / sqrt(2.0 * (BUCKETS - 1));
}

static void assert_spreads(const char *name, maker *make, uint64_t seed, int shift)
{
    static int counts[BUCKETS];
    char key[80];
    int fullest = 0;
    memset(counts, 0, sizeof counts);
    for (int i = 0; i < KEYS; i++) {
        size_t n = make(i, key);
        int c = ++counts[sl_hash_seeded(seed, key, n) >> shift & (BUCKETS - 1)];
        fullest = SL_MAX(fullest, c);
    }
    double d = deviation(counts);
    if (d > 5 || fullest > 30)
        fail_msg("%s, seed %016llx, bits from %d: %.1f deviations, %d in the fullest of %d", name,
                 (unsigned long long)seed, shift, d, fullest, BUCKETS);
}

static void short_keys_spread_over_any_ten_bits(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        maker *make;
    } kinds[] = {{"model names", model_names},
                 {"numbers", numbers},
                 {"words", words_of_three_letters},
                 {"addresses", addresses},
                 {"counters", counters},
                 {"high counters", counters_in_their_high_half},
                 {"zeros", zeros}};
    for (size_t k = 0; k < SL_COUNTOF(kinds); k++)
        for (int i = 0; i < SEEDS; i++)
            for (int shift = 0; shift <= 54; shift += 6)
                assert_spreads(kinds[k].name, kinds[k].make, seed_at(i), shift);
}

static void one_bit_of_a_key_changes_half_of_the_bits(void **state)
{
    (void)state;
    unsigned char key[24] = {0};
    for (size_t n = 1; n <= sizeof key; n++)
        for (size_t bit = 0; bit < 8 * n; bit += 3) {
            int changed[64] = {0};
            for (int i = 0; i < 512; i++) {
                uint64_t seed = seed_at(12 + i % 36), was, is;
                memcpy(key, &(uint64_t){(uint64_t)i * 0x0101}, SL_MIN(n, sizeof(uint64_t)));
                was = sl_hash_seeded(seed, key, n);
                key[bit / 8] ^= (unsigned char)(1 << bit % 8);
                is = sl_hash_seeded(seed, key, n);
                key[bit / 8] ^= (unsigned char)(1 << bit % 8);
                for (int b = 0; b < 64; b++)
                    changed[b] += (int)((was ^ is) >> b & 1);
            }
            for (int b = 0; b < 64; b++)
                if (changed[b] < 128 || changed[b] > 384) /* of 512 */
                    fail_msg("bit %zu of a key of %zu bytes changes bit %d %d times of 512", bit, n,
                             b, changed[b]);
        }
}

static void other_seeds_give_other_places(void **state)
{
    (void)state;
    char key[80];
    int same = 0;
    for (int i = 0; i < 1024; i++) {
        size_t n = model_names(i, key);
        same += ((sl_hash_seeded(seed_at(20), key, n) ^ sl_hash_seeded(seed_at(21), key, n)) &
                 (BUCKETS - 1)) == 0;
    }
    assert_in_range(same, 0, 8); /* by chance: 1 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_keys_spread_over_any_ten_bits),
        cmocka_unit_test(one_bit_of_a_key_changes_half_of_the_bits),
        cmocka_unit_test(other_seeds_give_other_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
