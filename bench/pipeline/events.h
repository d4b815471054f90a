/*
 * What the benchmark submits: on each of its models one run of a labelled job with the smallest network that a spec
 * allows, and batches with 1 KiB of payload, dealt to the models in turn. Poison goes to models of its own.
 */
#ifndef BENCH_EVENTS_H
#define BENCH_EVENTS_H

#include "millrace/base.h"

enum {
    BENCH_FEATURES = 6,
    BENCH_TARGETS = 1,
    BENCH_ROWS = 32,
    BENCH_PAYLOAD_BYTES = BENCH_ROWS * (BENCH_FEATURES + 2 * BENCH_TARGETS) * 4,
};

/* All that the events depend on: equal plans give equal bytes. */
struct bench_plan {
    const char *name;       /* of the run and the producer, and the beginning of the models' names */
    uint64_t models;        /* 1 to 100,000 */
    uint64_t poison_models; /* further ones */
    uint64_t commit_every;  /* steps of a model; a final version comes with the stop in any case. 0: only that */
};

/* Batch `number` belongs to this model, and is its step number / models + 1. */
static inline uint64_t bench_model_of(const struct bench_plan *plan, uint64_t number)
{
    return number % plan->models;
}
/* Poison `number` belongs to this one. */
static inline uint64_t bench_poison_model_of(const struct bench_plan *plan, uint64_t number)
{
    return plan->models + number % plan->poison_models;
}
void bench_model_id(const struct bench_plan *plan, uint64_t model, char ret_id[MR_ID_SIZE]);

/* Versions that close with batches first .. first + count - 1, and with the stop of every run behind them. */
MR_MUST_USE uint64_t bench_versions_due(const struct bench_plan *plan, uint64_t first, uint64_t count, bool stop);

/* The values of submitted records; they replace what ret_value holds. */
MR_MUST_USE struct mr_error bench_encode_start(const struct bench_plan *plan, uint64_t model,
                                               struct mr_buffer *ret_value);
MR_MUST_USE struct mr_error bench_encode_batch(const struct bench_plan *plan, uint64_t number,
                                               struct mr_buffer *ret_value);
/* A batch that ends as a dead letter: in turn one of a run that was never started, one with a NaN, and one whose claim,
 * the absolute path of a socket, fails at every attempt. */
MR_MUST_USE struct mr_error bench_encode_poison(const struct bench_plan *plan, uint64_t number, const char *claim,
                                                struct mr_buffer *ret_value);
MR_MUST_USE struct mr_error bench_encode_stop(const struct bench_plan *plan, uint64_t model,
                                              struct mr_buffer *ret_value);

#endif
