/*
 * A connection that submits records and sees each of them arrive behind every stage. A record is known again by its
 * origin: nobody else may write to batches.submitted meanwhile.
 */
#ifndef BENCH_SESSION_H
#define BENCH_SESSION_H

#include "millrace/clock.h"
#include "millrace/log_kafka.h"
#include "millrace/topics.h"

/* Where a record can be seen: at the broker's acknowledgement, then in one topic each. */
enum bench_point {
    BENCH_ACKNOWLEDGED = 0,
    BENCH_INGESTED,
    BENCH_VALIDATED,
    BENCH_STAGED,
    BENCH_TRAINED,
    BENCH_METRIC,
    BENCH_COMMITTED, /* a version that ends with this record is */
    BENCH_VERSION,   /* ... and is published */
    BENCH_POINTS,
};
/* "acknowledged", "ingested", ... "version". */
const char *bench_point_text(enum bench_point point);

#define BENCH_NEVER UINT32_MAX

struct bench_record {
    int64_t due_us; /* on the clock of the session; latencies count from here */
    uint64_t offset;
    bool poison; /* it must end as a dead letter */
};

struct bench_lane; /* what was submitted to one partition */

struct bench_session {
    struct mr_log *log;
    struct mr_clock clock;
    struct mr_deployment deployment;
    struct bench_lane *lanes;     /* one per partition */
    struct bench_record *records; /* as they were sent */
    size_t sent, capacity;
    uint64_t poisoned, buried;                           /* of those that were sent; of them, with a dead letter */
    uint32_t *latency_us[BENCH_POINTS];                  /* per record, BENCH_NEVER: not seen; NULL: not followed */
    uint64_t seen[BENCH_POINTS], repeated[BENCH_POINTS]; /* records, and deliveries beyond their first */
    int64_t progress_us;                                 /* when something was last seen for the first time */
};

/* Follows trained, committed and published versions, and with `all` every other point, from what the topics hold now
 * on. `capacity`: records that can be sent. */
MR_MUST_USE struct mr_error bench_session_open(const char *brokers, uint32_t linger_ms, bool all, size_t capacity,
                                               struct bench_session *ret_session);
void bench_session_close(struct bench_session *session);

/* Submits a record, hearing what comes while the producer's queue is full. Its number is session->sent before. */
MR_MUST_USE struct mr_error bench_session_send(struct bench_session *session, const char *model_id,
                                               struct mr_bytes value, int64_t due_us);
/* One that must end as a dead letter. */
MR_MUST_USE struct mr_error bench_session_poison(struct bench_session *session, const char *model_id,
                                                 struct mr_bytes value, int64_t due_us);
/* Hears what there is, for a while at most, or nothing within wait_ms. REJECT when a batch diverged, or a record was
 * dead-lettered that is no poison: the figures would not be of what they say. */
MR_MUST_USE struct mr_error bench_session_hear(struct bench_session *session, uint32_t wait_ms);

static inline int64_t bench_now_us(const struct bench_session *session)
{
    return mr_clock_monotonic_us(&session->clock);
}

#endif
