/* The figures as JSON: what programs read, and what the table on the terminal is made of. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "measures.h"

#include <jansson.h>

/* {count, p50, p90, p99, p999, max} in milliseconds. */
MR_MUST_USE json_t *bench_report_percentiles(const struct bench_percentiles *percentiles);

/* By point, of records first .. end - 1; points that none came to are left out. */
MR_MUST_USE json_t *bench_report_latency(const struct bench_session *session, size_t first, size_t end);

/* {events, seconds, events_per_second, cores_busy, cpu_us_per_event: {NAME: ...}} between two snapshots. */
MR_MUST_USE json_t *bench_report_between(const struct bench_processes *processes, const struct bench_snapshot *from,
                                         const struct bench_snapshot *to);

/* By process: processor seconds and memory over all snapshots, and the peaks. */
MR_MUST_USE json_t *bench_report_processes(const struct bench_measures *measures);

/* Writes it as a file, or to standard output when the path is "-"; frees it. */
MR_MUST_USE struct mr_error bench_report_write(json_t *report, const char *path);

#endif
