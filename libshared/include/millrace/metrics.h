/*
 * Counters, gauges and histograms in Prometheus text, with /healthz and /readyz, on one small HTTP front.
 *
 * Liveness is the process's own progress (mr_health_beat), never the broker's; readiness says what it waits for.
 */
#ifndef MR_METRICS_H
#define MR_METRICS_H

#include "millrace/clock.h"

struct mr_metrics; /* thread-safe */
struct mr_metric;  /* one series; lives as long as its mr_metrics */

struct mr_label {
    const char *name, *value;
};

MR_MUST_USE struct mr_metrics *mr_metrics_new(const char *service); /* adds millrace_build_info; NULL: out of memory */
void mr_metrics_free(struct mr_metrics *metrics);
/* The same name and labels give the same series. Names: millrace_*_total, _seconds, _bytes. Never NULL: when the
 * limit of 10,000 series is reached, all further ones share an "overflow" series and a counter says so. */
struct mr_metric *mr_metrics_counter(struct mr_metrics *metrics, const char *name, const char *help,
                                     const struct mr_label *labels, size_t count);
struct mr_metric *mr_metrics_gauge(struct mr_metrics *metrics, const char *name, const char *help,
                                   const struct mr_label *labels, size_t count);
/* Buckets 100 us to 100 s, three per decade. */
struct mr_metric *mr_metrics_histogram(struct mr_metrics *metrics, const char *name, const char *help,
                                       const struct mr_label *labels, size_t count);
/* Counters of one name that are counted for every record: label values are texts of static storage, and each series is
 * looked up once, then found by their addresses. Used by one thread; zeroed memory is an empty one. */
enum { MR_COUNTERS_MAX = 64, MR_COUNTERS_LABELS_MAX = 3 };
struct mr_counters {
    struct {
        const char *values[MR_COUNTERS_LABELS_MAX];
        struct mr_metric *metric;
    } known[MR_COUNTERS_MAX];
    size_t count;
};
/* Adds one. The metrics, the name and the labels' names are the same in every call; at most MR_COUNTERS_LABELS_MAX
 * labels. */
void mr_counters_add(struct mr_counters *counters, struct mr_metrics *metrics, const char *name, const char *help,
                     const struct mr_label *labels, size_t count);
void mr_metric_add(struct mr_metric *metric, double amount); /* counter, gauge */
void mr_metric_set(struct mr_metric *metric, double value);  /* gauge */
void mr_metric_observe(struct mr_metric *metric, double seconds);
/* Of a histogram: how many were observed. */
double mr_metric_value(const struct mr_metric *metric);
/* The whole page in Prometheus text exposition format, in place of what ret_page held. */
MR_MUST_USE struct mr_error mr_metrics_render(const struct mr_metrics *metrics, struct mr_buffer *ret_page);

struct mr_health; /* thread-safe */
/* Serves /metrics, /healthz and /readyz on host:port (port 0: none is served; the state is still kept).
 * /healthz is 503 when the last beat is older than stale_ms. /readyz is 503 with the reason ("starting" at first)
 * until mr_health_waiting(health, NULL). The same stands on /metrics: millrace_ready, millrace_waiting{reason}, and
 * millrace_start_time_seconds. */
MR_MUST_USE struct mr_error mr_health_open(struct mr_metrics *metrics, const struct mr_clock *clock, const char *host,
                                           uint16_t port, uint32_t stale_ms, struct mr_health **ret_health);
void mr_health_beat(struct mr_health *health);
/* NULL: ready. Otherwise what is waited for, static storage: "folding", "broker down". */
void mr_health_waiting(struct mr_health *health, const char *reason);
uint16_t mr_health_port(const struct mr_health *health);
void mr_health_close(struct mr_health *health);

/* What one of the three paths says, for a server of one's own; any other path is 404. The caller deinits the body, also
 * after a failure: FATAL "out_of_memory". */
struct mr_health_answer {
    unsigned status;
    const char *type; /* static storage */
    struct mr_buffer body;
};
MR_MUST_USE struct mr_error mr_health_answer(struct mr_health *health, const char *path,
                                             struct mr_health_answer *ret_answer);

#endif
