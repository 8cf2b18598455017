/*
 * metrics.h - counters and histograms, and the page that shows them
 *
 * A metric has a name, label names, and one cell for each combination of label values. Looking a
 * cell up takes a lock-free read of a table; counting is one relaxed atomic add (per-thread stripes
 * where a cell is hot). Cells are never freed. The number of cells of a metric is bounded: past it,
 * further combinations share one cell whose label values are "other", so a client cannot fill the
 * memory.
 *
 * Source: metrics.md of the contract.
 */
#ifndef SL_METRICS_METRICS_H
#define SL_METRICS_METRICS_H

#include <stdint.h>

#include "base/chain.h"
#include "base/str.h"

typedef enum sl_metric_kind { SL_COUNTER, SL_GAUGE, SL_HISTOGRAM } sl_metric_kind;

typedef struct sl_metric sl_metric; /* registered once, lives for ever */
typedef struct sl_cell sl_cell;

/* `name` is the internal path "/tensorflow/serving/request_count"; labels: NULL-ended list. Limits:
 * ascending upper bounds of a histogram, without +Inf. The strings and limits must live for ever.
 * Registering the same name again returns the same metric. Any thread. */
sl_metric *sl_metric_register(const char *name, sl_metric_kind kind, const char *const *labels,
                              const double *limits, int n_limits);
/* The cell for these label values (as many as there are labels). Never NULL. Keep it where the
 * values are fixed. Any thread. */
sl_cell *sl_metric_cell(sl_metric *m, const sl_str *values);

void sl_cell_add(sl_cell *c, int64_t n);       /* counter, gauge */
void sl_cell_set(sl_cell *c, int64_t v);       /* gauge */
void sl_cell_sample(sl_cell *c, double value); /* histogram */

/* The whole page in TensorFlow Serving's text form (metrics.md section 2). */
void sl_metrics_write(sl_chain *out);

/* The value of the first cell, in the page's order, of the counter or gauge with that name; false:
 * there is none. Any thread. */
bool sl_metric_first_value(sl_str name, int64_t *value);

/* `count` limits first * factor^i, for ever. */
const double *sl_metric_exponential(double first, double factor, int count);

#endif
