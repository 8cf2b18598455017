/*
 * metrics.c - cells in hash tables that only grow
 *
 * A metric's cells stand in an open-addressing table of atomic pointers. Readers walk it without a
 * lock; a writer (who holds the metric's lock) fills a free slot, or publishes a larger table. Old
 * tables stay where they are, since a reader may be in one: each is half as large as the next, so
 * they cost less than the table itself.
 *
 * Numbers are relaxed atomics. The first cells of a metric, which are the hot ones (a stranger's
 * unknown model names come later), have several stripes, and a thread adds to its own. A histogram
 * keeps its sum as an integer of 1/1024, so that adding is one instruction and never a loop.
 *
 * Each cell is read on its own: the page is not one consistent snapshot, like the original's.
 */
#include "metrics/metrics.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cpu.h"
#include "base/mem.h"

enum {
    MAX_LABELS = 8,
    MAX_CELLS = 1000,    /* of one metric; further combinations are counted together */
    LONGEST_VALUE = 256, /* of a label, in bytes; a longer one is counted with those */
    FIRST_SLOTS = 8,
    STRIPED_CELLS = 16, /* of one metric */
    MAX_STRIPES = 8,
    LINE = 64,
    SUM_UNIT = 1024
};

struct sl_cell {
    uint64_t hash;
    const sl_metric *metric;
    unsigned stripe_mask;
    size_t stride;         /* numbers in one stripe: a whole number of cache lines */
    atomic_llong *numbers; /* counter, gauge: one; histogram: buckets, then the sum */
    sl_str values[];       /* one for each label */
};

typedef struct table {
    struct table *older;
    size_t mask;
    _Atomic(sl_cell *) slots[];
} table;

struct sl_metric {
    sl_metric *next;
    const char *name;
    sl_metric_kind kind;
    const char *const *labels;
    int n_labels;
    const double *limits;
    int n_limits;
    _Atomic(table *) table;
    pthread_mutex_t lock; /* guards changes of table, count and other */
    int count;
    sl_cell *other;
};

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static sl_metric *registry; /* ordered by name */

static table *new_table(size_t slots, table *older)
{
    table *t = sl_calloc(1, sizeof *t + slots * sizeof t->slots[0]);
    t->mask = slots - 1;
    t->older = older;
    return t;
}

static sl_metric *new_metric(const char *name, sl_metric_kind kind, const char *const *labels,
                             const double *limits, int n_limits)
{
    sl_metric *m = sl_calloc(1, sizeof *m);
    m->name = name;
    m->kind = kind;
    m->labels = labels;
    while (labels != NULL && m->n_labels < MAX_LABELS && labels[m->n_labels] != NULL)
        m->n_labels++;
    m->limits = limits;
    m->n_limits = kind == SL_HISTOGRAM ? n_limits : 0;
    pthread_mutex_init(&m->lock, NULL);
    atomic_store(&m->table, new_table(FIRST_SLOTS, NULL));
    return m;
}

sl_metric *sl_metric_register(const char *name, sl_metric_kind kind, const char *const *labels,
                              const double *limits, int n_limits)
{
    pthread_mutex_lock(&registry_lock);
    sl_metric **at = &registry;
    while (*at != NULL && strcmp((*at)->name, name) < 0)
        at = &(*at)->next;
    if (*at == NULL || strcmp((*at)->name, name) != 0) {
        sl_metric *m = new_metric(name, kind, labels, limits, n_limits);
        m->next = *at;
        *at = m;
    }
    sl_metric *m = *at;
    pthread_mutex_unlock(&registry_lock);
    return m;
}

const double *sl_metric_exponential(double first, double factor, int count)
{
    /* Asked for again and again with the same numbers: kept, so that it does not grow. */
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static struct kept {
        struct kept *next;
        double first, factor;
        int count;
        double limits[];
    } * all;
    pthread_mutex_lock(&lock);
    struct kept *k = all;
    while (k != NULL && (k->first != first || k->factor != factor || k->count != count))
        k = k->next;
    if (k == NULL) {
        k = sl_malloc(sizeof *k + (size_t)count * sizeof k->limits[0]);
        *k = (struct kept){all, first, factor, count};
        for (int i = 0; i < count; i++, first *= factor)
            k->limits[i] = first;
        all = k;
    }
    pthread_mutex_unlock(&lock);
    return k->limits;
}

/* ---- cells ---- */

static unsigned stripe_count(void)
{
    static atomic_uint cached;
    unsigned n = atomic_load_explicit(&cached, memory_order_relaxed);
    if (n == 0) {
        unsigned cpus = (unsigned)sl_cpu_count();
        for (n = 1; n < cpus && n < MAX_STRIPES;)
            n *= 2;
        atomic_store_explicit(&cached, n, memory_order_relaxed);
    }
    return n;
}

static unsigned own_stripe(void)
{
    static atomic_uint threads;
    static _Thread_local unsigned mine; /* 0: not yet given */
    if (mine == 0)
        mine = atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed) + 1;
    return mine;
}

static uint64_t hash_values(const sl_str *values, int n)
{
    uint64_t h = 0;
    for (int i = 0; i < n; i++)
        h = (h ^ sl_hash(values[i].p, values[i].n)) * 0x9E3779B97F4A7C15u;
    return h ^ (h >> 32);
}

static bool same_values(const sl_cell *c, const sl_str *values, int n)
{
    for (int i = 0; i < n; i++)
        if (!sl_str_eq(c->values[i], values[i]))
            return false;
    return true;
}

static sl_cell *find(table *t, uint64_t hash, const sl_str *values, int n)
{
    for (size_t i = hash & t->mask;; i = (i + 1) & t->mask) {
        sl_cell *c = atomic_load_explicit(&t->slots[i], memory_order_acquire);
        if (c == NULL || (c->hash == hash && same_values(c, values, n)))
            return c;
    }
}

static void place(table *t, sl_cell *c)
{
    size_t i = c->hash & t->mask;
    while (atomic_load_explicit(&t->slots[i], memory_order_relaxed) != NULL)
        i = (i + 1) & t->mask;
    atomic_store_explicit(&t->slots[i], c, memory_order_release);
}

static sl_cell *new_cell(const sl_metric *m, uint64_t hash, const sl_str *values)
{
    size_t line = LINE / sizeof(atomic_llong), text = 0;
    size_t numbers = m->kind == SL_HISTOGRAM ? (size_t)m->n_limits + 2 : 1;
    unsigned stripes = m->count < STRIPED_CELLS && m->kind != SL_GAUGE ? stripe_count() : 1;
    for (int i = 0; i < m->n_labels; i++)
        text += values[i].n;
    sl_cell *c = sl_malloc(sizeof *c + (size_t)m->n_labels * sizeof c->values[0] + text);
    char *at = (char *)(c->values + m->n_labels);
    c->hash = hash;
    c->metric = m;
    c->stripe_mask = stripes - 1;
    c->stride = stripes > 1 ? (numbers + line - 1) / line * line : numbers;
    c->numbers = sl_calloc(stripes, c->stride * sizeof *c->numbers);
    for (int i = 0; i < m->n_labels; i++) {
        if (values[i].n)
            memcpy(at, values[i].p, values[i].n);
        c->values[i] = (sl_str){at, values[i].n};
        at += values[i].n;
    }
    return c;
}

/* With the lock. */
static void insert(sl_metric *m, sl_cell *c)
{
    table *t = atomic_load_explicit(&m->table, memory_order_relaxed);
    if ((size_t)(m->count + 1) * 2 > t->mask + 1) {
        table *wider = new_table((t->mask + 1) * 2, t);
        for (size_t i = 0; i <= t->mask; i++) {
            sl_cell *old = atomic_load_explicit(&t->slots[i], memory_order_relaxed);
            if (old != NULL)
                place(wider, old);
        }
        atomic_store_explicit(&m->table, wider, memory_order_release);
        t = wider;
    }
    place(t, c);
    m->count++;
}

/* With the lock: the cell of everything that there is no room for. */
static sl_cell *other(sl_metric *m)
{
    if (m->other == NULL) {
        sl_str values[MAX_LABELS];
        for (int i = 0; i < MAX_LABELS; i++)
            values[i] = SL_STR("other");
        uint64_t hash = hash_values(values, m->n_labels);
        table *t = atomic_load_explicit(&m->table, memory_order_relaxed);
        m->other = find(t, hash, values, m->n_labels);
        if (m->other == NULL) {
            m->other = new_cell(m, hash, values);
            insert(m, m->other);
        }
    }
    return m->other;
}

static sl_cell *make(sl_metric *m, uint64_t hash, const sl_str *values)
{
    bool fits = true;
    for (int i = 0; i < m->n_labels; i++)
        fits &= values[i].n <= LONGEST_VALUE;
    pthread_mutex_lock(&m->lock);
    table *t = atomic_load_explicit(&m->table, memory_order_relaxed);
    sl_cell *c = find(t, hash, values, m->n_labels); /* another thread may have been faster */
    if (c == NULL && fits && m->count < MAX_CELLS) {
        c = new_cell(m, hash, values);
        insert(m, c);
    } else if (c == NULL) {
        c = other(m);
    }
    pthread_mutex_unlock(&m->lock);
    return c;
}

sl_cell *sl_metric_cell(sl_metric *m, const sl_str *values)
{
    uint64_t hash = hash_values(values, m->n_labels);
    table *t = atomic_load_explicit(&m->table, memory_order_acquire);
    sl_cell *c = find(t, hash, values, m->n_labels);
    return c ? c : make(m, hash, values);
}

/* ---- counting ---- */

static atomic_llong *own_numbers(sl_cell *c)
{
    return c->numbers + (own_stripe() & c->stripe_mask) * c->stride;
}

void sl_cell_add(sl_cell *c, int64_t n)
{
    atomic_fetch_add_explicit(own_numbers(c), n, memory_order_relaxed);
}

void sl_cell_set(sl_cell *c, int64_t v)
{
    atomic_store_explicit(c->numbers, v, memory_order_relaxed);
}

/* The bucket of a value: the first whose limit is above it. A value that equals a limit belongs to
 * the next bucket, as in the original. */
static int bucket_of(const sl_metric *m, double value)
{
    int lo = 0, hi = m->n_limits;
    while (lo < hi) {
        int mid = (lo + hi) / 2;
        if (value < m->limits[mid])
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo;
}

void sl_cell_sample(sl_cell *c, double value)
{
    const sl_metric *m = c->metric;
    atomic_llong *n = own_numbers(c);
    double units = value * SUM_UNIT;
    long long sum = units > -9e15 && units < 9e15 ? (long long)units : 0; /* no NaN, no overflow */
    atomic_fetch_add_explicit(&n[bucket_of(m, value)], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&n[m->n_limits + 1], sum, memory_order_relaxed);
}

static long long total(const sl_cell *c, int which)
{
    long long n = 0;
    for (unsigned s = 0; s <= c->stripe_mask; s++)
        n += atomic_load_explicit(&c->numbers[s * c->stride + (size_t)which], memory_order_relaxed);
    return n;
}

/* ---- the page ---- */

static bool is_letter(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Writes `name` with every character that may not stand in it replaced; `also` may. */
static void put_name(sl_chain *out, const char *name, char also, char instead)
{
    if (is_digit(*name))
        sl_chain_puts(out, "_");
    for (; *name; name++) {
        char c = is_letter(*name) || is_digit(*name) || *name == also ? *name : instead;
        sl_chain_add(out, &c, 1);
    }
}

static void put_value(sl_chain *out, sl_str v)
{
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] == '\n') { /* the original lets it break the page */
            sl_chain_puts(out, "\\n");
            continue;
        }
        if (v.p[i] == '\\' || v.p[i] == '"')
            sl_chain_puts(out, "\\");
        sl_chain_add(out, &v.p[i], 1);
    }
}

/* name + suffix + {labels}, then the histogram's limit unless it is NULL, and the space. */
static void put_start(sl_chain *out, const sl_cell *c, const char *suffix, const char *limit)
{
    const sl_metric *m = c->metric;
    put_name(out, m->name, '_', ':');
    sl_chain_puts(out, suffix);
    sl_chain_puts(out, "{");
    for (int i = 0; i < m->n_labels; i++) {
        if (i)
            sl_chain_puts(out, ",");
        put_name(out, m->labels[i], '_', '_');
        sl_chain_puts(out, "=\"");
        put_value(out, c->values[i]);
        sl_chain_puts(out, "\"");
    }
    if (limit != NULL)
        sl_chain_printf(out, "%sle=\"%s\"", m->n_labels ? "," : "", limit);
    sl_chain_puts(out, "} ");
}

static void put_histogram(sl_chain *out, const sl_cell *c)
{
    const sl_metric *m = c->metric;
    char limit[32];
    long long count = 0;
    for (int i = 0; i <= m->n_limits; i++) {
        count += total(c, i);
        if (i < m->n_limits)
            snprintf(limit, sizeof limit, "%g", m->limits[i]);
        put_start(out, c, "_bucket", i < m->n_limits ? limit : "+Inf");
        sl_chain_printf(out, "%lld\n", count);
    }
    put_start(out, c, "_sum", NULL);
    sl_chain_printf(out, "%g\n", (double)total(c, m->n_limits + 1) / SUM_UNIT);
    put_start(out, c, "_count", NULL);
    sl_chain_printf(out, "%lld\n", count);
}

static int by_values(const void *pa, const void *pb)
{
    const sl_cell *a = *(sl_cell *const *)pa, *b = *(sl_cell *const *)pb;
    for (int i = 0; i < a->metric->n_labels; i++) {
        int c = sl_str_cmp(a->values[i], b->values[i]);
        if (c)
            return c;
    }
    return 0;
}

static void put_cells(sl_chain *out, sl_metric *m)
{
    table *t = atomic_load_explicit(&m->table, memory_order_acquire);
    sl_cell **cells = sl_try_malloc((t->mask + 1) * sizeof *cells);
    size_t n = 0;
    if (cells == NULL) {
        out->failed = true;
        return;
    }
    for (size_t i = 0; i <= t->mask; i++) {
        sl_cell *c = atomic_load_explicit(&t->slots[i], memory_order_acquire);
        if (c != NULL)
            cells[n++] = c;
    }
    qsort(cells, n, sizeof(sl_cell *), by_values);
    for (size_t i = 0; i < n; i++) {
        if (m->kind == SL_HISTOGRAM) {
            put_histogram(out, cells[i]);
        } else {
            put_start(out, cells[i], "", NULL);
            sl_chain_printf(out, "%lld\n", total(cells[i], 0));
        }
    }
    sl_free(cells);
}

void sl_metrics_write(sl_chain *out)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    pthread_mutex_lock(&registry_lock);
    sl_metric *m = registry;
    pthread_mutex_unlock(&registry_lock);
    while (m != NULL) {
        sl_chain_puts(out, "# TYPE ");
        put_name(out, m->name, '_', ':');
        sl_chain_printf(out, " %s\n", kinds[m->kind]);
        put_cells(out, m);
        pthread_mutex_lock(&registry_lock); /* metrics are never removed, but `next` may change */
        m = m->next;
        pthread_mutex_unlock(&registry_lock);
    }
}

bool sl_metric_first_value(sl_str name, int64_t *value)
{
    pthread_mutex_lock(&registry_lock);
    const sl_metric *m = registry;
    while (m != NULL && !sl_str_is(name, m->name))
        m = m->next;
    pthread_mutex_unlock(&registry_lock);
    if (m == NULL || m->kind == SL_HISTOGRAM)
        return false;
    table *t = atomic_load_explicit(&m->table, memory_order_acquire);
    const sl_cell *first = NULL;
    for (size_t i = 0; i <= t->mask; i++) {
        const sl_cell *c = atomic_load_explicit(&t->slots[i], memory_order_acquire);
        if (c != NULL && (first == NULL || by_values(&c, &first) < 0))
            first = c;
    }
    if (first != NULL)
        *value = total(first, 0);
    return first != NULL;
}
