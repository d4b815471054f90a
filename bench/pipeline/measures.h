/* Snapshots of what processes used, between which is what the benchmark's events cost; and percentiles. */
#ifndef BENCH_MEASURES_H
#define BENCH_MEASURES_H

#include "processes.h"
#include "session.h"

struct bench_snapshot {
    int64_t at_us;
    uint64_t trained; /* batches */
    int64_t machine_us, cpu_us[BENCH_PROCESSES_MAX];
    struct bench_memory memory[BENCH_PROCESSES_MAX];
};

struct bench_measures {
    const struct bench_processes *processes;
    struct bench_snapshot *snapshots;
    size_t count, capacity;
    struct bench_memory peak[BENCH_PROCESSES_MAX]; /* of what was seen, kind by kind; without pss */
    int64_t looked_us;
};

MR_MUST_USE struct mr_error bench_measures_open(const struct bench_processes *processes, size_t capacity,
                                                struct bench_measures *ret_measures);
void bench_measures_close(struct bench_measures *measures);

/* Takes the next snapshot; `capacity` of them at most. */
MR_MUST_USE struct mr_error bench_measures_take(struct bench_measures *measures, int64_t now_us, uint64_t trained);
/* Looks at the memory for its peak, once a second. */
MR_MUST_USE struct mr_error bench_measures_look(struct bench_measures *measures, int64_t now_us);

struct bench_percentiles {
    size_t count;
    uint32_t p50_us, p90_us, p99_us, p999_us, max_us;
};
/* Of records first .. end - 1 that came to the point; false: none did, or the point is not followed. */
MR_MUST_USE bool bench_percentiles_of(const struct bench_session *session, enum bench_point point, size_t first,
                                      size_t end, struct bench_percentiles *ret_percentiles);
/* The same of `count` values, which it sorts. */
MR_MUST_USE bool bench_percentiles_sort(uint32_t *values, size_t count, struct bench_percentiles *ret_percentiles);

#endif
