#include "report.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static double ms_of(uint32_t us)
{
    return (double)us / 1000;
}

json_t *bench_report_percentiles(const struct bench_percentiles *percentiles)
{
    return json_pack("{s:I, s:f, s:f, s:f, s:f, s:f}", "count", (json_int_t)percentiles->count, "p50",
                     ms_of(percentiles->p50_us), "p90", ms_of(percentiles->p90_us), "p99", ms_of(percentiles->p99_us),
                     "p999", ms_of(percentiles->p999_us), "max", ms_of(percentiles->max_us));
}

json_t *bench_report_latency(const struct bench_session *session, size_t first, size_t end)
{
    json_t *points = json_object();
    for (size_t point = 0; point < BENCH_POINTS; point++) {
        struct bench_percentiles percentiles;
        if (bench_percentiles_of(session, (enum bench_point)point, first, end, &percentiles)) {
            (void)json_object_set_new(points, bench_point_text((enum bench_point)point),
                                      bench_report_percentiles(&percentiles));
        }
    }
    return points;
}

json_t *bench_report_between(const struct bench_processes *processes, const struct bench_snapshot *from,
                             const struct bench_snapshot *to)
{
    const double events = (double)(to->trained - from->trained), us = (double)(to->at_us - from->at_us);
    json_t *cpu = json_object();
    for (size_t i = 0; events > 0 && i < processes->count; i++) {
        (void)json_object_set_new(cpu, processes->of[i].name,
                                  json_real((double)(to->cpu_us[i] - from->cpu_us[i]) / events));
    }
    return json_pack("{s:I, s:f, s:f, s:f, s:o}", "events", (json_int_t)events, "seconds", us / 1e6,
                     "events_per_second", us > 0 ? events * 1e6 / us : 0, "cores_busy",
                     us > 0 ? (double)(to->machine_us - from->machine_us) / us : 0, "cpu_us_per_event", cpu);
}

static json_t *memory_json(const struct bench_memory *memory, bool pss)
{
    json_t *value = json_pack("{s:I, s:I, s:I, s:I}", "own", (json_int_t)memory->own_kib, "file",
                              (json_int_t)memory->file_kib, "shared", (json_int_t)memory->shared_kib, "beside_shared",
                              (json_int_t)memory->own_kib + (json_int_t)memory->file_kib);
    if (pss) {
        (void)json_object_set_new(value, "pss", json_integer((json_int_t)memory->pss_kib));
    }
    return value;
}

json_t *bench_report_processes(const struct bench_measures *measures)
{
    json_t *all = json_object();
    const struct bench_snapshot *first = &measures->snapshots[0], *last = &measures->snapshots[measures->count - 1];
    for (size_t i = 0; i < measures->processes->count; i++) {
        (void)json_object_set_new(
            all, measures->processes->of[i].name,
            json_pack("{s:f, s:o, s:o, s:o}", "cpu_seconds", (double)(last->cpu_us[i] - first->cpu_us[i]) / 1e6,
                      "memory_kib_first", memory_json(&first->memory[i], true), "memory_kib_last",
                      memory_json(&last->memory[i], true), "memory_kib_peak", memory_json(&measures->peak[i], false)));
    }
    return all;
}

struct mr_error bench_report_write(json_t *report, const char *path)
{
    if (report == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "the report");
    }
    FILE *output = strcmp(path, "-") == 0 ? stdout : fopen(path, "we");
    bool good = output != NULL && json_dumpf(report, output, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) == 0 &&
                fputc('\n', output) != EOF;
    const int native = errno;
    if (output != NULL) {
        good = (output == stdout ? fflush(output) : fclose(output)) == 0 && good;
    }
    json_decref(report);
    return good ? mr_ok() : mr_error_make(MR_ERROR_FATAL, "unwritable", native, "%s: %s", path, strerror(native));
}
