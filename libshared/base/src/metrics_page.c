/* The page: a registry in Prometheus text exposition format, version 0.0.4. */
#include "metrics_registry.h"

#include "text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

struct mr_error mr_metrics_append_escaped(struct mr_buffer *buffer, const char *text, bool quotes)
{
    while (*text != '\0') {
        const size_t length = mr_utf8_length(text);
        if (length == 0) {
            MR_TRY(mr_buffer_append(buffer, "\xef\xbf\xbd", 3));
        } else if (*text == '\n') {
            MR_TRY(mr_buffer_append(buffer, "\\n", 2));
        } else {
            if (*text == '\\' || (quotes && *text == '"')) {
                MR_TRY(mr_buffer_append(buffer, "\\", 1));
            }
            MR_TRY(mr_buffer_append(buffer, text, length));
        }
        text += length == 0 ? 1 : length;
    }
    return mr_ok();
}

static void value_text(double value, char ret_text[MR_REAL_TEXT_SIZE])
{
    if (isfinite(value)) {
        mr_real_text(value, ret_text);
    } else {
        (void)snprintf(ret_text, MR_REAL_TEXT_SIZE, "%s", isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf");
    }
}

/* One line; `more` is a further label, ready made, or "". */
static struct mr_error append_sample(struct mr_buffer *page, const struct mr_family *family, const char *suffix,
                                     const struct mr_metric *metric, const char *more, const char *value)
{
    const bool has_labels = *metric->labels != '\0';
    const bool has_more = *more != '\0';
    return mr_buffer_append_text(page, "%s%s%s%s%s%s%s %s\n", family->name, suffix, has_labels || has_more ? "{" : "",
                                 metric->labels, has_labels && has_more ? "," : "", more,
                                 has_labels || has_more ? "}" : "", value);
}

static struct mr_error append_histogram(struct mr_buffer *page, const struct mr_family *family,
                                        const struct mr_metric *metric)
{
    char text[MR_REAL_TEXT_SIZE];
    char bound[MR_REAL_TEXT_SIZE];
    uint64_t below = 0;
    for (size_t i = 0; i < MR_METRICS_BUCKETS; i++) {
        below += metric->in_bucket[i];
        (void)snprintf(bound, sizeof bound, "le=\"%s\"", mr_metrics_buckets[i].text);
        (void)snprintf(text, sizeof text, "%" PRIu64, below);
        MR_TRY(append_sample(page, family, "_bucket", metric, bound, text));
    }
    (void)snprintf(text, sizeof text, "%" PRIu64, metric->observed);
    MR_TRY(append_sample(page, family, "_bucket", metric, "le=\"+Inf\"", text));
    MR_TRY(append_sample(page, family, "_count", metric, "", text));
    value_text(metric->value, text);
    return append_sample(page, family, "_sum", metric, "", text);
}

static const char *kind_text(enum mr_family_kind kind)
{
    switch (kind) {
    case MR_FAMILY_COUNTER: return "counter";
    case MR_FAMILY_GAUGE: return "gauge";
    case MR_FAMILY_HISTOGRAM: return "histogram";
    case MR_FAMILY_ANY: break; /* stands in no family */
    }
    mr_unreachable(__func__);
}

static struct mr_error append_family(struct mr_buffer *page, const struct mr_family *family)
{
    MR_TRY(mr_buffer_append_text(page, "# HELP %s ", family->name));
    MR_TRY(mr_metrics_append_escaped(page, family->help, false));
    MR_TRY(mr_buffer_append_text(page, "\n# TYPE %s %s\n", family->name, kind_text(family->kind)));
    for (size_t i = 0; i < family->series.count; i++) {
        const struct mr_metric *metric = family->series.items[i];
        if (family->kind == MR_FAMILY_HISTOGRAM) {
            MR_TRY(append_histogram(page, family, metric));
        } else {
            char text[MR_REAL_TEXT_SIZE];
            value_text(metric->value, text);
            MR_TRY(append_sample(page, family, "", metric, "", text));
        }
    }
    return mr_ok();
}

static struct mr_error append_page(const struct mr_metrics *metrics, struct mr_buffer *page)
{
    for (size_t i = 0; i < metrics->families.count; i++) {
        MR_TRY(append_family(page, metrics->families.items[i]));
    }
    return mr_ok();
}

struct mr_error mr_metrics_render(const struct mr_metrics *metrics, struct mr_buffer *ret_page)
{
    struct mr_buffer page = {0};
    MR_ASSERT(pthread_mutex_lock(metrics->lock) == 0);
    const struct mr_error error = append_page(metrics, &page);
    MR_ASSERT(pthread_mutex_unlock(metrics->lock) == 0);
    if (mr_failed(error)) {
        mr_buffer_deinit(&page);
        return error;
    }
    mr_buffer_deinit(ret_page);
    *ret_page = page;
    return mr_ok();
}
