/*
 * Families sorted by name, series sorted by label text: a look-up is two binary searches, and the page is always in the
 * same order. One lock for all; what it guards is a few instructions.
 */
#include "metrics_registry.h"

#include <stdlib.h>
#include <string.h>

enum { SERIES_MAX = 10000 };

const struct mr_metrics_bucket mr_metrics_buckets[MR_METRICS_BUCKETS] = {
    {1e-4, "0.0001"}, {2e-4, "0.0002"}, {5e-4, "0.0005"}, {1e-3, "0.001"}, {2e-3, "0.002"},
    {5e-3, "0.005"},  {1e-2, "0.01"},   {2e-2, "0.02"},   {5e-2, "0.05"},  {0.1, "0.1"},
    {0.2, "0.2"},     {0.5, "0.5"},     {1, "1"},         {2, "2"},        {5, "5"},
    {10, "10"},       {20, "20"},       {50, "50"},       {100, "100"},
};

static void lock(pthread_mutex_t *mutex)
{
    MR_ASSERT(pthread_mutex_lock(mutex) == 0);
}

static void unlock(pthread_mutex_t *mutex)
{
    MR_ASSERT(pthread_mutex_unlock(mutex) == 0);
}

/* ---- Sorted lists ---------------------------------------------------------------------------------- */

static const char *family_key(const void *item)
{
    return ((const struct mr_family *)item)->name;
}

static const char *series_key(const void *item)
{
    return ((const struct mr_metric *)item)->labels;
}

/* Where key is, or belongs. */
static size_t find(const struct mr_metrics_list *list, const char *(*key_of)(const void *), const char *key,
                   bool *ret_found)
{
    size_t low = 0;
    size_t high = list->count;
    *ret_found = false;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = strcmp(key_of(list->items[middle]), key);
        if (order == 0) {
            *ret_found = true;
            return middle;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool insert(struct mr_metrics_list *list, size_t at, void *item)
{
    if (list->count == list->capacity) {
        const size_t capacity = list->capacity == 0 ? 8 : list->capacity * 2;
        void **items = realloc(list->items, capacity * sizeof *items);
        if (items == NULL) {
            return false;
        }
        list->items = items;
        list->capacity = capacity;
    }
    memmove(list->items + at + 1, list->items + at, (list->count - at) * sizeof *list->items);
    list->items[at] = item;
    list->count++;
    return true;
}

/* ---- Names and labels ------------------------------------------------------------------------------ */

static bool is_name(const char *text, bool colon)
{
    for (const char *c = text; *c != '\0'; c++) {
        const bool letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || *c == '_' || (colon && *c == ':');
        if (!letter && (c == text || *c < '0' || *c > '9')) {
            return false;
        }
    }
    return *text != '\0';
}

/* By name, so that the order in which a caller gives labels does not matter. */
static struct mr_error append_labels(struct mr_buffer *buffer, const struct mr_label *labels, size_t count)
{
    const char *before = "";
    for (size_t done = 0; done < count; done++) {
        const struct mr_label *next = NULL;
        for (size_t i = 0; i < count; i++) {
            const bool is_later = strcmp(labels[i].name, before) > 0;
            if (is_later && (next == NULL || strcmp(labels[i].name, next->name) < 0)) {
                next = &labels[i];
            }
        }
        MR_ASSERT(next != NULL && is_name(next->name, false)); /* NULL: a name is there twice */
        MR_TRY(mr_buffer_append_text(buffer, "%s%s=\"", done == 0 ? "" : ",", next->name));
        MR_TRY(mr_metrics_append_escaped(buffer, next->value, true));
        MR_TRY(mr_buffer_append(buffer, "\"", 1));
        before = next->name;
    }
    return mr_buffer_append(buffer, "", 1);
}

/* ---- Look-up --------------------------------------------------------------------------------------- */

static void family_free(struct mr_family *family)
{
    if (family == NULL) {
        return;
    }
    for (size_t i = 0; i < family->series.count; i++) {
        struct mr_metric *metric = family->series.items[i];
        free(metric->labels);
        free(metric);
    }
    free(family->series.items);
    free(family->name);
    free(family->help);
    free(family);
}

/* NULL: out of memory. */
static struct mr_family *family_get(struct mr_metrics *metrics, enum mr_family_kind kind, const char *name,
                                    const char *help)
{
    bool found;
    const size_t at = find(&metrics->families, family_key, name, &found);
    if (found) {
        struct mr_family *family = metrics->families.items[at];
        MR_ASSERT(family->kind == kind);
        return family;
    }
    MR_ASSERT(is_name(name, true));
    struct mr_family *family = calloc(1, sizeof *family);
    if (family != NULL) {
        *family = (struct mr_family){.name = strdup(name), .help = strdup(help), .kind = kind};
    }
    if (family == NULL || family->name == NULL || family->help == NULL || !insert(&metrics->families, at, family)) {
        family_free(family);
        return NULL;
    }
    return family;
}

/* NULL: the limit is reached, or memory is out. */
static struct mr_metric *series_get(struct mr_metrics *metrics, struct mr_family *family, const char *labels)
{
    bool found;
    const size_t at = find(&family->series, series_key, labels, &found);
    if (found) {
        return family->series.items[at];
    }
    if (metrics->series_count >= SERIES_MAX) {
        return NULL;
    }
    struct mr_metric *metric = calloc(1, sizeof *metric);
    char *copy = strdup(labels);
    if (metric == NULL || copy == NULL || !insert(&family->series, at, metric)) {
        free(metric);
        free(copy);
        return NULL;
    }
    *metric = (struct mr_metric){.lock = metrics->lock, .kind = family->kind, .labels = copy};
    metrics->series_count++;
    return metric;
}

static struct mr_metric *get(struct mr_metrics *metrics, enum mr_family_kind kind, const char *name, const char *help,
                             const struct mr_label *labels, size_t count)
{
    struct mr_buffer text = {0};
    struct mr_metric *metric = NULL;
    const struct mr_error error = append_labels(&text, labels, count);
    lock(metrics->lock);
    struct mr_family *family = mr_failed(error) ? NULL : family_get(metrics, kind, name, help);
    if (family != NULL) {
        metric = series_get(metrics, family, (const char *)text.data);
    }
    if (metric == NULL) {
        metric = &metrics->overflow;
        metrics->overflow_total->value += 1;
    }
    unlock(metrics->lock);
    mr_buffer_deinit(&text);
    return metric;
}

struct mr_metric *mr_metrics_counter(struct mr_metrics *metrics, const char *name, const char *help,
                                     const struct mr_label *labels, size_t count)
{
    return get(metrics, MR_FAMILY_COUNTER, name, help, labels, count);
}

struct mr_metric *mr_metrics_gauge(struct mr_metrics *metrics, const char *name, const char *help,
                                   const struct mr_label *labels, size_t count)
{
    return get(metrics, MR_FAMILY_GAUGE, name, help, labels, count);
}

struct mr_metric *mr_metrics_histogram(struct mr_metrics *metrics, const char *name, const char *help,
                                       const struct mr_label *labels, size_t count)
{
    return get(metrics, MR_FAMILY_HISTOGRAM, name, help, labels, count);
}

static bool same_values(const char *const values[], const struct mr_label *labels, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (values[i] != labels[i].value) {
            return false;
        }
    }
    return true;
}

void mr_counters_add(struct mr_counters *counters, struct mr_metrics *metrics, const char *name, const char *help,
                     const struct mr_label *labels, size_t count)
{
    MR_ASSERT(count <= MR_COUNTERS_LABELS_MAX);
    size_t i = 0;
    while (i < counters->count && !same_values(counters->known[i].values, labels, count)) {
        i++;
    }
    struct mr_metric *const metric =
        i < counters->count ? counters->known[i].metric : mr_metrics_counter(metrics, name, help, labels, count);
    if (i == counters->count && i < MR_COUNTERS_MAX) {
        for (size_t j = 0; j < count; j++) {
            counters->known[i].values[j] = labels[j].value;
        }
        counters->known[i].metric = metric;
        counters->count++;
    }
    mr_metric_add(metric, 1);
}

/* ---- Values ---------------------------------------------------------------------------------------- */

void mr_metric_add(struct mr_metric *metric, double amount)
{
    MR_ASSERT(metric->kind != MR_FAMILY_HISTOGRAM && (metric->kind != MR_FAMILY_COUNTER || amount >= 0));
    lock(metric->lock);
    metric->value += amount;
    unlock(metric->lock);
}

void mr_metric_set(struct mr_metric *metric, double value)
{
    MR_ASSERT(metric->kind == MR_FAMILY_GAUGE || metric->kind == MR_FAMILY_ANY);
    lock(metric->lock);
    metric->value = value;
    unlock(metric->lock);
}

void mr_metric_observe(struct mr_metric *metric, double seconds)
{
    MR_ASSERT(metric->kind == MR_FAMILY_HISTOGRAM || metric->kind == MR_FAMILY_ANY);
    lock(metric->lock);
    metric->value += seconds;
    metric->observed++;
    for (size_t i = 0; i < MR_METRICS_BUCKETS; i++) {
        if (seconds <= mr_metrics_buckets[i].seconds) {
            metric->in_bucket[i]++;
            break;
        }
    }
    unlock(metric->lock);
}

double mr_metric_value(const struct mr_metric *metric)
{
    lock(metric->lock);
    const double value = metric->kind == MR_FAMILY_HISTOGRAM ? (double)metric->observed : metric->value;
    unlock(metric->lock);
    return value;
}

/* ---- The registry ---------------------------------------------------------------------------------- */

struct mr_metrics *mr_metrics_new(const char *service)
{
    struct mr_metrics *metrics = calloc(1, sizeof *metrics);
    pthread_mutex_t *mutex = malloc(sizeof *mutex);
    if (metrics == NULL || mutex == NULL) {
        free(metrics);
        free(mutex);
        return NULL;
    }
    MR_ASSERT(pthread_mutex_init(mutex, NULL) == 0);
    metrics->lock = mutex;
    metrics->overflow = (struct mr_metric){.lock = mutex, .kind = MR_FAMILY_ANY};
    /* Until there is a counter of overflows, the overflow series stands in for it. */
    metrics->overflow_total = &metrics->overflow;
    metrics->overflow_total = mr_metrics_counter(metrics, "millrace_metrics_overflow_total",
                                                 "Uses of a series that is beyond the limit of 10,000", NULL, 0);
    const struct mr_label labels[] = {{"service", service}, {"version", MR_VERSION}};
    struct mr_metric *build = mr_metrics_gauge(metrics, "millrace_build_info", "The program that runs, as labels",
                                               labels, MR_COUNT_OF(labels));
    if (metrics->overflow_total == &metrics->overflow || build == &metrics->overflow) {
        mr_metrics_free(metrics);
        return NULL;
    }
    mr_metric_set(build, 1);
    return metrics;
}

void mr_metrics_free(struct mr_metrics *metrics)
{
    if (metrics == NULL) {
        return;
    }
    for (size_t i = 0; i < metrics->families.count; i++) {
        family_free(metrics->families.items[i]);
    }
    free(metrics->families.items);
    (void)pthread_mutex_destroy(metrics->lock);
    free(metrics->lock);
    free(metrics);
}
