/* The names of the topics, and the deployment that they belong to. */
#ifndef MR_TOPICS_H
#define MR_TOPICS_H

#include "millrace/log.h"

#define MR_TOPIC_SUBMITTED "millrace.batches.submitted.v1"
#define MR_TOPIC_INGESTED "millrace.batches.ingested.v1"
#define MR_TOPIC_VALIDATED "millrace.batches.validated.v1"
#define MR_TOPIC_STAGED "millrace.batches.staged.v1"
#define MR_TOPIC_TRAINED "millrace.steps.trained.v1"
#define MR_TOPIC_PRODUCED "millrace.checkpoints.produced.v1"
#define MR_TOPIC_COMMITTED "millrace.versions.committed.v1"
#define MR_TOPIC_METRICS "millrace.metrics.v1"
#define MR_TOPIC_VERSIONS "millrace.versions.v1"
#define MR_TOPIC_RETRIES_INGEST "millrace.retries.ingest.v1"
#define MR_TOPIC_RETRIES_VALIDATE "millrace.retries.validate.v1"
#define MR_TOPIC_DEADLETTERS "millrace.deadletters.v1"
#define MR_TOPIC_FOLDS "millrace.folds.v1"
#define MR_TOPIC_DEPLOYMENT "millrace.deployment.v1"

/* Every topic but the deployment's, in the order above; NULL ends it. */
extern const char *const mr_topics[];

enum { MR_LOG_ID_SIZE = 16, MR_PREDECESSORS_MAX = 64, MR_DEFAULT_PARTITIONS = 4 };

struct mr_log_id {
    uint8_t bytes[MR_LOG_ID_SIZE];
};

struct mr_deployment {
    struct mr_log_id log_id;
    uint32_t partitions;
    struct mr_log_id predecessors[MR_PREDECESSORS_MAX]; /* oldest first */
    size_t predecessor_count;
};

/* The place of a log id: 0 is the oldest predecessor, predecessor_count is the current one; false: not of this
 * deployment (LogDiscontinuity). Positions compare by (place, offset). */
MR_MUST_USE bool mr_deployment_place(const struct mr_deployment *deployment, const struct mr_log_id *log_id,
                                     size_t *ret_place);

/* What a record of millrace.deployment.v1 says; by its key. */
enum mr_deployment_record {
    MR_DEPLOYMENT_CREATED = 1, /* the log id: counts if it is the first of them, and none of the other kind is there */
    MR_DEPLOYMENT_REPLACED,    /* "deployment": the last of them counts (millrace log adopt) */
};

/* The record that counts. *ret_some false: there is none, or no such topic. TRANSIENT when the broker does not answer;
 * REJECT "bad_deployment". */
MR_MUST_USE struct mr_error mr_deployment_find(struct mr_log *log, bool *ret_some,
                                               struct mr_deployment *ret_deployment);
/* The same, and checks that every topic has that many partitions. REJECT "no_deployment" when there is none,
 * "log_discontinuity" when the counts differ. */
MR_MUST_USE struct mr_error mr_deployment_read(struct mr_log *log, struct mr_deployment *ret_deployment);
/* Appends a record and waits until it is acknowledged; nothing else may be in flight in the log. UNKNOWN when it was
 * not within wait_ms: it may get there yet. */
MR_MUST_USE struct mr_error mr_deployment_append(struct mr_log *log, const struct mr_deployment *deployment,
                                                 enum mr_deployment_record kind, uint32_t wait_ms);
MR_MUST_USE struct mr_error mr_deployment_encode(const struct mr_deployment *deployment, struct mr_buffer *ret_value);
MR_MUST_USE struct mr_error mr_deployment_decode(struct mr_bytes value, struct mr_deployment *ret_deployment);

#endif
