/* Private to metrics: what a registry holds, for those who fill it and those who print it. */
#ifndef MR_METRICS_REGISTRY_H
#define MR_METRICS_REGISTRY_H

#include "millrace/metrics.h"

#include <pthread.h>

enum { MR_METRICS_BUCKETS = 19 };
struct mr_metrics_bucket {
    double seconds; /* the upper bound, which it includes */
    const char *text;
};
extern const struct mr_metrics_bucket mr_metrics_buckets[MR_METRICS_BUCKETS];

/* ANY is the overflow series, which takes whatever it is given. */
enum mr_family_kind { MR_FAMILY_COUNTER = 1, MR_FAMILY_GAUGE, MR_FAMILY_HISTOGRAM, MR_FAMILY_ANY };

struct mr_metric {
    pthread_mutex_t *lock; /* its registry's */
    enum mr_family_kind kind;
    char *labels;      /* "" or name="value",...: sorted by name, escaped */
    double value;      /* histogram: the sum of seconds */
    uint64_t observed; /* histogram: how many */
    uint64_t in_bucket[MR_METRICS_BUCKETS];
};

/* Pointers, sorted by a text that each item holds. */
struct mr_metrics_list {
    void **items;
    size_t count, capacity;
};

struct mr_family {
    char *name, *help;
    enum mr_family_kind kind;
    struct mr_metrics_list series; /* of struct mr_metric */
};

struct mr_metrics {
    pthread_mutex_t *lock;           /* a pointer, so that a const registry can be locked */
    struct mr_metrics_list families; /* of struct mr_family */
    size_t series_count;
    struct mr_metric overflow; /* what is beyond the limit; not shown */
    struct mr_metric *overflow_total;
};

/* The exposition format wants UTF-8 with backslash, newline and, in label values, quotes escaped. */
MR_MUST_USE struct mr_error mr_metrics_append_escaped(struct mr_buffer *buffer, const char *text, bool quotes);

#endif
