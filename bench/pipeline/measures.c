#include "measures.h"

#include <stdlib.h>

enum { LOOK_EVERY_US = 1000000 };

struct mr_error bench_measures_open(const struct bench_processes *processes, size_t capacity,
                                    struct bench_measures *ret_measures)
{
    struct bench_measures measures = {.processes = processes, .capacity = capacity};
    measures.snapshots = calloc(capacity, sizeof *measures.snapshots);
    if (measures.snapshots == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "the benchmark's snapshots");
    }
    *ret_measures = measures;
    return mr_ok();
}

void bench_measures_close(struct bench_measures *measures)
{
    free(measures->snapshots);
    measures->snapshots = NULL;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void raise_peak(struct bench_memory *peak, const struct bench_memory *seen)
{
    peak->own_kib = larger(peak->own_kib, seen->own_kib);
    peak->file_kib = larger(peak->file_kib, seen->file_kib);
    peak->shared_kib = larger(peak->shared_kib, seen->shared_kib);
}

struct mr_error bench_measures_take(struct bench_measures *measures, int64_t now_us, uint64_t trained)
{
    MR_ASSERT(measures->count < measures->capacity);
    struct bench_snapshot snapshot = {.at_us = now_us, .trained = trained};
    MR_TRY(bench_machine_cpu(&snapshot.machine_us));
    for (size_t i = 0; i < measures->processes->count; i++) {
        MR_TRY(bench_process_cpu(&measures->processes->of[i], &snapshot.cpu_us[i]));
        MR_TRY(bench_process_memory(&measures->processes->of[i], true, &snapshot.memory[i]));
        raise_peak(&measures->peak[i], &snapshot.memory[i]);
    }
    measures->snapshots[measures->count++] = snapshot;
    return mr_ok();
}

struct mr_error bench_measures_look(struct bench_measures *measures, int64_t now_us)
{
    if (now_us - measures->looked_us < LOOK_EVERY_US) {
        return mr_ok();
    }
    measures->looked_us = now_us;
    for (size_t i = 0; i < measures->processes->count; i++) {
        struct bench_memory memory;
        MR_TRY(bench_process_memory(&measures->processes->of[i], false, &memory));
        raise_peak(&measures->peak[i], &memory);
    }
    return mr_ok();
}

static int ascending(const void *left, const void *right)
{
    const uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

/* The smallest value that so many of 1,000 do not exceed. */
static uint32_t rank(const uint32_t *sorted, size_t count, size_t permille)
{
    const size_t at = (count * permille + 999) / 1000;
    return sorted[at > 0 ? at - 1 : 0];
}

bool bench_percentiles_sort(uint32_t *values, size_t count, struct bench_percentiles *ret_percentiles)
{
    if (count == 0) {
        return false;
    }
    qsort(values, count, sizeof *values, ascending);
    *ret_percentiles = (struct bench_percentiles){
        .count = count,
        .p50_us = rank(values, count, 500),
        .p90_us = rank(values, count, 900),
        .p99_us = rank(values, count, 990),
        .p999_us = rank(values, count, 999),
        .max_us = values[count - 1],
    };
    return true;
}

bool bench_percentiles_of(const struct bench_session *session, enum bench_point point, size_t first, size_t end,
                          struct bench_percentiles *ret_percentiles)
{
    const uint32_t *latencies = session->latency_us[point];
    uint32_t *seen = latencies == NULL || end <= first ? NULL : malloc((end - first) * sizeof *seen);
    if (seen == NULL) {
        return false;
    }
    size_t count = 0;
    for (size_t record = first; record < end; record++) {
        if (latencies[record] != BENCH_NEVER) {
            seen[count++] = latencies[record];
        }
    }
    const bool some = bench_percentiles_sort(seen, count, ret_percentiles);
    free(seen);
    return some;
}
